"""One thread of the pool of stage 5, and the connections that it serves.

A worker waits for all its connections at once (a selector). It appends to the log what they have sent, and
then sends each of them, without waiting, what lies ahead of its offset.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Iterable
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

BATCH = (
    256 << 10
)  # bytes that are received before they are published: a small part of the log
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
        self._room, self._stop, self._on_event, self._workers = (
            room,
            stop,
            on_event,
            workers,
        )
        self._announces = announces  # whether the members are told who has left
        self._arrivals: deque[Connection] = (
            deque()
        )  # from the accepting thread; it needs no lock of ours
        self._waker = (
            Waker()
        )  # woken, by any thread, when somebody has arrived or the log has grown
        # All else belongs to the thread of this worker alone.
        self._members: set[Connection] = set()
        self._timed: set[Connection] = set()  # those to look at again at a certain time
        self._farewells: list[
            bytes
        ] = []  # lines that say who has left, not published yet
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, READ)
        self._selector.register(stop, READ)

    def connection_count(self) -> int:
        """Return how many members this worker has, about: any thread may ask."""
        return len(self._members) + len(self._arrivals)

    def assign(self, member: Connection) -> None:
        """Give `member` to this worker. The accepting thread calls."""
        self._arrivals.append(member)
        self.wake()

    def wake(self) -> None:
        """Let it look at once whether the log has grown. Any thread may call."""
        self._waker.wake()

    def run(self) -> None:
        """Serve the members until the server is stopped; what they have said by then is in the log."""
        while not self._stop.is_set():
            due = min((member.due for member in self._timed), default=None)
            self._turn(None if due is None else max(0.0, due - time.monotonic()))
        self._turn(0)

    def _turn(self, timeout: float | None) -> None:
        """Wait until there is something to do; hear who speaks, then send everybody what lies ahead."""
        said: list[bytes] = []
        size = 0  # of `said`, in bytes
        ready: list[
            Connection
        ] = []  # newcomers, and those whose sockets have room again
        news = False  # whether others have added to the log
        for key, events in self._selector.select(timeout):
            member = key.data
            if member is None:
                self._waker.drain()
                news = True
                continue
            if events & WRITE:
                member.on_writable()
                ready.append(member)
            if events & READ:
                heard = member.receive(self._room.claim_name)
                said += heard
                size += sum(map(len, heard))
            self._update_interest(member)
            if size > BATCH:
                self._publish(said)
                said, size = [], 0
                if self._stop.is_set():
                    break
        for member in [m for m in self._timed if m.due <= time.monotonic()]:
            said += member.on_timer(self._room.claim_name)
            self._update_interest(member)
        for _each in range(min(len(self._arrivals), ARRIVALS)):
            ready.append(self._welcome(self._arrivals.popleft()))
        if self._arrivals:
            self._waker.wake()
        said += self._farewells
        self._farewells = []
        if said:
            self._publish(said)
        else:
            self._flush(self._members if news else ready)

    def _publish(self, said: list[bytes]) -> None:
        """Add to the log, and let everybody have it."""
        self._room.append(said)
        for worker in self._workers:
            if worker is not self:
                worker.wake()
        self._flush(self._members)

    def _welcome(self, member: Connection) -> Connection:
        self._members.add(member)
        self._on_event(Event("joined", member.address))
        self._update_interest(member)
        return member

    def _flush(self, members: Iterable[Connection]) -> None:
        """Send each of `members` what lies ahead of it."""
        start, end = self._room.bounds()
        place, piece = end, bytearray()
        for member in members:
            if member.offset < start:
                member.disconnect_slow_consumer(end - member.offset)
                self._update_interest(member)
            elif member.offset < end and not member.write_blocked:
                if member.offset != place:  # most are at the same place
                    place, piece = (
                        member.offset,
                        self._room.read(member.offset, SEND_SIZE),
                    )
                member.send(piece)
                if member.write_blocked:
                    self._update_interest(member)

    def _update_interest(self, member: Connection) -> None:
        """Watch `member` for what it wants now, note whether it is due some time; let go who is gone."""
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

    def flush(self, deadline: float) -> None:
        """Send the members what they have not seen yet, until `deadline`; say who has missed something.

        Called when `run` has returned in every worker: the log grows no more, and nobody is heard any more.
        """
        self._announces = False
        self._selector.unregister(self._waker)
        self._selector.unregister(self._stop)
        while self._arrivals:
            self._arrivals.popleft().conn.close()  # it has not joined, so it does not leave
        for member in self._members:
            member.throttled, member.due = True, 0.0
            self._update_interest(member)
        self._flush(self._members)
        while (
            any(member.write_blocked for member in self._members)
            and (left := deadline - time.monotonic()) > 0
        ):
            self._turn(left)
        end = self._room.bounds()[1]
        for member in self._members:
            if member.offset < end:
                reason = _("the server was stopped, {count} bytes unsent").format(
                    count=end - member.offset
                )
                member.tell("dropped", reason)
            member.shutdown_write()
            self._update_interest(member)
        self._turn(0)
        while (
            any(member.sends_on for member in self._members)
            and (left := deadline - time.monotonic()) > 0
        ):
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
