"""Findings about threads: who waits too long, who turns in circles, who has died of somebody else's error."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from chatstages.locale import _
from chatstages.microscope.findings.evidence import Finding, same_error
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.snapshot import LIFETIME_KINDS, WAITING_KINDS

EMPTY_RECVS = 5  # one after the other: nobody looks at what recv has returned


@dataclass(frozen=True, repr=False)
class BlockedThread(Finding):
    """A thread that has waited long, or waits still."""

    kind: str
    seconds: float
    still: bool

    def __str__(self) -> str:
        if self.still:
            sentence = _("{thread} waits in {kind} on {thing}, for {seconds:.1f} s so far")
        else:
            sentence = _("{thread} has waited {seconds:.1f} s in {kind} on {thing}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        if self.kind == "send":
            return _(
                "The other end takes nothing, and the buffers are full. A limit on the time, or a queue, "
                "helps."
            )
        if self.kind == "acquire":
            return _("Look at who holds the lock, and what it does in the meantime.")
        return _("Nothing comes. Look at who should send, or connect; a limit on the time helps.")


def blocked_threads(recording: Recording, longer_than: float = 1.0) -> list[BlockedThread]:
    """Return who has waited longer than so many seconds, in whatever it was, or waits so still."""
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
    """A recv that returned nothing again and again: the other side had closed, and nobody looked."""

    times: int

    def __str__(self) -> str:
        sentence = _(
            "{thread} turns in circles: recv on {thing} has returned b'' {times} times, one after the other"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("b'' means: the other side has closed. Look at it behind each recv, and leave the loop.")


def busy_loops(recording: Recording) -> list[BusyLoop]:
    """Return every socket on which recv returned b"" again and again."""
    things, empty = recording.things, defaultdict[tuple[str, str], list[TraceEvent]](list)
    for event in recording.events:
        is_datagram = event.thing in things and things[event.thing].datagram  # that may be empty
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
            sentence = _("A job of {thing} on {thread} was ended by an exception that nobody sees: {error}")
        else:
            sentence = _("{thread} was ended by an exception: {error}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        if self.error.startswith("UnicodeDecodeError"):
            return _(
                "Who says that what recv brings ends where a character ends, or is UTF-8 at all? An "
                "incremental decoder with errors='replace' bears both."
            )
        if self.after_end:
            return _(
                "recv had returned b'' there: the other side has closed. Look at that behind each recv, "
                "before anything is sent, and leave the loop."
            )
        return _("Look at what can fail at that line, and whose fault it is; catch it there.")


def uncaught_exceptions(recording: Recording) -> list[UncaughtException]:
    """Return every thread and every job that an exception has ended."""
    found, last, read = [], dict[str, TraceEvent](), dict[str, TraceEvent]()
    asked = [event.error for event in recording.events if event.kind == "wait" and event.detail == "result"]
    for event in recording.events:
        if event.kind in LIFETIME_KINDS and event.error and not event.error.startswith("KeyboardInterrupt"):
            here = last.get(event.thread, event)  # its place says more than that of the whole thread
            if not same_error(here.error, event.error) and event.thread == "main":
                here = event  # of the main thread the very line is known
            elif not same_error(here.error, event.error):
                here = read.get(event.thread, here) if "Unicode" in event.error else here
            numbers = tuple(dict.fromkeys((here.number, event.number)))
            in_pool, heard = event.kind == "task", read.get(event.thread)
            if in_pool and any(not error or same_error(error, event.error) for error in asked):
                continue  # somebody has asked for what became of a job: it is not lost
            after_end = bool(heard and not heard.data and not heard.error and heard.thing == here.thing)
            where = (numbers, event.thread, event.thing, here.file, here.line)
            found.append(UncaughtException(*where, event.error, in_pool, after_end))
        if event.kind not in ("close", "release"):  # that is how it tidied up
            last[event.thread] = event
        if event.kind == "recv":
            read[event.thread] = event
    return found


@dataclass(frozen=True, repr=False)
class UnhandledSendError(Finding):
    """A send to somebody who had gone, which has ended the thread that served somebody else."""

    served: str  # the socket of the one who pays for it
    error: str

    def __str__(self) -> str:
        sentence = _(
            "{thread}, which served {served}, was ended by a send to somebody else, {thing}, who had gone: "
            "{error}"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "An error belongs to the member on whom it happened. Catch it at this send, and take that "
            "member off the list."
        )


def unhandled_send_errors(recording: Recording) -> list[UnhandledSendError]:
    """Return every send to a member that had left which has ended the sender's thread."""
    found: list[UnhandledSendError] = []
    failed: dict[str, TraceEvent] = {}
    served: dict[str, str] = {}  # of each thread the socket from which it has last received something
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
    """A thread that goes on after the main thread was interrupted.

    `thing` is what it waits for.
    """

    kind: str

    def __str__(self) -> str:
        sentence = _("Ctrl-C has ended the main thread, but {thread} goes on: {kind} {thing}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "A Ctrl-C strikes the main thread only. The others keep the process and its port alive: let one "
            "“finally” stop the server: shut down what they wait on, then join them."
        )


def lingering_threads(recording: Recording) -> list[LingeringThread]:
    """Return the threads that Python waits for, after a Ctrl-C that has ended the main thread."""
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
