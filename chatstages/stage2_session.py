"""Stage 2: a session.

The client sends as often as it likes, and ends with an empty line; the server shows each message and ends
when the client has left. What was one script from top to bottom is now functions, each with one job:
`receive` (bytes from the network become text), `handle` (one client, from joining to leaving), `serve`
(socket, bind, listen), and on the other side `send` and `chat`.

**Unlike stage 1:**

- `receive` goes on until `recv` returns b"": the client has closed its side. An empty *message* could
  not end anything: sending nothing sends no bytes.
- The client asks until the line is empty.

**Still wrong:**

- One client. A second one may connect, but nobody listens to it. Stage 3 mends it.
- One `recv` is taken for one message: two that are sent quickly arrive glued together. Stage 5 mends it.
- The client does not listen: that the server has gone it learns only when it sends. Stage 4 mends it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial

from chatstages.i18n import _
from chatstages.protocol.framing import RECV_SIZE, Decoder, encode
from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Address, Event, Hook, ignore
from chatstages.runtime.options import TIMEOUT, reuse_address
from chatstages.runtime.sockets import Stop, closed_on_error

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
    while text := ask(_("Message: ")):
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


def handle_one(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept one client and serve it."""
    client = stop.accept(server)
    if client is not None:
        handle(*client, stop, on_event)


def serve(host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore) -> BackgroundServer:
    """Start a server for one client, on any free port if `port` is 0, and return it running.

    Raises OSError when the address cannot be had.
    """
    with closed_on_error(socket.socket()) as server:
        reuse_address(server)
        server.bind((host, port))
        server.listen()
        return BackgroundServer(server, partial(handle_one, on_event=on_event))
