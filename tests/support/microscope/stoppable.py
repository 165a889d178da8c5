"""Sockets whose `accept` and `recv` can be stopped from another thread, in three forms.

Each waits for the socket or for a waker (a socketpair), and only then makes the call that would block.
"""

from __future__ import annotations

import select
import selectors
import socket
from typing import Any


class Stopped(Exception):
    """`stop` was called."""


class StoppableSocket(socket.socket):
    """Waits in a selector; wraps an accepted connection by taking over its descriptor."""

    def __init__(self, *args: Any, waker: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_first = waker is None
        self._waker = waker or socket.socketpair()

    def _is_readable(self) -> bool:
        """Wait; return False where that was ended by `stop`."""
        with selectors.DefaultSelector() as selector:
            for each in (self, self._waker[0]):
                selector.register(each, selectors.EVENT_READ)
            return self._waker[0] not in [key.fileobj for key, _events in selector.select()]

    def accept(self) -> Any:
        """Wait for a client; raise Stopped where that was ended by `stop`."""
        if not self._is_readable():
            raise Stopped
        conn, address = super().accept()
        return type(self)(fileno=conn.detach(), waker=self._waker), address

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Wait for bytes; return b"" where that was ended by `stop`."""
        return super().recv(size, flags) if self._is_readable() else b""

    def stop(self) -> None:
        """End every wait on this socket, and on the connections that it has accepted."""
        self._waker[1].send(b"!")

    def close(self) -> None:
        """Close the socket; the listening one closes the waker, too."""
        super().close()
        for each in self._waker if self._is_first else ():
            each.close()


class SelectingSocket(StoppableSocket):
    """Waits with `select.select`."""

    def _is_readable(self) -> bool:
        return self._waker[0] not in select.select([self, self._waker[0]], [], [])[0]


class RawAcceptingSocket(StoppableSocket):
    """Makes the connection from the descriptor that the system has returned."""

    def accept(self) -> Any:
        """Wait for a client, and make an ordinary socket of the connection."""
        if not self._is_readable():
            raise Stopped
        fd, address = self._accept()  # type: ignore[attr-defined]
        return socket.socket(fileno=fd), address


STOPPABLE: list[type[StoppableSocket]] = [StoppableSocket, SelectingSocket, RawAcceptingSocket]
