"""A recording as a file: saved in the Trace Event Format of Perfetto and chrome://tracing, and loaded again.

What those programs show stands under "traceEvents": each thread is a track, each call a slice; each lock is
a track too, with its holders; arrows (flow events) lead from a send to the recvs of its bytes. What `load`
reads stands under "chatstages", last: behind a key that it does not know, Perfetto reads no further.
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

from chatstages.microscope.model.recording import OngoingCall, Recording, Thing, TraceEvent
from chatstages.microscope.model.streams import deliveries, streams

FORMAT = 2  # of what stands under "chatstages"
PROCESS = 1
LOCKS = 10_000  # the number of the first track of a lock; the tracks of threads have smaller numbers
SHOWN = 200  # characters of sent or received data that Perfetto shows
CATEGORIES = {
    "acquire": "lock", "release": "lock", "wait": "lock", "notify": "lock",
    "start": "thread", "run": "thread", "task": "thread",
}  # fmt: skip


def save(recording: Recording, path: str | Path) -> None:
    """Write `recording` to a file. Raises OSError where the file cannot be written."""
    whole = {
        "traceEvents": list(perfetto_events(recording)),
        "displayTimeUnit": "ns",
        "chatstages": as_json(recording),
    }
    Path(path).write_text(json.dumps(whole), encoding="utf-8")


def load(path: str | Path) -> Recording:
    """Return the recording in a file that `save` wrote.

    Raises OSError where the file cannot be read, and ValueError where it is no recording, or one in another
    format.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))["chatstages"]
        if found["format"] == FORMAT:
            return from_json(found)
        problem = f"a recording in format {found['format']}; this version reads format {FORMAT} only"
    except (KeyError, TypeError, AttributeError):
        problem = "not a recording of the microscope"
    raise ValueError(f"{path}: {problem}")


# --- what Perfetto shows ---


def perfetto_events(recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the entries of "traceEvents"."""
    things = recording.things
    tracks = {label: number for number, label in enumerate(things, 1) if things[label].what == "thread"}
    tracks |= {label: LOCKS + number for number, label in enumerate(things) if things[label].what != "thread"}
    yield {"ph": "M", "pid": PROCESS, "tid": 0, "name": "process_name", "args": {"name": "chatstages"}}
    used = {event.thread for event in recording.events}
    used |= {event.thing for event in recording.events if event.kind == "release"}
    for label in sorted(used & set(things), key=tracks.__getitem__):
        name = f"{label} ({things[label].name})" if things[label].name not in ("", label) else label
        yield metadata(tracks[label], "thread_name", {"name": name})
        yield metadata(tracks[label], "thread_sort_index", {"sort_index": tracks[label]})
    for event in recording.events:
        yield from slices(event, tracks, things)
    yield from flows(recording, tracks)


def metadata(track: int, what: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return an entry that names or sorts a track."""
    return {"ph": "M", "pid": PROCESS, "tid": track, "name": what, "args": facts}


def slices(event: TraceEvent, tracks: dict[str, int], things: dict[str, Thing]) -> Iterator[dict[str, Any]]:
    """Yield the slice of `event`: on its thread's track; of a release, on the lock's track."""
    base = {"pid": PROCESS, "cat": CATEGORIES.get(event.kind, "socket"), "args": facts(event)}
    track = tracks.get(event.thread, 0)
    if event.kind != "release":
        name = f"{event.kind} {event.thing or event.other}"
        yield base | {"ph": "X", "tid": track, "name": name, **times(event)}
    elif event.thing in things and things[event.thing].what == "semaphore":
        # Several threads may hold it at once, and slices of one track must not overlap.
        name = f"{event.thread} in {event.thing}"
        for phase, time in (("b", event.began), ("e", event.ended)):
            yield base | {"ph": phase, "id": event.number, "tid": track, "name": name, "ts": time / 1000}
    else:
        name = f"held by {event.other or event.thread}"
        yield base | {"ph": "X", "tid": tracks.get(event.thing, 0), "name": name, **times(event)}


def times(event: TraceEvent) -> dict[str, float]:
    """Return begin and duration, in microseconds, as the format wants them."""
    return {"ts": event.began / 1000, "dur": (event.ended - event.began) / 1000}


def facts(event: TraceEvent) -> dict[str, Any]:
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
    """Yield an arrow from each send to each recv that received some of its bytes.

    Perfetto leads every arrow from the slice that began first to the one that began later, and a recv that
    was blocked began before the send. So the arrival of the bytes is a slice of its own, inside the recv.
    """
    number = 0
    for stream in streams(recording):
        sources: dict[TraceEvent, list[TraceEvent]] = defaultdict(list)
        for delivery in deliveries(stream):
            if delivery.send and delivery.recv:
                sources[delivery.recv].append(delivery.send)
        for recv, sends in sources.items():
            begin = (max(recv.began, *(send.began for send in sends)) + recv.ended) / 2
            length = (recv.ended - begin) / 2  # short of the end, so that rounding makes no slices overlap
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
    """Return everything in `recording`."""
    return {
        "format": FORMAT,
        "now": recording.now(),
        "dropped": recording.dropped,
        "fields": TraceEvent._fields,
        "events": [[encode(value) for value in event] for event in recording.events],
        "things": [asdict(thing) for thing in recording.things.values()],
        "ongoing_calls": recording.ongoing_calls,
        "holders": recording.holders,
        "clients": clients_of(recording),
    }


def from_json(found: dict[str, Any]) -> Recording:
    """Return the recording that `as_json` described."""
    names = found["fields"]
    places = [place for place, name in enumerate(names) if name in ("data", "rest")]
    events = []
    for values in found["events"]:
        for place in places:
            values[place] = base64.b64decode(values[place])
        events.append(TraceEvent(**dict(zip(names, values, strict=True))))
    known = {field.name for field in fields(Thing)}
    things = [
        Thing(**{name: decode(thing[name]) for name in known & thing.keys()}) for thing in found["things"]
    ]
    calls = {thread: OngoingCall(*values) for thread, values in found["ongoing_calls"].items()}
    holders = {lock: (thread, since) for lock, (thread, since) in found["holders"].items()}
    clients: dict[object, str] = {decode(address): name for address, name in found.get("clients", ())}
    return Recording.restored(events, things, calls, holders, found["dropped"], found["now"], clients)


def clients_of(recording: Recording) -> list[tuple[object, str]]:
    """Return the addresses and names of the clients in `recording`."""
    seen = {address for thing in recording.things.values() for address in (thing.local, thing.remote)}
    return [(address, name) for address, name in dict(recording.clients).items() if address in seen]


def encode(value: Any) -> Any:
    """Return `value` for JSON, which has no bytes: those as Base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def decode(value: Any) -> Any:
    """Return `value` as it was: an address is a tuple, of which JSON makes a list."""
    return tuple(value) if isinstance(value, list) else value
