"""Stage 3: a thread for each client.

Any number of clients may talk to the server at the same time; it shows who says what.

    python -m chatstages.stage3_threads server
    python -m chatstages.stage3_threads client

**Unlike stage 2:**

- `accept_clients` accepts one client after the other, and gives each to a thread of its own. While one
  thread waits in `accept` or `recv`, the others go on.
- The thread that uses a connection closes it. (Closing it in the accepting thread, at once after the other
  has been started, takes the connection away from under it.)

**Still wrong:**

- The clients talk to the server, not to each other. Stage 4 mends it.
- One `recv` is taken for one message. Stage 5 mends it.
- The client does not listen: that the server has gone it learns only when it sends. Stage 4 mends it.
- A thread for each client, without a limit: ten thousand clients are ten thousand threads. Stage 5 mends it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from threading import Thread

from chatstages.events import Address, Event, Hook, ignore, show_address
from chatstages.listener import TIMEOUT, Running, Stop, closed_on_error, reuse_address
from chatstages.wire import RECV_SIZE, Decoder, encode

# --- the client --------------------------------------------------------------------------------------


class Client:
    """A connection to the server. One thread at a time may use it."""

    def __init__(self, address: Address) -> None:
        with closed_on_error(socket.socket()) as self._sock:
            self._sock.settimeout(TIMEOUT)
            self._sock.connect(address)
        self.received: list[str] = []  # the server of this stage says nothing back

    def send(self, text: str) -> None:
        """Send `text`: a str is characters, a socket takes bytes. Raises OSError when the server has gone."""
        self._sock.sendall(encode(text))

    def close(self) -> None:
        """Leave. What was sent still arrives: closing says "no more", after the last byte."""
        self._sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def connect(address: Address, on_event: Hook = ignore) -> Client:
    """Connect to the server at `address` (host, port). Raises OSError when nobody answers there."""
    return Client(address)


def chat(client: Client, ask: Callable[[str], str], show: Callable[[object], None]) -> None:
    """Let a person use the client: ask for messages and send them; an empty line leaves."""
    while text := ask(">>> "):
        client.send(text)


# --- the server --------------------------------------------------------------------------------------


def receive(conn: socket.socket, stop: Stop) -> Iterator[str]:
    """Yield what each `recv` brings, as text, until the client has left."""
    decoder, data = Decoder(), b"?"
    while data and stop.readable(conn):
        try:
            data = conn.recv(RECV_SIZE)  # b"" when the client has closed its side
        except OSError:
            data = b""  # the client was killed: for us it has left
        if text := decoder.decode(data):
            yield text


def handle(conn: socket.socket, address: Address, stop: Stop, on_event: Hook) -> None:
    """Serve one client until it leaves."""
    with conn:
        on_event(Event("joined", address))
        for text in receive(conn, stop):
            on_event(Event("said", address, text))
    on_event(Event("left", address))


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    threads: list[Thread] = []
    while client := stop.accept(server):
        conn, address = client
        thread = Thread(target=handle, args=(*client, stop, on_event), name=show_address(address))
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
    """Start a server for many clients, on any free port if `port` is 0, and return it running.

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

    return stage_main(3)


if __name__ == "__main__":
    raise SystemExit(main())
