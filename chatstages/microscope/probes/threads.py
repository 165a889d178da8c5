"""Watching threads, and the jobs of pools, that code of interest has started."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any

from chatstages.microscope.probes.code_filter import Place
from chatstages.microscope.probes.patches import Patches, Wrapper, without_our_frame
from chatstages.microscope.probes.recorder import Recorder, Seen, describe

Call = Wrapper


class Threads:
    """The threads, and the pools, that are watched."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def watch(self, patches: Patches) -> None:
        """Replace the methods of all threads and of all pools."""
        patches.put(threading.Thread, "start", self._starting())
        patches.put(threading.Thread, "join", self._joining())
        patches.put(ThreadPoolExecutor, "submit", self._submitting())

    def _starting(self) -> Wrapper:
        original = threading.Thread.start

        @wraps(original)
        def start(thread: threading.Thread) -> None:
            frame, interest = sys._getframe(1), self._recorder.interest
            place = None if self._recorder.over or interest.is_machinery(frame) else interest.place(frame)
            if place is None or thread.ident is not None:  # none of interest, or it was started before
                return original(thread)
            seen = self._recorder.new_thread(thread, place)
            step = self._recorder.step("start", seen, frame)
            own = vars(thread).get("run")  # usually the class's
            thread.run = partial(self._run, seen, thread, thread.run, own)  # type: ignore[method-assign]
            try:
                original(thread)
            except BaseException as error:
                put_back(thread, own)
                step.failed(error, thing="", other=seen.label)
                raise
            step.done(thing="", other=seen.label)
            return None

        return start

    def _run(self, seen: Seen, thread: threading.Thread, run: Call, own: Call | None) -> None:
        """Run the thread: in there, all is as if we were not here."""
        put_back(thread, own)
        recorder = self._recorder
        recorder.is_me(seen.label)
        began = recorder.recording.now()
        place = self._where(getattr(thread, "_target", None) or run, Place(seen.thing.file, seen.thing.line))
        error_text = ""
        try:
            run()
        except BaseException as error:
            without_our_frame(error)
            if not isinstance(error, SystemExit):  # that is how a thread may end itself
                error_text = describe(error)
            raise
        finally:
            seen.thing.closed = True
            recorder.write(recorder.me(), "run", began, place, seen.label, error=error_text)

    def _joining(self) -> Wrapper:
        original = threading.Thread.join

        @wraps(original)
        def join(thread: threading.Thread, timeout: float | None = None) -> None:
            seen = self._recorder.known(thread)
            if seen is None:
                return original(thread, timeout)
            step = self._recorder.step("wait", seen, sys._getframe(1))
            try:
                step.waits("join")
                original(thread, timeout)
            except BaseException as error:
                step.failed(error, detail="join")
                raise
            step.done(detail="join")
            return None

        return join

    def _submitting(self) -> Wrapper:
        original: Wrapper = ThreadPoolExecutor.submit

        @wraps(original)
        def submit(pool: ThreadPoolExecutor, fn: Call, /, *args: Any, **kwargs: Any) -> Any:
            place = None if self._recorder.over else self._recorder.interest.place(sys._getframe(1))
            if place is None:
                return original(pool, fn, *args, **kwargs)
            name = getattr(pool, "_thread_name_prefix", "")
            seen = self._recorder.known(pool) or self._recorder.see(pool, "pool", place, name)
            return original(pool, partial(self._task, seen, place, fn), *args, **kwargs)

        return submit

    def _task(self, seen: Seen, place: Place, fn: Call, /, *args: Any, **kwargs: Any) -> Any:
        """Run a job of a pool."""
        recorder = self._recorder
        if recorder.over:
            return fn(*args, **kwargs)
        began, error_text = recorder.recording.now(), ""
        try:
            return fn(*args, **kwargs)
        except BaseException as error:
            without_our_frame(error)
            error_text = describe(error)
            raise
        finally:
            detail = getattr(fn, "__name__", "")
            here = self._where(fn, place)
            recorder.write(recorder.me(), "task", began, here, seen.label, detail=detail, error=error_text)

    def _where(self, function: Any, else_: Place) -> Place:
        """Return where `function` stands, if it is of interest; `else_` if not, or if that cannot be told."""
        while isinstance(function, partial):
            function = function.func
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if code is None or not self._recorder.interest.in_file(code.co_filename):
            return else_
        return Place(code.co_filename, code.co_firstlineno, code.co_name)


def put_back(thread: threading.Thread, own: Call | None) -> None:
    """Let the thread's `run` be what it was."""
    if own is None:
        del thread.run
    else:
        thread.run = own  # type: ignore[method-assign]
