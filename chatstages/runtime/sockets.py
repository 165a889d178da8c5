"""A socket whose blocked `accept` and `recv` any thread can end, on every operating system.

A thread that sits in `accept()` or `recv()` cannot be told anything: it wakes when a client connects or
bytes arrive, and not before. Closing the socket from another thread wakes it on some systems, leaves it
asleep on others, and on Linux keeps the port taken while it sleeps. What works everywhere is to wait for
*two* things at once, the socket and a waker, and to make the blocking call only when it will not block.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from chatstages.runtime.events import Address
from chatstages.runtime.options import reuse_address
from chatstages.runtime.waker import StopSignal

CONNECT_TIMEOUT = 10.0  # seconds for which a client tries to connect, or to send
ACCEPT_TIMEOUT = 0.5  # seconds: the client that was reported may have disconnected again
FIRST_DELAY, MAX_DELAY = 0.01, 1.0  # seconds between two tries while no more files may be open


class Stopped(Exception):
    """The socket was stopped while, or before, it waited in `accept`: the accept loop ends."""


class StoppableSocket(socket.socket):
    """A TCP socket: after `stop()`, its `accept` raises Stopped and its `recv` returns b"".

    What has arrived by then, clients and bytes, is accepted and received before that (DRAIN_TIMEOUT).

    The connections that it has accepted are stopped along with it. All else is as in `socket.socket`, but:

    - `bind` takes a port that a server before it has just left.
    - `bind` and `connect` close the socket when they fail; `connect`, and sending afterwards, take
      CONNECT_TIMEOUT seconds at most where no other timeout is set.
    - `accept` and `recv` wait without a limit; `settimeout` limits `connect` and `send` alone.
      With a timeout of 0 (non-blocking) they are those of `socket.socket`.
    """

    def __init__(
        self,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
        fileno: int | None = None,
        stop_signal: StopSignal | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._owns_signal = stop_signal is None
        self.stop_signal = stop_signal or StopSignal()

    @property
    def stopped(self) -> bool:
        """Whether `stop` has been called."""
        return self.stop_signal.is_set()

    def readable(self, timeout: float | None) -> bool:
        """Wait until a `recv` would not block, `timeout` seconds at most; return whether it is so.

        After `stop` it is so only for what had arrived by then.
        """
        return self.stop_signal.readable(self, timeout)

    def stop(self) -> None:
        """Wake every thread that waits in `accept` or `recv`, here and in the accepted connections."""
        self.stop_signal.set()

    def bind(self, address: Any) -> None:
        """Bind to `address` (host, port). Raises OSError when it is in use or is not this computer's."""
        try:
            reuse_address(self)
            super().bind(address)
        except BaseException:
            self.close()
            raise

    def connect(self, address: Any) -> None:
        """Connect to `address` (host, port). Raises OSError if nobody answers in CONNECT_TIMEOUT seconds."""
        try:
            if self.gettimeout() is None:
                self.settimeout(CONNECT_TIMEOUT)
            super().connect(address)
        except BaseException:
            self.close()
            raise

    def accept(self) -> tuple[Any, Address]:
        """Accept the next client: return its connection and its address (host, port). Raises Stopped.

        A client that has disconnected before it was accepted is passed over. When the process may open no
        more files (EMFILE), trying again at once would be a busy loop: it waits 10 ms, then longer, up to
        1 s, until one is free. A socket that does not listen, or is closed, raises OSError as ever.
        """
        if self.gettimeout() == 0:
            return super().accept()
        delay = FIRST_DELAY
        self.settimeout(ACCEPT_TIMEOUT)
        while self.stop_signal.readable(self):
            try:
                conn, address = super().accept()
            except (ConnectionError, TimeoutError):
                continue
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.EBADF, errno.ENOTSOCK):
                    raise  # no waiting helps against a mistake in the program
                self.stop_signal.wait(delay)
                delay = min(2 * delay, MAX_DELAY)
            else:
                timeout = conn.gettimeout()
                stoppable = StoppableSocket(
                    self.family, self.type, self.proto, conn.detach(), self.stop_signal
                )
                stoppable.settimeout(timeout)
                return stoppable, address[:2]
        raise Stopped

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive `bufsize` bytes at most; b"" when the peer has closed its side, or after `stop`."""
        if self.gettimeout() == 0 or self.stop_signal.readable(self):
            return super().recv(bufsize, flags)
        return b""

    def close(self) -> None:
        """Close the socket; that of a listener stops what it has accepted."""
        super().close()
        if self._owns_signal:
            self.stop_signal.set()
            self.stop_signal.close()
