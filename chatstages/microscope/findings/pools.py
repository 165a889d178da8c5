"""Findings about thread pools: an exhausted pool, and a pool for each client."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.wording import place
from chatstages.microscope.model.holds import FOREVER
from chatstages.microscope.model.recording import Recording, Thing, TraceEvent
from chatstages.microscope.model.snapshot import as_ongoing_call

MANY_POOLS = 3  # so many pools that get their jobs at one line and run at the same time are a mistake


class Job(NamedTuple):
    """A job of a pool, from its beginning to its end (nanoseconds)."""

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
    """Return the pool of each worker thread, which its name tells: prefix_number.

    Of pools with the same prefix, the first has the first thread of each name, and so on.
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
    """A client whose data was not received, because every worker of the pool waited for another client.

    `thing` is the socket on which no thread receives.
    """

    pool: str
    workers: int
    size: int  # bytes

    def __str__(self) -> str:
        sentence = _(
            "Thread pool exhausted: {size} bytes have arrived on {thing} and nobody receives "
            "them, because all {workers} workers of {pool} wait for other clients"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "A job that waits for one client occupies its worker until that client leaves. Let "
            "each worker wait for all of its clients at once (I/O multiplexing, selectors), or "
            "give every client a thread."
        )


class FirstRead(NamedTuple):
    """When a socket was first waited for or received from, and by which thread."""

    time: int
    thread: str


NEVER = FirstRead(FOREVER, "")


def exhausted_pools(recording: Recording) -> list[ExhaustedPool]:
    """Return every client from which nobody received while all workers of a pool waited for others."""
    work = defaultdict(list)
    for job in jobs(recording):
        work[job.pool].append(job)
    if not work:
        return []
    found, reads = [], first_reads(recording)
    for sock, sends in sent_before_first_read(recording, reads).items():
        first, read = sends[0], reads.get(sock, NEVER)
        for pool, done in work.items():
            if is_exhausted(done, first.ended, read):
                made = recording.things.get(pool)
                numbers = tuple(send.number for send in sends[:3])
                where = (made.file, made.line) if made else ("", 0)
                workers, count = len({job.thread for job in done}), sum(len(send.data) for send in sends)
                found.append(ExhaustedPool(numbers, first.thread, sock, *where, pool, workers, count))
    return found


def sent_before_first_read(recording: Recording, reads: dict[str, FirstRead]) -> dict[str, list[TraceEvent]]:
    """Return the sends to each accepted socket before its first read."""
    things, found = recording.things, defaultdict(list)
    accepted = {e.other for e in recording.events if e.kind == "accept"}
    for event in recording.events:
        peer = things[event.thing].peer if event.thing in things else ""
        is_sent = event.kind == "send" and event.data and peer in accepted
        if is_sent and event.ended < reads.get(peer, NEVER).time:
            found[peer].append(event)
    return found


def first_reads(recording: Recording) -> dict[str, FirstRead]:
    """Return the first read of each socket."""
    found: dict[str, FirstRead] = {}
    looks = [(event.thread, as_ongoing_call(event)) for event in recording.events]
    for thread, ongoing in [*looks, *recording.ongoing_calls.items()]:
        names = ongoing.detail.split(", ") if ongoing.kind == "select" else [ongoing.thing]
        for name in names if ongoing.kind in ("recv", "select") else ():
            read = FirstRead(ongoing.since, thread)
            found[name] = min(found.get(name, read), read)
    return found


def is_exhausted(done: list[Job], time: int, read: FirstRead) -> bool:
    """Tell whether at `time` every worker had a job, and the socket was first read by a later job."""
    workers = {job.thread for job in done}
    busy = {job.thread for job in done if job.begin <= time < job.end}
    if workers != busy or len(workers) < 1:
        return False
    return read.time == FOREVER or any(
        job.thread == read.thread and time < job.begin <= read.time for job in done
    )


@dataclass(frozen=True, repr=False)
class PoolPerClient(Finding):
    """Pools that get their jobs at the same line and run at the same time."""

    pools: int

    def __str__(self) -> str:
        sentence = _(
            "{pools} thread pools are running at once, and all get their jobs at the same line, {where}"
        )
        return sentence.format(pools=self.pools, where=place(self.file, self.line))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _("A thread pool for each client limits nothing. Make one pool, before the accept loop.")


def pools_per_client(recording: Recording) -> list[PoolPerClient]:
    """Return the lines at which MANY_POOLS or more pools got their jobs that ran at the same time."""
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
