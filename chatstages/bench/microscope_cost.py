"""What the microscope costs: for one event, and for stage 5 under full load.

python -m chatstages.bench.microscope_cost
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from chatstages import stage5_pool
from chatstages.bench.load import Job, load_program, put_load
from chatstages.bench.peers import LINE, Peer
from chatstages.microscope import microscope

ROUNDS = 20_000


def nanoseconds(call: Callable[[], object]) -> float:
    """Return the median time of `call`."""
    times = []
    for _round in range(ROUNDS):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times)


def one_event(watched: bool) -> dict[str, float]:
    """Return how long a send and a recv of 64 bytes take, and a lock: nanoseconds for one call."""
    with microscope(sys.modules[__name__]) if watched else nullcontext():
        one, two = socket.socketpair()
        lock, data = threading.Lock(), b"x" * 64

        def take_and_give_back() -> None:
            lock.acquire()
            lock.release()

        with one, two:
            both = nanoseconds(lambda: (one.send(data), two.recv(64))) / 2
            locking = nanoseconds(take_and_give_back) / 2
    return {"send, recv": both, "acquire, release": locking}


def main() -> None:
    """Measure, and print."""
    bare, watched = one_event(False), one_event(True)
    for what, before in bare.items():
        more = (watched[what] - before) / 1000
        print(f"{what}: {before / 1000:.2f} µs a call, under the microscope {more:.2f} µs more")
    with tempfile.TemporaryDirectory() as folder:
        program = load_program(Path(folder))
        for name, context in (("stage 5", nullcontext()), ("under the microscope", microscope())):
            with context, stage5_pool.serve() as server:
                figures = put_load(program, Peer(name, [], LINE), Job(100), os.getpid(), server.address[1])
            print(f"{name}: {figures.rate:,.0f} deliveries/s")


if __name__ == "__main__":
    main()
