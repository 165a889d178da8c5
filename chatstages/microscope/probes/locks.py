"""Watching locks: those made by code of interest are wrapped.

A `Lock` is made of C and cannot be changed. So `threading.Lock` itself is replaced, by a class that gives the
code of interest a wrapper, and everybody else the real thing: `queue.Queue` for its inside, logging, Jupyter.
A lock that was made before the recording cannot be seen. A wrapper outlives it, and then only passes on.
"""

from __future__ import annotations

import sys
import threading
import weakref
from types import FrameType
from typing import Any

from chatstages.microscope.probes.code_filter import NOWHERE, Place
from chatstages.microscope.probes.recorder import Recorder, Seen, Step, current, variable

REAL_LOCK, REAL_RLOCK = threading.Lock, threading.RLock
LOCK_TYPE, RLOCK_TYPE = type(threading.Lock()), type(threading.RLock())


class AlsoReal(type):
    """A class of wrappers: whoever asks gets told that a real lock is one, too."""

    def __instancecheck__(cls, candidate: object) -> bool:
        real = RLOCK_TYPE if issubclass(cls, WatchedRLock) else LOCK_TYPE
        return type.__instancecheck__(cls, candidate) or isinstance(candidate, real)


class WatchedLock(metaclass=AlsoReal):
    """What `threading.Lock()` is while a recording is made, for code of interest."""

    __slots__ = ("__weakref__", "_of", "_place", "_real")
    _make: Any = staticmethod(REAL_LOCK)
    _real: Any
    _place: Place  # where it was made
    _of: weakref.ref[threading.Condition] | None  # it is the lock inside that

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a wrapper, or a real lock for those whom we do not watch."""
        real = cls._make(*args, **kwargs)
        recorder = current()
        maker = recorder.interest.maker(sys._getframe(1)) if recorder is not None else None
        if recorder is None or maker is None:
            return real
        self = cls.around(real, recorder.interest.place(maker) or NOWHERE)
        self._seen(recorder)
        return self

    @classmethod
    def around(cls, real: Any, place: Place, of: threading.Condition | None = None) -> Any:
        """Return a wrapper for `real`, which was made at `place`, perhaps as the lock inside a condition."""
        self: Any = object.__new__(cls)
        self._real, self._place = real, place
        self._of = None if of is None else weakref.ref(of)
        return self

    def _seen(self, recorder: Recorder) -> Seen:
        """Return what `recorder` knows of this lock: also one that has begun after it was made."""
        watched: Any = self if self._of is None else self._of() or self
        what = "lock" if self._of is None else "condition"
        return recorder.known(watched) or recorder.see(watched, what, self._place, variable(self._place))

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that `isinstance(lock, type_of_a_lock)` holds as ever
        return type(self._real)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Do what the real one does."""
        recorder = current()
        if recorder is None:
            return self._real.acquire(blocking, timeout)  # type: ignore[no-any-return]
        seen = self._seen(recorder)
        step = recorder.step("acquire", seen, sys._getframe(1))
        got = False
        try:
            got = blocking is True and timeout == -1 and bool(self._real.acquire(False))
            if not got:
                if blocking:
                    step.waits()
                got = bool(self._real.acquire(blocking, timeout))
            written_in(recorder, seen, step, got)
        except BaseException as error:
            if got:  # a Ctrl-C in the lines above: whoever called has not got it, and will not give it back
                recorder.recording.let_go(seen.label)
                self._real.release()
            step.failed(error)
            raise
        return got

    def release(self) -> None:
        """Do what the real one does."""
        recorder = current()
        if recorder is None:
            self._real.release()
        elif self._is_taken():
            try:
                # Before it is free: else the next one could seem to have it at the same time.
                self._written_out(recorder, sys._getframe(1))
            finally:
                self._real.release()
        else:
            step = recorder.step("release", self._seen(recorder), sys._getframe(1))
            try:
                self._real.release()
            except BaseException as error:
                step.failed(error)
                raise

    def _written_out(self, recorder: Recorder, frame: FrameType | None) -> None:
        """Take note that this thread is about to give it back."""
        seen = self._seen(recorder)
        step = recorder.step("release", seen, frame)
        holder, since = recorder.recording.let_go(seen.label)
        step.done(since=since, other="" if holder == step.me.label else holder)

    def _is_taken(self) -> bool:
        """Tell whether it can be given back."""
        return self._real.locked()  # type: ignore[no-any-return]

    def _is_owned(self) -> bool:
        """Tell a Condition whether it is taken; without this, it would try to take it."""
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
    """What `threading.RLock()` is while a recording is made. Only the outermost of its levels is an event."""

    __slots__ = ("_depth",)
    _depth: int  # how often its owner has it; only the owner looks
    _make = staticmethod(REAL_RLOCK)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Do what the real one does."""
        if self._real._is_owned():
            got: bool = self._real.acquire(blocking, timeout)
            self._depth += 1
        else:
            got = super().acquire(blocking, timeout)
            if got:
                self._depth = 1
        return got

    def release(self) -> None:
        """Do what the real one does."""
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
        """Give it back, all its levels, for a Condition that begins to wait."""
        recorder = current()
        if recorder is not None and self._is_owned():
            self._written_out(recorder, sys._getframe(1))
        return self._depth, self._real._release_save()

    def _acquire_restore(self, state: tuple[int, Any]) -> None:
        """Take it again, all its levels."""
        recorder = current()
        if recorder is None:
            self._real._acquire_restore(state[1])
        else:
            seen = self._seen(recorder)
            step = recorder.step("acquire", seen, sys._getframe(1))
            step.waits()
            self._real._acquire_restore(state[1])
            written_in(recorder, seen, step, True)
        self._depth = state[0]


def written_in(recorder: Recorder, seen: Seen, step: Step, got: bool) -> None:
    """Take note that this thread has got a lock, or has given up."""
    if got and not recorder.over:
        recorder.recording.hold(seen.label, step.me.label)
    step.done(detail="" if got else "not acquired")
