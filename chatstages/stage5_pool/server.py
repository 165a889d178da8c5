"""The server of stage 5: it accepts members, and assigns them to the workers."""

from __future__ import annotations

import itertools
import selectors
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Barrier, BrokenBarrierError

from chatstages.protocol.names import GUEST
from chatstages.runtime import BackgroundServer, Hook, StoppableSocket, ignore
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker

POOL_SIZE = 1  # threads; with a GIL more are slower: `python -m chatstages.bench`
FLUSH_TIMEOUT = 0.5  # seconds that a stopped server takes to send what was said
BACKLOG = 1_024  # clients that may wait to be accepted

# Windows has no selector but select(), and that takes 512 sockets.
HAS_SELECT_ALONE = selectors.DefaultSelector.__name__ == "SelectSelector"
MAX_CONNECTIONS = 500 if HAS_SELECT_ALONE else sys.maxsize  # of one worker


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
    with ExitStack() as stack:  # what was made is given back if the rest fails
        stack.callback(server.close)
        pool = Pool(server, on_event, workers, announces)
        stack.callback(pool.close)
        pool.start()
        make = partial(Connection, on_event=on_event, announces=announces)
        background = BackgroundServer(server, accept_members, pool, make, history)
        stack.pop_all()
    return background


def accept_members(
    server: StoppableSocket, pool: Pool, make: partial[Connection], history: int
) -> None:
    """Assign each new member to the worker that has the fewest, until `stop`."""
    try:
        for number in itertools.count(1):
            conn, address = server.accept()
            worker = min(pool.workers, key=Worker.connection_count)
            offset = pool.room.offset_for_newcomer(history)
            member = make(conn, address, offset, f"{GUEST}{number}")
            if worker.connection_count() >= MAX_CONNECTIONS:
                member.reject()
            elif member.prepare():
                worker.assign(member)
    finally:
        pool.close()


class Pool:
    """The workers, a thread for each, and the room that they share."""

    def __init__(
        self, server: StoppableSocket, on_event: Hook, size: int, announces: bool
    ) -> None:
        self.room, self.workers = Room(), list[Worker]()
        self._server = server
        self._all_have_run = Barrier(size)
        self._threads = ThreadPoolExecutor(size, "worker")
        self._jobs: list[Future[None]] = []
        stop = server.stop_signal
        with ExitStack() as stack:
            for _each in range(size):
                worker = Worker(self.room, stop, on_event, self.workers, announces)
                stack.callback(worker.close)
                self.workers.append(worker)
            self._closing = stack.pop_all()

    def start(self) -> None:
        """Start the threads, all at once: a process that ends starts no more."""
        self._jobs = [self._threads.submit(self._work, each) for each in self.workers]

    def _work(self, worker: Worker) -> None:
        """Serve until the server is stopped; when all have done that, drain."""
        try:
            worker.run()
            self._all_have_run.wait()  # from here on the log grows no more
            worker.flush(time.monotonic() + FLUSH_TIMEOUT)
        except BrokenBarrierError:
            pass  # another worker has failed
        except BaseException:
            self._all_have_run.abort()
            self._server.stop()  # half a room that receives nothing would be worse
            raise

    def close(self) -> None:
        """End all threads, close all connections; raise what a worker has raised."""
        self._server.stop()
        with self._closing:
            if len(self._jobs) < len(self.workers):
                self._all_have_run.abort()  # not all have been started
            self._threads.shutdown()
        for job in self._jobs:
            job.result()  # the Future has kept it
