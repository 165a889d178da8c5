"""Threads that watched code starts, and jobs that it submits to thread pools."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any

from chatstages.microscope.probes.code_filter import Location
from chatstages.microscope.probes.patches import Patches, Wrapper, without_our_frame
from chatstages.microscope.probes.recorder import Recorder, TrackedObject, describe_error

Call = Wrapper


class Threads:
    """The methods of threads and of thread pools."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def install(self, patches: Patches) -> None:
        """Patch the methods of all threads and of all thread pools."""
        patches.put(threading.Thread, "start", self._starting())
        patches.put(threading.Thread, "join", self._joining())
        patches.put(ThreadPoolExecutor, "submit", self._submitting())

    def _starting(self) -> Wrapper:
        original = threading.Thread.start

        @wraps(original)
        def start(thread: threading.Thread) -> None:
            frame, code_filter = sys._getframe(1), self._recorder.code_filter
            location = (
                None
                if self._recorder.ended or code_filter.is_machinery(frame)
                else code_filter.location(frame)
            )
            if location is None or thread.ident is not None:  # not watched code, or it was started before
                return original(thread)
            tracked = self._recorder.track_thread(thread, location)
            recorded = self._recorder.begin_call("start", tracked, frame)
            own = vars(thread).get("run")  # usually None: `run` is the class's
            thread.run = partial(self._run, tracked, thread, thread.run, own)  # type: ignore[method-assign]
            try:
                original(thread)
            except BaseException as error:
                put_back(thread, own)
                recorded.fail(error, thing="", other=tracked.label)
                raise
            recorded.finish(thing="", other=tracked.label)
            return None

        return start

    def _run(self, tracked: TrackedObject, thread: threading.Thread, run: Call, own: Call | None) -> None:
        """Run the thread with the attributes and the traceback that it would have without a recording."""
        put_back(thread, own)
        recorder = self._recorder
        recorder.name_thread(tracked.label)
        began = recorder.recording.now()
        location = self._where(
            getattr(thread, "_target", None) or run, Location(tracked.thing.file, tracked.thing.line)
        )
        error_text = ""
        try:
            run()
        except BaseException as error:
            without_our_frame(error)
            if not isinstance(error, SystemExit):  # a thread may end itself with it
                error_text = describe_error(error)
            raise
        finally:
            tracked.thing.closed = True
            recorder.write(recorder.thread_state(), "run", began, location, tracked.label, error=error_text)

    def _joining(self) -> Wrapper:
        original = threading.Thread.join

        @wraps(original)
        def join(thread: threading.Thread, timeout: float | None = None) -> None:
            tracked = self._recorder.find(thread)
            if tracked is None:
                return original(thread, timeout)
            recorded = self._recorder.begin_call("wait", tracked, sys._getframe(1))
            try:
                recorded.may_block("join")
                original(thread, timeout)
            except BaseException as error:
                recorded.fail(error, detail="join")
                raise
            recorded.finish(detail="join")
            return None

        return join

    def _submitting(self) -> Wrapper:
        original: Wrapper = ThreadPoolExecutor.submit

        @wraps(original)
        def submit(pool: ThreadPoolExecutor, fn: Call, /, *args: Any, **kwargs: Any) -> Any:
            location = None if self._recorder.ended else self._recorder.code_filter.location(sys._getframe(1))
            if location is None:
                return original(pool, fn, *args, **kwargs)
            name = getattr(pool, "_thread_name_prefix", "")
            tracked = self._recorder.find(pool) or self._recorder.track(pool, "pool", location, name)
            return original(pool, partial(self._task, tracked, location, fn), *args, **kwargs)

        return submit

    def _task(
        self, tracked: TrackedObject, location: Location, fn: Call, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a job of a pool, and record it."""
        recorder = self._recorder
        if recorder.ended:
            return fn(*args, **kwargs)
        began, error_text = recorder.recording.now(), ""
        try:
            return fn(*args, **kwargs)
        except BaseException as error:
            without_our_frame(error)
            error_text = describe_error(error)
            raise
        finally:
            detail = getattr(fn, "__name__", "")
            here = self._where(fn, location)
            recorder.write(
                recorder.thread_state(), "task", began, here, tracked.label, detail=detail, error=error_text
            )

    def _where(self, function: Any, else_: Location) -> Location:
        """Return the line of `function`; `else_` where that is not watched code, or cannot be told."""
        while isinstance(function, partial):
            function = function.func
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if code is None or not self._recorder.code_filter.includes_file(code.co_filename):
            return else_
        return Location(code.co_filename, code.co_firstlineno, code.co_name)


def put_back(thread: threading.Thread, own: Call | None) -> None:
    """Restore the attribute `run` of the thread."""
    if own is None:
        del thread.run
    else:
        thread.run = own  # type: ignore[method-assign]
