"""Stage 1: one message, one way.

The server waits for one client, shows the one message that it sends, and both close.

**Still wrong:**

- One message and all is over: whoever has more to say must start everything again. Stage 2 mends it.
- One `recv` is taken for one message. That holds for a short text sent alone; of a longer one only what
  has arrived so far is shown, 65,535 bytes at most, and the rest is lost. Stage 5 mends it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
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
    """Let a person use the client: ask for the message and send it."""
    client.send(ask(_("Message: ")))


# --- the server --------------------------------------------------------------------------------------


def receive(conn: socket.socket, stop: Stop) -> str:
    """Return what one `recv` brings, and on to the end of a character that the network has cut in two."""
    text, decoder = "", Decoder()
    while stop.readable(conn):
        try:
            data = conn.recv(RECV_SIZE)
        except OSError:
            data = b""  # the client was killed: for us it has left
        text += decoder.decode(data)
        if not decoder.incomplete:
            break
    return text


def handle_one(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept one client, receive its message, close."""
    client = stop.accept(server)
    if client is None:
        return
    conn, address = client
    with conn:
        on_event(Event("joined", address))
        if text := receive(conn, stop):
            on_event(Event("said", address, text))
    on_event(Event("left", address))


def serve(host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore) -> BackgroundServer:
    """Start a server for one client, on any free port if `port` is 0, and return it running.

    Raises OSError when the address cannot be had.
    """
    with closed_on_error(socket.socket()) as server:
        reuse_address(server)
        server.bind((host, port))
        server.listen()
        return BackgroundServer(server, partial(handle_one, on_event=on_event))
