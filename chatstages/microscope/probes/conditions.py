"""What is built on locks: conditions, events, semaphores, barriers, queues, futures.

Their methods are patched. So an object that was made before the recording is tracked, too, from its first use
in watched code on. What the standard library uses inside is not: the event of a thread, a queue's conditions.
"""

from __future__ import annotations

import queue
import sys
import threading
from concurrent.futures import Future
from functools import wraps
from typing import Any

from chatstages.microscope.model.recording import TraceKind
from chatstages.microscope.probes.code_filter import Location
from chatstages.microscope.probes.locks import REAL_RLOCK, WatchedLock, WatchedRLock, record_acquired
from chatstages.microscope.probes.patches import Patches, Wrapper
from chatstages.microscope.probes.recorder import Recorder, TrackedObject


class Conditions:
    """Locks (their classes are replaced), and what is built on them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._binary: set[str] = set()  # labels of semaphores that one thread at a time can hold, like a lock

    def install(self, patches: Patches) -> None:
        """Replace the classes of locks by wrappers, and patch the methods of what is built on locks."""
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
            tracked = self._recorder.track_new(thing, what, sys._getframe(1))
            if tracked is not None and what == "semaphore" and thing._value == 1:
                self._binary.add(tracked.label)

        return __init__

    def _making_a_condition(self) -> Wrapper:
        original = threading.Condition.__init__

        @wraps(original)
        def __init__(condition: threading.Condition, lock: Any = None) -> None:
            tracked = self._recorder.track_new(condition, "condition", sys._getframe(1))
            if lock is None and tracked is not None:
                location = Location(tracked.thing.file, tracked.thing.line)
                lock = WatchedRLock.around(REAL_RLOCK(), location, condition)
            original(condition, lock)

        return __init__

    def _waiting(self, original: Wrapper, what: str, detail: str = "") -> Wrapper:
        return self._calling(original, "wait", what, detail)

    def _notifying(self, original: Wrapper, what: str) -> Wrapper:
        return self._calling(original, "notify", what)

    def _calling(self, original: Wrapper, kind: TraceKind, what: str, detail: str = "") -> Wrapper:
        @wraps(original)
        def call(thing: Any, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            tracked = self._recorder.find_or_track(thing, what, frame)
            if tracked is None:
                return original(thing, *args, **kwargs)
            recorded = self._recorder.begin_call(kind, tracked, frame)
            try:
                if kind == "wait":
                    recorded.may_block(detail, around=True)
                result = original(thing, *args, **kwargs)
            except BaseException as error:
                recorded.fail(error, detail=detail)
                raise
            timed_out = kind == "wait" and what in ("condition", "event") and not result
            recorded.finish(detail="timed out" if timed_out else detail)
            return result

        return call

    def _entering(self, original: Wrapper) -> Wrapper:
        @wraps(original)
        def acquire(semaphore: Any, blocking: bool = True, timeout: float | None = None) -> Any:
            frame = sys._getframe(1)
            tracked = self._recorder.find_or_track(semaphore, "semaphore", frame)
            if tracked is None:
                return original(semaphore, blocking, timeout)
            recorded = self._recorder.begin_call("acquire", tracked, frame)
            try:
                if blocking:
                    recorded.may_block()
                got = original(semaphore, blocking, timeout)
            except BaseException as error:
                recorded.fail(error)
                raise
            if got:
                tracked.holds.append((recorded.thread.label, self._recorder.recording.now()))
            if tracked.label in self._binary:
                record_acquired(self._recorder, tracked, recorded, got)
            else:
                recorded.finish(detail="" if got else "not acquired")
            return got

        return acquire

    def _leaving(self, original: Wrapper) -> Wrapper:
        @wraps(original)
        def release(semaphore: Any, n: int = 1) -> Any:
            frame = sys._getframe(1)
            tracked = self._recorder.find_or_track(semaphore, "semaphore", frame)
            if tracked is None:
                return original(semaphore, n)
            recorded = self._recorder.begin_call("release", tracked, frame)
            if may_leave(semaphore, n):  # recorded before it is free, as with a lock
                holder, since = held(tracked, recorded.thread.label)
                if tracked.label in self._binary:
                    self._recorder.recording.clear_holder(tracked.label)
                recorded.finish(since=since, other="" if holder == recorded.thread.label else holder)
                return original(semaphore, n)
            try:
                return original(semaphore, n)
            except BaseException as error:
                recorded.fail(error)
                raise

        return release


def may_leave(semaphore: Any, n: int) -> bool:
    """Tell whether `release` will succeed."""
    return n >= 1 and semaphore._value + n <= getattr(semaphore, "_initial_value", sys.maxsize)


def held(tracked: TrackedObject, thread: str) -> tuple[str, int | None]:
    """Return whose hold of the semaphore `thread` releases (its own, if it has one), and since when."""
    mine = [hold for hold in tracked.holds if hold[0] == thread]
    if not (mine or tracked.holds):
        return thread, None
    found = mine[-1] if mine else tracked.holds[0]
    tracked.holds.remove(found)
    return found
