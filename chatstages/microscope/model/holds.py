"""Which thread held which lock, from when to when."""

from __future__ import annotations

from typing import NamedTuple

from chatstages.microscope.model.recording import Recording, TraceEvent

FOREVER = 1 << 62  # nanoseconds: the end of what has not ended


class Hold(NamedTuple):
    """A lock that a thread held, from `begin` to `end` (nanoseconds), and the events of its two ends."""

    lock: str
    thread: str
    begin: int
    end: int  # FOREVER where the lock is still held
    acquire: TraceEvent | None
    release: TraceEvent | None


def holds(recording: Recording) -> list[Hold]:
    """Return who held which lock, in the order of the releases; then the locks that are still held."""
    found = []
    acquired: dict[tuple[str, str], TraceEvent] = {}
    for event in recording.events:
        key = (event.thing, (event.kind == "release" and event.other) or event.thread)
        if event.kind == "acquire" and not event.detail and not event.error:
            acquired[key] = event
        elif event.kind == "release" and not event.error:
            begin = acquired.pop(key, None)
            found.append(Hold(*key, event.began, event.ended, begin, event))
    for lock, (thread, since) in recording.holders.items():
        found.append(Hold(lock, thread, since, FOREVER, acquired.get((lock, thread)), None))
    return found
