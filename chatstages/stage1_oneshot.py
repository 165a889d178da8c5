"""Stage 1: one message, one way. The server receives it, and both close.

**Still wrong:**

- After one message all is over. Stage 2 holds a conversation.
- One `recv` is taken for one message, but TCP carries bytes, not messages: of a long
  text, only the beginning may have arrived. Stage 5 solves this.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from chatstages.protocol import Decoder
from chatstages.runtime import BackgroundServer, Event, StoppableSocket, ignore

ECHOES = NEEDS_NAME = KEEPS_HISTORY = False  # `chatstages chat` asks for these
LEAVE_WORD = None  # what a person types to leave: one message ends it anyway


def handle_one(server: socket.socket, on_event: Callable[[Event], None]) -> None:
    """Accept one client and receive one message."""
    conn, address = server.accept()
    decoder = Decoder()  # from bytes to text
    with conn, suppress(OSError):  # it closes conn; a killed client is an OSError
        on_event(Event("joined", address))
        text = decoder.decode(conn.recv(65535))
        while decoder.incomplete:  # 汉 is three bytes, and not all have arrived
            text += decoder.decode(conn.recv(65535))
        if text:
            on_event(Event("said", address, text))  # with on_event=print: print it
    on_event(Event("left", address))


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
