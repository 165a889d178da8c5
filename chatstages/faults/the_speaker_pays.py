"""Stage 4, but an error in sending strikes whoever was speaking, and who has left stays in the list.

Eve leaves. Ann says something; the server's thread for Ann sends it to everybody, comes to Eve, and the
sending fails: in *Ann's* thread, which ends. Ann has done nothing wrong, and is out.

The mend: an error belongs to the member on whom it happened, and a leaver is taken off the list
(`stage4_broadcast.Group`).
"""

from __future__ import annotations

import socket
from threading import Lock, Thread

from chatstages.faults.serving import server_of
from chatstages.protocol.framing import encode
from chatstages.runtime.events import Address, Event, Hook, show_address
from chatstages.runtime.sockets import Stop
from chatstages.stage4_broadcast import connect, receive

__all__ = ["STAGE", "Group", "connect", "serve"]

STAGE = 4


class Group:
    """Who is there. Any thread may call."""

    def __init__(self) -> None:
        self._lock = Lock()  # Guards _members.
        self._members: list[socket.socket] = []

    def join(self, conn: socket.socket) -> None:
        """Let `conn` receive what is said from now on."""
        with self._lock:
            self._members.append(conn)

    def broadcast(self, text: str) -> None:
        """Send `text` to every member."""
        with self._lock:
            members = list(self._members)
        for conn in members:
            conn.sendall(encode(text))  # the slip: this may fail, and not by the speaker's fault


def handle(conn: socket.socket, address: Address, group: Group, stop: Stop, on_event: Hook) -> None:
    """Serve one member until it leaves."""
    with conn:
        group.join(conn)
        on_event(Event("joined", address))
        for text in receive(conn, stop):
            on_event(Event("said", address, text))
            group.broadcast(text)
    on_event(Event("left", address))  # and another: nobody takes it off the list


def accept_clients(server: socket.socket, stop: Stop, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    group = Group()
    threads: list[Thread] = []
    while client := stop.accept(server):
        name = show_address(client[1])
        threads.append(Thread(target=handle, args=(*client, group, stop, on_event), name=name))
        threads[-1].start()
    for thread in threads:
        thread.join()


serve = server_of(accept_clients)
