"""A group with a pool for each connection: it looks like a limit, and is none.

`max_workers=2` says that at most two threads work. But it is said anew for every
client that connects, so forty clients have forty pools, each with one thread at work:
as many threads as in stage 4.

The fix: one pool for the whole server. With workers that block on one client each,
that is a trap: see `a_pool_that_blocks`. Stage 5 has what holds.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from chatstages.faults.serving import server_of
from chatstages.runtime import Hook, StoppableSocket
from chatstages.stage4_broadcast import (
    ECHOES,
    LEAVE_WORD,
    NEEDS_NAME,
    Group,
    connect,
    handle,
)

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "accept_clients", "connect", "serve"]

MAX_WORKERS = 2  # "at most two threads"


def accept_clients(server: StoppableSocket, on_event: Hook) -> None:
    """Accept clients until the server is stopped."""
    group = Group(on_event)
    with ExitStack() as pools:
        while True:
            conn, address = server.accept()  # after `stop` it raises Stopped
            # The mistake: a pool made here is this client's own.
            pool = pools.enter_context(ThreadPoolExecutor(MAX_WORKERS, "handler"))
            pool.submit(handle, conn, address, group)


serve = server_of(accept_clients)
