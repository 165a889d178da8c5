"""Stage 2, but each piece of the stream is decoded by itself.

A Chinese character is three bytes. Where a piece ends in the middle of one, `decode` raises
UnicodeDecodeError, and that is the end of the server. It goes well for months, with short messages.

The mend: keep the bytes of a character back until it is whole (`protocol.Decoder`, used by every stage).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from chatstages.faults.serving import server_of
from chatstages.runtime.events import Event, Hook
from chatstages.runtime.sockets import Stop
from chatstages.stage2_session import connect

__all__ = ["STAGE", "connect", "receive", "serve"]

STAGE = 2
RECV_SIZE = 10  # bytes; so that the slip shows with short messages


def receive(conn: socket.socket, stop: Stop) -> Iterator[str]:
    """Yield what each `recv` brings, as text, until the client has left."""
    data = b"?"
    while data and stop.readable(conn):
        data = conn.recv(RECV_SIZE)
        if data:
            yield data.decode()  # the slip: who says that `data` ends where a character ends?


def handle_one(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept one client and serve it."""
    client = stop.accept(server)
    if client is None:
        return
    conn, address = client
    with conn:
        on_event(Event("joined", address))
        for text in receive(conn, stop):
            on_event(Event("said", address, text))
    on_event(Event("left", address))


serve = server_of(handle_one)
