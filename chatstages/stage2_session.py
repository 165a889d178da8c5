"""Stage 2: a conversation, until the client leaves.

**Unlike stage 1:**

- The server calls `recv` in a loop. b"" means: the client has closed its side (FIN).
  To send an empty message sends nothing at all, so it cannot end a conversation.

**Still wrong:**

- A second client is never served. Stage 3 serves many at the same time.
- One `recv` is taken for one message: quick messages arrive coalesced, long ones
  split. Stage 5 solves this.
- The client does not receive: only when it sends does it learn that the server has
  disconnected. Stage 4 solves this.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from chatstages.protocol import Decoder
from chatstages.runtime import BackgroundServer, Event, StoppableSocket, ignore

ECHOES = NEEDS_NAME = KEEPS_HISTORY = False  # `chatstages chat` asks for these
LEAVE_WORD = ""  # on an empty line, `chatstages chat` closes the client


def handle(
    conn: socket.socket, address: tuple[str, int], on_event: Callable[[Event], None]
) -> None:
    """Receive from one client until it leaves."""
    decoder = Decoder()  # from bytes to text
    with conn, suppress(OSError):  # it closes conn; a killed client is an OSError
        on_event(Event("joined", address))
        while True:
            data = conn.recv(65535)
            if text := decoder.decode(data):  # of b"": half a character, if any
                on_event(Event("said", address, text))
            if not data:
                break  # the client has closed its side
    on_event(Event("left", address))


def handle_one(server: socket.socket, on_event: Callable[[Event], None]) -> None:
    """Accept one client and serve it."""
    conn, address = server.accept()
    handle(conn, address, on_event)


def serve(
    host: str = "127.0.0.1", port: int = 0, on_event: Callable[[Event], None] = ignore
) -> BackgroundServer:
    """Serve in a thread; port 0: any free one. Raises OSError if the port is in use."""
    server = StoppableSocket()
    server.bind((host, port))
    server.listen()
    return BackgroundServer(server, handle_one, on_event)  # calls it in a thread


class Client:
    """A connection to `address` (host, port). Raises OSError if no server is there."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=10)  # seconds

    def send(self, text: str) -> None:
        """Send `text`, from one thread at a time. Raises OSError if disconnected."""
        self.sock.sendall(text.encode(errors="replace"))

    def close(self) -> None:
        """Leave; what was sent before still arrives."""
        self.sock.close()


connect = Client
