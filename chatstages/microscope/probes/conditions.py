"""Watching what is made of locks: conditions, events, semaphores, barriers, queues, futures.

Their own methods are replaced.

So those that were made before the recording are watched, too, once code of interest calls them itself. Not
watched are those that the standard library uses inside: the event of a thread, the conditions of a queue.
"""

from __future__ import annotations

import queue
import sys
import threading
from concurrent.futures import Future
from functools import wraps
from typing import Any

from chatstages.microscope.model.recording import Kind
from chatstages.microscope.probes.code_filter import Place
from chatstages.microscope.probes.locks import REAL_RLOCK, WatchedLock, WatchedRLock, written_in
from chatstages.microscope.probes.patches import Patches, Wrapper
from chatstages.microscope.probes.recorder import Recorder, Seen


class Conditions:
    """Locks, and what is made of them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._alone: set[str] = set()  # semaphores that let one in at a time, as a lock does

    def watch(self, patches: Patches) -> None:
        """Replace locks by wrappers, and the methods of all that is made of them."""
        patches.replace(threading, "Lock", WatchedLock)
        patches.replace(threading, "RLock", WatchedRLock)
        patches.put(threading.Condition, "__init__", self._making_a_condition())
        patches.put(threading.Condition, "wait", self._waiting(threading.Condition.wait, "condition"))
        patches.put(threading.Condition, "notify", self._notifying(threading.Condition.notify, "condition"))
        patches.put(threading.Event, "__init__", self._making(threading.Event.__init__, "event"))
        patches.put(threading.Event, "wait", self._waiting(threading.Event.wait, "event"))
        patches.put(threading.Event, "set", self._notifying(threading.Event.set, "event"))
        patches.put(threading.Barrier, "__init__", self._making(threading.Barrier.__init__, "barrier"))
        patches.put(threading.Barrier, "wait", self._waiting(threading.Barrier.wait, "barrier"))
        patches.put(queue.Queue, "__init__", self._making(queue.Queue.__init__, "queue"))
        patches.put(queue.Queue, "get", self._waiting(queue.Queue.get, "queue", "get"))
        patches.put(queue.Queue, "put", self._waiting(queue.Queue.put, "queue", "put"))
        patches.put(Future, "result", self._waiting(Future.result, "future", "result"))
        patches.put(Future, "exception", self._waiting(Future.exception, "future", "result"))
        for cls in (threading.Semaphore, threading.BoundedSemaphore):
            patches.put(cls, "__init__", self._making(cls.__init__, "semaphore"))
            patches.put(cls, "release", self._leaving(cls.release))
        entering = self._entering(threading.Semaphore.acquire)
        patches.put(threading.Semaphore, "acquire", entering)
        patches.put(threading.Semaphore, "__enter__", entering)

    def _making(self, original: Wrapper, what: str) -> Wrapper:
        @wraps(original)
        def __init__(thing: Any, *args: Any, **kwargs: Any) -> None:
            original(thing, *args, **kwargs)
            seen = self._recorder.made(thing, what, sys._getframe(1))
            if seen is not None and what == "semaphore" and thing._value == 1:
                self._alone.add(seen.label)

        return __init__

    def _making_a_condition(self) -> Wrapper:
        original = threading.Condition.__init__

        @wraps(original)
        def __init__(condition: threading.Condition, lock: Any = None) -> None:
            seen = self._recorder.made(condition, "condition", sys._getframe(1))
            if lock is None and seen is not None:
                place = Place(seen.thing.file, seen.thing.line)
                lock = WatchedRLock.around(REAL_RLOCK(), place, condition)
            original(condition, lock)

        return __init__

    def _waiting(self, original: Wrapper, what: str, detail: str = "") -> Wrapper:
        return self._calling(original, "wait", what, detail)

    def _notifying(self, original: Wrapper, what: str) -> Wrapper:
        return self._calling(original, "notify", what)

    def _calling(self, original: Wrapper, kind: Kind, what: str, detail: str = "") -> Wrapper:
        @wraps(original)
        def call(thing: Any, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            seen = self._recorder.used(thing, what, frame)
            if seen is None:
                return original(thing, *args, **kwargs)
            step = self._recorder.step(kind, seen, frame)
            try:
                if kind == "wait":
                    step.waits(detail, around=True)
                result = original(thing, *args, **kwargs)
            except BaseException as error:
                step.failed(error, detail=detail)
                raise
            timed_out = kind == "wait" and what in ("condition", "event") and not result
            step.done(detail="timed out" if timed_out else detail)
            return result

        return call

    def _entering(self, original: Wrapper) -> Wrapper:
        @wraps(original)
        def acquire(semaphore: Any, blocking: bool = True, timeout: float | None = None) -> Any:
            frame = sys._getframe(1)
            seen = self._recorder.used(semaphore, "semaphore", frame)
            if seen is None:
                return original(semaphore, blocking, timeout)
            step = self._recorder.step("acquire", seen, frame)
            try:
                if blocking:
                    step.waits()
                got = original(semaphore, blocking, timeout)
            except BaseException as error:
                step.failed(error)
                raise
            if got:
                seen.holds.append((step.me.label, self._recorder.recording.now()))
            if seen.label in self._alone:
                written_in(self._recorder, seen, step, got)
            else:
                step.done(detail="" if got else "not acquired")
            return got

        return acquire

    def _leaving(self, original: Wrapper) -> Wrapper:
        @wraps(original)
        def release(semaphore: Any, n: int = 1) -> Any:
            frame = sys._getframe(1)
            seen = self._recorder.used(semaphore, "semaphore", frame)
            if seen is None:
                return original(semaphore, n)
            step = self._recorder.step("release", seen, frame)
            if may_leave(semaphore, n):  # before it is free, as with a lock
                holder, since = held(seen, step.me.label)
                if seen.label in self._alone:
                    self._recorder.recording.let_go(seen.label)
                step.done(since=since, other="" if holder == step.me.label else holder)
                return original(semaphore, n)
            try:
                return original(semaphore, n)
            except BaseException as error:
                step.failed(error)
                raise

        return release


def may_leave(semaphore: Any, n: int) -> bool:
    """Tell whether `release` will go well."""
    return n >= 1 and semaphore._value + n <= getattr(semaphore, "_initial_value", sys.maxsize)


def held(seen: Seen, thread: str) -> tuple[str, int | None]:
    """Return whose place in the semaphore `thread` gives back, its own if it can be, and since when."""
    mine = [hold for hold in seen.holds if hold[0] == thread]
    if not (mine or seen.holds):
        return thread, None
    found = mine[-1] if mine else seen.holds[0]
    seen.holds.remove(found)
    return found
