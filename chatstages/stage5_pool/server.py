"""The server of stage 5: it accepts members, and shares them out among the workers of the pool."""

from __future__ import annotations

import itertools
import selectors
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from chatstages.protocol.names import GUEST
from chatstages.runtime import BackgroundServer, Hook, Stop, closed_on_error, ignore, reuse_address
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker

POOL_SIZE = 1  # threads in the pool; with a GIL more are slower: `python -m chatstages.bench`
FLUSH_TIMEOUT = 0.5  # seconds that a server which is stopped takes to send what has been said
BACKLOG = 1_024  # clients that may wait to be accepted

# Windows has no selector but select(), and that takes 512 sockets.
MAX_CONNECTIONS = 500 if selectors.DefaultSelector.__name__ == "SelectSelector" else sys.maxsize


def run_room(server: socket.socket, stop: Stop, on_event: Hook, pool_size: int, history: int) -> None:
    """Accept members, and share them out among the workers, until the server is stopped."""
    room = Room()
    workers: list[Worker] = []
    workers += [Worker(room, stop, on_event, workers) for _ in range(pool_size)]
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)
        pool = stack.enter_context(ThreadPoolExecutor(pool_size, "worker"))
        jobs = [pool.submit(worker.run) for worker in workers]
        for job in jobs:
            # A worker that fails takes the server along: half a room that hears nothing would be worse.
            job.add_done_callback(lambda _: stop.set())
        for number in itertools.count(1):
            client = stop.accept(server)
            if client is None:
                break
            worker = min(workers, key=Worker.connection_count)
            member = Connection(*client, room.offset_for_newcomer(history), f"{GUEST}{number}", on_event)
            if worker.connection_count() >= MAX_CONNECTIONS:
                member.reject()
            elif member.prepare():
                worker.assign(member)
        for job in jobs:
            job.result()  # an error in a pool waits here, in its Future, until somebody asks
        deadline = time.monotonic() + FLUSH_TIMEOUT
        for job in [pool.submit(worker.flush, deadline) for worker in workers]:
            job.result()


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    on_event: Hook = ignore,
    workers: int = POOL_SIZE,
    history: int = 0,
) -> BackgroundServer:
    """Start a server for a group, on any free port if `port` is 0, and return it running.

    `workers` is the number of threads in its pool; a newcomer first gets the last `history` lines.
    Raises OSError when the address cannot be had, ValueError for less than one worker or no line.
    """
    if workers < 1 or history < 0:
        raise ValueError(f"workers={workers}, history={history}")
    with closed_on_error(socket.socket()) as server:
        reuse_address(server)
        server.bind((host, port))
        server.listen(BACKLOG)
        return BackgroundServer(
            server, partial(run_room, on_event=on_event, pool_size=workers, history=history)
        )
