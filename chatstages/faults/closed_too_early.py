"""Stage 3, but the accepting thread closes the connection that it has just given to another.

It looks tidy: what the loop has opened, the loop closes. But the other thread has only begun, and its
`recv` finds a socket that is closed: OSError, bad file descriptor.

The mend: the thread that uses a connection closes it (`stage3_threads`).
"""

from __future__ import annotations

import socket
from threading import Thread

from chatstages.faults.serving import server_of
from chatstages.protocol.framing import RECV_SIZE, Decoder
from chatstages.runtime.events import Address, Event, Hook, show_address
from chatstages.runtime.sockets import Stop
from chatstages.stage3_threads import connect

__all__ = ["STAGE", "accept_clients", "connect", "handle", "serve"]

STAGE = 3


def handle(conn: socket.socket, address: Address, on_event: Hook) -> None:
    """Serve one client until it leaves."""
    decoder = Decoder()
    while data := conn.recv(RECV_SIZE):
        on_event(Event("said", address, decoder.decode(data)))
    on_event(Event("left", address))


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    threads: list[Thread] = []
    while client := stop.accept(server):
        conn, address = client
        on_event(Event("joined", address))
        thread = Thread(target=handle, args=(conn, address, on_event), name=show_address(address))
        threads.append(thread)
        conn.close()  # the slip: it is not ours any more
        # (In the wild the next line stands before it. Then it works now and then, which is worse.)
        thread.start()
    for thread in threads:
        thread.join()


serve = server_of(accept_clients)
