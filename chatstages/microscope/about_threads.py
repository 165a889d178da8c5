"""Findings about threads: who waits too long, who turns in circles, who has died of somebody else's error."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from chatstages.locale import _
from chatstages.microscope.evidence import same_error
from chatstages.microscope.moment import WAITING, WHOLE
from chatstages.microscope.recording import Event, Recording

EMPTY_RECVS = 5  # one after the other: nobody looks at what recv has returned
BAD_SOCKET = ("Bad file descriptor", "Errno 9]", "WinError 10038", "not a socket")


class Blocked(NamedTuple):
    """A thread that has waited long, or waits still."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int
    kind: str
    seconds: float
    still: bool

    def __str__(self) -> str:
        if self.still:
            sentence = _("{thread} waits in {kind} on {thing}, for {seconds:.1f} s so far")
        else:
            sentence = _("{thread} has waited {seconds:.1f} s in {kind} on {thing}")
        return sentence.format(**self._asdict())

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


def blocked(recording: Recording, longer_than: float = 1.0) -> list[Blocked]:
    """Return who has waited longer than so many seconds, in whatever it was, or waits so still."""
    found = [
        Blocked((e.number,), e.thread, e.thing, e.file, e.line, e.kind, e.seconds, False)
        for e in recording.events
        if e.kind in WAITING and e.seconds > longer_than
    ]
    for thread, doing in recording.doing.items():
        seconds = (recording.now() - doing.since) / 1e9
        if doing.kind in WAITING and seconds > longer_than:
            found.append(Blocked((), thread, doing.thing, doing.file, doing.line, doing.kind, seconds, True))
    return found


class BusyLoop(NamedTuple):
    """A recv that returned nothing again and again: the other side had closed, and nobody looked."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int
    times: int

    def __str__(self) -> str:
        sentence = _(
            "{thread} turns in circles: recv on {thing} has returned b'' {times} times, one after the other"
        )
        return sentence.format(**self._asdict())

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("b'' means: the other side has closed. Look at it behind each recv, and leave the loop.")


def busy_loops(recording: Recording) -> list[BusyLoop]:
    """Return every socket on which recv returned b"" again and again."""
    empty: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in recording.events:
        if event.kind == "recv" and not event.data and not event.error:
            empty[event.thread, event.thing].append(event)
    return [
        BusyLoop(tuple(e.number for e in events[:3]), *key, events[0].file, events[0].line, len(events))
        for key, events in empty.items()
        if len(events) >= EMPTY_RECVS
    ]


class BrokenThread(NamedTuple):
    """A thread, or a pool's job, that an exception has ended."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int
    error: str
    in_pool: bool

    def __str__(self) -> str:
        if self.in_pool:
            sentence = _("A job of {thing} on {thread} was ended by an exception that nobody sees: {error}")
        else:
            sentence = _("{thread} was ended by an exception: {error}")
        return sentence.format(**self._asdict())

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        if self.error.startswith("UnicodeDecodeError"):
            return _(
                "Who says that what recv brings ends where a character ends, or is UTF-8 at all? An "
                "incremental decoder with errors='replace' bears both."
            )
        return _("Look at what can fail at that line, and whose fault it is; catch it there.")


def broken_threads(recording: Recording) -> list[BrokenThread]:
    """Return every thread and every job that an exception has ended."""
    found, last, read = [], dict[str, Event](), dict[str, Event]()
    for event in recording.events:
        if event.kind in WHOLE and event.error:
            here = last.get(event.thread, event)  # its place says more than that of the whole thread
            if not same_error(here.error, event.error):
                here = read.get(event.thread, here) if "Unicode" in event.error else here
            numbers = tuple(dict.fromkeys((here.number, event.number)))
            in_pool = event.kind == "task"
            found.append(
                BrokenThread(numbers, event.thread, event.thing, here.file, here.line, event.error, in_pool)
            )
        if event.kind != "close":  # that is how it tidied up
            last[event.thread] = event
        if event.kind == "recv":
            read[event.thread] = event
    return found


class BrokenSend(NamedTuple):
    """A send to somebody who had gone, which has ended the thread that served somebody else."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int
    served: str  # the socket of the one who pays for it
    error: str

    def __str__(self) -> str:
        sentence = _(
            "{thread}, which served {served}, was ended by a send to somebody else, {thing}, who had gone: "
            "{error}"
        )
        return sentence.format(**self._asdict())

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "An error belongs to the member on whom it happened. Catch it at this send, and take that "
            "member off the list."
        )


def broken_sends(recording: Recording) -> list[BrokenSend]:
    """Return every send to a member that had left which has ended the sender's thread."""
    found: list[BrokenSend] = []
    failed: dict[str, Event] = {}
    served: dict[str, str] = {}  # of each thread the socket from which it has last received something
    for event in recording.events:
        if event.kind == "recv" and event.data:
            served[event.thread] = event.thing
        elif event.kind == "send" and event.error:
            failed[event.thread] = event
        elif event.kind in WHOLE and event.thread in failed:
            send = failed.pop(event.thread)
            whose = served.get(event.thread, "")
            if same_error(send.error, event.error) and whose not in ("", send.thing):
                numbers = (send.number, event.number)
                found.append(
                    BrokenSend(numbers, send.thread, send.thing, send.file, send.line, whose, send.error)
                )
    return found


class ClosedTooEarly(NamedTuple):
    """A connection that was closed by the thread that had accepted it, while another used it."""

    events: tuple[int, ...]
    thread: str  # that closed it
    thing: str
    file: str
    line: int
    user: str

    def __str__(self) -> str:
        sentence = _("{thread} has closed {thing}, which it had given to {user}: that finds a closed socket")
        return sentence.format(**self._asdict())

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "Whoever uses a connection closes it, when it is done: the thread, not the one that started it."
        )


def closed_too_early(recording: Recording) -> list[ClosedTooEarly]:
    """Return every connection that the accepting thread closed under the one that was to use it."""
    found: dict[str, ClosedTooEarly] = {}
    accepted, closed = dict[str, str](), dict[str, Event]()
    for event in recording.events:
        if event.kind == "accept":
            accepted[event.other] = event.thread
        elif event.kind == "close":
            closed.setdefault(event.thing, event)
        elif event.thing in closed and any(words in event.error for words in BAD_SOCKET):
            close = closed[event.thing]
            if close.thread == accepted.get(event.thing) != event.thread:
                numbers = (close.number, event.number)
                entry = ClosedTooEarly(
                    numbers, close.thread, close.thing, close.file, close.line, event.thread
                )
                found.setdefault(event.thing, entry)
    return list(found.values())


class AddressTaken(NamedTuple):
    """A bind that failed, because the address is in use."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int

    def __str__(self) -> str:
        return _("{thread} could not have the address for {thing}: it is in use").format(**self._asdict())

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "Another server has it, or one that has just ended: then SO_REUSEADDR before bind helps (not "
            "on Windows)."
        )


def taken_addresses(recording: Recording) -> list[AddressTaken]:
    """Return every bind to an address that was in use."""
    return [
        AddressTaken((event.number,), event.thread, event.thing, event.file, event.line)
        for event in recording.events
        if event.kind == "bind" and ("in use" in event.error or "10048" in event.error)
    ]
