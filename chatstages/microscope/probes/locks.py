"""Locks: those that watched code makes are wrapped.

A `Lock` is written in C and cannot be patched. So `threading.Lock` is replaced by a class that gives watched
code a wrapper, and all other code (queues, logging, Jupyter) a real lock. A lock that was made before the
recording cannot be seen. A wrapper that outlives the recording only passes its calls on.
"""

from __future__ import annotations

import sys
import threading
import weakref
from types import FrameType
from typing import Any

from chatstages.microscope.probes.code_filter import NOWHERE, Location
from chatstages.microscope.probes.recorder import (
    RecordedCall,
    Recorder,
    TrackedObject,
    assigned_name,
    current,
)

REAL_LOCK, REAL_RLOCK = threading.Lock, threading.RLock
LOCK_TYPE, RLOCK_TYPE = type(threading.Lock()), type(threading.RLock())


class AlsoReal(type):
    """The class of the wrappers: for `isinstance`, a real lock is an instance of them, too."""

    def __instancecheck__(cls, candidate: object) -> bool:
        real = RLOCK_TYPE if issubclass(cls, WatchedRLock) else LOCK_TYPE
        return type.__instancecheck__(cls, candidate) or isinstance(candidate, real)


class WatchedLock(metaclass=AlsoReal):
    """A lock that watched code has made by `threading.Lock()` while a recording was being made."""

    __slots__ = ("__weakref__", "_of", "_place", "_real")
    _make: Any = staticmethod(REAL_LOCK)
    _real: Any
    _place: Location  # where it was made
    _of: weakref.ref[threading.Condition] | None  # the condition whose inner lock it is

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a wrapper for watched code, and a real lock for all other code."""
        real = cls._make(*args, **kwargs)
        recorder = current()
        maker = recorder.code_filter.creator(sys._getframe(1)) if recorder is not None else None
        if recorder is None or maker is None:
            return real
        self = cls.around(real, recorder.code_filter.location(maker) or NOWHERE)
        self._tracked_object(recorder)
        return self

    @classmethod
    def around(cls, real: Any, location: Location, of: threading.Condition | None = None) -> Any:
        """Return a wrapper for `real`, made at `location`; `of`: the condition whose inner lock it is."""
        self: Any = object.__new__(cls)
        self._real, self._place = real, location
        self._of = None if of is None else weakref.ref(of)
        return self

    def _tracked_object(self, recorder: Recorder) -> TrackedObject:
        """Return the tracked object of this lock, also for a recorder that began after the lock was made."""
        watched: Any = self if self._of is None else self._of() or self
        what = "lock" if self._of is None else "condition"
        return recorder.find(watched) or recorder.track(
            watched, what, self._place, assigned_name(self._place)
        )

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that `isinstance(lock, type(real_lock))` is true
        return type(self._real)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock, as `threading.Lock.acquire` does, and record it."""
        recorder = current()
        if recorder is None:
            return self._real.acquire(blocking, timeout)  # type: ignore[no-any-return]
        tracked = self._tracked_object(recorder)
        recorded = recorder.begin_call("acquire", tracked, sys._getframe(1))
        got = False
        try:
            got = blocking is True and timeout == -1 and bool(self._real.acquire(False))
            if not got:
                if blocking:
                    recorded.may_block()
                got = bool(self._real.acquire(blocking, timeout))
            record_acquired(recorder, tracked, recorded, got)
        except BaseException as error:
            if got:  # a Ctrl-C struck the lines above: the caller will not release the lock
                recorder.recording.clear_holder(tracked.label)
                self._real.release()
            recorded.fail(error)
            raise
        return got

    def release(self) -> None:
        """Release the lock, as `threading.Lock.release` does, and record it."""
        recorder = current()
        if recorder is None:
            self._real.release()
        elif self._is_taken():
            try:
                # Recorded before the lock is free; else the next holder could seem to overlap with this one.
                self._record_released(recorder, sys._getframe(1))
            finally:
                self._real.release()
        else:
            recorded = recorder.begin_call("release", self._tracked_object(recorder), sys._getframe(1))
            try:
                self._real.release()
            except BaseException as error:
                recorded.fail(error)
                raise

    def _record_released(self, recorder: Recorder, frame: FrameType | None) -> None:
        """Record the release that this thread is about to make."""
        tracked = self._tracked_object(recorder)
        recorded = recorder.begin_call("release", tracked, frame)
        holder, since = recorder.recording.clear_holder(tracked.label)
        recorded.finish(since=since, other="" if holder == recorded.thread.label else holder)

    def _is_taken(self) -> bool:
        """Tell whether a release will succeed."""
        return self._real.locked()  # type: ignore[no-any-return]

    def _is_owned(self) -> bool:
        """Tell a Condition whether the lock is held; without this method it would try to acquire it."""
        return self._real.locked()  # type: ignore[no-any-return]

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc_info: object) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_real"), name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._real.__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(self._real)


class WatchedRLock(WatchedLock):
    """The same for `threading.RLock()`. Only its outermost acquire and release are events."""

    __slots__ = ("_depth",)
    _depth: int  # how often its owner has acquired it; only the owner reads and writes it
    _make = staticmethod(REAL_RLOCK)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock, as `threading.Lock.acquire` does, and record it."""
        if self._real._is_owned():
            got: bool = self._real.acquire(blocking, timeout)
            self._depth += 1
        else:
            got = super().acquire(blocking, timeout)
            if got:
                self._depth = 1
        return got

    def release(self) -> None:
        """Release the lock, as `threading.Lock.release` does, and record it."""
        if self._real._is_owned() and self._depth > 1:
            self._depth -= 1
            self._real.release()
        else:
            super().release()

    def _is_taken(self) -> bool:
        return self._is_owned()

    def _is_owned(self) -> bool:
        return self._real._is_owned()  # type: ignore[no-any-return]

    def _release_save(self) -> tuple[int, Any]:
        """Release all its levels, for a Condition that begins to wait."""
        recorder = current()
        if recorder is not None and self._is_owned():
            self._record_released(recorder, sys._getframe(1))
        return self._depth, self._real._release_save()

    def _acquire_restore(self, state: tuple[int, Any]) -> None:
        """Acquire all its levels again."""
        recorder = current()
        if recorder is None:
            self._real._acquire_restore(state[1])
        else:
            tracked = self._tracked_object(recorder)
            recorded = recorder.begin_call("acquire", tracked, sys._getframe(1))
            recorded.may_block()
            self._real._acquire_restore(state[1])
            record_acquired(recorder, tracked, recorded, True)
        self._depth = state[0]


def record_acquired(recorder: Recorder, tracked: TrackedObject, recorded: RecordedCall, got: bool) -> None:
    """Record that the calling thread has acquired a lock, or (not `got`) has given up waiting for it."""
    if got and not recorder.ended:
        recorder.recording.set_holder(tracked.label, recorded.thread.label)
    recorded.finish(detail="" if got else "not acquired")
