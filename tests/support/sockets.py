"""Bare sockets: a learner's netcat, a peer that is killed, a flood."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatstages.runtime.events import Address
from tests.support.events import PATIENCE, Recorder


@contextmanager
def raw_client(address: Address) -> Iterator[socket.socket]:
    """Connect with a bare socket, as netcat or the first scripts of a learner do."""
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        yield sock


def read_until(sock: socket.socket, expected: bytes) -> bytes:
    """Receive until `expected` is among what has come; return all that has."""
    data = b""
    while expected not in data:
        more = sock.recv(65_536)
        assert more, f"the connection ended after {data!r}"
        data += more
    return data


def read_to_end(sock: socket.socket) -> bytes:
    """Receive until the other side closes; a reset counts as closing."""
    data = b""
    try:
        while more := sock.recv(65_536):
            data += more
    except ConnectionResetError:
        pass
    return data


def kill(sock: socket.socket) -> None:
    """Close `sock` as the system does for a program that was killed with bytes unread: with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(sock: socket.socket, until: Callable[[], bool], chunk: bytes = b"x" * 60_000 + b"\n") -> None:
    """Send `chunk` again and again until `until()` holds."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, "waited in vain while sending"
        sock.sendall(chunk)


def overflow(address: Address, told: Recorder, *ears: Recorder) -> None:
    """Say so much in stage 5 that whoever does not read is cut off.

    Not faster than one reads it oneself, and than `ears` hear it, so that nobody else falls behind.
    """
    with raw_client(address) as loud:
        while not told.of("dropped"):  # pytest's timeout ends it
            loud.sendall((b"x" * 4_000 + b"\n") * 16 + b"over\n")
            read_until(loud, b"over\n")
            for ear in ears:
                ear.wait("received", len(told.of("said")))


def wait_until_listening(address: Address) -> None:
    """Try to connect until a program that has announced `address` does listen there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(address, timeout=PATIENCE).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at {address}"
            time.sleep(0.02)  # another program's port: there is no event to wait for
