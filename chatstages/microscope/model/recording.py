"""The recording: trace events, the things that they happened to, and the calls that are going on.

A recording touches no socket, lock or thread: the probes tell it what they saw. Findings and pictures are
made from a recording alone.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

MAX_EVENTS = 100_000  # events kept; older ones are dropped, and counted
MAX_HEARD = 16  # sockets that are noted of each thread
MAX_BYTES = 64 << 20  # bytes of sent and received data, in all kept events together

# By the address of its socket: who a client is, where whoever has started it has said so.
names_of_clients: dict[object, str] = {}
# All of them, to be told of further names. A recording keeps those of clients that have left meanwhile: the
# system may give their addresses to others, who must not be called so later.
recordings: weakref.WeakSet[Recording] = weakref.WeakSet()

TraceKind = Literal[
    # sockets
    "bind",
    "listen",
    "connect",
    "accept",  # `other` is the new connection
    "send",
    "recv",  # without data and without error: the peer has closed
    "shutdown",
    "close",
    "settimeout",
    "select",  # waited for the sockets named in `detail`, separated by ", "; `other`: those that were ready
    # threads
    "start",  # `other` is the new thread
    "run",  # the whole life of a thread
    "task",  # a whole job of a thread pool; `thing` is the pool
    # locks, conditions, events, semaphores
    "acquire",  # `began` to `ended`: the wait for the lock; `detail` is "not acquired" where it was given up
    "release",  # `began` to `ended`: the time for which the lock was held
    "wait",  # on a Condition, an Event, …; `detail`: "join" (a thread), "get", "put" (a queue), "result"
    "notify",  # or set
]


class TraceEvent(NamedTuple):
    """One call that has ended, on one thread, in the code that is watched."""

    number: int  # from 0, in the order in which the calls ended
    began: int  # nanoseconds since the recording began
    ended: int  # likewise
    thread: str  # that made the call: the label of a Thing
    kind: TraceKind
    thing: str = ""  # on which the call was made: the label of a Thing
    file: str = ""  # the innermost place in the watched code
    line: int = 0
    function: str = ""
    data: bytes = b""  # what was sent or received
    offset: int = 0  # of the first byte of `data` in its stream (all that `thing` has sent, or has received)
    other: str = ""  # the label of a second Thing that takes part
    detail: str = ""  # an address, a timeout, and the like
    error: str = ""  # the exception that the call raised, such as "ConnectionResetError: …"
    rest: bytes = b""  # of a short write: the beginning of what was not taken

    @property
    def seconds(self) -> float:
        """How long the call took."""
        return (self.ended - self.began) / 1e9


@dataclass
class Thing:
    """A thread, socket, lock, … of the watched code."""

    label: (
        str  # "socket 2", "lock 1", "main", "thread 3": numbered in the order in which they were first seen
    )
    what: str  # "socket", "thread", "pool", "lock", "condition", "event", "semaphore", "barrier", "queue", …
    file: str = ""  # where it was made
    line: int = 0
    maker: str = ""  # the label of the thread that made it, where that is known
    name: str = (
        ""  # a thread's own name or its function's; the variable that a lock or socket was assigned to
    )
    # Of a socket:
    role: str = ""  # "listener", "client" (it connected), "server" (it was accepted), "pair"
    local: object = None  # its address
    remote: object = None  # the address of its peer
    peer: str = ""  # the label of the other end of its connection, where that is watched too
    sent: int = 0  # bytes
    received: int = 0  # bytes
    closed: bool = False
    datagram: bool = False  # it carries no stream: UDP, for example
    # Of a thread:
    daemon: bool = False  # Python exits without waiting for it
    is_named: bool = False  # the program has given it its `name`; or its label is a name, not a number
    works: bool = False  # it has run watched code
    heard: tuple[str, ...] = ()  # the sockets from which it receives; the first MAX_HEARD

    @property
    def is_of_program(self) -> bool:
        """Whether a thread was started by watched code, or has run some: Jupyter's own threads were not."""
        return self.works or bool(self.file)


class OngoingCall(NamedTuple):
    """A call that a thread has begun and not ended."""

    kind: TraceKind
    thing: str
    since: int  # nanoseconds since the recording began
    file: str
    line: int
    function: str
    detail: str = ""
    size: int = 0  # bytes that it is to send


class Recording:
    """Trace events, things, and the calls that are going on. Any thread may call."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        # Guards all fields below. It is reentrant, since a finalizer or a signal handler may interrupt the
        # thread that holds it, and record something itself. It is a real lock: nothing in here is watched.
        self._lock = threading.RLock()
        self._events: deque[TraceEvent] = deque()
        self._things: dict[str, Thing] = {}
        self._counts: dict[str, int] = {}  # how many things of each sort there have been
        self._ongoing: dict[str, OngoingCall] = {}  # by thread
        self._holders: dict[str, tuple[str, int]] = {}  # of each held lock: the thread, and since when
        self.clients = dict(names_of_clients)
        self._next = 0
        self._bytes = 0
        self._max_events, self._max_bytes = max_events, max_bytes
        self._zero = time.perf_counter_ns()
        self._stopped: int | None = None  # the time at which it ended
        recordings.add(self)

    @classmethod
    def restored(
        cls,
        events: list[TraceEvent],
        things: list[Thing],
        ongoing_calls: dict[str, OngoingCall],
        holders: dict[str, tuple[str, int]],
        dropped: int,
        now: int,
        clients: dict[object, str],
    ) -> Recording:
        """Return a recording that has ended, from its parts."""
        self = cls(max(MAX_EVENTS, len(events)))
        self._events.extend(events)
        self._things = {thing.label: thing for thing in things}
        self._ongoing, self._holders = ongoing_calls, holders
        self.clients = clients
        self._next, self._stopped = dropped + len(events), now
        return self

    def now(self) -> int:
        """Return the time in nanoseconds since the recording began; after its end, the time of its end."""
        return time.perf_counter_ns() - self._zero if self._stopped is None else self._stopped

    def stop(self) -> None:
        """End the recording. Calls that have not ended by now stay in `ongoing_calls`."""
        with self._lock:
            self._stopped = self.now()

    def name_client(self, address: object, name: str) -> None:
        """Call the client with this address `name`, unless the recording has ended."""
        if self._stopped is None:
            self.clients[address] = name

    # --- what the probes call ---

    def new_thing(self, what: str, label: str = "", **facts: object) -> Thing:
        """Add a thing and return it; without a `label` it gets the next number of its sort."""
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1
            thing = Thing(label or f"{what} {self._counts[what]}", what, **facts)  # type: ignore[arg-type]
            self._things[thing.label] = thing
            return thing

    def begin_call(self, thread: str, call: OngoingCall) -> None:
        """Make `call` the one that `thread` is in, until its event is added."""
        self._ongoing[thread] = call
        self._note(thread, call.kind, call.thing, call.file)

    def _note(self, thread: str, kind: TraceKind, thing: str, file: str) -> None:
        """Note what shows what `thread` is there for. Only that thread changes these fields."""
        found = self._things.get(thread)
        if found is not None:
            found.works = found.works or bool(file)
            if kind == "recv" and thing not in found.heard and len(found.heard) < MAX_HEARD:
                found.heard += (thing,)

    def add(
        self,
        thread: str,
        kind: TraceKind,
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
        """Add the event of a call that ends now; `thread` is in no call any more."""
        where = (thing, file, line, function)
        with self._lock:
            self._ongoing.pop(thread, None)
            self._note(thread, kind, thing, file)
            number, self._next = self._next, self._next + 1
            now = self.now()
            self._events.append(
                TraceEvent(number, began, now, thread, kind, *where, data, offset, other, detail, error, rest)
            )
            self._bytes += len(data)
            while len(self._events) > self._max_events or self._bytes > self._max_bytes:
                self._bytes -= len(self._events.popleft().data)

    def set_holder(self, lock: str, thread: str) -> None:
        """Make `thread` the holder of `lock`, from now on."""
        with self._lock:
            self._holders[lock] = (thread, self.now())

    def clear_holder(self, lock: str) -> tuple[str, int]:
        """Make `lock` free; return who held it, and since when ("" and now, where nobody did)."""
        with self._lock:
            return self._holders.pop(lock, ("", self.now()))

    # --- what findings and pictures read ---

    @property
    def events(self) -> list[TraceEvent]:
        """The events that are kept, the oldest first."""
        with self._lock:
            return list(self._events)

    @property
    def dropped(self) -> int:
        """How many of the oldest events were dropped, because there were more than are kept."""
        with self._lock:
            return self._next - len(self._events)

    @property
    def things(self) -> dict[str, Thing]:
        """All things, by label."""
        with self._lock:
            return dict(self._things)

    @property
    def ongoing_calls(self) -> dict[str, OngoingCall]:
        """The call that each thread is in, by the thread's label; a thread that is in none is left out."""
        with self._lock:
            return dict(self._ongoing)

    @property
    def holders(self) -> dict[str, tuple[str, int]]:
        """Of each held lock the holding thread, and since when (nanoseconds since the recording began)."""
        with self._lock:
            return dict(self._holders)
