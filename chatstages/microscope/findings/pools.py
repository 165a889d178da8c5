"""Findings about pools: all workers wait for one client each, or every client gets a pool of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from chatstages.locale import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.wording import place
from chatstages.microscope.model.holds import FOREVER
from chatstages.microscope.model.recording import Recording, Thing, TraceEvent
from chatstages.microscope.model.snapshot import as_ongoing_call

MANY_POOLS = 3  # that get their jobs at the same line, at work at the same time


class Job(NamedTuple):
    """A job of a pool, from its first step to its last."""

    pool: str
    thread: str
    begin: int
    end: int  # FOREVER while it goes on
    number: int  # of its event; -1 while it goes on


def jobs(recording: Recording) -> list[Job]:
    """Return the jobs that have begun."""
    events, things = recording.events, recording.things
    found = [Job(e.thing, e.thread, e.began, e.ended, e.number) for e in events if e.kind == "task"]
    ended = {e.thread for e in events if e.kind == "run"}
    last: dict[str, TraceEvent] = {}
    for event in events:
        last[event.thread] = event
    for thread, pool in workers(things).items():
        busy = thread in recording.ongoing_calls or (thread in last and last[thread].kind != "task")
        if busy and thread not in ended:
            begin = max((job.end for job in found if job.thread == thread), default=0)
            found.append(Job(pool, thread, begin, FOREVER, -1))
    return found


def workers(things: dict[str, Thing]) -> dict[str, str]:
    """Return the pool of each thread that a pool has made, as its name tells: prefix_number.

    Pools that share a prefix have their threads in the order in which they were seen.
    """
    pools: dict[str, list[str]] = defaultdict(list)
    for thing in things.values():
        if thing.what == "pool":
            pools[thing.name].append(thing.label)
    found, same_name = dict[str, str](), Counter[str]()
    for label, thing in things.items():
        prefix, _line, number = thing.name.rpartition("_")
        if thing.what == "thread" and number.isdigit() and prefix in pools:
            candidates = pools[prefix]
            found[label] = candidates[min(same_name[thing.name], len(candidates) - 1)]
            same_name[thing.name] += 1
    return found


@dataclass(frozen=True, repr=False)
class ExhaustedPool(Finding):
    """A client whose words lay unheard, because every worker of the pool waited for another client.

    `thing` is the socket that nobody reads.
    """

    pool: str
    workers: int
    size: int  # bytes

    def __str__(self) -> str:
        sentence = _(
            "Nobody hears {thing}: {size} bytes have come for it, and all {workers} workers of {pool} wait "
            "for other clients"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "A job that waits for one client takes its worker until that client leaves. Let each worker "
            "wait for all of its clients at once (selectors), or give every client a thread."
        )


class Heard(NamedTuple):
    """When a socket was first looked at, and by which thread."""

    time: int
    thread: str


NEVER = Heard(FOREVER, "")


def exhausted_pools(recording: Recording) -> list[ExhaustedPool]:
    """Return every client that was not heard while all workers of a pool waited for others."""
    work = defaultdict(list)
    for job in jobs(recording):
        work[job.pool].append(job)
    if not work:
        return []
    found, ears = [], first_heard(recording)
    for sock, sends in unheard(recording, ears).items():
        first, heard = sends[0], ears.get(sock, NEVER)
        for pool, done in work.items():
            if is_full(done, first.ended, heard):
                made = recording.things.get(pool)
                numbers = tuple(send.number for send in sends[:3])
                where = (made.file, made.line) if made else ("", 0)
                workers, count = len({job.thread for job in done}), sum(len(send.data) for send in sends)
                found.append(ExhaustedPool(numbers, first.thread, sock, *where, pool, workers, count))
    return found


def unheard(recording: Recording, ears: dict[str, Heard]) -> dict[str, list[TraceEvent]]:
    """Return, of each accepted socket, what was sent to it before anybody looked."""
    things, found = recording.things, defaultdict(list)
    accepted = {e.other for e in recording.events if e.kind == "accept"}
    for event in recording.events:
        peer = things[event.thing].peer if event.thing in things else ""
        is_sent = event.kind == "send" and event.data and peer in accepted
        if is_sent and event.ended < ears.get(peer, NEVER).time:
            found[peer].append(event)
    return found


def first_heard(recording: Recording) -> dict[str, Heard]:
    """Return when and by whom each socket was first waited for, or read."""
    found: dict[str, Heard] = {}
    looks = [(event.thread, as_ongoing_call(event)) for event in recording.events]
    for thread, ongoing in [*looks, *recording.ongoing_calls.items()]:
        names = ongoing.detail.split(", ") if ongoing.kind == "select" else [ongoing.thing]
        for name in names if ongoing.kind in ("recv", "select") else ():
            heard = Heard(ongoing.since, thread)
            found[name] = min(found.get(name, heard), heard)
    return found


def is_full(done: list[Job], time: int, heard: Heard) -> bool:
    """Tell whether at that time every worker had a job, the socket being heard only by a later one."""
    workers = {job.thread for job in done}
    busy = {job.thread for job in done if job.begin <= time < job.end}
    if workers != busy or len(workers) < 1:
        return False
    return heard.time == FOREVER or any(
        job.thread == heard.thread and time < job.begin <= heard.time for job in done
    )


@dataclass(frozen=True, repr=False)
class PoolPerClient(Finding):
    """Pools that get their jobs at the same line, at work at the same time."""

    pools: int

    def __str__(self) -> str:
        sentence = _("{pools} pools are at work at once that all get their jobs at the same line, {where}")
        return sentence.format(pools=self.pools, where=place(self.file, self.line))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("A pool for each client limits nothing. Make one pool, before the loop that accepts.")


def pools_per_client(recording: Recording) -> list[PoolPerClient]:
    """Return the lines at which several pools got their jobs that were at work at the same time."""
    things, sites = recording.things, defaultdict(list)
    for job in jobs(recording):
        if job.pool in things:
            sites[things[job.pool].file, things[job.pool].line].append(job)
    found = []
    for (file, line), done in sites.items():
        last = max(done, key=lambda job: job.begin)
        together = {job.pool for job in done if job.begin <= last.begin < job.end}
        if len(together) >= MANY_POOLS:
            numbers = tuple(job.number for job in done if job.number >= 0)
            found.append(PoolPerClient(numbers, last.thread, last.pool, file, line, len(together)))
    return found
