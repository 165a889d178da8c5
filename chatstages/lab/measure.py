"""Measuring servers side by side: the same load for each, in turn, with the server in a process of its own.

What is compared is the processor time that the *server* needs to deliver one message to one member. Unlike
messages a second, it does not depend on how fast the side that makes the load is.
"""

from __future__ import annotations

import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import psutil

from chatstages.events import Address

MEMBERS = 50
SECONDS = 1.0  # of load, in one round
ROUNDS = 3
TIMEOUT = 10.0  # seconds that anything here may take

SERVERS = {
    "stage 4": "chatstages.stage4_broadcast",
    "asyncio": "chatstages.lab.asyncio_room",
    "stage 5": "chatstages.stage5_pool",
}
# Without a hook: telling what happens is no part of what is compared.
PROGRAM = """
import {module} as module
with module.serve() as server:
    print(*server.address, flush=True)
    server.wait()
"""


class Result(NamedTuple):
    """What one server needs: microseconds of processor time a delivery, the median of all rounds."""

    name: str
    microseconds: float

    def __str__(self) -> str:
        return f"{self.name:10} {self.microseconds:6.1f} µs"


def measure(members: int = MEMBERS) -> list[Result]:
    """Measure every server, in rounds, one after the other in each. Raises OSError, TimeoutError."""
    rounds: dict[str, list[float]] = {name: [] for name in SERVERS}
    for _round in range(ROUNDS):
        for name, module in SERVERS.items():
            with running(module) as (process, address):
                rounds[name].append(one_round(process, address, members))
    return [Result(name, statistics.median(times)) for name, times in rounds.items()]


@contextmanager
def running(module: str) -> Iterator[tuple[psutil.Process, Address]]:
    """Run the server of `module` in a process of its own."""
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            host, port = process.stdout.readline().split()
            yield psutil.Process(process.pid), (host, int(port))
        finally:
            process.kill()


def one_round(server: psutil.Process, address: Address, members: int) -> float:
    """Let everybody speak at once for SECONDS; return the server's microseconds a delivery.

    Each says its next line when its last one has come back, so the load fits what the server can do.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        socks: dict[socket.socket, bytes] = {}
        for number in range(members):
            sock = stack.enter_context(socket.create_connection(address, TIMEOUT))
            line = f"m{number:03}：{'x' * 50}\n".encode()
            sock.sendall(line)
            wait_for(sock, line)  # it hears itself: it has joined
            socks[sock] = line
            selector.register(sock, selectors.EVENT_READ)
        rest = dict.fromkeys(socks, b"")
        before, delivered = sum(server.cpu_times()[:2]), 0
        for sock, line in socks.items():
            sock.sendall(line)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for key, _events in selector.select(TIMEOUT):
                sock = key.fileobj  # type: ignore[assignment]
                data = rest[sock] + sock.recv(1 << 18)
                delivered += data.count(b"\n")
                if socks[sock] in data:
                    sock.sendall(socks[sock])
                rest[sock] = data[data.rfind(b"\n") + 1 :]  # a line of which the end is still to come
        return (sum(server.cpu_times()[:2]) - before) / delivered * 1e6


def wait_for(sock: socket.socket, line: bytes) -> None:
    """Receive until `line` has come."""
    data = b""
    while line not in data:
        data += sock.recv(4096)
