"""The server of stage 5: it accepts members, and assigns them to the workers."""

from __future__ import annotations

import itertools
import selectors
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, BrokenBarrierError

from chatstages.protocol.names import GUEST
from chatstages.runtime import BackgroundServer, Hook, StoppableSocket, ignore
from chatstages.runtime.event_queue import EventQueue
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.member import Member
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker

POOL_SIZE = 1  # threads; with a GIL more are slower: `python -m chatstages.bench`
DRAIN_TIMEOUT = 0.5  # seconds that a stopped server takes to receive and send the rest
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
        events = EventQueue(on_event, server.getsockname()[:2])
        stack.callback(events.close)
        pool = Pool(server, events, workers, announces)
        stack.callback(pool.close)
        pool.start()
        background = BackgroundServer(
            server, accept_members, events, pool, history, announces
        )
        stack.pop_all()
    return background


def accept_members(
    server: StoppableSocket,
    on_event: EventQueue,
    pool: Pool,
    history: int,
    announces: bool,
) -> None:
    """Assign each new member to the worker that has the fewest, until `stop`."""
    room = pool.room
    try:
        for number in itertools.count(1):
            conn, address = server.accept()
            worker = min(pool.workers, key=Worker.connection_count)
            member = Member(f"{GUEST}{number}", room.claim_name)
            offset = room.offset_for_newcomer(history)
            connection = Connection(conn, address, offset, member, announces)
            if worker.connection_count() >= MAX_CONNECTIONS:
                connection.reject(on_event)
            elif connection.prepare():
                worker.assign(connection)
    finally:
        pool.close()


class Pool:
    """The workers, a thread for each, and the room that they share."""

    def __init__(
        self, server: StoppableSocket, events: EventQueue, size: int, announces: bool
    ) -> None:
        self.room, self.workers = Room(), list[Worker]()
        self._server = server
        self._all_have_drained = Barrier(size)
        self._threads = ThreadPoolExecutor(size, "worker")
        self._jobs: list[Future[None]] = []
        with ExitStack() as stack:
            for _each in range(size):
                worker = Worker(self.room, events, announces)
                stack.callback(worker.close)
                self.workers.append(worker)
            self._closing = stack.pop_all()

    def start(self) -> None:
        """Start the threads, all at once: a process that ends starts no more."""
        self._jobs = [self._threads.submit(self._work, each) for each in self.workers]

    def _work(self, worker: Worker) -> None:
        """Serve until the server is stopped, then drain."""
        try:
            worker.run()
            began = time.monotonic()
            worker.drain(began + DRAIN_TIMEOUT / 2)
            self._all_have_drained.wait()  # from here on the log grows no more
            worker.flush(began + DRAIN_TIMEOUT)
        except BrokenBarrierError:
            pass  # another worker has failed
        except BaseException:
            self._all_have_drained.abort()
            self._server.stop()  # half a room that receives nothing would be worse
            raise

    def close(self) -> None:
        """End all threads, close all connections; raise what a worker has raised."""
        self._server.stop()
        for worker in self.workers:
            worker.stop()
        with self._closing:
            if len(self._jobs) < len(self.workers):
                self._all_have_drained.abort()  # not all have been started
            self._threads.shutdown()
        for job in self._jobs:
            job.result()  # the Future has kept it
