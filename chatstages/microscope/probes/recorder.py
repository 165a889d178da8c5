"""Between the code that is watched and the recording: who is on which thread, where, and doing what.

`sockets`, `locks`, `threads` and `selecting` know what to look at; what they see goes through here. Whatever
happens in here must not change what the watched code does: no lock is held but for a moment, and what a
signal handler or a finalizer does while its thread is in here is written down a moment later.
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
from types import FrameType, ModuleType
from typing import Any

from chatstages.microscope.model.recording import Doing, Kind, Recording, Thing
from chatstages.microscope.probes.code_filter import NOWHERE, Interest, Place
from chatstages.microscope.probes.patches import without_our_frame

# `server = …`, `self._lock: Lock = …`, `conn, address = …`
ASSIGNED = re.compile(r"\s*(?:[\w.]+\.)?(\w+)\s*(?:,\s*(\w+)\s*)?(?::[^=]+)?=(?!=)")


class Me:
    """What a recorder knows of one thread. Only that thread touches it."""

    __slots__ = ("busy", "label", "later", "outer")

    def __init__(self, label: str) -> None:
        self.label = label
        self.busy = False  # it is writing something down
        self.later: deque[Callable[[], None]] = deque()  # what has happened in the meantime
        self.outer: Doing | None = None  # what goes on around what it does: a wait, with a release in it


class Seen:
    """A socket, lock, thread, … that is watched."""

    __slots__ = ("fd", "holds", "known", "label", "ref", "thing", "whole")

    def __init__(self, thing: Thing, ref: weakref.ref[Any]) -> None:
        self.thing, self.label, self.ref = thing, thing.label, ref
        self.fd = -1  # a socket's, while it is open
        self.known = False  # whether a socket's addresses have been asked for
        self.whole = False  # whether a socket was watched from its first byte on
        self.holds: list[tuple[str, int]] = []  # a semaphore's: which thread has got in, and when


class Step:
    """One call that is watched, from its beginning to its end."""

    __slots__ = ("_around", "_began", "_kind", "_label", "_place", "_recorder", "me")

    def __init__(self, recorder: Recorder, kind: Kind, label: str, frame: FrameType | None) -> None:
        self._recorder, self._kind, self._label = recorder, kind, label
        self._place = recorder.interest.place(frame) or NOWHERE
        self.me = recorder.me()
        self._around = False
        self._began = recorder.recording.now()

    def waits(self, detail: str = "", size: int = 0, *, around: bool = False) -> None:
        """Take note that it may take time (to send `size` bytes); `around`: that others come meanwhile."""
        doing = Doing(self._kind, self._label, self._began, *self._place, detail, size)
        if around:
            self._around, self.me.outer = True, doing
        if not self._recorder.over:
            self._recorder.recording.begin(self.me.label, doing)

    def done(
        self,
        data: bytes = b"",
        stream: Seen | None = None,
        other: str = "",
        detail: str = "",
        error: str = "",
        rest: bytes = b"",
        since: int | None = None,
        thing: str | None = None,
    ) -> None:
        """Take note that it has ended; `since`: that what has ended with it had begun then."""
        if self._around:
            self.me.outer = None
        began = self._began if since is None else since
        label = self._label if thing is None else thing
        what = (label, data, stream, other, detail, error, rest)
        self._recorder.write(self.me, self._kind, began, self._place, *what)

    def failed(self, error: BaseException, **facts: Any) -> None:
        """Take note of the exception that it has ended with, and keep our frame out of its traceback."""
        without_our_frame(error)
        self.done(error=describe(error), **facts)


class Recorder:
    """Writes down in a `Recording` what is seen. Any thread may call."""

    def __init__(self, recording: Recording, modules: Iterable[ModuleType] = ()) -> None:
        self.recording = recording
        self.interest = Interest(modules)
        self.over = False  # nothing is written down any more
        self.since = NOWHERE  # where it was begun
        self._lock = threading.RLock()  # Guards over, and how much each socket has sent and received.
        self._seen: dict[int, Seen] = {}  # by the id of the object, while that lives
        self._local = threading.local()
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    # --- threads ---

    def me(self) -> Me:
        """Return what is known of this thread."""
        try:
            found: Me = self._local.me
        except AttributeError:
            found = self._local.me = Me(self._meet())
        return found

    def is_me(self, label: str) -> None:
        """Take note that this thread is the one that was given `label` when it was started."""
        self._local.me = Me(label)

    def _meet(self) -> str:
        """Return a label for this thread, which was there before, or was started by others."""
        here = threading.get_ident()
        thread = next((thread for thread in threading.enumerate() if thread.ident == here), None)
        if thread is threading.main_thread():
            return self.recording.new_thing("thread", "main", name="main").label
        if thread is None:  # one that Python does not know
            return self.recording.new_thing("thread", self._label("thread")).label
        return self.new_thread(thread, NOWHERE).label

    def new_thread(self, thread: threading.Thread, place: Place) -> Seen:
        """Take note of a thread."""
        return self.see(thread, "thread", place, named(thread), daemon=thread.daemon)

    # --- things ---

    def known(self, watched: object) -> Seen | None:
        """Return what is known of `watched`; None if it is not watched, or nothing is any more."""
        return None if self.over else self._seen.get(id(watched))

    def used(self, watched: object, what: str, frame: FrameType) -> Seen | None:
        """Return what is known of `watched`, which `frame` uses.

        One that was made before the recording, or by others, is watched from now on if the code that uses it
        is of interest.
        """
        if self.over:
            return None
        seen = self._seen.get(id(watched))
        if seen is None and self.interest.in_frame(frame):
            seen = self.see(watched, what, NOWHERE)
        return seen

    def made(self, watched: object, what: str, frame: FrameType) -> Seen | None:
        """Take note of `watched`, which `frame` is making, if that is of interest."""
        maker = None if self.over else self.interest.maker(frame)
        place = self.interest.place(maker) if maker is not None else None
        return None if place is None else self.see(watched, what, place, variable(place))

    def see(self, watched: Any, what: str, place: Place, name: str = "", **facts: Any) -> Seen:
        """Take note of `watched`, which is seen for the first time."""
        file, line, _function = place
        label = self._label(what)
        facts["maker"] = facts.get("maker") or self._local_label()
        thing = self.recording.new_thing(what, label, file=file, line=line, name=name, **facts)
        key, all_seen = id(watched), self._seen
        seen = all_seen[key] = Seen(thing, weakref.ref(watched, lambda _ref: self._forget(key, seen)))
        return seen

    def _local_label(self) -> str:
        """Return the label of this thread, "" where it has none yet."""
        me = getattr(self._local, "me", None)
        return me.label if me is not None else ""

    def _label(self, what: str) -> str:
        return f"{what} {next(self._numbers[what])}"

    def _forget(self, key: int, seen: Seen) -> None:
        """Take note that the object is no more; Python calls this, in the midst of anything."""
        if self._seen.get(key) is seen:
            del self._seen[key]
        self.vanished(seen)

    def vanished(self, seen: Seen) -> None:
        """Do what there is to do when an object is no more; `sockets` puts something here."""

    # --- events ---

    def step(self, kind: Kind, seen: Seen, frame: FrameType | None) -> Step:
        """Begin to watch a call."""
        return Step(self, kind, seen.label, frame)

    def write(
        self,
        me: Me,
        kind: Kind,
        began: int,
        place: Place,
        thing: str,
        data: bytes = b"",
        stream: Seen | None = None,
        other: str = "",
        detail: str = "",
        error: str = "",
        rest: bytes = b"",
    ) -> None:
        """Add an event, and count its bytes for the socket `stream`."""
        if me.busy:  # a signal handler, or a finalizer, in the midst of the lines below
            what = (thing, data, stream, other, detail, error, rest)
            me.later.append(lambda: self.write(me, kind, began, place, *what))
            return
        try:
            me.busy = True
            with self._lock:
                if not self.over:
                    offset = count(stream.thing, kind, len(data)) if data and stream is not None else 0
                    facts = (thing, *place, data, offset, other, detail, error, rest)
                    self.recording.add(me.label, kind, began, *facts)
                    if me.outer is not None:
                        self.recording.begin(me.label, me.outer)
        finally:
            me.busy = False
        while me.later:
            me.later.popleft()()

    def ended_by(self, error: BaseException) -> None:
        """Take note that an exception has ended the main thread, which calls this."""
        me, place, trace = self.me(), NOWHERE, error.__traceback__
        while trace is not None:
            if self.interest.in_frame(trace.tb_frame):
                code = trace.tb_frame.f_code
                place = Place(code.co_filename, trace.tb_lineno, code.co_name)
            trace = trace.tb_next
        self.write(me, "run", 0, place, me.label, error=describe(error))

    def end(self) -> None:
        """Write nothing down any more. What threads are in the middle of stays in the recording."""
        with self._lock:
            self.over = True
            self.recording.stop()
        self._seen.clear()


_current: Recorder | None = None
_beginning = threading.Lock()  # Guards _current.


def current() -> Recorder | None:
    """Return the recorder at work, if there is one."""
    return _current


def begin(recorder: Recorder) -> Recorder | None:
    """Let `recorder` be the one at work; if there is one already, leave it, and return it."""
    global _current
    with _beginning:
        if _current is None:
            _current = recorder
        return None if _current is recorder else _current


def end(recorder: Recorder) -> bool:
    """Let `recorder` be at work no more; tell whether it was."""
    global _current
    with _beginning:
        was = _current is recorder
        if was:
            _current = None
        return was


def count(thing: Thing, kind: Kind, size: int) -> int:
    """Add `size` bytes to what `thing` has sent, or received; return the place where they begin."""
    if kind == "send":
        thing.sent += size
        return thing.sent - size
    thing.received += size
    return thing.received - size


def forget_in_child() -> None:
    """Record nothing in a forked child: its locks are as they were at that moment, and perhaps taken."""
    global _current, _beginning
    if _current is not None:
        _current.over, _current, _beginning = True, None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_in_child)


def describe(error: BaseException) -> str:
    """Return `error` as one line."""
    try:
        text = " ".join(str(error).splitlines())
    except Exception:  # the learner's own class: whatever is wrong with it is not ours to raise
        text = ""
    return f"{type(error).__name__}: {text}"


def variable(place: Place, which: int = 1) -> str:
    """Return the variable that the line of code at `place` assigns to, the first or the second, or ""."""
    found = ASSIGNED.match(linecache.getline(place.file, place.line)) if place.file else None
    return (found[which] or "") if found else ""


def named(thread: threading.Thread) -> str:
    """Return the thread's name; where nobody has given it one, that of its function."""
    automatic = re.fullmatch(r"Thread-\d+(?: \((.*)\))?", thread.name)
    if automatic is None:
        return thread.name
    return automatic[1] or type(thread).__name__
