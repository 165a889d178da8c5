"""Waking a thread that waits in a selector."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Waker:
    """Wakes a thread that waits in a selector: something a selector can wait for, and any thread can ring."""

    def __init__(self) -> None:
        # Guards _write_end: a ring must not go to a descriptor that `close` has given back to the system.
        self._lock = threading.Lock()
        self._read_end, self._write_end = socket.socketpair()
        self._read_end.setblocking(False)
        self._write_end.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when the bell has been rung."""
        return self._read_end.fileno()

    def wake(self) -> None:
        """Wake who waits; it stays rung until it is silenced. Any thread may call."""
        with self._lock, suppress(OSError):  # it is full of rings already, or nobody waits any more
            self._write_end.send(b"!")

    def drain(self) -> None:
        """Be ready for the next ring."""
        with suppress(BlockingIOError):
            self._read_end.recv(4096)

    def close(self) -> None:
        """Give the two descriptors back."""
        with self._lock:
            self._write_end.close()
            self._read_end.close()
