"""Stage 4, but an error in sending strikes the speaker, and a leaver stays in the list.

Eve leaves. Ann says something; the server's thread for Ann sends it to everybody, comes
to Eve, and the sending fails: in *Ann's* thread, which ends. Ann has done nothing
wrong, and is disconnected.

The fix: an error belongs to the member on which it happens, and a leaver is taken off
the list (`stage4_broadcast.Group`).
"""

from __future__ import annotations

import socket
from threading import Lock, Thread

from chatstages.faults.serving import server_of
from chatstages.runtime import Address, Event, Hook, StoppableSocket
from chatstages.stage4_broadcast import ECHOES, LEAVE_WORD, NEEDS_NAME, connect, receive

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "Group", "connect", "serve"]


class Group:
    """The members of the chat."""

    def __init__(self) -> None:
        self.lock = Lock()  # Guards members.
        self.members: list[socket.socket] = []

    def broadcast(self, text: str) -> None:
        """Send `text` to every member. Any thread may call."""
        with self.lock:
            members = list(self.members)  # a copy: others join
        for conn in members:
            # The mistake: it may fail, and not by the speaker's fault.
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
    on_event(Event("left", address))  # and another: nobody takes it off the list


def accept_clients(server: StoppableSocket, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    group = Group()
    threads: list[Thread] = []
    try:
        while True:
            conn, address = server.accept()
            threads.append(Thread(target=handle, args=(conn, address, group, on_event)))
            threads[-1].start()
    finally:
        for thread in threads:
            thread.join()


serve = server_of(accept_clients)
