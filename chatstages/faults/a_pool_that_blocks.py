"""A group with one pool, whose workers wait for one client each: a trap for whoever mends `a_pool_for_each`.

Now two threads are two threads. But each sits in `recv` until *its* client says something, for as long as
that client stays. The third client is in the list, so it hears everybody; its own words lie in a buffer
that nobody reads. No error, no warning: it speaks and is not heard, until somebody else goes home.

The mend: a worker must not wait for one client, but for all of its share at once (`stage5_pool.Worker`).
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

from chatstages.faults.serving import server_of
from chatstages.runtime.events import Address, Event, Hook
from chatstages.runtime.sockets import Stop
from chatstages.stage4_broadcast import SEND_TIMEOUT, Group, connect, receive

__all__ = ["MAX_WORKERS", "STAGE", "accept_clients", "connect", "serve"]

STAGE = 4
MAX_WORKERS = 2


def handle(conn: socket.socket, address: Address, group: Group, stop: Stop, on_event: Hook) -> None:
    """Hear one member out, until it leaves."""
    with conn:
        try:
            for text in receive(conn, stop):
                on_event(Event("said", address, text))
                group.broadcast(text, stop)
        finally:
            group.leave(conn)
    on_event(Event("left", address))


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients, who hear from now on what is said, until the server is stopped."""
    group = Group(on_event)
    with ThreadPoolExecutor(MAX_WORKERS, "handler") as pool:
        while client := stop.accept(server):
            conn, address = client
            conn.settimeout(SEND_TIMEOUT)
            group.join(conn, address)
            on_event(Event("joined", address))
            # The slip: this worker is taken until its client leaves. Who comes third, waits in the queue.
            pool.submit(handle, conn, address, group, stop, on_event)


serve = server_of(accept_clients)
