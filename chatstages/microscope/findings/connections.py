"""Findings about connections: use after close, a close that does not wake a thread, an address in use."""

from __future__ import annotations

from dataclasses import dataclass

from chatstages.i18n import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.model.holds import FOREVER
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.snapshot import as_ongoing_call

BAD_SOCKET = ("Bad file descriptor", "Errno 9]", "WinError 10038", "not a socket")


@dataclass(frozen=True, repr=False)
class UseAfterClose(Finding):
    """A connection that the thread that had accepted it closed, while another thread still used it.

    `thread` is the one that closed it.
    """

    user: str

    def __str__(self) -> str:
        sentence = _("Use after close: {thread} closed {thing}, which it had handed over to {user}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "The thread that uses a connection closes it when it is done, not the thread that accepted it."
        )


def uses_after_close(recording: Recording) -> list[UseAfterClose]:
    """Return every connection that its accepting thread closed before its handler thread used it."""
    found: dict[str, UseAfterClose] = {}
    accepted, closed = dict[str, str](), dict[str, TraceEvent]()
    for event in recording.events:
        if event.kind == "accept":
            accepted[event.other] = event.thread
        elif event.kind == "close":
            closed.setdefault(event.thing, event)
        elif event.thing in closed and any(words in event.error for words in BAD_SOCKET):
            close = closed[event.thing]
            if close.thread == accepted.get(event.thing) != event.thread:
                numbers = (close.number, event.number)
                entry = UseAfterClose(
                    numbers, close.thread, close.thing, close.file, close.line, event.thread
                )
                found.setdefault(event.thing, entry)
    return list(found.values())


@dataclass(frozen=True, repr=False)
class ClosedWhileBlocked(Finding):
    """A socket that one thread closed while another was blocked in recv or accept on it.

    `thread` is the one that closed it.
    """

    waiting: str

    def __str__(self) -> str:
        sentence = _(
            "{thread} closed {thing} while {waiting} was blocked on it: close does not wake that thread"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "While a thread is blocked on it, the system keeps the connection open and sends no "
            "FIN. Call shutdown(SHUT_RDWR) first, which wakes the blocked thread; then close."
        )


def closed_while_blocked(recording: Recording) -> list[ClosedWhileBlocked]:
    """Return every socket that was closed, without shutdown before, while another thread was blocked on it.

    A wait with a time limit ends by itself, and where the system wakes the waiting (Windows) it ends with an
    error: neither is named. Source of the rule: close(2), "Multithreaded processes and close()".
    """
    found, shut, closes, limited = [], set[str](), dict[str, TraceEvent](), set[str]()
    for event in recording.events:
        if event.kind == "shutdown":
            shut.add(event.thing)
        elif event.kind == "settimeout" and event.detail != "None":
            limited.add(event.thing)
        elif event.kind == "close" and event.thing not in shut | limited and not event.detail:
            closes[event.thing] = event
    waits = [(e.thread, as_ongoing_call(e), e.ended) for e in recording.events if not e.error]
    waits += [(thread, ongoing, FOREVER) for thread, ongoing in recording.ongoing_calls.items()]
    for thread, ongoing, end in waits:
        close = closes.get(ongoing.thing)
        if ongoing.kind not in ("recv", "accept") or close is None or close.thread == thread:
            continue
        if ongoing.since < close.began and close.ended < end:
            where = (close.thread, close.thing, close.file, close.line)
            found.append(ClosedWhileBlocked((close.number,), *where, thread))
    return found


@dataclass(frozen=True, repr=False)
class AddressInUse(Finding):
    """A bind that failed, because the address is in use (EADDRINUSE)."""

    def __str__(self) -> str:
        return _("{thread} could not bind {thing}: the address is in use (EADDRINUSE)").format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "Another server listens there, or one has just ended and its connections are in "
            "TIME-WAIT. In the second case set SO_REUSEADDR before bind (not on Windows)."
        )


def addresses_in_use(recording: Recording) -> list[AddressInUse]:
    """Return every bind to an address that was in use."""
    return [
        AddressInUse((event.number,), event.thread, event.thing, event.file, event.line)
        for event in recording.events
        if event.kind == "bind" and ("in use" in event.error or "10048" in event.error)
    ]
