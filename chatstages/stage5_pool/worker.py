"""One worker of stage 5: a thread of the pool, and the connections that it serves.

A worker waits for all of its connections at once (a selector). It appends to the log
what they have sent, and then sends each of them, without blocking, what stands after
its offset.

One turn (`_turn`): wait until a socket is readable or writable, a timer is due or
another thread wakes us; `receive` from those that have sent something; append their
lines to the log; send every member what it has not got yet; and tell the selector what
each connection wants next (`wants`: READ, unless it is throttled; WRITE, if its send
buffer is full).
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from chatstages.i18n import _
from chatstages.protocol import encode
from chatstages.protocol.names import SYSTEM
from chatstages.runtime import Event, Hook, StopSignal, Waker
from chatstages.stage5_pool.connection import (
    NOWHERE,
    READ,
    SEND_SIZE,
    WRITE,
    Connection,
)
from chatstages.stage5_pool.room import Room

BATCH = 256 << 10  # bytes that are received before they are published
ARRIVALS = 20  # newcomers in one turn, at most


class Worker:
    """One thread of the pool, and its share of the members."""

    def __init__(
        self,
        room: Room,
        stop: StopSignal,
        on_event: Hook,
        workers: list[Worker],
        announces: bool = False,
    ) -> None:
        self._room, self._stop, self._on_event = room, stop, on_event
        self._workers = workers  # all of the pool, this one too
        self._announces = announces  # whether a line says who has left
        # From the accepting thread; a deque needs no lock of ours.
        self._arrivals: deque[Connection] = deque()
        self._waker = Waker()  # when somebody has arrived or the log has grown
        # All else belongs to the thread of this worker alone.
        self._members: set[Connection] = set()
        self._timed: set[Connection] = set()  # those whose `on_timer` is due some time
        self._farewells: list[bytes] = []  # lines about who has left, to be published
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, READ)
        self._selector.register(stop, READ)

    def connection_count(self) -> int:
        """Return how many connections it has, about. Any thread may call."""
        return len(self._members) + len(self._arrivals)

    def assign(self, member: Connection) -> None:
        """Let it serve `member`. The accepting thread calls."""
        self._arrivals.append(member)
        self.wake()

    def wake(self) -> None:
        """Let it look at once whether the log has grown. Any thread may call."""
        self._waker.wake()

    def run(self) -> None:
        """Serve the members until the server is stopped, and receive once more."""
        while not self._stop.is_set():
            due = min((member.due for member in self._timed), default=None)
            self._turn(None if due is None else max(0.0, due - time.monotonic()))
        self._turn(0)

    # --- one turn ---

    def _turn(self, timeout: float | None) -> None:
        """Wait, `timeout` seconds at most; receive; append; send."""
        said: list[bytes] = []
        size = 0  # of `said`, in bytes
        ready: list[Connection] = []  # to send to: newcomers, and those with room again
        news = False  # whether another worker has appended to the log
        for key, events in self._selector.select(timeout):
            member = key.data
            if member is None:
                self._waker.drain()
                news = True
                continue
            if events & READ:
                received = member.receive(self._room.claim_name)
                said += received
                size += sum(map(len, received))
            if events & WRITE and not member.disconnected:
                member.on_writable()
                ready.append(member)
            self._update_interest(member)
            if size > BATCH:
                self._publish(said)
                said, size = [], 0
                if self._stop.is_set():
                    break
        said += self._run_timers()
        ready += self._welcome_arrivals()
        said += self._farewells
        self._farewells = []
        if said:
            self._publish(said)
        else:
            self._flush(self._members if news else ready)

    def _run_timers(self) -> list[bytes]:
        """Let those do what is due; return the lines for the log."""
        said = []
        for member in [m for m in self._timed if m.due <= time.monotonic()]:
            said += member.on_timer(self._room.claim_name)
            self._update_interest(member)
        return said

    def _welcome_arrivals(self) -> list[Connection]:
        """Begin to serve ARRIVALS newcomers at most; return them."""
        count = min(len(self._arrivals), ARRIVALS)
        arrived = [self._arrivals.popleft() for _each in range(count)]
        for member in arrived:
            self._members.add(member)
            self._on_event(Event("joined", member.address))
            self._update_interest(member)
        if self._arrivals:
            self._waker.wake()
        return arrived

    def _publish(self, said: list[bytes]) -> None:
        """Append to the log, and send it to everybody."""
        self._room.append(said)
        for worker in self._workers:
            if worker is not self:
                worker.wake()
        self._flush(self._members)

    def _flush(self, members: Iterable[Connection]) -> None:
        """Send each of `members` what stands after its offset."""
        start, end = self._room.bounds()
        offset, piece = end, bytearray()
        for member in members:
            if member.offset < start:
                member.disconnect_slow_consumer(end - member.offset)
                self._update_interest(member)
            elif member.offset < end and not member.write_blocked:
                if member.offset != offset:  # most have the same offset
                    offset = member.offset
                    piece = self._room.read(offset, SEND_SIZE)
                member.send(piece)
                if member.write_blocked:
                    self._update_interest(member)

    def _update_interest(self, member: Connection) -> None:
        """Watch `member` for what it wants; close it once it has left."""
        if member.wants != member.watched:
            if member.watched:
                self._selector.unregister(member.conn)
            if member.wants:
                self._selector.register(member.conn, member.wants, member)
            member.watched = member.wants
        if member.due:
            self._timed.add(member)
        else:
            self._timed.discard(member)
        if member.disconnected:
            self._close_disconnected(member)

    def _close_disconnected(self, member: Connection) -> None:
        if (missed := self._room.bounds()[1] - member.offset) > 0:
            reason = _("it left with {count} bytes unsent").format(count=missed)
            member.tell("dropped", reason)
        if self._announces and member.has_spoken:
            left = _("{name} left").format(name=member.name)
            self._farewells.append(encode(f"{SYSTEM} {left}\n"))
        member.offset = NOWHERE
        self._members.discard(member)
        self._room.release_name(member.name)
        member.close()

    # --- the end ---

    def flush(self, deadline: float) -> None:
        """Drain: send what was said until `deadline`, and count the rest.

        Called when `run` has returned in every worker: the log grows no more.
        """
        self._announces = False
        self._selector.unregister(self._waker)
        self._selector.unregister(self._stop)
        while self._arrivals:
            # It has not joined, so it does not leave.
            self._arrivals.popleft().conn.close()
        for member in self._members:
            member.throttled, member.due = True, 0.0
            self._update_interest(member)
        self._flush(self._members)
        self._turn_while(lambda member: member.write_blocked, deadline)
        end = self._room.bounds()[1]
        for member in self._members:
            if (missed := end - member.offset) > 0:
                reason = _("the server was stopped, {count} bytes unsent")
                member.tell("dropped", reason.format(count=missed))
            member.shutdown_write()
            self._update_interest(member)
        self._turn(0)
        self._turn_while(lambda member: member.sends_on, deadline)

    def _turn_while(
        self, condition: Callable[[Connection], bool], deadline: float
    ) -> None:
        """Take turns while it holds for any member, until `deadline`."""
        while any(map(condition, self._members)):
            if (left := deadline - time.monotonic()) <= 0:
                break
            self._turn(left)

    def close(self) -> None:
        """Close every connection, after `flush` has returned."""
        with ExitStack() as stack:  # all of it, whatever a hook may raise
            stack.callback(self._waker.close)
            stack.callback(self._selector.close)
            for member in self._arrivals:
                stack.callback(member.conn.close)
            for member in self._members:
                stack.callback(member.close)
