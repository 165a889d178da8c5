"""A group with one pool, whose workers block on one client each.

It is a trap for whoever fixes `a_pool_for_each`: now two threads are two threads. But
each sits in `recv` until *its* client says something, for as long as that client
stays. The third client is a member, so it receives; what it says lies in a buffer that
nobody reads. No error, no warning: nobody hears it until somebody else leaves.

The fix: a worker must not wait for one client, but for all of its clients at once
(`stage5_pool.worker`).
"""

from concurrent.futures import ThreadPoolExecutor

from chatstages.faults.serving import server_of
from chatstages.runtime import Event, Hook, StoppableSocket
from chatstages.stage4_broadcast import (
    ECHOES,
    LEAVE_WORD,
    NEEDS_NAME,
    TIMEOUT,
    Address,
    Group,
    connect,
    receive,
)

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "accept_clients", "connect", "serve"]

MAX_WORKERS = 2


def handle(conn: StoppableSocket, address: Address, group: Group) -> None:
    """Receive from one member until it leaves, and broadcast what it says."""
    with conn:
        try:
            for text in receive(conn):
                group.on_event(Event("said", address, text))
                group.broadcast(text)
        finally:
            with group.lock:
                group.members.pop(conn, None)
    group.on_event(Event("left", address))


def accept_clients(server: StoppableSocket, on_event: Hook) -> None:
    """Accept clients, who receive from now on, until the server is stopped."""
    group = Group(on_event)
    with ThreadPoolExecutor(MAX_WORKERS, "handler") as pool:
        while True:
            conn, address = server.accept()  # after `stop` it raises Stopped
            conn.settimeout(TIMEOUT)
            with group.lock:
                group.members[conn] = address
            group.on_event(Event("joined", address))
            # The mistake: this worker is taken until its client leaves. The third
            # client waits in the queue of the pool.
            pool.submit(handle, conn, address, group)


serve = server_of(accept_clients)
