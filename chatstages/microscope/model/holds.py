"""Which thread held which lock, from when to when."""

from __future__ import annotations

from typing import NamedTuple

from chatstages.microscope.model.recording import Event, Recording

FOREVER = 1 << 62  # the end of what has not ended


class Hold(NamedTuple):
    """A lock that was held: by whom, from when to when, and the acquire with which that began."""

    lock: str
    thread: str
    begin: int
    end: int  # FOREVER where it is held still
    acquire: Event | None
    release: Event | None


def holds(recording: Recording) -> list[Hold]:
    """Return who has held which lock, in the order in which they were given back; then those held still."""
    found = []
    acquired: dict[tuple[str, str], Event] = {}
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
