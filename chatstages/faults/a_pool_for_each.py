"""A group with a pool for each connection: it looks like a limit, and is none.

`max_workers=2` says that at most two threads work. But it is said anew for every client that comes, so
forty clients have forty pools, each with one thread at work: as many threads as in stage 4.

The mend: one pool for the whole server. With workers that wait for one client each, that is a trap: see
`a_pool_that_blocks`. Stage 5 has what holds.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from chatstages.faults.serving import server_of
from chatstages.runtime.events import Hook
from chatstages.runtime.sockets import Stop
from chatstages.stage4_broadcast import Group, connect, handle

__all__ = ["MAX_WORKERS", "STAGE", "accept_clients", "connect", "serve"]

STAGE = 4
MAX_WORKERS = 2  # "at most two threads"


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients until the server is stopped."""
    group = Group(on_event)
    with ExitStack() as pools:
        while client := stop.accept(server):
            # The slip: a pool made here is this client's own.
            pool = pools.enter_context(ThreadPoolExecutor(MAX_WORKERS, "handler"))
            pool.submit(handle, *client, group, stop, on_event)


serve = server_of(accept_clients)
