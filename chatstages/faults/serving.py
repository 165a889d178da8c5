"""What the mistakes have in common: opening the door, as every stage does."""

from __future__ import annotations

import socket
from collections.abc import Callable

from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Hook, ignore
from chatstages.runtime.options import reuse_address
from chatstages.runtime.sockets import Stop, closed_on_error


def server_of(run: Callable[[socket.socket, Stop, Hook], None]) -> Callable[..., BackgroundServer]:
    """Return the function `serve` of a server whose accepting thread does `run`."""

    def serve(host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore) -> BackgroundServer:
        """Start the server, as the stages do. Raises OSError when the address cannot be had."""
        with closed_on_error(socket.socket()) as server:
            reuse_address(server)
            server.bind((host, port))
            server.listen()
            return BackgroundServer(server, lambda sock, stop: run(sock, stop, on_event))

    return serve
