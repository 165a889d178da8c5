"""Stage 3, but the accepting thread closes the connection that it has just given away.

It looks tidy: what the loop has opened, the loop closes. But the other thread has only
begun, and its `recv` finds a closed socket: OSError, bad file descriptor.

The fix: the thread that uses a connection closes it (`stage3_threads`).
"""

from __future__ import annotations

import socket
from threading import Thread

from chatstages.faults.serving import server_of
from chatstages.protocol import Decoder
from chatstages.runtime import Address, Event, Hook, StoppableSocket
from chatstages.stage3_threads import ECHOES, LEAVE_WORD, NEEDS_NAME, connect

__all__ = [
    "ECHOES",
    "LEAVE_WORD",
    "NEEDS_NAME",
    "accept_clients",
    "connect",
    "handle",
    "serve",
]


def handle(conn: socket.socket, address: Address, on_event: Hook) -> None:
    """Receive from one client until it leaves."""
    decoder = Decoder()
    while data := conn.recv(65535):
        on_event(Event("said", address, decoder.decode(data)))
    on_event(Event("left", address))


def accept_clients(server: StoppableSocket, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    threads: list[Thread] = []
    try:
        while True:
            conn, address = server.accept()
            on_event(Event("joined", address))
            thread = Thread(target=handle, args=(conn, address, on_event))
            threads.append(thread)
            conn.close()  # the mistake: it is not ours any more
            # (In the wild the next line stands before it. Then it works now and then,
            # which is worse.)
            thread.start()
    finally:
        for thread in threads:
            thread.join()


serve = server_of(accept_clients)
