"""Findings about locks: no mutual exclusion, deadlocks, blocking calls under a lock, unreleased locks."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeVar

from chatstages.i18n import _
from chatstages.microscope.findings.evidence import MADE_ONCE, Finding, function_at
from chatstages.microscope.findings.wording import names, place
from chatstages.microscope.model.holds import FOREVER, Hold, holds
from chatstages.microscope.model.recording import OngoingCall, Recording
from chatstages.microscope.model.snapshot import BLOCKING_KINDS, as_ongoing_call, call_name

AT_ONCE = 1_000_000  # nanoseconds: a shorter acquire is a test whether the lock is free, no wait
TOO_LONG = 50_000_000  # nanoseconds for which a blocking call under a lock may delay other threads


@dataclass(frozen=True, repr=False)
class UnsharedLock(Finding):
    """Two threads that enter the same critical section, each with a lock of its own."""

    other_thread: str
    other_thing: str
    made_at: str
    nanoseconds: int  # for how long both were inside; 0 where they never were at the same time

    def __str__(self) -> str:
        sentence = _(
            "No mutual exclusion at {where}: {thread} acquires {thing}, and {other_thread} "
            "acquires {other_thing}; both locks are made at {made_at}"
        )
        return sentence.format(**vars(self), where=place(self.file, self.line))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "A lock that only one thread ever acquires guards nothing: the race condition is "
            "still there. Make one lock, beside the data that it guards, and not a new one in "
            "each thread."
        )


def critical_section_overlaps(recording: Recording) -> list[UnsharedLock]:
    """Return the pairs of threads that were in one critical section at once, each with its own lock."""
    return [overlap for overlap in unshared_locks(recording) if overlap.nanoseconds]


def unshared_locks(recording: Recording) -> list[UnsharedLock]:
    """Return the pairs of threads that acquire, at the same line, locks that each thread has made itself."""
    things, takers = recording.things, defaultdict(set)
    sites: dict[tuple[str, int, str, int], list[Hold]] = defaultdict(list)
    for wait in waits(recording):
        takers[wait.call.thing].add(wait.thread)
    for hold in holds(recording):
        made = things.get(hold.lock)
        is_own = (
            made and made.what == "lock" and made.maker == hold.thread
        )  # else it may be one for each client
        if hold.acquire and made and is_own and function_at(made.file, made.line) not in MADE_ONCE:
            sites[hold.acquire.file, hold.acquire.line, made.file, made.line].append(hold)
    found: dict[tuple[str, str], UnsharedLock] = {}
    for (file, line, made_in, made_on), group in sites.items():
        lonely = sorted((h for h in group if len(takers[h.lock]) == 1), key=lambda hold: hold.begin)
        for one, two, shared in pairs(lonely):
            known = found.get((one.lock, two.lock))
            if known is None or shared > known.nanoseconds:
                numbers = tuple(h.acquire.number for h in (one, two) if h.acquire)
                made_at, first = place(made_in, made_on), (numbers, one.thread, one.lock, file, line)
                overlap = UnsharedLock(*first, two.thread, two.lock, made_at, shared)
                found[one.lock, two.lock] = overlap
    return sorted(found.values(), key=lambda overlap: (-bool(overlap.nanoseconds), overlap.events))


def pairs(lonely: list[Hold]) -> Iterator[tuple[Hold, Hold, int]]:
    """Yield two holds for each two threads with locks of their own, and for how long they overlap."""
    by_lock: dict[str, list[Hold]] = defaultdict(list)
    for hold in lonely:
        by_lock[hold.lock].append(hold)
    rows = [by_lock[lock] for lock in sorted(by_lock, key=lambda lock: (len(lock), lock))]
    for ones, twos in combinations(rows[:40], 2):
        if ones[0].thread == twos[0].thread:
            continue
        yield max(side_by_side(ones, twos), key=lambda entry: entry[2])


def side_by_side(ones: list[Hold], twos: list[Hold]) -> Iterator[tuple[Hold, Hold, int]]:
    """Yield neighbouring holds of two sorted lists, and for how many nanoseconds they overlap."""
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
    locks: tuple[str, ...]  # for which the thread of the same index waits
    places: tuple[str, ...]

    def __str__(self) -> str:
        step = _("{thread} waits for {lock} ({place})")
        steps = zip(self.threads, self.locks, self.places, strict=True)
        cycle = _("; ").join(
            step.format(thread=thread, lock=lock, place=where) for thread, lock, where in steps
        )
        return _("Deadlock: {cycle}. Each holds the lock that the one before it waits for").format(
            cycle=cycle
        )

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "This is a lock-order inversion. Let every thread acquire the locks in the same "
            "order, or use one lock only."
        )


@dataclass(frozen=True, repr=False)
class SelfDeadlock(Finding):
    """A thread that waits for a lock that it holds itself."""

    def __str__(self) -> str:
        return _("Self-deadlock: {thread} waits for {thing}, which it holds itself").format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "A Lock is not reentrant: a thread that holds it and acquires it again waits for "
            "ever. Look at what is called while the lock is held, or use an RLock."
        )


def self_deadlocks(recording: Recording) -> list[SelfDeadlock]:
    """Return every thread that waited in vain for a lock that it held itself.

    A lock that another thread releases was used as a signal: that is no mistake.
    """
    things, found = recording.things, []
    owned: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds(recording):
        owned[hold.lock].append(hold)
    vain = {event.number for event in recording.events if event.detail == "not acquired"}
    for wait in waits(recording):
        call = wait.call
        is_vain = (wait.number < 0 or wait.number in vain) and wait.end - call.since > AT_ONCE
        own = [h for h in owned[call.thing] if h.thread == wait.thread and h.begin <= call.since]
        if is_vain and any(wait.end <= hold.end for hold in own) and things[call.thing].what == "lock":
            where = (wait.thread, call.thing, call.file, call.line)
            found.append(SelfDeadlock((wait.number,) if wait.number >= 0 else (), *where))
    return found


class Wait(NamedTuple):
    """A call of a thread that may have to wait, and its end (nanoseconds)."""

    thread: str
    call: OngoingCall
    end: int
    number: int  # of its event; -1 while it lasts


def waits(recording: Recording) -> list[Wait]:
    """Return all acquires of locks: those that have ended, and those that are going on."""
    found = [
        Wait(e.thread, as_ongoing_call(e), e.ended, e.number) for e in recording.events if e.kind == "acquire"
    ]
    for thread, call in recording.ongoing_calls.items():
        if call.kind == "acquire":
            found.append(Wait(thread, call, FOREVER, -1))
    return found


def deadlocks(recording: Recording) -> list[Deadlock]:
    """Return every cycle of threads that wait for each other, also one that a timeout has broken."""
    things = recording.things
    held: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds(recording):
        if hold.lock in things and things[hold.lock].what != "semaphore":  # several threads may hold it
            held[hold.lock].append(hold)
    waiting: dict[str, list[Wait]] = defaultdict(list)
    for wait in (everybody := waits(recording)):
        waiting[wait.thread].append(wait)
    for entries in held.values():
        entries.sort(key=lambda hold: hold.begin)
    for steps in waiting.values():
        steps.sort(key=lambda wait: wait.call.since)
    found: dict[frozenset[str], Deadlock] = {}
    for last in everybody:
        cycle = follow(last, held, waiting)
        if cycle:
            found.setdefault(frozenset(w.thread for w in cycle), deadlock(cycle))
    return list(found.values())


def follow(last: Wait, held: dict[str, list[Hold]], waiting: dict[str, list[Wait]]) -> list[Wait]:
    """Return the cycle that was complete when `last` began, or []."""
    cycle, time = [last], last.call.since
    while True:
        owned = held[cycle[-1].call.thing]
        hold = latest(owned, bisect_right(owned, time, key=lambda h: h.begin))
        if hold is None or time >= hold.end:
            return []
        if hold.thread == last.thread:
            return cycle if len(cycle) > 1 else []
        steps = waiting[hold.thread]
        following = latest(steps, bisect_right(steps, time, key=lambda w: w.call.since))
        if following is None or time >= following.end or following in cycle:
            return []
        cycle.append(following)


T = TypeVar("T")


def latest(entries: list[T], behind: int) -> T | None:
    """Return the entry before the index `behind`, if there is one."""
    return entries[behind - 1] if behind else None


def deadlock(cycle: list[Wait]) -> Deadlock:
    """Return the finding; it begins with the same thread whichever of them came last."""
    start = min(range(len(cycle)), key=lambda index: cycle[index].thread)
    cycle = cycle[start:] + cycle[:start]
    first = cycle[0].call
    return Deadlock(
        tuple(wait.number for wait in cycle if wait.number >= 0),
        cycle[0].thread,
        first.thing,
        first.file,
        first.line,
        tuple(wait.thread for wait in cycle),
        tuple(wait.call.thing for wait in cycle),
        tuple(place(wait.call.file, wait.call.line) for wait in cycle),
    )


@dataclass(frozen=True, repr=False)
class BlockingCallUnderLock(Finding):
    """A thread that is blocked (by a socket, or in a join) while others wait for a lock that it holds.

    `thing` is what it is blocked on.
    """

    kind: str
    lock: str
    peer: str  # the other end of the socket
    waiting: tuple[str, ...]

    def __str__(self) -> str:
        sentence = _(
            "Blocking call under a lock: {thread} waits in {kind} on {thing} and holds {lock} "
            "meanwhile, so {waiting} must wait, too"
        )
        return sentence.format(**vars(self) | {"waiting": names(list(self.waiting))})

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        peer = _("The peer that causes the delay is {peer}. ").format(peer=self.peer)
        return (peer if self.peer else "") + _(
            "Call nothing under a lock that can block: send and receive after it has been released."
        )


def blocking_calls_under_lock(recording: Recording) -> list[BlockingCallUnderLock]:
    """Return every blocking call under a lock that delayed another thread by TOO_LONG or more."""
    things, present = recording.things, recording.now()
    network = [
        Wait(e.thread, as_ongoing_call(e), e.ended, e.number)
        for e in recording.events
        if e.kind in BLOCKING_KINDS
    ]
    network += [
        Wait(thread, call, present, -1)
        for thread, call in recording.ongoing_calls.items()
        if call.kind in BLOCKING_KINDS
    ]
    long, queue, found = [w for w in network if w.end - w.call.since >= TOO_LONG], waits(recording), []
    owned = holds(recording) if long else []
    for slow in long:
        for hold in owned:
            if hold.thread != slow.thread or hold.begin > slow.call.since or hold.end < slow.end:
                continue
            victims = [w for w in queue if w.call.thing == hold.lock and w.thread != slow.thread]
            victims = [w for w in victims if shared(w, slow, present) >= TOO_LONG]
            if victims:
                numbers = tuple(w.number for w in (slow, *victims) if w.number >= 0)
                where = slow.call
                peer = things[where.thing].peer if where.thing in things else ""
                whose = (numbers, slow.thread, where.thing, where.file, where.line, call_name(where))
                waiting = tuple(victim.thread for victim in victims)
                found.append(BlockingCallUnderLock(*whose, hold.lock, peer, waiting))
    return found


def shared(one: Wait, two: Wait, present: int) -> int:
    """Return for how many nanoseconds the two waited at the same time."""
    return min(one.end, two.end, present) - max(one.call.since, two.call.since)


@dataclass(frozen=True, repr=False)
class UnreleasedLock(Finding):
    """A lock that its holder had not released when it ended."""

    error: str

    def __str__(self) -> str:
        sentence = _("{thread} ended without releasing {thing}")
        return sentence.format(thread=self.thread, thing=self.thing) + (
            f" ({self.error})" if self.error else ""
        )

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "A thread that acquires it now waits for ever. “with lock:” releases it, also when an "
            "exception is raised."
        )


def unreleased_locks(recording: Recording) -> list[UnreleasedLock]:
    """Return the locks whose holders have ended."""
    ends, found = {e.thread: e for e in recording.events if e.kind == "run"}, []
    wanted = {wait.call.thing for wait in waits(recording) if wait.number < 0}
    for hold in holds(recording):
        end = ends.get(hold.thread)
        if hold.end == FOREVER and end and (end.error or hold.lock in wanted):
            where = hold.acquire or end
            numbers = (where.number, end.number)
            found.append(UnreleasedLock(numbers, hold.thread, hold.lock, where.file, where.line, end.error))
    return found
