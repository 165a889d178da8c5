"""Stopping a blocked call, and taking an address again, on every operating system.

A thread that sits in `accept()` or `recv()` cannot be told anything: it wakes when a client comes or
bytes arrive, and not before. Closing the socket from another thread wakes it on some systems, leaves
it asleep on others, and on Linux keeps the port taken while it sleeps. What holds everywhere is to wait
for *two* things at once, the socket and a wake-up call, and to make the blocking call only when it will
not block. `Stop` does that; the stages say `stop.readable(conn)` and then `conn.recv(…)`.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from chatstages.runtime.events import Address
from chatstages.runtime.waker import Waker

# poll() takes any descriptor and makes none of its own; Windows has select() alone.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Stop(Waker):
    """A waker that is woken once, stays so, and wakes every thread that waits for a socket.

    Any thread may `set` it or wait for it; `close` is for the thread that has seen all the others end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False

    def set(self) -> None:
        """Wake everybody."""
        self._is_set = True
        self.wake()

    def is_set(self) -> bool:
        """Tell whether `set` has been called."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Sleep `timeout` seconds at most; return True, at once, when `set` has been called."""
        self._wait_for(self, timeout=timeout)
        return self.is_set()

    def readable(self, sock: socket.socket, timeout: float | None = None) -> bool:
        """Wait until a recv (or an accept) on `sock` would not block; return whether it is so.

        False means that `set` has been called, or that `timeout` seconds have passed.
        """
        return sock in self._wait_for(sock, self, timeout=timeout) and not self.is_set()

    def accept(self, server: socket.socket) -> tuple[socket.socket, Address] | None:
        """Accept the next client of `server`; return None when `set` has been called.

        A client that went away before it was accepted is passed over. When the process may open no
        more files (EMFILE), trying at once again would fail 190,000 times a second: it waits 10 ms,
        then longer, up to 1 s, until one is free.
        """
        delay = 0.01
        server.settimeout(0.5)  # the client that woke us may have gone again: do not wait long for another
        while self.readable(server):
            try:
                conn, address = server.accept()
            except (ConnectionError, TimeoutError):
                continue
            except OSError:
                self.wait(delay)
                delay = min(2 * delay, 1.0)
            else:
                return conn, address[:2]
        return None

    def _wait_for(self, *things: socket.socket | Waker, timeout: float | None) -> list[object]:
        with _Selector() as selector:
            for thing in things:
                selector.register(thing, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(timeout)]


@contextmanager
def closed_on_error(sock: socket.socket) -> Iterator[socket.socket]:
    """Close `sock` if the block fails; leave it open if all goes well."""
    try:
        yield sock
    except BaseException:
        sock.close()
        raise
