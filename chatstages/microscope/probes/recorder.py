"""Between the patched functions and the recording: which thread makes a call, where, on which object.

The other probes know what is patched; what they see goes through here. A recorder must not change what the
watched code does: it holds its lock only while it writes, and what a signal handler or a finalizer does on a
thread that is just writing is written down right after that.
"""

from __future__ import annotations

import itertools
import linecache
import os
import re
import threading
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from threading import get_ident
from types import FrameType, ModuleType
from typing import Any

from chatstages.microscope.model.recording import OngoingCall, Recording, Thing, TraceKind
from chatstages.microscope.probes.code_filter import NOWHERE, CodeFilter, Location
from chatstages.microscope.probes.patches import without_our_frame

# `server = …`, `self._lock: Lock = …`, `conn, address = …`
ASSIGNED = re.compile(r"\s*(?:[\w.]+\.)?(\w+)\s*(?:,\s*(\w+)\s*)?(?::[^=]+)?=(?!=)")

# The names that Python gives: `Thread-3`, `Thread-3 (work)`, `ThreadPoolExecutor-0_1`
AUTOMATIC = re.compile(r"Thread-\d+(?: \((.*)\))?|ThreadPoolExecutor-\d+_\d+")


class ThreadState:
    """What a recorder knows of one thread. Only that thread reads and writes it."""

    __slots__ = ("__weakref__", "busy", "label", "later", "outer")

    def __init__(self, label: str) -> None:
        self.label = label
        self.busy = False  # the thread is writing an event
        self.later: deque[Callable[[], None]] = deque()  # what to write after that
        self.outer: OngoingCall | None = None  # a call in which others happen: a wait, with a release in it


class TrackedObject:
    """A live socket, lock, thread, … whose calls are recorded."""

    __slots__ = ("addresses_known", "fd", "from_first_byte", "holds", "label", "ref", "thing")

    def __init__(self, thing: Thing, ref: weakref.ref[Any]) -> None:
        self.thing, self.label, self.ref = thing, thing.label, ref
        self.fd = -1  # a socket's descriptor; -1 once it is closed
        self.addresses_known = False  # whether a socket's addresses have been asked for
        self.from_first_byte = False  # whether a socket has been recorded from its first byte on
        self.holds: list[tuple[str, int]] = []  # of a semaphore: the threads that hold it, and since when


class RecordedCall:
    """One call that is recorded, from its beginning to its end."""

    __slots__ = ("_around", "_before", "_began", "_kind", "_label", "_location", "_recorder", "thread")
    _before: OngoingCall | None  # the call around this one; set where others may be recorded inside this one

    def __init__(self, recorder: Recorder, kind: TraceKind, label: str, frame: FrameType | None) -> None:
        self._recorder, self._kind, self._label = recorder, kind, label
        self._location = recorder.code_filter.location(frame) or NOWHERE
        self.thread = recorder.thread_state()
        self._around = False
        self._began = recorder.recording.now()

    def may_block(self, detail: str = "", size: int = 0, *, around: bool = False) -> None:
        """Show the call as ongoing; a send is to send `size` bytes.

        `around`: other calls may be recorded on this thread before it ends.
        """
        call = OngoingCall(self._kind, self._label, self._began, *self._location, detail, size)
        if around:
            self._around, self._before, self.thread.outer = True, self.thread.outer, call
        if not self._recorder.ended:
            self._recorder.recording.begin_call(self.thread.label, call)

    def finish(
        self,
        data: bytes = b"",
        stream: TrackedObject | None = None,
        other: str = "",
        detail: str = "",
        error: str = "",
        rest: bytes = b"",
        since: int | None = None,
        thing: str | None = None,
    ) -> None:
        """Write the event; `since` is its beginning where that is not the beginning of the call."""
        if self._around:
            self.thread.outer = self._before
        began = self._began if since is None else since
        label = self._label if thing is None else thing
        what = (label, data, stream, other, detail, error, rest)
        self._recorder.write(self.thread, self._kind, began, self._location, *what)

    def fail(self, error: BaseException, **facts: Any) -> None:
        """Write the event of a call that raised `error`, and keep our frame out of the traceback."""
        without_our_frame(error)
        self.finish(error=describe_error(error), **facts)


class Recorder:
    """Writes events into a `Recording`. Any thread may call."""

    def __init__(self, recording: Recording, modules: Iterable[ModuleType] = ()) -> None:
        self.recording = recording
        self.code_filter = CodeFilter(modules)
        self.ended = False  # nothing is written any more
        self.since = NOWHERE  # the line at which the recording began
        # The threads (idents) that are in a method with which a subclass overrides one of `socket.socket`.
        # The call is recorded; what the method does to sockets is not. Each thread adds and removes itself.
        self.inside: set[int] = set()
        self._lock = threading.RLock()  # Guards ended, and the byte counts of all sockets.
        self._tracked: dict[int, TrackedObject] = {}  # by the id of the object, while that lives
        self._local = threading.local()
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    # --- threads ---

    def thread_state(self) -> ThreadState:
        """Return the state of the calling thread."""
        try:
            found: ThreadState = self._local.state
        except AttributeError:
            found = self._local.state = ThreadState(self._label_thread())
            # Of a thread whose start was not recorded, the end would not be either.
            weakref.finalize(found, self._thread_ended, found.label).atexit = False
        return found

    def _thread_ended(self, label: str) -> None:
        """Note that a thread has ended: its local data were dropped."""
        if not self.ended:
            self.recording.things[label].closed = True

    def name_thread(self, label: str) -> None:
        """Make `label`, which was given out when the calling thread was started, its label."""
        self._local.state = ThreadState(label)

    def is_inside(self) -> bool:
        """Tell whether the calling thread is in an overriding method of a socket, whose call is recorded."""
        return bool(self.inside) and get_ident() in self.inside

    def _label_thread(self) -> str:
        """Return a label for the calling thread, whose start was not recorded."""
        here = get_ident()
        thread = next((thread for thread in threading.enumerate() if thread.ident == here), None)
        if thread is threading.main_thread():
            file, line, _function = self.since
            return self.recording.new_thing("thread", "main", file=file, line=line, name="main").label
        if thread is None:  # not started by `threading`
            return self.recording.new_thing("thread", self._label("thread")).label
        return self.track_thread(thread, NOWHERE).label

    def track_thread(self, thread: threading.Thread, location: Location) -> TrackedObject:
        """Track a thread that is started at `location`."""
        facts = {"daemon": thread.daemon, "is_named": AUTOMATIC.fullmatch(thread.name) is None}
        return self.track(thread, "thread", location, thread_name(thread), **facts)

    # --- objects ---

    def find(self, watched: object) -> TrackedObject | None:
        """Return the tracked object of `watched`; None where there is none, or the recording has ended."""
        return None if self.ended else self._tracked.get(id(watched))

    def find_or_track(self, watched: object, what: str, frame: FrameType) -> TrackedObject | None:
        """Return the tracked object of `watched`, which `frame` uses.

        An object that was made before the recording, or by code that is not watched, is tracked from its
        first use in watched code on.
        """
        if self.ended:
            return None
        tracked = self._tracked.get(id(watched))
        if tracked is None and self.code_filter.includes_frame(frame):
            tracked = self.track(watched, what, NOWHERE)
        return tracked

    def track_new(self, watched: object, what: str, frame: FrameType) -> TrackedObject | None:
        """Track `watched`, which `frame` is making, if that is watched code."""
        creator = None if self.ended else self.code_filter.creator(frame)
        location = self.code_filter.location(creator) if creator is not None else None
        return None if location is None else self.track(watched, what, location, assigned_name(location))

    def track(
        self, watched: Any, what: str, location: Location, name: str = "", **facts: Any
    ) -> TrackedObject:
        """Track `watched` from now on, which was made at `location`."""
        file, line, _function = location
        label = self._label(what)
        facts["maker"] = facts.get("maker") or self.label_here()
        thing = self.recording.new_thing(what, label, file=file, line=line, name=name, **facts)
        key, everything = id(watched), self._tracked
        tracked = everything[key] = TrackedObject(
            thing, weakref.ref(watched, lambda _ref: self._forget(key, tracked))
        )
        return tracked

    def replace(self, tracked: TrackedObject, watched: Any) -> None:
        """Let `tracked` stand for `watched` from now on, and no longer for the object before it."""
        old, key = tracked.ref(), id(watched)
        if old is not None:
            self._tracked.pop(id(old), None)
        # With the old reference goes its callback: that the old object is collected is no close any more.
        tracked.ref = weakref.ref(watched, lambda _ref: self._forget(key, tracked))
        self._tracked[key] = tracked

    def label_here(self) -> str:
        """Return the label of the calling thread, "" where it has none yet."""
        state = getattr(self._local, "state", None)
        return state.label if state is not None else ""

    def _label(self, what: str) -> str:
        return f"{what} {next(self._numbers[what])}"

    def _forget(self, key: int, tracked: TrackedObject) -> None:
        """Drop an object that was collected. Python may call this at any time, on any thread."""
        if self._tracked.get(key) is tracked:
            del self._tracked[key]
        self.on_collected(tracked)

    def on_collected(self, tracked: TrackedObject) -> None:
        """Do nothing; the probe of sockets puts its own function here."""

    # --- events ---

    def begin_call(self, kind: TraceKind, tracked: TrackedObject, frame: FrameType | None) -> RecordedCall:
        """Begin to record a call on `tracked` that `frame` makes."""
        return RecordedCall(self, kind, tracked.label, frame)

    def write(
        self,
        state: ThreadState,
        kind: TraceKind,
        began: int,
        location: Location,
        thing: str,
        data: bytes = b"",
        stream: TrackedObject | None = None,
        other: str = "",
        detail: str = "",
        error: str = "",
        rest: bytes = b"",
    ) -> None:
        """Add an event, and count its bytes for the socket `stream`."""
        if state.busy:  # a signal handler or a finalizer runs in the middle of the lines below
            what = (thing, data, stream, other, detail, error, rest)
            state.later.append(lambda: self.write(state, kind, began, location, *what))
            return
        try:
            state.busy = True
            with self._lock:
                if not self.ended:
                    offset = count(stream.thing, kind, len(data)) if data and stream is not None else 0
                    facts = (thing, *location, data, offset, other, detail, error, rest)
                    self.recording.add(state.label, kind, began, *facts)
                    if state.outer is not None:
                        self.recording.begin_call(state.label, state.outer)
        finally:
            state.busy = False
        while state.later:
            state.later.popleft()()

    def record_end_of_main(self, error: BaseException) -> None:
        """Write that `error` has ended the main thread, which calls this."""
        state, location, trace = self.thread_state(), NOWHERE, error.__traceback__
        while trace is not None:
            if self.code_filter.includes_frame(trace.tb_frame):
                code = trace.tb_frame.f_code
                location = Location(code.co_filename, trace.tb_lineno, code.co_name)
            trace = trace.tb_next
        self.write(state, "run", 0, location, state.label, error=describe_error(error))

    def end(self) -> None:
        """Write nothing any more. Calls that have not ended stay in the recording as ongoing."""
        with self._lock:
            self.ended = True
            self.recording.stop()
        self._tracked.clear()


_current: Recorder | None = None
_beginning = threading.Lock()  # Guards _current.


def current() -> Recorder | None:
    """Return the recorder of the recording that is being made, if one is."""
    return _current


def begin(recorder: Recorder) -> Recorder | None:
    """Make `recorder` the current one and return None; if there is one already, return that instead."""
    global _current
    with _beginning:
        if _current is None:
            _current = recorder
        return None if _current is recorder else _current


def end(recorder: Recorder) -> bool:
    """Let there be no current recorder, if it is `recorder`; return whether it was."""
    global _current
    with _beginning:
        was = _current is recorder
        if was:
            _current = None
        return was


def count(thing: Thing, kind: TraceKind, size: int) -> int:
    """Add `size` bytes to what `thing` has sent, or received; return the offset of the first of them."""
    if kind == "send":
        thing.sent += size
        return thing.sent - size
    thing.received += size
    return thing.received - size


def forget_in_child() -> None:
    """Record nothing in a forked child, where locks may be held by threads that do not exist there."""
    global _current, _beginning
    if _current is not None:
        _current.ended, _current, _beginning = True, None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_in_child)


def describe_error(error: BaseException) -> str:
    """Return `error` as one line."""
    try:
        text = " ".join(str(error).splitlines())
    except Exception:  # the class is the learner's own; an error in its __str__ must not get out of here
        text = ""
    return f"{type(error).__name__}: {text}"


def assigned_name(location: Location, which: int = 1) -> str:
    """Return the variable that the line of code assigns to, its first or its second, or ""."""
    found = ASSIGNED.match(linecache.getline(location.file, location.line)) if location.file else None
    return (found[which] or "") if found else ""


def thread_name(thread: threading.Thread) -> str:
    """Return the thread's name; if Python made that up, the name of the thread's function."""
    automatic = AUTOMATIC.fullmatch(thread.name)
    if automatic is None or thread.name.startswith("ThreadPool"):
        return thread.name
    return automatic[1] or type(thread).__name__
