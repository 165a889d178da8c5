"""What the mistakes have in common: opening the listening socket, as a stage does."""

from __future__ import annotations

from collections.abc import Callable

from chatstages.runtime import BackgroundServer, Hook, StoppableSocket, ignore


def server_of(
    run: Callable[[StoppableSocket, Hook], None],
) -> Callable[..., BackgroundServer]:
    """Return the function `serve` of a server whose accepting thread calls `run`."""

    def serve(
        host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore
    ) -> BackgroundServer:
        """Start the server, as the stages do. Raises OSError if the port is in use."""
        server = StoppableSocket()
        server.bind((host, port))
        server.listen()
        return BackgroundServer(server, run, on_event)

    return serve
