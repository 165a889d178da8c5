"""Findings about threads: blocked for long, busy loops, uncaught exceptions, still running after Ctrl-C."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from chatstages.i18n import _
from chatstages.microscope.findings.evidence import Finding, same_error
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.snapshot import LIFETIME_KINDS, WAITING_KINDS

EMPTY_RECVS = 5  # so many recvs of b"" on one socket are a busy loop


@dataclass(frozen=True, repr=False)
class BlockedThread(Finding):
    """A thread that was blocked for long, or still is."""

    kind: str
    seconds: float
    still: bool

    def __str__(self) -> str:
        if self.still:
            sentence = _("{thread} has been blocked in {kind} on {thing} for {seconds:.1f} s")
        else:
            sentence = _("{thread} was blocked in {kind} on {thing} for {seconds:.1f} s")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        if self.kind == "send":
            return _(
                "The peer is a slow consumer: it does not receive, and the send buffer is full "
                "(backpressure). Set a timeout, or give each peer a bounded queue."
            )
        if self.kind == "acquire":
            return _("Look at which thread holds the lock, and what it does meanwhile.")
        return _("Nothing arrives. Look at which peer should send or connect; a timeout helps.")


def blocked_threads(recording: Recording, longer_than: float = 1.0) -> list[BlockedThread]:
    """Return the threads that were blocked in one call for more than `longer_than` seconds, or still are."""
    found = [
        BlockedThread((e.number,), e.thread, e.thing, e.file, e.line, e.kind, e.seconds, False)
        for e in recording.events
        if e.kind in WAITING_KINDS and e.seconds > longer_than
    ]
    for thread, ongoing in recording.ongoing_calls.items():
        seconds = (recording.now() - ongoing.since) / 1e9
        if ongoing.kind in WAITING_KINDS and seconds > longer_than:
            found.append(
                BlockedThread(
                    (), thread, ongoing.thing, ongoing.file, ongoing.line, ongoing.kind, seconds, True
                )
            )
    return found


@dataclass(frozen=True, repr=False)
class BusyLoop(Finding):
    """A recv that returned b"" again and again: the peer had closed, and the code does not check for it."""

    times: int

    def __str__(self) -> str:
        sentence = _("Busy loop: recv on {thing} has returned b'' to {thread} {times} times in a row")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "b'' means that the peer has closed (end of stream). Check for it after each recv, "
            "and leave the loop."
        )


def busy_loops(recording: Recording) -> list[BusyLoop]:
    """Return every socket on which recv returned b"" to one thread EMPTY_RECVS times or more."""
    things, empty = recording.things, defaultdict[tuple[str, str], list[TraceEvent]](list)
    for event in recording.events:
        is_datagram = event.thing in things and things[event.thing].datagram  # an empty datagram is a message
        if event.kind == "recv" and not event.data and not event.error and not is_datagram:
            empty[event.thread, event.thing].append(event)
    return [
        BusyLoop(tuple(e.number for e in events[:3]), *key, events[0].file, events[0].line, len(events))
        for key, events in empty.items()
        if len(events) >= EMPTY_RECVS
    ]


@dataclass(frozen=True, repr=False)
class UncaughtException(Finding):
    """A thread, or a pool's job, that an exception has ended."""

    error: str
    in_pool: bool
    after_end: bool  # recv had returned b"" on the same socket before

    def __str__(self) -> str:
        if self.in_pool:
            sentence = _("An exception ended a job of {thing} on {thread}, and nobody sees it: {error}")
        else:
            sentence = _("An uncaught exception ended {thread}: {error}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        if self.error.startswith("UnicodeDecodeError"):
            return _(
                "What recv returns may end in the middle of a character, or be no UTF-8 at all. An "
                "incremental decoder with errors='replace' handles both."
            )
        if self.after_end:
            return _(
                "recv had returned b'' there before: the peer has closed. Check for that after each "
                "recv, before anything is sent, and leave the loop."
            )
        return _("Look at what can fail at that line, and for which connection; catch the exception there.")


def uncaught_exceptions(recording: Recording) -> list[UncaughtException]:
    """Return every exception that has ended a thread or a job of a pool."""
    found, last, read = [], dict[str, TraceEvent](), dict[str, TraceEvent]()
    asked = [event.error for event in recording.events if event.kind == "wait" and event.detail == "result"]
    for event in recording.events:
        if event.kind in LIFETIME_KINDS and event.error and not event.error.startswith("KeyboardInterrupt"):
            here = last.get(event.thread, event)  # its line is more precise than that of the whole thread
            if not same_error(here.error, event.error) and event.thread == "main":
                here = event  # of the main thread the exact line is known
            elif not same_error(here.error, event.error):
                here = read.get(event.thread, here) if "Unicode" in event.error else here
            numbers = tuple(dict.fromkeys((here.number, event.number)))
            in_pool, heard = event.kind == "task", read.get(event.thread)
            if in_pool and any(not error or same_error(error, event.error) for error in asked):
                continue  # the program has asked for the result of a job, and got the exception
            after_end = bool(heard and not heard.data and not heard.error and heard.thing == here.thing)
            where = (numbers, event.thread, event.thing, here.file, here.line)
            found.append(UncaughtException(*where, event.error, in_pool, after_end))
        if event.kind not in ("close", "release"):  # those are made while the exception propagates
            last[event.thread] = event
        if event.kind == "recv":
            read[event.thread] = event
    return found


@dataclass(frozen=True, repr=False)
class UnhandledSendError(Finding):
    """A send to a disconnected peer whose error ended the thread that served another client."""

    served: str  # the socket of that client
    error: str

    def __str__(self) -> str:
        sentence = _(
            "{thread}, which served {served}, was ended by the error of a send to another peer, "
            "{thing}, which had disconnected: {error}"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "The error concerns only the member to which the data was sent. Catch it at this "
            "send, and remove that member from the list."
        )


def unhandled_send_errors(recording: Recording) -> list[UnhandledSendError]:
    """Return every send whose error ended the thread that made it for another client."""
    found: list[UnhandledSendError] = []
    failed: dict[str, TraceEvent] = {}
    served: dict[str, str] = {}  # by thread: the socket from which it has last received data
    for event in recording.events:
        if event.kind == "recv" and event.data:
            served[event.thread] = event.thing
        elif event.kind == "send" and event.error:
            failed[event.thread] = event
        elif event.kind in LIFETIME_KINDS and event.thread in failed:
            send = failed.pop(event.thread)
            whose = served.get(event.thread, "")
            if same_error(send.error, event.error) and whose not in ("", send.thing):
                numbers = (send.number, event.number)
                found.append(
                    UnhandledSendError(
                        numbers, send.thread, send.thing, send.file, send.line, whose, send.error
                    )
                )
    return found


@dataclass(frozen=True, repr=False)
class LingeringThread(Finding):
    """A thread that is still running after Ctrl-C has ended the main thread.

    `thing` is what it is blocked on.
    """

    kind: str

    def __str__(self) -> str:
        sentence = _("Ctrl-C ended the main thread, but {thread} is still running: {kind} {thing}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "Ctrl-C raises KeyboardInterrupt in the main thread only. The other threads keep the "
            "process and its port alive. Stop the server in a “finally” (graceful shutdown): shut "
            "down the sockets on which they are blocked, then join them."
        )


def lingering_threads(recording: Recording) -> list[LingeringThread]:
    """Return the threads that keep the process alive after Ctrl-C has ended the main thread."""
    things, ended = recording.things, {e.thread: e for e in recording.events if e.kind == "run"}
    end = ended.get("main")
    if end is None or not end.error.startswith("KeyboardInterrupt"):
        return []
    return [
        LingeringThread(
            (end.number,), thread, ongoing.thing or ongoing.detail, ongoing.file, ongoing.line, ongoing.kind
        )
        for thread, ongoing in recording.ongoing_calls.items()
        if thread not in ended and not things[thread].daemon
    ]
