"""What the mistakes have in common: opening the door, as every stage does."""

from __future__ import annotations

import socket
from collections.abc import Callable

from chatstages.events import Hook, ignore
from chatstages.listener import Running, Stop, closed_on_error, reuse_address


def server_of(run: Callable[[socket.socket, Stop, Hook], None]) -> Callable[..., Running]:
    """Return the function `serve` of a server whose accepting thread does `run`."""

    def serve(host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore) -> Running:
        """Start the server, as the stages do. Raises OSError when the address cannot be had."""
        with closed_on_error(socket.socket()) as server:
            reuse_address(server)
            server.bind((host, port))
            server.listen()
            return Running(server, lambda sock, stop: run(sock, stop, on_event))

    return serve
