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
  by the log. A member so slow that the log has forgotten its position is cut off.

**Unlike stage 4:**

- On the wire a message is `name：text` and a newline (`wire.Lines`). The server puts the name there: a member
  is who it said it was first, and no two members have names that a reader could confuse.
- No thread per member, no sending from the speaker's thread, nothing that blocks while the lock is held.

**Still wrong:** nothing is encrypted, nobody proves who they are, and the log is lost when the server ends.
"""

from __future__ import annotations

import itertools
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from threading import Lock

from chatstages import wire
from chatstages.events import Address, Event, Hook, ignore
from chatstages.listener import TIMEOUT, Bell, Running, Stop, closed_on_error, reuse_address
from chatstages.locale import _
from chatstages.wire import COLON, MAX_LINE, RECV_SIZE, Lines, check_name, encode, name_key

WORKERS = 2  # threads in the pool
LOG_SIZE = 4 << 20  # bytes of conversation that are kept, at least; twice as many at most
SEND_SIZE = 256 << 10  # bytes handed to one send, at most
LEAVE_TIMEOUT = 0.5  # seconds that a leaving client gives the server to close its side

# --- the client --------------------------------------------------------------------------------------


class Client:
    """A connection to the server, and a thread that receives.

    `received` holds the last 1,000 lines that have arrived. One thread at a time may send or close.
    """

    def __init__(self, address: Address, name: str, on_event: Hook) -> None:
        self.name = check_name(name) or ""
        if not self.name:
            raise ValueError(_("This cannot be a nickname: {name}").format(name=repr(name)))
        with closed_on_error(socket.socket()) as self._sock:
            self._sock.settimeout(TIMEOUT)
            self._sock.connect(address)
        self.received: deque[str] = deque(maxlen=1_000)
        self._leaving = False
        self._receiver = Running(self._sock, partial(self._receive, address=address, on_event=on_event))

    def _receive(self, sock: socket.socket, stop: Stop, address: Address, on_event: Hook) -> None:
        for text in receive(sock, stop):
            self.received.append(text)
            on_event(Event("heard", address, text))
        sock.close()  # from here on `send` raises
        if not self._leaving:
            on_event(Event("gone", address))

    def send(self, text: str) -> None:
        """Send `text`, each of its lines as one message.

        Raises ValueError when a line is too long (MAX_LINE), OSError when the server has gone.
        """
        messages = [encode(f"{self.name}{COLON}{line}") for line in text.split("\n") if line]
        if any(len(message) > MAX_LINE for message in messages):
            raise ValueError(_("Too long: a message has at most {limit} bytes.").format(limit=MAX_LINE))
        self._sock.sendall(b"".join(message + b"\n" for message in messages))

    def close(self) -> None:
        """Leave, at once, whoever speaks or does not.

        First we say "no more" (FIN), behind the last byte sent, and hear the server out until it closes its
        side too. To close with bytes unread would tell it to throw away what we said (RST, RFC 2525 2.17).
        """
        self._leaving = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._receiver.wait(LEAVE_TIMEOUT)
        self._receiver.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def receive(conn: socket.socket, stop: Stop) -> Iterator[str]:
    """Yield each line that arrives, until the other side has left.

    A server that knows no lines (the one of stage 4) ends none: its text is taken after a pause.
    """
    lines, data = Lines(limit=1 << 20), b"?"
    while data and not stop.is_set():
        if stop.readable(conn, lines.patience):
            try:
                data = conn.recv(RECV_SIZE)  # b"" when the other side has closed
            except OSError:
                data = b""  # it was killed: for us it has left
            yield from lines.feed(data)
        else:
            yield from lines.flush()
    yield from lines.flush(final=True)


def connect(address: Address, name: str, on_event: Hook = ignore) -> Client:
    """Connect to the server at `address` (host, port) as `name`.

    Raises OSError when nobody answers there, ValueError when `name` cannot be a nickname.
    """
    return Client(address, name, on_event)


def ask_name(ask: Callable[[str], str]) -> str:
    """Ask a person for a nickname until there is one."""
    while (name := check_name(ask(_("Nickname: ")))) is None:
        pass
    return name


def chat(client: Client, ask: Callable[[str], str], show: Callable[[object], None]) -> None:
    """Let a person use the client: ask for messages and send them; `exit` leaves."""
    while (text := ask(">>> ")) != "exit":
        try:
            client.send(text)
        except ValueError as error:
            show(error)


# --- the server --------------------------------------------------------------------------------------


class Room:
    """The log, and the names in use. Any thread may call; nothing here waits but for the lock."""

    def __init__(self) -> None:
        self._lock = Lock()  # Guards _log, _start and _names.
        self._log = bytearray()  # always whole lines
        self._start = 0  # how many bytes the log has forgotten: the position at which it begins
        self._names: set[str] = set()

    def say(self, lines: str) -> None:
        """Add `lines` at the end of the log."""
        with self._lock:
            self._log += encode(lines)
            if len(self._log) > 2 * LOG_SIZE:
                forgotten = self._log.index(b"\n", len(self._log) - LOG_SIZE - 1) + 1
                del self._log[:forgotten]
                self._start += forgotten

    def span(self) -> tuple[int, int]:
        """Return the positions at which the log begins and ends."""
        with self._lock:
            return self._start, self._start + len(self._log)

    def since(self, position: int) -> bytearray:
        """Return what lies ahead of `position`, SEND_SIZE bytes at most."""
        with self._lock:
            begin = position - self._start
            return self._log[begin : begin + SEND_SIZE]

    def take_name(self, wanted: str) -> str:
        """Return `wanted`, with a number if somebody has a name that a reader could take for it."""
        with self._lock:
            names = itertools.chain([wanted], (f"{wanted}({n})" for n in itertools.count(2)))
            name = next(name for name in names if name_key(name) not in self._names)
            self._names.add(name_key(name))
            return name

    def free_name(self, name: str) -> None:
        """Let somebody else have `name`."""
        with self._lock:
            self._names.discard(name_key(name))


class Member:
    """A socket, and a position in the log. Only the worker that it was given to touches it."""

    def __init__(self, conn: socket.socket, address: Address, position: int, number: int) -> None:
        self.conn = conn
        self.address = address
        self.position = position  # up to here it has been sent the log
        self.full = False  # its socket takes no more for now
        self.lines = Lines()
        self.due = 0.0  # when the pause is over that ends a message without a newline
        self.name = f"{wire.GUEST}{number}"  # until it says who it is
        self.claim = ""  # what it writes in front of the colon


class Worker:
    """One thread of the pool, and its share of the members."""

    def __init__(self, room: Room, stop: Stop, on_event: Hook, crew: list[Worker]) -> None:
        self._room, self._stop, self._on_event, self._crew = room, stop, on_event, crew
        self._members: set[Member] = set()
        self._unfinished: set[Member] = set()  # those whose pause we wait for
        self._arrivals: deque[Member] = deque()  # from the accepting thread
        self._bell = Bell()  # rung when somebody has arrived, or the log has grown
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(stop, selectors.EVENT_READ)

    def adopt(self, member: Member) -> None:
        """Give `member` to this worker. The accepting thread calls."""
        self._arrivals.append(member)
        self._bell.ring()

    def run(self) -> None:
        """Serve the members until the server is stopped; what they have said by then is passed on."""
        while not self._stop.is_set():
            due = min((member.due for member in self._unfinished), default=None)
            self._turn(None if due is None else max(0.0, due - time.monotonic()))
        self._turn(0)

    def close(self) -> None:
        """Close every connection, after `run` has returned."""
        for member in (*self._members, *self._arrivals):
            member.conn.close()
        self._selector.close()
        self._bell.close()
        for member in self._members:
            self._on_event(Event("left", member.address))

    def _turn(self, timeout: float | None) -> None:
        """Wait until there is something to do; hear who speaks, then send everybody what lies ahead."""
        said = []
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._bell:
                self._bell.silence()
            if key.data is None:
                continue
            if events & selectors.EVENT_WRITE:
                key.data.full = False
                self._selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
            if events & selectors.EVENT_READ:
                said += self._hear(key.data)
        for member in [m for m in self._unfinished if m.due <= time.monotonic()]:
            self._unfinished.discard(member)
            said += self._stamp(member, member.lines.flush())
        if said:
            self._room.say("".join(said))
            for worker in self._crew:
                if worker is not self:
                    worker._bell.ring()
        self._welcome()
        self._deliver()

    def _welcome(self) -> None:
        while self._arrivals:
            member = self._arrivals.popleft()
            self._members.add(member)
            self._selector.register(member.conn, selectors.EVENT_READ, member)
            self._on_event(Event("joined", member.address))

    def _hear(self, member: Member) -> list[str]:
        """Receive once from `member`; return the lines for the log."""
        try:
            data = member.conn.recv(RECV_SIZE)  # b"" when it has closed its side
        except BlockingIOError:
            return []
        except OSError:
            data = b""  # it was killed: for us it has left
        refused = member.lines.too_long
        messages = member.lines.feed(data)
        if member.lines.too_long > refused:
            self._refuse(member)
        if not data:
            messages += member.lines.flush(final=True)
        said = self._stamp(member, messages)
        if not data:
            self._leave(member)
        elif member.lines.raw and member.lines.waiting:
            member.due = time.monotonic() + wire.RAW_PAUSE
            self._unfinished.add(member)
        else:
            self._unfinished.discard(member)
        return said

    def _stamp(self, member: Member, messages: list[str]) -> list[str]:
        """Return the lines that everybody will see: whose they are is our word, not the sender's."""
        stamped = []
        for message in filter(None, messages):
            written, colon, text = message.partition(COLON)
            if colon and not member.claim and (name := check_name(written)):
                member.claim, member.name = written, self._room.take_name(name)
            said = text if colon and written == member.claim else message
            stamped.append(f"{member.name}{COLON}{said}\n")
            self._on_event(Event("said", member.address, stamped[-1]))
        return stamped

    def _refuse(self, member: Member) -> None:
        """Tell `member` that a message of it was too long to be passed on."""
        reason = _("Too long: a message has at most {limit} bytes.").format(limit=MAX_LINE)
        self._on_event(Event("refused", member.address, reason))
        if not member.full:  # else it has been sent half a line, and this would stand in the middle
            with suppress(OSError):
                member.conn.send(encode(f"{wire.SYSTEM} {reason}\n"))

    def _deliver(self) -> None:
        """Send every member what lies ahead of it."""
        start, end = self._room.span()
        for member in list(self._members):
            if member.position < start:
                self._on_event(Event("dropped", member.address, _("it does not read what is sent to it")))
                self._leave(member)
            elif member.position < end and not member.full:
                self._send(member)

    def _send(self, member: Member) -> None:
        try:
            while data := self._room.since(member.position):
                member.position += member.conn.send(data)
        except BlockingIOError:
            member.full = True
            self._selector.modify(member.conn, selectors.EVENT_READ | selectors.EVENT_WRITE, member)
        except OSError:
            self._leave(member)  # it was killed

    def _leave(self, member: Member) -> None:
        self._members.discard(member)
        self._unfinished.discard(member)
        self._selector.unregister(member.conn)
        self._room.free_name(member.name)
        member.conn.close()
        self._on_event(Event("left", member.address))


def run_room(server: socket.socket, stop: Stop, on_event: Hook, workers: int) -> None:
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
        for number, worker in enumerate(itertools.cycle(crew), start=1):
            client = stop.accept(server)
            if client is None:
                break
            conn, address = client
            conn.setblocking(False)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            worker.adopt(Member(conn, address, room.span()[1], number))
        for job in jobs:
            job.result()  # an error in a pool waits here, in its Future, until somebody asks


def serve(host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore, workers: int = WORKERS) -> Running:
    """Start a server for a group, on any free port if `port` is 0, and return it running.

    `workers` is the number of threads in its pool. Raises OSError when the address cannot be had.
    """
    with closed_on_error(socket.socket()) as server:
        reuse_address(server)
        server.bind((host, port))
        server.listen()
        return Running(server, partial(run_room, on_event=on_event, workers=workers))


def main() -> int:
    """Run the server or the client in a terminal."""
    from chatstages.cli import stage_main  # the terminal's side: arguments, keyboard, Ctrl-C

    return stage_main(5)


if __name__ == "__main__":
    raise SystemExit(main())
