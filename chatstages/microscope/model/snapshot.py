"""A snapshot: what every thread does at one time, who holds and waits for each lock, what is in flight.

The present is read from the recording's ongoing calls; a time in the past is reconstructed from its events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from chatstages.microscope.model.holds import FOREVER
from chatstages.microscope.model.recording import OngoingCall, Recording, Thing, TraceEvent

LIFETIME_KINDS = ("run", "task")  # these contain other events
WAIT_NAMES = ("join", "get", "put", "result")  # how a wait for a thread, a queue or a future is called
BLOCKING_KINDS = ("send", "recv", "connect", "accept", "wait")  # these may depend on a peer, or on a thread
WAITING_KINDS = ("accept", "connect", "recv", "send", "select", "wait", "acquire")


class Connection(NamedTuple):
    """A connection, and the bytes in flight in each direction: sent, and not yet received."""

    one: Thing
    other: Thing | None  # None where the other end is not watched
    in_flight: int  # bytes from `one` to `other`
    in_flight_back: int  # bytes from `other` to `one`


class Snapshot(NamedTuple):
    """The state of everything at one time (nanoseconds since the recording began)."""

    time: int
    threads: list[Thing]
    ongoing_calls: dict[str, OngoingCall]
    holders: dict[str, tuple[str, int]]
    connections: list[Connection]

    def waiters_for(self, lock: str) -> list[str]:
        """Return the threads that wait for `lock`, in the order in which they began to wait."""
        found = [
            (c.since, thread)
            for thread, c in self.ongoing_calls.items()
            if c.kind == "acquire" and c.thing == lock
        ]
        return [thread for _since, thread in sorted(found)]

    def locks_held_by(self, thread: str) -> list[str]:
        """Return the locks that `thread` holds."""
        return [lock for lock, (holder, _since) in self.holders.items() if holder == thread]

    def deadlock(self) -> list[str]:
        """Return threads each of which waits for a lock of the next, and the last for one of the first."""
        for thread in sorted(self.ongoing_calls):
            path = [thread]
            while (following := self._blocker(path[-1])) and following not in path:
                path.append(following)
            if following == thread and len(path) > 1:
                return path
        return []

    def _blocker(self, thread: str) -> str:
        """Return the holder of the lock that `thread` waits for, or ""."""
        call = self.ongoing_calls.get(thread)
        return self.holders.get(call.thing, ("", 0))[0] if call and call.kind == "acquire" else ""


def take_snapshot(recording: Recording) -> Snapshot:
    """Return the present. Its cost does not depend on the number of events."""
    things, calls = recording.things, recording.ongoing_calls
    threads = [
        thing
        for thing in things.values()
        if thing.what == "thread" and thing.is_of_program and (not thing.closed or thing.label in calls)
    ]
    counts = {t.label: (t.sent, t.received) for t in things.values() if t.what == "socket" and not t.closed}
    return Snapshot(recording.now(), threads, calls, recording.holders, connections_of(things, counts, calls))


def connections_of(
    things: dict[str, Thing], counts: dict[str, tuple[int, int]], ongoing_calls: dict[str, OngoingCall]
) -> list[Connection]:
    """Return the connections of the sockets in `counts` (bytes sent and received).

    What a thread is just sending counts as in flight: how much of it the system has taken is not known.
    """
    counts, found = dict(counts), []
    for call in ongoing_calls.values():
        if call.kind == "send" and call.thing in counts:
            sent, received = counts[call.thing]
            counts[call.thing] = sent + call.size, received
    order = {label: place for place, label in enumerate(counts)}
    for label, (sent, received) in counts.items():
        one, other = things[label], things.get(things[label].peer)
        if one.role == "listener":
            continue
        if other is None or other.label not in counts:
            if one.role or sent or received:
                found.append(Connection(one, other, 0, 0))
        elif order[label] < order[other.label]:
            sent_back, arrived = counts[other.label]
            found.append(Connection(one, other, max(0, sent - arrived), max(0, sent_back - received)))
    return found


def under_way(recording: Recording) -> dict[str, OngoingCall]:
    """Return, by thread, the sends that have not ended, and the recvs whose bytes have been sent."""
    lines = take_snapshot(recording).connections
    arriving = {line.other.label for line in lines if line.other and line.in_flight}
    arriving |= {line.one.label for line in lines if line.in_flight_back}
    calls = recording.ongoing_calls
    return {t: c for t, c in calls.items() if c.kind == "send" or (c.kind == "recv" and c.thing in arriving)}


class History:
    """The snapshots of a recording: one for the end of each event."""

    def __init__(self, recording: Recording) -> None:
        self._things, self._events = recording.things, recording.events
        self._counted, self._counts = 0, dict[str, tuple[int, int]]()
        self._lifetimes = thread_lifetimes(self._events, self._things)
        self._calls: dict[str, list[tuple[int, int, OngoingCall]]] = defaultdict(list)
        for event in self._events:
            if event.kind not in LIFETIME_KINDS and event.kind != "release":
                self._calls[event.thread].append((event.began, event.ended, as_ongoing_call(event)))
        for thread, call in recording.ongoing_calls.items():
            self._calls[thread].append((call.since, FOREVER, call))
        for calls in self._calls.values():
            calls.sort(key=lambda call: call[0])
        self._holds = [
            (e.thing, e.other or e.thread, e.began, e.ended)
            for e in self._events
            if e.kind == "release" and not e.error
        ]
        self._holds += [(lock, thread, since, FOREVER) for lock, (thread, since) in recording.holders.items()]

    def at(self, number: int) -> Snapshot:
        """Return the snapshot at the end of the event `number`."""
        first = self._events[0].number if self._events else 0
        count = max(0, min(number - first + 1, len(self._events)))  # of the events up to this one
        time = self._events[count - 1].ended if count else 0
        threads = [self._things[t] for t, (begin, end) in self._lifetimes.items() if begin <= time < end]
        calls = {t.label: call for t in threads if (call := self._call_of(t.label, time))}
        holders = {lock: (thread, a) for lock, thread, a, b in self._holds if a <= time < b}
        carried = connections_of(self._things, self._bytes_after(count), calls)
        return Snapshot(time, threads, calls, holders, carried)

    def _bytes_after(self, count: int) -> dict[str, tuple[int, int]]:
        """Return the bytes that each open socket had sent and received after so many events."""
        if count < self._counted:
            self._counted, self._counts = 0, {}
        count_bytes(self._counts, self._events[self._counted : count])
        self._counted = count
        return {label: found for label, found in self._counts.items() if label in self._things}

    def _call_of(self, thread: str, time: int) -> OngoingCall | None:
        calls = self._calls[thread]
        last = bisect_left(calls, time, key=lambda call: call[0])
        for _began, ended, call in reversed(calls[max(0, last - 3) : last]):
            if ended > time:
                return call
        return None


def as_ongoing_call(event: TraceEvent) -> OngoingCall:
    """Return the call of `event` as it was before it ended."""
    where = (event.file, event.line, event.function)
    size = len(event.data) if event.kind == "send" else 0
    return OngoingCall(event.kind, event.thing, event.began, *where, event.detail, size)


def call_name(call: OngoingCall) -> str:
    """Return the name by which a programmer knows the call: "join" for a wait for a thread, for example."""
    return call.detail if call.kind == "wait" and call.detail in WAIT_NAMES else call.kind


def thread_lifetimes(events: list[TraceEvent], things: dict[str, Thing]) -> dict[str, tuple[int, int]]:
    """Return the first and the last time at which each thread was seen, in the order of the things."""
    found: dict[str, tuple[int, int]] = {}
    for event in events:
        begin, end = found.get(event.thread, (event.began, FOREVER))
        found[event.thread] = min(begin, event.began), event.ended if event.kind == "run" else end
    return {
        label: found[label]
        for label, thing in things.items()
        if label in found and thing.what == "thread" and thing.is_of_program
    }


def count_bytes(counts: dict[str, tuple[int, int]], events: Iterable[TraceEvent]) -> None:
    """Add to `counts` the bytes that each socket has sent and received in `events`; drop closed sockets."""
    for event in events:
        if event.kind in ("connect", "accept"):
            counts.setdefault(event.other if event.kind == "accept" else event.thing, (0, 0))
        elif event.kind in ("send", "recv"):
            sent, received = counts.get(event.thing, (0, 0))
            end = event.offset + len(event.data)
            is_send = event.kind == "send"
            counts[event.thing] = (max(sent, end), received) if is_send else (sent, max(received, end))
        elif event.kind == "close":
            counts.pop(event.thing, None)
