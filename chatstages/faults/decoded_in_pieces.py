"""Stage 2, but each chunk of the stream is decoded by itself.

A Chinese character is three bytes. Where a chunk ends in the middle of one, `decode`
raises UnicodeDecodeError, and that is the end of the server. It goes well for months,
with short messages.

The fix: an incremental decoder keeps the bytes of a character back until it is whole
(`protocol.Decoder`, used by every stage).
"""

from __future__ import annotations

import socket

from chatstages.faults.serving import server_of
from chatstages.runtime import Address, Event, Hook, StoppableSocket
from chatstages.stage2_session import ECHOES, LEAVE_WORD, NEEDS_NAME, connect

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "connect", "handle", "serve"]

RECV_SIZE = 10  # bytes; so that the mistake shows with short messages


def handle(conn: socket.socket, address: Address, on_event: Hook) -> None:
    """Receive from one client until it leaves."""
    on_event(Event("joined", address))
    with conn:
        while True:
            data = conn.recv(RECV_SIZE)
            if not data:
                break
            # The mistake: who says that `data` ends where a character ends?
            on_event(Event("said", address, data.decode()))
    on_event(Event("left", address))


def handle_one(server: StoppableSocket, on_event: Hook) -> None:
    """Accept one client and serve it."""
    conn, address = server.accept()
    handle(conn, address, on_event)


serve = server_of(handle_one)
