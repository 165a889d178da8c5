"""A group whose one lock is held while sending: the mend of "a lock for each thread" that is a trap.

With one lock for all there is one order, and no two messages are mixed. But `sendall` waits when a member
does not read and its buffers are full, and whoever waits here holds the lock. So everybody waits, for one
who may have closed the lid of a laptop.

The mend: under the lock only what cannot wait; send after it has been given back (`stage5_pool`).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Thread

from chatstages.faults.serving import server_of
from chatstages.protocol.framing import encode
from chatstages.runtime.events import Address, Event, Hook, show_address
from chatstages.runtime.sockets import Stop
from chatstages.stage4_broadcast import connect, receive

__all__ = ["STAGE", "Group", "connect", "serve"]

STAGE = 4
SEND_BUFFER = 8_192  # bytes that the system takes off our hands for each member: soon full, so that it shows


class Group:
    """Who is there. Any thread may call."""

    def __init__(self) -> None:
        self._lock = Lock()  # Guards members, and the sending.
        self.members: list[socket.socket] = []

    def join(self, conn: socket.socket) -> None:
        """Let `conn` receive what is said from now on."""
        with self._lock:
            self.members.append(conn)

    def leave(self, conn: socket.socket) -> None:
        """Send `conn` nothing any more."""
        with self._lock:
            self.members.remove(conn)

    def broadcast(self, text: str) -> None:
        """Send `text` to every member."""
        with self._lock:
            for conn in self.members:
                with suppress(OSError):
                    conn.sendall(encode(text))  # the slip: it may wait, and everybody with it


def handle(conn: socket.socket, address: Address, group: Group, stop: Stop, on_event: Hook) -> None:
    """Serve one member until it leaves."""
    with conn:
        group.join(conn)
        on_event(Event("joined", address))
        for text in receive(conn, stop):
            on_event(Event("said", address, text))
            group.broadcast(text)
        group.leave(conn)
    on_event(Event("left", address))


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    group = Group()
    threads: list[Thread] = []
    while client := stop.accept(server):
        client[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        name = show_address(client[1])
        threads.append(Thread(target=handle, args=(*client, group, stop, on_event), name=name))
        threads[-1].start()
    # Whoever sits in `sendall` holds the lock, so we do not ask for it: even this server can be stopped.
    for conn in list(group.members):
        with suppress(OSError):
            conn.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


serve = server_of(accept_clients)
