"""Stage 3: a thread for each client, so any number may send at the same time.

**Unlike stage 2:**

- The server accepts one client after the other, and starts a thread for each: while
  one thread waits in `accept` or `recv`, the others go on.
- The thread that uses a connection closes it. If the accepting thread closed it, the
  other would find a closed socket (bad file descriptor).

**Still wrong:**

- Clients talk to the server, not to each other. Stage 4 broadcasts.
- One `recv` is taken for one message. Stage 5 solves this.
- The client does not receive: only when it sends does it learn that the server has
  disconnected. Stage 4 solves this.
- Ten thousand clients are ten thousand threads. Stage 5 has a pool.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

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


def accept_clients(server: socket.socket, on_event: Callable[[Event], None]) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    threads: list[Thread] = []
    try:
        while True:
            conn, address = server.accept()  # after `stop` it raises Stopped
            thread = Thread(target=handle, args=(conn, address, on_event))
            threads = [t for t in threads if t.is_alive()]  # else the list grows
            try:
                thread.start()
                threads.append(thread)
            except RuntimeError:
                conn.close()  # the system gives no more threads
    finally:
        for thread in threads:
            thread.join()  # after `stop`, its recv returns b""


def serve(
    host: str = "127.0.0.1", port: int = 0, on_event: Callable[[Event], None] = ignore
) -> BackgroundServer:
    """Serve in a thread; port 0: any free one. Raises OSError if the port is in use."""
    server = StoppableSocket()
    server.bind((host, port))
    server.listen()
    return BackgroundServer(server, accept_clients, on_event)  # calls it in a thread


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
