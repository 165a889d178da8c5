"""One worker of stage 5: a thread of the pool, and the connections that it serves.

A worker waits for all of its connections at once (a selector). It appends to the log
what they have sent, and then sends each of them, without blocking, what stands after
its offset.

One turn (`_turn`): wait until a socket is readable or writable, a timer is due or
another thread wakes us; `receive` from those that have sent something; append their
lines to the log; send every member what it has not got yet.

Nearly all members are up to date: all that stands before the worker's own offset has
been sent to them. So what the log has grown by is read once, and sent to each. Those
whose send buffer is full are behind, with an offset of their own, until they catch up.
"""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

from chatstages.i18n import _
from chatstages.runtime import Event, Waker
from chatstages.runtime.event_queue import EventQueue, Lines
from chatstages.stage5_pool.connection import (
    CLOSED,
    READ,
    WRITE,
    Connection,
    send_to_all,
    system_line,
)
from chatstages.stage5_pool.room import Room

BATCH = 256 << 10  # bytes that are published at once, about
BATCH_LINES = 4_096  # lines that are received before they are published
SAFE_LINES = 64  # lines of any length that are not more than may be published at once
SEND_SIZE = 256 << 10  # bytes of one send, at most
ARRIVALS = 20  # newcomers in one turn, at most


class Worker:
    """One thread of the pool, and its share of the members."""

    def __init__(self, room: Room, events: EventQueue, announces: bool = False) -> None:
        self._room, self._events = room, events
        self._announces = announces  # whether a line says who has left
        # From the accepting thread; a deque needs no lock of ours.
        self._arrivals: deque[Connection] = deque()
        self._waker = Waker()  # when somebody has arrived, the log has grown, the end
        self._stopping = False
        self._deadline = math.inf  # for what is still to be done after `stop`
        # All else belongs to the thread of this worker alone.
        self._connections: set[Connection] = set()
        # They have the log up to _offset.
        self._up_to_date: dict[Connection, socket.socket] = {}
        self._offset = room.bounds()[1]
        self._behind: set[Connection] = set()  # they have less
        self._timed: set[Connection] = set()  # those whose `on_timer` is due some time
        self._changed: list[Connection] = []  # those whose state has
        self._happened: list[Event | Lines] = []  # what the hook is to be told
        self._size = 0  # bytes of text in that
        self._watched: dict[Connection, int] = {}  # for what the selector watches them
        self._farewells: list[bytes] = []  # lines about who has left, to be published
        self._left: list[str] = []  # the names of these, to be released then
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, READ)
        room.subscribe(self._waker)

    def connection_count(self) -> int:
        """Return how many connections it has, about. Any thread may call."""
        return len(self._connections) + len(self._arrivals)

    def assign(self, connection: Connection) -> None:
        """Let it serve `connection`. The accepting thread calls."""
        self._arrivals.append(connection)
        self._waker.wake()

    def stop(self) -> None:
        """Let `run` return. Any thread may call; nobody is assigned any more."""
        self._stopping = True
        self._waker.wake()

    def run(self) -> None:
        """Serve the members until `stop`."""
        while not self._stopping:
            due = min((each.due for each in self._timed), default=None)
            self._turn(None if due is None else max(0.0, due - time.monotonic()))

    # --- one turn ---

    def _turn(self, timeout: float | None) -> bool:
        """Wait, `timeout` seconds at most; receive; append; send.

        Return whether anything was ready.
        """
        said: list[bytes] = []
        ready = self._selector.select(timeout)
        for key, events in ready:
            connection = key.data
            if connection is None:
                self._waker.drain()
                continue
            if events & WRITE:
                self._send_rest(connection)
            if events & READ:
                said += connection.receive()
            if len(said) > BATCH_LINES:
                self._publish(said)
                said = []
            if self._stopping and time.monotonic() > self._deadline:
                break
        self._settle()
        said += self._run_timers()
        self._settle()
        said += self._farewells
        self._publish(said)
        self._farewells.clear()
        for name in self._left:  # not before all have been told that it has left
            self._room.release_name(name)
        self._left.clear()
        if self._arrivals:
            self._welcome_arrivals()
        self._tell()
        return bool(ready)

    def _run_timers(self) -> list[bytes]:
        """Let those do what is due; return the lines for the log."""
        said = []
        now = time.monotonic()
        for connection in [each for each in self._timed if each.due <= now]:
            said += connection.on_timer()
        return said

    def _welcome_arrivals(self) -> None:
        """Begin to serve ARRIVALS newcomers at most."""
        tell = self._happened.append if self._events.is_used else None
        count = min(len(self._arrivals), ARRIVALS)
        arrived = [self._arrivals.popleft() for _each in range(count)]
        self._flush()  # up to where the newcomers begin, at least
        for connection in arrived:
            self._connections.add(connection)
            connection.attach(self._changed.append, tell)
            self._send_rest(connection)
            if self._stopping:
                connection.drain()
        self._settle()
        if self._arrivals:
            self._waker.wake()

    def _publish(self, said: list[bytes]) -> None:
        """Append to the log, and send it to everybody."""
        size = sum(map(len, said))
        step = SAFE_LINES if size > BATCH else len(said)
        for begin in range(0, len(said), step or 1):
            self._room.append(said[begin : begin + step], self._waker)
            self._flush()
            if size > BATCH:
                for connection in list(self._behind):  # the log must not outrun them
                    self._send_rest(connection)
        if not said:
            self._flush()
        self._size += size

    def _tell(self) -> None:
        """Let the hook be told what has happened."""
        if self._happened:
            self._events.put(self._happened, self._size)
            self._happened.clear()
        self._size = 0

    def _flush(self) -> None:
        """Send what the log has grown by to all who are up to date."""
        self._settle()
        self._check_offset()
        while news := self._room.read(self._offset, SEND_SIZE):
            send_to_all(self._up_to_date, self._offset, news)
            self._offset += len(news)
            self._settle()
        if self._behind:
            self._disconnect_slow_consumers()

    def _check_offset(self) -> None:
        """Nobody is up to date any more if this worker itself is too late for that."""
        start, _end = self._room.bounds()
        if self._offset < start:
            for connection in self._up_to_date:
                connection.fall_behind(self._offset)
            self._offset = start
            self._settle()

    def _disconnect_slow_consumers(self) -> None:
        """Disconnect those of whose lines the log no longer holds all."""
        start, end = self._room.bounds()
        for connection in self._behind:
            if connection.unsent(end) > end - start:
                connection.disconnect_slow_consumer(connection.unsent(end))
        self._settle()

    def _send_rest(self, connection: Connection) -> None:
        """Send it what it has not got yet: its send buffer has room again."""
        offset = connection.offset
        if not connection.on_writable() or offset is None or not connection.takes_log:
            return
        size = min(self._offset - offset, SEND_SIZE)
        if size >= 0:
            piece = self._room.read(offset, size)
            connection.catch_up(piece, more=offset + len(piece) < self._offset)
        else:
            connection.fall_behind(offset)  # it begins ahead of us: next turn

    # --- who is where ---

    def _settle(self) -> None:
        """Take note of those whose state has changed."""
        for connection in self._changed:
            if connection in self._connections:
                self._update(connection)
        self._changed.clear()

    def _update(self, connection: Connection) -> None:
        """Watch it for what it wants, send it what it can take, close it at the end."""
        self._watch(connection)
        (self._timed.add if connection.due else self._timed.discard)(connection)
        self._up_to_date.pop(connection, None)
        self._behind.discard(connection)
        if connection.state is CLOSED:
            self._close(connection)
        elif connection.takes_log:
            if connection.offset is None and connection.write_blocked:
                connection.fall_behind(self._offset)
            if connection.offset is None:
                self._up_to_date[connection] = connection.sock
            else:
                self._behind.add(connection)

    def _watch(self, connection: Connection) -> None:
        """Tell the selector for what to watch it."""
        before, wanted = self._watched.get(connection, 0), connection.interest
        if before != wanted:
            if before:
                self._selector.unregister(connection.sock)
            if wanted:
                self._selector.register(connection.sock, wanted, connection)
            self._watched[connection] = wanted

    def _close(self, connection: Connection) -> None:
        """Let go of a peer that has closed its side."""
        if missed := connection.unsent(self._room.bounds()[1]):
            reason = _("it left with {count} bytes unsent").format(count=missed)
            connection.tell("dropped", reason)
        member = connection.member
        if self._announces and member.has_spoken:
            left = _("{name} left").format(name=member.name)
            self._farewells.append(system_line(left))
        self._connections.discard(connection)
        self._watched.pop(connection, None)
        self._left.append(member.name)
        connection.close()

    # --- the end: drain ---

    def drain(self, deadline: float) -> None:
        """Receive all that has arrived, without throttling, and publish it.

        Called when `run` has returned: nobody is assigned any more.
        """
        self._deadline = deadline
        for connection in self._connections:
            connection.drain()
        self._settle()
        while self._turn(0) and time.monotonic() < deadline:
            pass
        last = [line for each in self._connections for line in each.stop_receiving()]
        self._announces = False  # from here on nobody leaves, but all are disconnected
        self._publish(last)

    def flush(self, deadline: float) -> None:
        """Send what was said until `deadline`, count the rest, and half-close.

        Called when `drain` has returned in every worker: the log grows no more.
        """
        self._deadline = deadline
        while self._arrivals:
            connection = self._arrivals.popleft()
            connection.attach(self._changed.append, self._happened.append)
            connection.close()  # it counts what has come from it
        self._publish([])
        self._turn_while(lambda: bool(self._behind), deadline)
        end = self._room.bounds()[1]
        for connection in self._connections:
            if missed := connection.unsent(end):
                reason = _("the server was stopped, {count} bytes unsent")
                connection.tell("dropped", reason.format(count=missed))
            connection.shutdown_write()
        self._turn(0)
        self._turn_while(lambda: any(e.discards for e in self._connections), deadline)

    def _turn_while(self, condition: Callable[[], bool], deadline: float) -> None:
        """Take turns while it holds, until `deadline`."""
        while condition() and (left := deadline - time.monotonic()) > 0:
            self._turn(left)

    def close(self) -> None:
        """Close every connection, after `flush` has returned."""
        with ExitStack() as stack:  # all of it, whatever may be raised
            stack.callback(self._tell)
            stack.callback(self._waker.close)
            stack.callback(self._selector.close)
            for connection in self._arrivals:
                stack.callback(connection.sock.close)
            for connection in self._connections:
                stack.callback(connection.close)
