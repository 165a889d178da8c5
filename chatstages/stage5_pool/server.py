"""The server of stage 5: it accepts members, and assigns them to the workers."""

from __future__ import annotations

import itertools
import selectors
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

from chatstages.protocol.names import GUEST
from chatstages.runtime import BackgroundServer, Hook, StoppableSocket, Stopped, ignore
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker

POOL_SIZE = 1  # threads; with a GIL more are slower: `python -m chatstages.bench`
FLUSH_TIMEOUT = 0.5  # seconds that a stopped server takes to send what was said
BACKLOG = 1_024  # clients that may wait to be accepted

# Windows has no selector but select(), and that takes 512 sockets.
HAS_SELECT_ALONE = selectors.DefaultSelector.__name__ == "SelectSelector"
MAX_CONNECTIONS = 500 if HAS_SELECT_ALONE else sys.maxsize  # of one worker


def run_room(
    server: StoppableSocket,
    on_event: Hook,
    pool_size: int,
    history: int,
    announces: bool,
) -> None:
    """Run the pool, accept members until the server is stopped, and drain."""
    room, workers = Room(), list[Worker]()
    stop = server.stop_signal
    for _each in range(pool_size):
        workers.append(Worker(room, stop, on_event, workers, announces))
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)
        pool = stack.enter_context(ThreadPoolExecutor(pool_size, "worker"))
        jobs = [pool.submit(worker.run) for worker in workers]

        def stop_server(_job: Future[None]) -> None:
            """End it all when a worker fails: half a room would be worse."""
            server.stop()

        for job in jobs:
            job.add_done_callback(stop_server)
        make = partial(Connection, on_event=on_event, announces=announces)
        with suppress(Stopped):
            accept_members(server, room, workers, make, history)
        for job in jobs:
            job.result()  # raises what a worker has raised: its Future has kept it
        deadline = time.monotonic() + FLUSH_TIMEOUT
        for job in [pool.submit(worker.flush, deadline) for worker in workers]:
            job.result()


def accept_members(
    server: StoppableSocket,
    room: Room,
    workers: list[Worker],
    make: partial[Connection],
    history: int,
) -> None:
    """Assign each new member to the worker that has the fewest. Raises Stopped."""
    for number in itertools.count(1):
        conn, address = server.accept()
        worker = min(workers, key=Worker.connection_count)
        offset = room.offset_for_newcomer(history)
        member = make(conn, address, offset, f"{GUEST}{number}")
        if worker.connection_count() >= MAX_CONNECTIONS:
            member.reject()
        elif member.prepare():
            worker.assign(member)


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    on_event: Hook = ignore,
    workers: int = POOL_SIZE,
    history: int = 0,
    announces: bool = False,
) -> BackgroundServer:
    """Serve in a thread; port 0: any free one. Raises OSError if the port is in use.

    `workers` is the number of threads in the pool. A newcomer first gets the last
    `history` lines. With `announces`, a line tells the members who has joined (has
    said something for the first time) or left. Raises ValueError for less than one
    worker or less than no line.
    """
    if workers < 1 or history < 0:
        raise ValueError(f"workers={workers}, history={history}")
    server = StoppableSocket()
    server.bind((host, port))
    server.listen(BACKLOG)
    return BackgroundServer(server, run_room, on_event, workers, history, announces)
