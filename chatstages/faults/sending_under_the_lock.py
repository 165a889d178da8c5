"""A group whose one lock is held while sending: a trap for whoever fixes "a lock each".

With one lock for all there is one order, and no two messages are mixed. But `sendall`
blocks when a member does not read and its buffers are full, and the thread that blocks
here holds the lock. So everybody waits, for one slow consumer: perhaps a laptop whose
lid was closed.

The fix: under the lock only what cannot block; send after it was released
(`stage5_pool`).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Thread

from chatstages.faults.serving import server_of
from chatstages.runtime import Address, Event, Hook, StoppableSocket
from chatstages.stage4_broadcast import ECHOES, LEAVE_WORD, NEEDS_NAME, connect, receive

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "Group", "connect", "serve"]

SEND_BUFFER = 8_192  # bytes that the system buffers for each member: soon full


class Group:
    """The members of the chat."""

    def __init__(self) -> None:
        self.lock = Lock()  # Guards members, and the sending.
        self.members: list[socket.socket] = []

    def broadcast(self, text: str) -> None:
        """Send `text` to every member. Any thread may call."""
        with self.lock:
            for conn in self.members:
                with suppress(OSError):
                    # The mistake: it may block, and with it everybody.
                    conn.sendall(text.encode())


def handle(conn: socket.socket, address: Address, group: Group, on_event: Hook) -> None:
    """Receive from one member until it leaves, and broadcast what it says."""
    with conn:
        with group.lock:
            group.members.append(conn)
        on_event(Event("joined", address))
        for text in receive(conn):
            on_event(Event("said", address, text))
            group.broadcast(text)
        with group.lock:
            group.members.remove(conn)
    on_event(Event("left", address))


def accept_clients(server: StoppableSocket, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    group = Group()
    threads: list[Thread] = []
    try:
        while True:
            conn, address = server.accept()
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            threads.append(Thread(target=handle, args=(conn, address, group, on_event)))
            threads[-1].start()
    finally:
        # The thread that blocks in `sendall` holds the lock, so we do not ask for it:
        # even this server can be stopped.
        for conn in list(group.members):
            with suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


serve = server_of(accept_clients)
