"""Stage 3, but the accepting thread closes the connection that it has just given away.

It looks tidy: what the loop has opened, the loop closes. But the other thread has only
begun, and its `recv` finds a closed socket: OSError, bad file descriptor. (Its
`handle` does not suppress it, to let you see it.)

In the wild that line stands after the thread is started. Then it works now and then,
which is worse.

The fix: the thread that uses a connection closes it (`stage3_threads`).
"""

import socket
from collections.abc import Callable
from threading import Thread

from chatstages.faults.serving import server_of
from chatstages.protocol import Decoder
from chatstages.runtime import Event
from chatstages.stage3_threads import ECHOES, LEAVE_WORD, NEEDS_NAME, connect

__all__ = [
    "ECHOES",
    "LEAVE_WORD",
    "NEEDS_NAME",
    "accept_clients",
    "connect",
    "handle",
    "serve",
]


def handle(
    conn: socket.socket, address: tuple[str, int], on_event: Callable[[Event], None]
) -> None:
    """Receive from one client until it leaves."""
    decoder = Decoder()  # from bytes to text
    with conn:  # it closes conn
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
            # The mistake: the other thread uses it.
            conn.close()
            try:
                thread.start()
                threads.append(thread)
            except RuntimeError:
                conn.close()  # the system gives no more threads
    finally:
        for thread in threads:
            thread.join()  # after `stop`, its recv returns b""


serve = server_of(accept_clients)
