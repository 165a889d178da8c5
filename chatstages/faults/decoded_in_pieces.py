"""Stage 2, but each chunk of the stream is decoded by itself.

A Chinese character is three bytes. Where a chunk ends in the middle of one, `decode`
raises UnicodeDecodeError, and that is the end of the server. It goes well for months,
with short messages.

The fix: an incremental decoder keeps the bytes of a character back until it is whole
(`protocol.Decoder`, used by every stage).
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from chatstages.faults.serving import server_of
from chatstages.runtime import Event
from chatstages.stage2_session import ECHOES, LEAVE_WORD, NEEDS_NAME, connect

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "connect", "handle", "serve"]

RECV_SIZE = 10  # bytes; so that the mistake shows with short messages


def handle(
    conn: socket.socket, address: tuple[str, int], on_event: Callable[[Event], None]
) -> None:
    """Receive from one client until it leaves."""
    with conn, suppress(OSError):  # it closes conn; a killed client is an OSError
        on_event(Event("joined", address))
        while True:
            data = conn.recv(RECV_SIZE)
            # The mistake: it may cut a character.
            if text := data.decode():
                on_event(Event("said", address, text))
            if not data:
                break  # the client has closed its side
    on_event(Event("left", address))


def handle_one(server: socket.socket, on_event: Callable[[Event], None]) -> None:
    """Accept one client and serve it."""
    conn, address = server.accept()
    handle(conn, address, on_event)


serve = server_of(handle_one)
