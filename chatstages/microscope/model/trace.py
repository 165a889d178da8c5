"""A recording as a file: the trace-event format, which Perfetto and chrome://tracing show, and back.

What they show stands under "traceEvents": each thread is a track, each call a slice; each lock is a track
too, with who has held it; arrows lead from a send to the recv that its bytes have come to. What `load` reads
stands under "chatstages", last: behind a key that it does not know, Perfetto reads no further.
The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from chatstages.microscope.model.recording import Doing, Event, Recording, Thing
from chatstages.microscope.model.streams import arrows, streams

FORMAT = 1
PROCESS = 1
LOCKS = 10_000  # the number of the first track that is a lock's; below are the threads'
SHOWN = 200  # characters of what was sent, to read in Perfetto
CATEGORIES = {
    "acquire": "lock", "release": "lock", "wait": "lock", "notify": "lock",
    "start": "thread", "run": "thread", "task": "thread",
}  # fmt: skip


def save(recording: Recording, path: str | Path) -> None:
    """Write `recording` to a file. Raises OSError when that cannot be."""
    whole = {
        "traceEvents": list(trace_events(recording)),
        "displayTimeUnit": "ns",
        "chatstages": as_json(recording),
    }
    Path(path).write_text(json.dumps(whole), encoding="utf-8")


def load(path: str | Path) -> Recording:
    """Return what `save` has written. Raises OSError, or ValueError if it is no such file."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))["chatstages"]
        if found["format"] == FORMAT:
            return from_json(found)
    except (KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"{path}: not a recording of the microscope")


# --- what Perfetto shows ---


def trace_events(recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the trace events."""
    things = recording.things
    tracks = {label: number for number, label in enumerate(things, 1) if things[label].what == "thread"}
    tracks |= {label: LOCKS + number for number, label in enumerate(things) if things[label].what != "thread"}
    yield {"ph": "M", "pid": PROCESS, "tid": 0, "name": "process_name", "args": {"name": "chatstages"}}
    used = {event.thread for event in recording.events}
    used |= {event.thing for event in recording.events if event.kind == "release"}
    for label in sorted(used & set(things), key=tracks.__getitem__):
        name = f"{label} ({things[label].name})" if things[label].name not in ("", label) else label
        yield named(tracks[label], "thread_name", {"name": name})
        yield named(tracks[label], "thread_sort_index", {"sort_index": tracks[label]})
    for event in recording.events:
        yield from slices(event, tracks, things)
    yield from flows(recording, tracks)


def named(track: int, what: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return a trace event that says something of a track."""
    return {"ph": "M", "pid": PROCESS, "tid": track, "name": what, "args": facts}


def slices(event: Event, tracks: dict[str, int], things: dict[str, Thing]) -> Iterator[dict[str, Any]]:
    """Yield the slice of `event`: on its thread's track; for a lock that was held on the lock's."""
    base = {"pid": PROCESS, "cat": CATEGORIES.get(event.kind, "socket"), "args": facts(event)}
    track = tracks.get(event.thread, 0)
    if event.kind != "release":
        name = f"{event.kind} {event.thing or event.other}"
        yield base | {"ph": "X", "tid": track, "name": name, **times(event)}
    elif event.thing in things and things[event.thing].what == "semaphore":
        # It may let several in at once: their slices cannot stand on one track.
        name = f"{event.thread} in {event.thing}"
        for phase, time in (("b", event.began), ("e", event.ended)):
            yield base | {"ph": phase, "id": event.number, "tid": track, "name": name, "ts": time / 1000}
    else:
        name = f"held by {event.other or event.thread}"
        yield base | {"ph": "X", "tid": tracks.get(event.thing, 0), "name": name, **times(event)}


def times(event: Event) -> dict[str, float]:
    """Return begin and duration, in microseconds."""
    return {"ts": event.began / 1000, "dur": (event.ended - event.began) / 1000}


def facts(event: Event) -> dict[str, Any]:
    """Return what Perfetto shows of `event` when it is clicked."""
    found: dict[str, Any] = {"number": event.number, "thread": event.thread, "thing": event.thing}
    if event.file:
        found["place"] = f"{event.file}:{event.line} ({event.function})"
    if event.data:
        found |= {"bytes": len(event.data), "offset": event.offset}
        found["data"] = event.data[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
    found |= {name: getattr(event, name) for name in ("other", "detail", "error") if getattr(event, name)}
    return found


def flows(recording: Recording, tracks: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield an arrow from each send to each recv that some of its bytes have come to.

    A recv that was waiting has begun before the send. Perfetto leads every arrow from what has begun first to
    what has begun later; so the coming of the bytes is a slice of its own, inside the recv.
    """
    number = 0
    for stream in streams(recording):
        sources: dict[Event, list[Event]] = defaultdict(list)
        for arrow in arrows(stream):
            if arrow.send and arrow.recv:
                sources[arrow.recv].append(arrow.send)
        for recv, sends in sources.items():
            begin = (max(recv.began, *(send.began for send in sends)) + recv.ended) / 2
            length = (recv.ended - begin) / 2  # that the slices overlap by no rounding
            base: dict[str, Any] = {"pid": PROCESS, "name": "bytes", "cat": "bytes"}
            into = {"tid": tracks.get(recv.thread, 0), "ts": begin / 1000}
            yield base | into | {"ph": "X", "dur": length / 1000, "args": {"sends": len(sends)}}
            for send in sends:
                number += 1
                out = {"tid": tracks.get(send.thread, 0), "ts": send.began / 1000}
                yield base | out | {"ph": "s", "id": number}
                yield base | into | {"ph": "f", "id": number, "bp": "e"}


# --- what `load` reads ---


def as_json(recording: Recording) -> dict[str, Any]:
    """Return all that `recording` knows."""
    return {
        "format": FORMAT,
        "now": recording.now(),
        "dropped": recording.dropped,
        "fields": Event._fields,
        "events": [[encode(value) for value in event] for event in recording.events],
        "things": [asdict(thing) for thing in recording.things.values()],
        "doing": recording.doing,
        "holders": recording.holders,
    }


def from_json(found: dict[str, Any]) -> Recording:
    """Return the recording again."""
    names = found["fields"]
    places = [place for place, name in enumerate(names) if name in ("data", "rest")]
    events = []
    for values in found["events"]:
        for place in places:
            values[place] = base64.b64decode(values[place])
        events.append(Event(**dict(zip(names, values, strict=True))))
    known = {field.name for field in fields(Thing)}
    things = [
        Thing(**{name: decode(thing[name]) for name in known & thing.keys()}) for thing in found["things"]
    ]
    doing = {thread: Doing(*values) for thread, values in found["doing"].items()}
    holders = {lock: (thread, since) for lock, (thread, since) in found["holders"].items()}
    return Recording.restored(events, things, doing, holders, found["dropped"], found["now"])


def encode(value: Any) -> Any:
    """Return `value` as JSON can have it."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def decode(value: Any) -> Any:
    """Return an address as it was: JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value
