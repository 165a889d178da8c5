"""The spans of a timeline: when each thread was blocked, and by what, and when it held a lock."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal, NamedTuple

from chatstages.i18n import _
from chatstages.microscope.findings.locks import deadlocks
from chatstages.microscope.findings.wording import names
from chatstages.microscope.model.holds import FOREVER, holds
from chatstages.microscope.model.recording import OngoingCall, Recording, TraceEvent
from chatstages.microscope.model.snapshot import WAITING_KINDS, as_ongoing_call, call_name, thread_lifetimes

State = Literal["run", "wait", "send", "lock", "hold"]


class Span(NamedTuple):
    """A state of one thread, from `begin` to `end` (nanoseconds)."""

    state: State
    begin: int
    end: int
    words: str
    number: int  # of the event that ends it; -1 while it lasts
    event: TraceEvent | None  # that has its line
    lasts: bool = False
    is_bad: bool = False  # part of a deadlock


class Life(NamedTuple):
    """A thread, from its beginning to its end, with its spans in the order of their beginnings."""

    thread: str
    begin: int
    end: int
    spans: list[Span]


def lifetimes(recording: Recording) -> tuple[list[Life], int]:
    """Return all threads, and the time at which the picture ends."""
    events, things, ongoing = recording.events, recording.things, recording.ongoing_calls
    times = [event.ended for event in events] + [step.since for step in ongoing.values()]
    end = max(times, default=0)
    if ongoing:  # so that a state that still lasts has a width
        end = max(recording.now(), end + end // 8)
    spans: dict[str, list[Span]] = defaultdict(list)
    for event in events:
        if event.kind in WAITING_KINDS:
            step = as_ongoing_call(event)
            spans[event.thread].append(
                Span(state(step), event.began, event.ended, say(step), event.number, event)
            )
    in_circle = {(t, lock) for d in deadlocks(recording) for t, lock in zip(d.threads, d.locks, strict=True)}
    for thread, step in ongoing.items():
        if step.kind in WAITING_KINDS:
            spans[thread].append(Span(state(step), step.since, end, say(step), -1, None, lasts=True))
    for hold in holds(recording):
        number = hold.release.number if hold.release else -1
        words = _("holds {lock}").format(lock=hold.lock)
        until, lasts = (end, True) if hold.end == FOREVER else (hold.end, False)
        spans[hold.thread].append(Span("hold", hold.begin, until, words, number, hold.acquire, lasts))
    found = []
    seen = thread_lifetimes(events, things)
    for thread in things:
        if thread in seen or (thread in spans and things[thread].is_of_program):
            mine = [
                blame(thread, span, in_circle) for span in sorted(spans[thread], key=lambda span: span.begin)
            ]
            begin, last = seen.get(thread, (mine[0].begin if mine else 0, FOREVER))
            found.append(Life(thread, begin, min(last, end), mine))
    return found, end


def blame(thread: str, span: Span, in_circle: set[tuple[str, str]]) -> Span:
    """Return the span, marked where it is part of a deadlock."""
    is_bad = span.state == "lock" and any(
        thread == one and span.words == waits_for(lock) for one, lock in in_circle
    )
    return span._replace(is_bad=is_bad)


def state(step: OngoingCall) -> State:
    """Return the state of a thread that is in this call."""
    if step.kind == "acquire":
        return "lock"
    return "send" if step.kind == "send" else "wait"


def waits_for(lock: str) -> str:
    """Return the text for a thread that waits for a lock."""
    return _("waits for {lock}").format(lock=lock)


def say(step: OngoingCall) -> str:
    """Return the text for a thread that is in this call."""
    if step.kind == "acquire":
        return waits_for(step.thing)
    if step.kind == "select":
        return f"select {names(step.detail.split(', '))}".strip()
    return f"{call_name(step)} {step.thing}".strip()


def seconds(nanoseconds: int) -> str:
    """Return a time with a unit that suits its size."""
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1e3:.0f} µs"
    if nanoseconds < 1_000_000_000:
        return f"{nanoseconds / 1e6:.0f} ms"
    return f"{nanoseconds / 1e9:.1f} s"


def fold(words: list[str], longest: int = 6) -> list[str]:
    """Return the words with repetitions counted: a, b, a, b becomes (a · b) ×2."""
    found, place = [], 0
    while place < len(words):
        size, times = 1, 1
        for length in range(1, longest + 1):
            pattern, count = words[place : place + length], 1
            while (
                len(pattern) == length
                and words[place + count * length : place + (count + 1) * length] == pattern
            ):
                count += 1
            if count > 1 and count * length > size * times:
                size, times = length, count
        pattern = words[place : place + size]
        once = " · ".join(pattern)
        found.append(once if times == 1 else f"({once}) ×{times}" if size > 1 else f"{once} ×{times}")
        place += size * times
    return found
