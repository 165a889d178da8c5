"""Real sockets and threads, as short as tests need them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatstages.microscope import Scope
from tests.support import PATIENCE


@contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            conn, _address = server.accept()
            with conn:
                yield client, conn


def event_kinds(scope: Scope, *wanted: str) -> list[str]:
    """Return the kinds of the events, in order; only those wanted, if any are named."""
    return [event.kind for event in scope.events if not wanted or event.kind in wanted]


def run_thread(target: Callable[..., object], *args: object) -> None:
    """Run `target` in a thread, to its end."""
    thread = threading.Thread(target=target, args=args)
    thread.start()
    thread.join(PATIENCE)
