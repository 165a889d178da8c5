"""Findings about locks: that guard nothing, circles, waiting with one in hand, one never given back."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeVar

from chatstages.locale import _
from chatstages.microscope.findings.evidence import MADE_ONCE, Finding, function_at
from chatstages.microscope.findings.wording import names, place
from chatstages.microscope.model.holds import FOREVER, Hold, holds
from chatstages.microscope.model.recording import Doing, Recording
from chatstages.microscope.model.snapshot import SLOW, as_doing, verb

AT_ONCE = 1_000_000  # nanoseconds: who only looks whether a lock is free does not wait for it
TOO_LONG = 50_000_000  # nanoseconds that others may be kept waiting for a lock by somebody who waits himself


@dataclass(frozen=True, repr=False)
class LockOverlap(Finding):
    """Two threads at once in the same guarded lines, each with a lock of its own."""

    other_thread: str
    other_thing: str
    made_at: str
    nanoseconds: int  # for how long they were both inside; 0 where only the locks tell

    def __str__(self) -> str:
        sentence = _(
            "{thread} and {other_thread} are not kept apart at {where}: one takes {thing}, the other "
            "{other_thing}, two locks made at {made_at}"
        )
        return sentence.format(**vars(self), where=place(self.file, self.line))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "A lock that only one thread ever takes guards nothing. Look at where it is made: once, beside "
            "what it guards, not anew in each thread."
        )


def lock_overlaps(recording: Recording) -> list[LockOverlap]:
    """Return the threads that were in the same guarded lines at once, each with a lock of its own."""
    return [overlap for overlap in own_locks(recording) if overlap.nanoseconds]


def own_locks(recording: Recording) -> list[LockOverlap]:
    """Return the threads that take, at the same line, locks that were made anew for each of them."""
    things, takers = recording.things, defaultdict(set)
    sites: dict[tuple[str, int, str, int], list[Hold]] = defaultdict(list)
    for wait in waits(recording):
        takers[wait.doing.thing].add(wait.thread)
    for hold in holds(recording):
        made = things.get(hold.lock)
        is_own = made and made.what == "lock" and made.maker == hold.thread  # not one for each client, say
        if hold.acquire and made and is_own and function_at(made.file, made.line) not in MADE_ONCE:
            sites[hold.acquire.file, hold.acquire.line, made.file, made.line].append(hold)
    found: dict[tuple[str, str], LockOverlap] = {}
    for (file, line, made_in, made_on), group in sites.items():
        lonely = sorted((h for h in group if len(takers[h.lock]) == 1), key=lambda hold: hold.begin)
        for one, two, shared in pairs(lonely):
            known = found.get((one.lock, two.lock))
            if known is None or shared > known.nanoseconds:
                numbers = tuple(h.acquire.number for h in (one, two) if h.acquire)
                made_at, first = place(made_in, made_on), (numbers, one.thread, one.lock, file, line)
                overlap = LockOverlap(*first, two.thread, two.lock, made_at, shared)
                found[one.lock, two.lock] = overlap
    return sorted(found.values(), key=lambda overlap: (-bool(overlap.nanoseconds), overlap.events))


def pairs(lonely: list[Hold]) -> Iterator[tuple[Hold, Hold, int]]:
    """Yield, of each two threads with locks of their own, two holds and for how long they overlap."""
    by_lock: dict[str, list[Hold]] = defaultdict(list)
    for hold in lonely:
        by_lock[hold.lock].append(hold)
    rows = [by_lock[lock] for lock in sorted(by_lock, key=lambda lock: (len(lock), lock))]
    for ones, twos in combinations(rows[:40], 2):
        if ones[0].thread == twos[0].thread:
            continue
        yield max(side_by_side(ones, twos), key=lambda entry: entry[2])


def side_by_side(ones: list[Hold], twos: list[Hold]) -> Iterator[tuple[Hold, Hold, int]]:
    """Yield neighbours of two rows of holds, each in order of time, and for how long both have lasted."""
    first = second = 0
    while first < len(ones) and second < len(twos):
        one, two = ones[first], twos[second]
        yield one, two, max(0, min(one.end, two.end) - max(one.begin, two.begin))
        if one.end <= two.end:
            first += 1
        else:
            second += 1


@dataclass(frozen=True, repr=False)
class Deadlock(Finding):
    """Threads each of which waits for a lock that the next one holds, and the last for one of the first."""

    threads: tuple[str, ...]
    locks: tuple[str, ...]  # each waits for the one of its place
    places: tuple[str, ...]

    def __str__(self) -> str:
        step = _("{thread} waits for {lock} ({place})")
        steps = zip(self.threads, self.locks, self.places, strict=True)
        circle = _("; ").join(
            step.format(thread=thread, lock=lock, place=where) for thread, lock, where in steps
        )
        return _("Deadlock: {circle}. Each holds what the one before it waits for").format(circle=circle)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("Let every thread take the locks in the same order, or make do with one lock.")


@dataclass(frozen=True, repr=False)
class SelfDeadlock(Finding):
    """A thread that waits for a lock that it holds itself."""

    def __str__(self) -> str:
        return _("{thread} waits for {thing}, which it holds itself").format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "A Lock knows no owner: who has it and takes it once more waits for ever. Look at what is called "
            "while it is held; or take an RLock."
        )


def self_deadlocks(recording: Recording) -> list[SelfDeadlock]:
    """Return who has waited in vain for a lock of his own; where another gave it back, that was a signal."""
    things, found = recording.things, []
    owned: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds(recording):
        owned[hold.lock].append(hold)
    vain = {event.number for event in recording.events if event.detail == "not acquired"}
    for wait in waits(recording):
        doing = wait.doing
        is_vain = (wait.number < 0 or wait.number in vain) and wait.end - doing.since > AT_ONCE
        own = [h for h in owned[doing.thing] if h.thread == wait.thread and h.begin <= doing.since]
        if is_vain and any(wait.end <= hold.end for hold in own) and things[doing.thing].what == "lock":
            where = (wait.thread, doing.thing, doing.file, doing.line)
            found.append(SelfDeadlock((wait.number,) if wait.number >= 0 else (), *where))
    return found


class Wait(NamedTuple):
    """A thread that waits for a lock, from when to when."""

    thread: str
    doing: Doing
    end: int
    number: int  # of its event; -1 while it lasts


def waits(recording: Recording) -> list[Wait]:
    """Return who has waited for a lock, and who waits still."""
    found = [Wait(e.thread, as_doing(e), e.ended, e.number) for e in recording.events if e.kind == "acquire"]
    for thread, doing in recording.doing.items():
        if doing.kind == "acquire":
            found.append(Wait(thread, doing, FOREVER, -1))
    return found


def deadlocks(recording: Recording) -> list[Deadlock]:
    """Return every circle of threads that wait for each other, also one that a timeout has broken up."""
    things = recording.things
    held: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds(recording):
        if hold.lock in things and things[hold.lock].what != "semaphore":  # that may let in several
            held[hold.lock].append(hold)
    waiting: dict[str, list[Wait]] = defaultdict(list)
    for wait in (everybody := waits(recording)):
        waiting[wait.thread].append(wait)
    for entries in held.values():
        entries.sort(key=lambda hold: hold.begin)
    for steps in waiting.values():
        steps.sort(key=lambda wait: wait.doing.since)
    found: dict[frozenset[str], Deadlock] = {}
    for last in everybody:
        circle = follow(last, held, waiting)
        if circle:
            found.setdefault(frozenset(w.thread for w in circle), deadlock(circle))
    return list(found.values())


def follow(last: Wait, held: dict[str, list[Hold]], waiting: dict[str, list[Wait]]) -> list[Wait]:
    """Return the circle that has closed when `last` began to wait, or nothing."""
    circle, time = [last], last.doing.since
    while True:
        owned = held[circle[-1].doing.thing]
        hold = latest(owned, bisect_right(owned, time, key=lambda h: h.begin))
        if hold is None or time >= hold.end:
            return []
        if hold.thread == last.thread:
            return circle if len(circle) > 1 else []
        steps = waiting[hold.thread]
        following = latest(steps, bisect_right(steps, time, key=lambda w: w.doing.since))
        if following is None or time >= following.end or following in circle:
            return []
        circle.append(following)


T = TypeVar("T")


def latest(entries: list[T], behind: int) -> T | None:
    """Return the entry in front of that place, if there is one."""
    return entries[behind - 1] if behind else None


def deadlock(circle: list[Wait]) -> Deadlock:
    """Return the finding; it begins with the thread that was seen first, whoever came last."""
    start = min(range(len(circle)), key=lambda index: circle[index].thread)
    circle = circle[start:] + circle[:start]
    first = circle[0].doing
    return Deadlock(
        tuple(wait.number for wait in circle if wait.number >= 0),
        circle[0].thread,
        first.thing,
        first.file,
        first.line,
        tuple(wait.thread for wait in circle),
        tuple(wait.doing.thing for wait in circle),
        tuple(place(wait.doing.file, wait.doing.line) for wait in circle),
    )


@dataclass(frozen=True, repr=False)
class HeldWhileBlocked(Finding):
    """A thread that waits, in the network or for another, while others wait for a lock that it holds.

    `thing` is the socket.
    """

    kind: str
    lock: str
    peer: str  # the other end of the socket
    waiting: tuple[str, ...]

    def __str__(self) -> str:
        sentence = _(
            "{thread} waits in {kind} on {thing} and holds {lock} all the while; so {waiting} must wait, too"
        )
        return sentence.format(**vars(self) | {"waiting": names(list(self.waiting))})

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        peer = _("The one to blame for the delay is the other end, {peer}. ").format(peer=self.peer)
        return (peer if self.peer else "") + _(
            "Under a lock do only what cannot wait; send and receive after it has been given back."
        )


def held_while_blocked(recording: Recording) -> list[HeldWhileBlocked]:
    """Return who has waited, in the network or for a thread, with a lock that others waited for."""
    things, present = recording.things, recording.now()
    network = [Wait(e.thread, as_doing(e), e.ended, e.number) for e in recording.events if e.kind in SLOW]
    network += [
        Wait(thread, doing, present, -1) for thread, doing in recording.doing.items() if doing.kind in SLOW
    ]
    long, queue, found = [w for w in network if w.end - w.doing.since >= TOO_LONG], waits(recording), []
    owned = holds(recording) if long else []
    for slow in long:
        for hold in owned:
            if hold.thread != slow.thread or hold.begin > slow.doing.since or hold.end < slow.end:
                continue
            victims = [w for w in queue if w.doing.thing == hold.lock and w.thread != slow.thread]
            victims = [w for w in victims if shared(w, slow, present) >= TOO_LONG]
            if victims:
                numbers = tuple(w.number for w in (slow, *victims) if w.number >= 0)
                where = slow.doing
                peer = things[where.thing].peer if where.thing in things else ""
                whose = (numbers, slow.thread, where.thing, where.file, where.line, verb(where))
                waiting = tuple(victim.thread for victim in victims)
                found.append(HeldWhileBlocked(*whose, hold.lock, peer, waiting))
    return found


def shared(one: Wait, two: Wait, present: int) -> int:
    """Return for how long the two have waited at the same time."""
    return min(one.end, two.end, present) - max(one.doing.since, two.doing.since)


@dataclass(frozen=True, repr=False)
class KeptLock(Finding):
    """A lock that its holder took along when it ended."""

    error: str

    def __str__(self) -> str:
        sentence = _("{thread} has ended and never given {thing} back")
        return sentence.format(thread=self.thread, thing=self.thing) + (
            f" ({self.error})" if self.error else ""
        )

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("Whoever wants it waits for ever. “with lock:” gives it back, whatever happens in between.")


def kept_locks(recording: Recording) -> list[KeptLock]:
    """Return the locks that are held by threads that have ended."""
    ends, found = {e.thread: e for e in recording.events if e.kind == "run"}, []
    wanted = {wait.doing.thing for wait in waits(recording) if wait.number < 0}
    for hold in holds(recording):
        end = ends.get(hold.thread)
        if hold.end == FOREVER and end and (end.error or hold.lock in wanted):
            where = hold.acquire or end
            numbers = (where.number, end.number)
            found.append(KeptLock(numbers, hold.thread, hold.lock, where.file, where.line, end.error))
    return found
