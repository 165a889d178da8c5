"""Waking a thread that waits in a selector, from any other thread.

A selector waits for sockets and for nothing else. So a waker is a pair of connected sockets: one end is
registered with the selector, and a byte written into the other end makes it readable (the self-pipe trick).
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress

DRAIN_TIMEOUT = 0.2  # seconds: who goes on sending does not hold up the end
# poll() takes any descriptor and makes none of its own; Windows has select() alone.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Waker:
    """Something that a selector can wait for, and that any thread can make readable."""

    def __init__(self) -> None:
        # Guards _write_end: no byte may go to a descriptor that `close` has given back to the system.
        # Reentrant, because a signal handler may call `wake` while its thread is in there already.
        self._lock = threading.RLock()
        self._read_end, self._write_end = socket.socketpair()
        self._read_end.setblocking(False)
        self._write_end.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable after `wake`; -1 after `close`."""
        return self._read_end.fileno()

    def wake(self) -> None:
        """Wake the thread that waits; the waker stays readable until `drain`. Any thread may call."""
        with self._lock, suppress(OSError):  # the buffer is full of wake-ups already, or it is closed
            self._write_end.send(b"!")

    def drain(self) -> None:
        """Take all wake-ups out of the buffer. For the thread that waits."""
        with suppress(BlockingIOError):
            self._read_end.recv(4096)

    def close(self) -> None:
        """Give the two descriptors back."""
        with self._lock:
            self._write_end.close()
            self._read_end.close()


class StopSignal(Waker):
    """A waker that is woken once and never drained: it wakes every thread that waits with it.

    Any thread may `set` it or wait. `close` is for the thread that has joined all the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._deadline = 0.0  # in monotonic seconds: until then, what has arrived is still received

    def set(self) -> None:
        """Wake every thread that waits, now or later."""
        if not self._is_set:
            self._deadline = time.monotonic() + DRAIN_TIMEOUT
            self._is_set = True
        self.wake()

    def is_set(self) -> bool:
        """Tell whether `set` has been called."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Sleep `timeout` seconds at most; return True, at once, when `set` has been called."""
        if not self.is_set():
            self._wait_for(self, timeout=timeout)
        return self.is_set()

    def readable(self, sock: socket.socket, timeout: float | None = None) -> bool:
        """Wait until a recv (or an accept) on `sock` would not block; return whether it is so.

        False means that `timeout` seconds have passed, or that `set` has been called and nothing is there
        to be received: what has arrived before is, for DRAIN_TIMEOUT seconds.
        """
        try:
            if not self.is_set():
                ready = self._wait_for(sock, self, timeout=timeout)
            if self.is_set():
                ready = self._wait_for(sock, timeout=0)
        except ValueError:
            return sock.fileno() == -1  # it is closed: the call says so at once
        return sock in ready and not (self.is_set() and time.monotonic() > self._deadline)

    def _wait_for(self, *things: socket.socket | Waker, timeout: float | None) -> list[object]:
        with _Selector() as selector:
            for thing in things:
                selector.register(thing, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(timeout)]
