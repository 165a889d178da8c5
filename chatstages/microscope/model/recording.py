"""What the microscope writes down: events, the things that they happened to, and what each thread does now.

Nothing here touches a socket, a lock or a thread: `watching` does that, and tells this module what it saw.
Pictures and findings are drawn from what stands here, and from nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

MAX_EVENTS = 100_000  # that are kept; older ones are forgotten, and counted
MAX_BYTES = 64 << 20  # of what was sent and received, in all the events that are kept

Kind = Literal[
    # sockets
    "bind",
    "listen",
    "connect",
    "accept",  # `other` is the new connection
    "send",
    "recv",  # with no data and no error: the other side has closed
    "shutdown",
    "close",
    "settimeout",
    "select",  # waited for the sockets named in `detail`, separated by ", "; `other`: those that were ready
    # threads
    "start",  # `other` is the new thread
    "run",  # from a thread's first step to its last
    "task",  # a job of a pool: from its first step to its last; `thing` is the pool
    # locks, conditions, events, semaphores
    "acquire",  # `began` to `ended`: how long it had to wait; `detail` is "not acquired" when it gave up
    "release",  # `began` to `ended`: how long it was held
    "wait",  # for a Condition, an Event, …; `detail`: "join" (a thread), "get", "put" (a queue), "result"
    "notify",  # or set
]


class Event(NamedTuple):
    """One thing that happened, on one thread, in the code that is watched."""

    number: int  # from 0, in the order in which they ended
    began: int  # nanoseconds since the recording began
    ended: int  # likewise
    thread: str  # on which it happened: the label of a Thing
    kind: Kind
    thing: str = ""  # to which it happened: the label of a Thing
    file: str = ""  # where in the watched code, the innermost place
    line: int = 0
    function: str = ""
    data: bytes = b""  # what was sent or received
    offset: int = 0  # at which byte of its stream (what `thing` has sent, or has received) that begins
    other: str = ""  # a second Thing that has a part in it
    detail: str = ""  # an address, a timeout, and the like
    error: str = ""  # the exception that it ended with, such as "ConnectionResetError: …"
    rest: bytes = b""  # of a send that took only a part of what it was given: how the remainder begins

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began) / 1e9


@dataclass
class Thing:
    """A thread, socket, lock, … that was seen."""

    label: str  # "socket 2", "lock 1", "main", "thread 3": by kind, in the order in which they were seen
    what: str  # "socket", "thread", "pool", "lock", "condition", "event", "semaphore", "barrier", "queue", …
    file: str = ""  # where it was made
    line: int = 0
    maker: str = ""  # the thread that made it, where that was known
    name: str = ""  # a thread's own name or its function's, a lock's variable where that can be told
    # Of a socket:
    role: str = ""  # "listener", "client" (it connected), "server" (it was accepted), "pair"
    local: object = None  # its addresses
    remote: object = None
    peer: str = ""  # the label of the other end of its connection, where that was seen too
    sent: int = 0  # bytes
    received: int = 0
    closed: bool = False
    datagram: bool = False  # it carries no stream: UDP, say
    # Of a thread:
    daemon: bool = False  # Python ends without waiting for it


class Doing(NamedTuple):
    """What a thread is in the middle of."""

    kind: Kind
    thing: str
    since: int  # nanoseconds since the recording began
    file: str
    line: int
    function: str
    detail: str = ""
    size: int = 0  # bytes that it is about to send


class Recording:
    """Events, things, and the present. Any thread may call."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        # Guards all that follows. (The real one: nothing in here is watched.) The thread that has it may take
        # it again: a finalizer, or a signal handler, can come in between, and have something to tell.
        self._lock = threading.RLock()
        self._events: deque[Event] = deque()
        self._things: dict[str, Thing] = {}
        self._counts: dict[str, int] = {}  # how many things of each kind there have been
        self._doing: dict[str, Doing] = {}
        self._holders: dict[
            str, tuple[str, int]
        ] = {}  # of each lock that is held: the thread, and since when
        self._next = 0
        self._bytes = 0
        self._max_events, self._max_bytes = max_events, max_bytes
        self._zero = time.perf_counter_ns()
        self._stopped: int | None = None  # when it ended

    @classmethod
    def restored(
        cls,
        events: list[Event],
        things: list[Thing],
        doing: dict[str, Doing],
        holders: dict[str, tuple[str, int]],
        dropped: int,
        now: int,
    ) -> Recording:
        """Return one that has ended, from what it held."""
        self = cls(max(MAX_EVENTS, len(events)))
        self._events.extend(events)
        self._things = {thing.label: thing for thing in things}
        self._doing, self._holders = doing, holders
        self._next, self._stopped = dropped + len(events), now
        return self

    def now(self) -> int:
        """Return the time, in nanoseconds since the recording began; when it has ended, that of its end."""
        return time.perf_counter_ns() - self._zero if self._stopped is None else self._stopped

    def stop(self) -> None:
        """End it: what has not ended by now never will."""
        with self._lock:
            self._stopped = self.now()

    # --- what `watching` tells ---

    def new_thing(self, what: str, label: str = "", **facts: object) -> Thing:
        """Take note of a thing that is seen for the first time."""
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1
            thing = Thing(label or f"{what} {self._counts[what]}", what, **facts)  # type: ignore[arg-type]
            self._things[thing.label] = thing
            return thing

    def begin(self, thread: str, doing: Doing) -> None:
        """Take note that `thread` begins with something that may take time."""
        self._doing[thread] = doing

    def add(
        self,
        thread: str,
        kind: Kind,
        began: int,
        thing: str = "",
        file: str = "",
        line: int = 0,
        function: str = "",
        data: bytes = b"",
        offset: int = 0,
        other: str = "",
        detail: str = "",
        error: str = "",
        rest: bytes = b"",
    ) -> None:
        """Take note of what has happened, and that `thread` is no longer in the middle of it."""
        where = (thing, file, line, function)
        with self._lock:
            self._doing.pop(thread, None)
            number, self._next = self._next, self._next + 1
            now = self.now()
            event = Event(number, began, now, thread, kind, *where, data, offset, other, detail, error, rest)
            self._bytes += len(data)
            self._events.append(event)
            while len(self._events) > self._max_events or self._bytes > self._max_bytes:
                self._bytes -= len(self._events.popleft().data)

    def hold(self, lock: str, thread: str) -> None:
        """Take note that `thread` has the lock now."""
        with self._lock:
            self._holders[lock] = (thread, self.now())

    def let_go(self, lock: str) -> tuple[str, int]:
        """Take note that nobody has the lock any more; return who had it, and since when."""
        with self._lock:
            return self._holders.pop(lock, ("", self.now()))

    # --- what others ask ---

    @property
    def events(self) -> list[Event]:
        """What has happened, the oldest first."""
        with self._lock:
            return list(self._events)

    @property
    def dropped(self) -> int:
        """How many events were forgotten, for want of room."""
        with self._lock:
            return self._next - len(self._events)

    @property
    def things(self) -> dict[str, Thing]:
        """What was seen, by its label."""
        with self._lock:
            return dict(self._things)

    @property
    def doing(self) -> dict[str, Doing]:
        """What each thread is in the middle of."""
        with self._lock:
            return dict(self._doing)

    @property
    def holders(self) -> dict[str, tuple[str, int]]:
        """Who holds each lock that is held, and since when (nanoseconds since the recording began)."""
        with self._lock:
            return dict(self._holders)
