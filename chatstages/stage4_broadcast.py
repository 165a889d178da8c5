"""Stage 4: a group.

What one member says, every member receives, the speaker too: so it knows that its words have arrived.

    python -m chatstages.stage4_broadcast server
    python -m chatstages.stage4_broadcast client

**Unlike stage 3:**

- The server remembers who is there (`Group`), and passes on what it receives. What happens to one member
  (it leaves, it is killed, it sends nonsense) is that member's affair: the others go on.
- The client does two things at the same time: its own thread receives while you type. A line that says
  `exit` leaves, and is not sent.

**Still wrong:**

- Nobody says who is speaking. Stage 5 mends it, and all that follows.
- One `recv` is taken for one message: quick ones arrive glued together, long ones in pieces.
- Each member's thread sends to all the others. Two who speak at the same moment may be heard in a
  different order here and there, and the pieces of two long messages may be mixed.
- A member who does not read holds up whoever speaks, for half a second; then it is cut off.
- A thread for each member, without a limit.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Lock, Thread

from chatstages.events import Address, Event, Hook, ignore, show_address
from chatstages.listener import TIMEOUT, Running, Stop, closed_on_error, reuse_address
from chatstages.locale import _
from chatstages.wire import RECV_SIZE, Decoder, encode

SEND_TIMEOUT = 0.5  # seconds; a member that takes nothing for so long is cut off
LEAVE_TIMEOUT = 0.5  # seconds that a leaving client gives the server to close its side

# --- the client --------------------------------------------------------------------------------------


class Client:
    """A connection to the server, and a thread that receives.

    `received` holds the last 1,000 texts that have arrived. One thread at a time may send or close.
    """

    def __init__(self, address: Address, on_event: Hook) -> None:
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
        """Send `text`: a str is characters, a socket takes bytes. Raises OSError when the server has gone."""
        self._sock.sendall(encode(text))

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


def connect(address: Address, on_event: Hook = ignore) -> Client:
    """Connect to the server at `address` (host, port). Raises OSError when nobody answers there."""
    return Client(address, on_event)


def chat(client: Client, ask: Callable[[str], str], show: Callable[[object], None]) -> None:
    """Let a person use the client: ask for messages and send them; `exit` leaves."""
    while (text := ask(">>> ")) != "exit":
        client.send(text)


# --- the server --------------------------------------------------------------------------------------


def receive(conn: socket.socket, stop: Stop) -> Iterator[str]:
    """Yield what each `recv` brings, as text, until the other side has left."""
    decoder, data = Decoder(), b"?"
    while data and stop.readable(conn):
        try:
            data = conn.recv(RECV_SIZE)  # b"" when the other side has closed
        except OSError:
            data = b""  # it was killed: for us it has left
        if text := decoder.decode(data):
            yield text


class Group:
    """Who is there. Any thread may call."""

    def __init__(self, on_event: Hook) -> None:
        self._on_event = on_event
        self._lock = Lock()  # Guards _members.
        self._members: dict[socket.socket, Address] = {}

    def join(self, conn: socket.socket, address: Address) -> None:
        """Let `conn` receive what is said from now on."""
        with self._lock:
            self._members[conn] = address

    def leave(self, conn: socket.socket) -> bool:
        """Send `conn` nothing any more; return whether it was there."""
        with self._lock:
            return self._members.pop(conn, None) is not None

    def broadcast(self, text: str, stop: Stop) -> None:
        """Send `text` to every member."""
        with self._lock:
            members = list(self._members.items())  # a copy: others join and leave while we send
        for conn, address in members:
            if stop.is_set():
                return
            try:
                conn.sendall(encode(text))
            except OSError as error:
                # Not the speaker's fault, but that of the member on whom it happened, whose own thread
                # sees the end of the connection and closes it.
                if self.leave(conn) and isinstance(error, TimeoutError):
                    self._on_event(Event("dropped", address, _("it does not read what is sent to it")))
                with suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)


def handle(conn: socket.socket, address: Address, group: Group, stop: Stop, on_event: Hook) -> None:
    """Serve one member until it leaves."""
    with conn:
        conn.settimeout(SEND_TIMEOUT)  # for sendall; before a recv we wait in `stop.readable`
        group.join(conn, address)
        on_event(Event("joined", address))
        try:
            for text in receive(conn, stop):
                on_event(Event("said", address, text))
                group.broadcast(text, stop)
        finally:
            group.leave(conn)
    on_event(Event("left", address))


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    group = Group(on_event)
    threads: list[Thread] = []
    while client := stop.accept(server):
        conn, address = client
        thread = Thread(target=handle, args=(*client, group, stop, on_event), name=show_address(address))
        threads = [t for t in threads if t.is_alive()]  # those that have ended are forgotten
        try:
            thread.start()
        except RuntimeError:
            conn.close()  # the system gives us no more threads: this client is turned away
        else:
            threads.append(thread)
    for thread in threads:
        thread.join()


def serve(host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore) -> Running:
    """Start a server for a group, on any free port if `port` is 0, and return it running.

    Raises OSError when the address cannot be had.
    """
    with closed_on_error(socket.socket()) as server:
        reuse_address(server)
        server.bind((host, port))
        server.listen()
        return Running(server, partial(accept_clients, on_event=on_event))


def main() -> int:
    """Run the server or the client in a terminal."""
    from chatstages.cli import stage_main  # the terminal's side: arguments, keyboard, Ctrl-C

    return stage_main(4)


if __name__ == "__main__":
    raise SystemExit(main())
