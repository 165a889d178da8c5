"""Stage 5: rigorous. One log, one lock, one pool.

Members have names, a message is a line, everybody sees the same lines in the same order, and nobody can
stall the room, whatever they do or fail to do.

    python -m chatstages.stage5_pool server
    python -m chatstages.stage5_pool client

The idea: the room is a **log**, the bytes of everything said, one line after the other. A member is a socket
and a position in the log: what lies behind the position has been sent to it, what lies ahead has not.

- What a member says is added at the end of the log, under the one **lock**. So there is one order.
- The members are shared out among a fixed **pool** of threads. Each waits for all its members at once (a
  selector), and sends each as much of what lies ahead of it as its socket takes, without waiting.
- So a slow member costs a number, not a thread; a busy room sends many lines at once; and memory is bounded
  by the log. A member so slow that the log has forgotten its position is cut off, and told why.

**Unlike stage 4:**

- On the wire a message is `name：text` and a newline (`wire.Lines`). The server puts the name there: a member
  is who it said it was first, and no two members have names that a reader could confuse.
- No thread per member, no sending from the speaker's thread, nothing that blocks while the lock is held.
- Who says more than the room can follow is listened to more slowly. Who has vanished is noticed.
- Read `stage5_room` first, the log and its lock. What concerns one connection alone is in `stage5_member`;
  the client is in `stage5_client`.

**Still wrong:** nothing is encrypted, nobody proves who they are, and the log is lost when the server ends.
"""

from __future__ import annotations

import itertools
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from chatstages.events import Event, Hook, ignore
from chatstages.listener import Bell, Running, Stop, closed_on_error, reuse_address
from chatstages.locale import _
from chatstages.stage5_client import Client, ask_name, chat, connect
from chatstages.stage5_member import NOWHERE, READ, WRITE, Member
from chatstages.stage5_room import Room
from chatstages.wire import GUEST

__all__ = ["Client", "Member", "Room", "Worker", "ask_name", "chat", "connect", "main", "run_room", "serve"]

WORKERS = 1  # threads in the pool; with a GIL more are slower: `python -m benchmarks`
BATCH = 256 << 10  # bytes that are heard before they are passed on: a small part of the log
ARRIVALS = 20  # newcomers in one turn, at most
FLUSH_TIMEOUT = 0.5  # seconds that a server which is stopped takes to send what has been said
BACKLOG = 1_024  # clients that may wait to be accepted

# Windows has no selector but select(), and that takes 512 sockets.
MAX_SHARE = 500 if selectors.DefaultSelector.__name__ == "SelectSelector" else sys.maxsize


class Worker:
    """One thread of the pool, and its share of the members."""

    def __init__(self, room: Room, stop: Stop, on_event: Hook, crew: list[Worker]) -> None:
        self._room, self._stop, self._on_event, self._crew = room, stop, on_event, crew
        self._arrivals: deque[Member] = deque()  # from the accepting thread; a deque needs no lock of ours
        self._bell = Bell()  # rung, by any thread, when somebody has arrived or the log has grown
        # All else belongs to the thread of this worker alone.
        self._members: set[Member] = set()
        self._timed: set[Member] = set()  # those to look at again at a certain time
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, READ)
        self._selector.register(stop, READ)

    def share(self) -> int:
        """Return how many members this worker has, about: any thread may ask."""
        return len(self._members) + len(self._arrivals)

    def adopt(self, member: Member) -> None:
        """Give `member` to this worker. The accepting thread calls."""
        self._arrivals.append(member)
        self._bell.ring()

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
        ready: list[Member] = []  # newcomers, and those whose sockets have room again
        news = False  # whether others have added to the log
        for key, events in self._selector.select(timeout):
            member = key.data
            if member is None:
                self._bell.silence()
                news = True
                continue
            if events & WRITE:
                member.has_room()
                ready.append(member)
            if events & READ:
                heard = member.hear(self._room.take_name)
                said += heard
                size += sum(map(len, heard))
            self._settle(member)
            if size > BATCH:
                self._pass_on(said)
                said, size = [], 0
                if self._stop.is_set():
                    break
        for member in [m for m in self._timed if m.due <= time.monotonic()]:
            said += member.look_again(self._room.take_name)
            self._settle(member)
        for _each in range(min(len(self._arrivals), ARRIVALS)):
            ready.append(self._welcome(self._arrivals.popleft()))
        if self._arrivals:
            self._bell.ring()
        if said:
            self._pass_on(said)
        else:
            self._deliver(self._members if news else ready)

    def _pass_on(self, said: list[bytes]) -> None:
        """Add to the log, and let everybody have it."""
        self._room.say(said)
        for worker in self._crew:
            if worker is not self:
                worker._bell.ring()
        self._deliver(self._members)

    def _welcome(self, member: Member) -> Member:
        self._members.add(member)
        self._on_event(Event("joined", member.address))
        self._settle(member)
        return member

    def _deliver(self, members: Iterable[Member]) -> None:
        """Send each of `members` what lies ahead of it."""
        start, end = self._room.span()
        place, piece = end, bytearray()
        for member in members:
            if member.position < start:
                member.cut_off(end - member.position)
                self._settle(member)
            elif member.position < end and not member.full:
                if member.position != place:  # most are at the same place
                    place, piece = member.position, self._room.since(member.position)
                member.send(piece)
                if member.full:
                    self._settle(member)

    def _settle(self, member: Member) -> None:
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
        if member.gone:
            if (missed := self._room.span()[1] - member.position) > 0:
                reason = _("it left with {count} bytes unsent").format(count=missed)
                self._on_event(Event("dropped", member.address, reason))
            member.position = NOWHERE
            self._members.discard(member)
            self._room.free_name(member.name)
            member.close()

    def flush(self, deadline: float) -> None:
        """Send the members what they have not seen yet, until `deadline`; say who has missed something.

        Called when `run` has returned in every worker: the log grows no more, and nobody is heard any more.
        """
        self._selector.unregister(self._bell)
        self._selector.unregister(self._stop)
        while self._arrivals:
            self._arrivals.popleft().conn.close()  # it has not joined, so it does not leave
        for member in self._members:
            member.resting, member.due = True, 0.0
            self._settle(member)
        self._deliver(self._members)
        while any(member.full for member in self._members) and (left := deadline - time.monotonic()) > 0:
            self._turn(left)
        end = self._room.span()[1]
        for member in self._members:
            if member.position < end:
                reason = _("the server was stopped, {count} bytes unsent").format(count=end - member.position)
                self._on_event(Event("dropped", member.address, reason))
            member.hang_up()
            self._settle(member)
        self._turn(0)
        while any(member.talking for member in self._members) and (left := deadline - time.monotonic()) > 0:
            self._turn(left)

    def close(self) -> None:
        """Close every connection, after `flush` has returned."""
        with ExitStack() as stack:  # all of it, whatever a hook may raise
            stack.callback(self._bell.close)
            stack.callback(self._selector.close)
            for member in self._arrivals:
                stack.callback(member.conn.close)
            for member in self._members:
                stack.callback(member.close)


def run_room(server: socket.socket, stop: Stop, on_event: Hook, workers: int, history: int) -> None:
    """Accept members, and share them out among the workers, until the server is stopped."""
    room = Room()
    crew: list[Worker] = []
    crew += [Worker(room, stop, on_event, crew) for _ in range(workers)]
    with ExitStack() as stack:
        for worker in crew:
            stack.callback(worker.close)
        pool = stack.enter_context(ThreadPoolExecutor(workers, "worker"))
        jobs = [pool.submit(worker.run) for worker in crew]
        for job in jobs:
            # A worker that fails takes the server along: half a room that hears nothing would be worse.
            job.add_done_callback(lambda _: stop.set())
        for number in itertools.count(1):
            client = stop.accept(server)
            if client is None:
                break
            worker = min(crew, key=Worker.share)
            member = Member(*client, room.place_for_newcomer(history), f"{GUEST}{number}", on_event)
            if worker.share() >= MAX_SHARE:
                member.turn_away()
            elif member.prepare():
                worker.adopt(member)
        for job in jobs:
            job.result()  # an error in a pool waits here, in its Future, until somebody asks
        deadline = time.monotonic() + FLUSH_TIMEOUT
        for job in [pool.submit(worker.flush, deadline) for worker in crew]:
            job.result()


def serve(
    host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore, workers: int = WORKERS, history: int = 0
) -> Running:
    """Start a server for a group, on any free port if `port` is 0, and return it running.

    `workers` is the number of threads in its pool; a newcomer first gets the last `history` lines.
    Raises OSError when the address cannot be had, ValueError for less than one worker or no line.
    """
    if workers < 1 or history < 0:
        raise ValueError(f"workers={workers}, history={history}")
    with closed_on_error(socket.socket()) as server:
        reuse_address(server)
        server.bind((host, port))
        server.listen(BACKLOG)
        return Running(server, partial(run_room, on_event=on_event, workers=workers, history=history))


def main() -> int:
    """Run the server or the client in a terminal."""
    from chatstages.cli import stage_main  # the terminal's side: arguments, keyboard, Ctrl-C

    return stage_main(5)


if __name__ == "__main__":
    raise SystemExit(main())
