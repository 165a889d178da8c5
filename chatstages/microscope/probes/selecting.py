"""Selectors: which sockets a thread waits for, and which were ready."""

from __future__ import annotations

import select
import selectors
import sys
import weakref
from collections.abc import Iterable
from functools import wraps
from types import FrameType
from typing import Any

from chatstages.microscope.probes.patches import Patches, Wrapper
from chatstages.microscope.probes.recorder import RecordedCall, Recorder, TrackedObject
from chatstages.microscope.probes.sockets import Sockets

SELECTORS = {  # a set: DefaultSelector is another name of one of them
    cls
    for cls in vars(selectors).values()
    if isinstance(cls, type) and issubclass(cls, selectors.BaseSelector) and cls is not selectors.BaseSelector
}
NAMED = 100  # sockets that one event names at most


class Selecting:
    """The classes of `selectors`, and the functions and classes of `select`."""

    def __init__(self, recorder: Recorder, sockets: Sockets) -> None:
        self._recorder, self._sockets = recorder, sockets
        # The labels of each selector's sockets, until those change: there may be thousands of them.
        self._words: weakref.WeakKeyDictionary[selectors.BaseSelector, str] = weakref.WeakKeyDictionary()

    def install(self, patches: Patches) -> None:
        """Patch `select` in every class of selectors, and in the module `select`."""
        for cls in SELECTORS:
            for name in ("register", "unregister", "modify"):
                if name in vars(cls):
                    patches.put(cls, name, self._changing(getattr(cls, name)))
            if "select" in vars(cls):
                patches.put(cls, "select", self._selecting(cls.select))
        patches.replace(select, "select", self._plain())
        for name in ("poll", "epoll"):
            if hasattr(select, name):  # not on every system
                original = getattr(select, name)
                make: Any = self._polling(original)
                if isinstance(original, type):  # code may ask `isinstance`, and call `epoll.fromfd`
                    make = AlsoReal(name, (), {"real": original, "make": make})
                patches.replace(select, name, make)

    def _changing(self, original: Wrapper) -> Wrapper:
        @wraps(original)
        def change(selector: selectors.BaseSelector, *args: Any, **kwargs: Any) -> Any:
            self._words.pop(selector, None)
            return original(selector, *args, **kwargs)

        return change

    def _selecting(self, original: Wrapper) -> Wrapper:
        @wraps(original)
        def select(selector: selectors.BaseSelector, timeout: float | None = None) -> Any:
            words = "" if self._is_silent() else self._waited_for(selector)
            if not words:
                return original(selector, timeout)
            recorded = self._begin(words, sys._getframe(1), timeout)
            try:
                ready = original(selector, timeout)
            except BaseException as error:
                recorded.fail(error, detail=words)
                raise
            recorded.finish(detail=words, other=self._names(key.fd for key, _events in ready))
            return ready

        return select

    def _plain(self) -> Wrapper:
        original = select.select

        @wraps(original)
        def select_(*args: Any) -> Any:
            sought = (
                []
                if self._is_silent()
                else [list(part) for part in args[:3] if isinstance(part, list | tuple | set)]
            )
            words = self._names(descriptor(each) for part in sought for each in part)
            if not words:
                return original(*args)
            recorded = self._begin(words, sys._getframe(1), args[3] if len(args) > 3 else None)
            try:
                ready = original(*args)
            except BaseException as error:
                recorded.fail(error, detail=words)
                raise
            found = self._names(descriptor(each) for part in ready for each in part)
            recorded.finish(detail=words, other=found)
            return ready

        return select_

    def _polling(self, original: Any) -> Wrapper:
        @wraps(original)
        def make(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            is_ours = not self._recorder.ended and self._recorder.code_filter.includes_frame(
                outside(sys._getframe(1))
            )
            return WatchedPoll(made, self) if is_ours else made  # `selectors` gets the real one

        return make

    def poll(self, real: Any, descriptors: Iterable[int], frame: FrameType, *args: Any, **kwargs: Any) -> Any:
        """Record a call of `poll` of the `real` object, which waits for `descriptors`."""
        words = "" if self._is_silent() else self._names(descriptors)
        if not words:
            return real.poll(*args, **kwargs)
        timeout = args[0] if args else kwargs.get("timeout")
        recorded = self._begin(words, frame, None if timeout is not None and timeout < 0 else timeout)
        try:
            ready = real.poll(*args, **kwargs)
        except BaseException as error:
            recorded.fail(error, detail=words)
            raise
        recorded.finish(detail=words, other=self._names(number for number, _events in ready))
        return ready

    def _is_silent(self) -> bool:
        """Tell whether a wait is not recorded: after the end, and inside another recorded call."""
        return self._recorder.ended or self._recorder.is_inside()

    def _begin(self, words: str, frame: FrameType, timeout: float | None) -> RecordedCall:
        recorded = RecordedCall(self._recorder, "select", "", frame)
        if timeout is None or timeout > 0:
            recorded.may_block(words)
        return recorded

    def _waited_for(self, selector: selectors.BaseSelector) -> str:
        words = self._words.get(selector)
        if words is None:
            keys = selector.get_map() or dict[int, selectors.SelectorKey]()
            words = self._words[selector] = self._names([key.fd for key in keys.values()])
        return words

    def _names(self, descriptors: Iterable[int]) -> str:
        """Return the labels of the tracked sockets among `descriptors`, NAMED at most."""
        found: dict[str, None] = {}
        for descriptor in descriptors:
            tracked: TrackedObject | None = self._sockets.by_fd.get(descriptor)
            if tracked is not None:
                found[tracked.label] = None
                if len(found) == NAMED:
                    break
        return ", ".join(found)


class AlsoReal(type):
    """The class of a stand-in for the type `real`: calling it calls `make`, and `isinstance` knows both."""

    real: Any
    make: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return cls.make(*args, **kwargs)

    def __instancecheck__(cls, candidate: object) -> bool:
        return isinstance(candidate, WatchedPoll | cls.real)

    def __getattr__(cls, name: str) -> Any:
        return getattr(type.__getattribute__(cls, "real"), name)


class WatchedPoll:
    """A poll or epoll object in watched code while a recording is made: it records, and passes on."""

    def __init__(self, real: Any, selecting: Selecting) -> None:
        self._real, self._selecting = real, selecting
        self._descriptors: dict[int, None] = {}  # in the order in which they came

    def register(self, fd: Any, *args: Any) -> None:
        """Register `fd`, as `select.poll.register` does."""
        self._real.register(fd, *args)
        self._descriptors[descriptor(fd)] = None

    def unregister(self, fd: Any) -> None:
        """Unregister `fd`, as `select.poll.unregister` does."""
        self._descriptors.pop(descriptor(fd), None)
        self._real.unregister(fd)

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, as `select.poll.poll` does, and record it."""
        return self._selecting.poll(self._real, self._descriptors, sys._getframe(1), *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __enter__(self) -> WatchedPoll:
        self._real.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._real.__exit__(*exc_info)


def outside(frame: FrameType) -> FrameType:
    """Return the innermost frame, from `frame` on, that is not of this file."""
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame


def descriptor(thing: Any) -> int:
    """Return the descriptor of what `select` was given; -1 where that has none."""
    try:
        return thing if isinstance(thing, int) else int(thing.fileno())
    except Exception:  # the call itself will raise
        return -1
