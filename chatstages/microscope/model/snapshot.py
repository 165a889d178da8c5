"""One moment: what every thread does, who holds and who waits for each lock, what is under way.

The present is read from what `watching` tells at once; a moment in the past is put together from the events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from chatstages.microscope.model.recording import Doing, Event, Recording, Thing

WHOLE = ("run", "task")  # these have others in them
CALLS = ("join", "get", "put", "result")  # what a wait for a thread, a queue or a future is called
SLOW = ("send", "recv", "connect", "accept", "wait")  # what others may have to do first
WAITING = ("accept", "connect", "recv", "send", "select", "wait", "acquire")


class Line(NamedTuple):
    """A connection, and how many bytes are under way in each direction."""

    one: Thing
    other: Thing | None  # None where the other end was not watched
    there: int
    back: int


class Moment(NamedTuple):
    """What is so at one time (nanoseconds since the recording began)."""

    time: int
    threads: list[Thing]
    doing: dict[str, Doing]
    holders: dict[str, tuple[str, int]]
    lines: list[Line]

    def waiting_for(self, lock: str) -> list[str]:
        """Return the threads that wait for `lock`, the first to come first."""
        found = [(d.since, t) for t, d in self.doing.items() if d.kind == "acquire" and d.thing == lock]
        return [thread for _since, thread in sorted(found)]

    def held_by(self, thread: str) -> list[str]:
        """Return the locks that `thread` holds."""
        return [lock for lock, (holder, _since) in self.holders.items() if holder == thread]

    def circle(self) -> list[str]:
        """Return threads each of which waits for a lock of the next, and the last for one of the first."""
        for thread in sorted(self.doing):
            path = [thread]
            while (following := self._blocker(path[-1])) and following not in path:
                path.append(following)
            if following == thread and len(path) > 1:
                return path
        return []

    def _blocker(self, thread: str) -> str:
        """Return who holds what `thread` waits for."""
        doing = self.doing.get(thread)
        return self.holders.get(doing.thing, ("", 0))[0] if doing and doing.kind == "acquire" else ""


def now(recording: Recording) -> Moment:
    """Return the present. Quick: it looks at no event."""
    things, doing = recording.things, recording.doing
    threads = [t for t in things.values() if t.what == "thread" and (not t.closed or t.label in doing)]
    counts = {t.label: (t.sent, t.received) for t in things.values() if t.what == "socket" and not t.closed}
    return Moment(recording.now(), threads, doing, recording.holders, lines_of(things, counts, doing))


def lines_of(
    things: dict[str, Thing], counts: dict[str, tuple[int, int]], doing: dict[str, Doing]
) -> list[Line]:
    """Return the connections of the sockets in `counts` (bytes sent and received).

    Under way is, too, what a thread is just sending: how much of it the system has taken is not known.
    """
    counts, lines = dict(counts), []
    for step in doing.values():
        if step.kind == "send" and step.thing in counts:
            sent, received = counts[step.thing]
            counts[step.thing] = sent + step.size, received
    for label, (sent, received) in counts.items():
        one, other = things[label], things.get(things[label].peer)
        if one.role == "listener" or not (one.role or sent or received):
            continue
        if other is None or other.label not in counts:
            lines.append(Line(one, other, 0, 0))
        elif list(counts).index(label) < list(counts).index(other.label):
            sent_back, arrived = counts[other.label]
            lines.append(Line(one, other, max(0, sent - arrived), max(0, sent_back - received)))
    return lines


class Past:
    """Moments of a recording: for each event the moment when it had just happened."""

    def __init__(self, recording: Recording) -> None:
        self._things, self._events = recording.things, recording.events
        self._counted, self._counts = 0, dict[str, tuple[int, int]]()
        self._lives = lives(self._events, self._things)
        self._steps: dict[str, list[tuple[int, int, Doing]]] = defaultdict(list)
        for event in self._events:
            if event.kind not in WHOLE and event.kind != "release":
                self._steps[event.thread].append((event.began, event.ended, as_doing(event)))
        for thread, doing in recording.doing.items():
            self._steps[thread].append((doing.since, 1 << 62, doing))
        for steps in self._steps.values():
            steps.sort(key=lambda step: step[0])
        self._holds = [
            (e.thing, e.other or e.thread, e.began, e.ended)
            for e in self._events
            if e.kind == "release" and not e.error
        ]
        self._holds += [(lock, thread, since, 1 << 62) for lock, (thread, since) in recording.holders.items()]

    def at(self, number: int) -> Moment:
        """Return the moment when the event `number` had just happened."""
        first = self._events[0].number if self._events else 0
        count = max(0, min(number - first + 1, len(self._events)))  # of the events up to this one
        time = self._events[count - 1].ended if count else 0
        threads = [self._things[t] for t, (begin, end) in self._lives.items() if begin <= time < end]
        doing = {t.label: step for t in threads if (step := self._doing(t.label, time))}
        holders = {lock: (thread, a) for lock, thread, a, b in self._holds if a <= time < b}
        return Moment(time, threads, doing, holders, lines_of(self._things, self._carried(count), doing))

    def _carried(self, count: int) -> dict[str, tuple[int, int]]:
        """Return what each open socket had sent and received after so many events."""
        if count < self._counted:
            self._counted, self._counts = 0, {}
        add_up(self._counts, self._events[self._counted : count])
        self._counted = count
        return {label: found for label, found in self._counts.items() if label in self._things}

    def _doing(self, thread: str, time: int) -> Doing | None:
        steps = self._steps[thread]
        last = bisect_left(steps, time, key=lambda step: step[0])
        for _began, ended, doing in reversed(steps[max(0, last - 3) : last]):
            if ended > time:
                return doing
        return None


def as_doing(event: Event) -> Doing:
    """Return what a thread was in the middle of before `event` had happened."""
    where = (event.file, event.line, event.function)
    size = len(event.data) if event.kind == "send" else 0
    return Doing(event.kind, event.thing, event.began, *where, event.detail, size)


def verb(step: Doing) -> str:
    """Return what a thread does there: a wait for another thread's end is a join."""
    return step.detail if step.kind == "wait" and step.detail in CALLS else step.kind


def lives(events: list[Event], things: dict[str, Thing]) -> dict[str, tuple[int, int]]:
    """Return from when to when each thread was seen, in the order of the things."""
    found: dict[str, tuple[int, int]] = {}
    for event in events:
        begin, end = found.get(event.thread, (event.began, 1 << 62))
        found[event.thread] = min(begin, event.began), event.ended if event.kind == "run" else end
    return {
        label: found[label] for label, thing in things.items() if label in found and thing.what == "thread"
    }


def add_up(counts: dict[str, tuple[int, int]], events: Iterable[Event]) -> None:
    """Bring up to date how many bytes each socket that is open has sent and received."""
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
