"""A group whose one lock is held while sending: a trap for whoever fixes "a lock each".

With one lock for all there is one order, and no two messages are mixed. But `sendall`
blocks when a member does not read and its buffers are full, and the thread that blocks
here holds the lock. So everybody waits, for one slow consumer: perhaps a laptop whose
lid was closed.

The fix: under the lock only what cannot block; send after it was released
(`stage5_pool`).
"""

import socket
from contextlib import suppress
from threading import Lock, Thread

from chatstages.faults.serving import server_of
from chatstages.runtime import Event, Hook, StoppableSocket
from chatstages.stage4_broadcast import (
    ECHOES,
    LEAVE_WORD,
    NEEDS_NAME,
    Address,
    connect,
    receive,
)

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "Group", "connect", "serve"]

SEND_BUFFER = 8_192  # bytes that the system buffers for each member: soon full


class Group:
    """The members of the chat."""

    def __init__(self, on_event: Hook) -> None:
        self.on_event = on_event
        self.lock = Lock()  # Guards members.
        self.members: dict[StoppableSocket, Address] = {}

    def broadcast(self, text: str) -> None:
        """Send `text` to every member. Any thread may call."""
        # The mistake: `sendall` may block, and everybody waits for the lock.
        with self.lock:
            for conn in self.members:
                if conn.stopped:
                    return  # the server ends
                with suppress(OSError):
                    conn.sendall(text.encode(errors="replace"))


def handle(conn: StoppableSocket, address: Address, group: Group) -> None:
    """Receive from one member until it leaves, and broadcast what it says."""
    with conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        with group.lock:
            group.members[conn] = address
        group.on_event(Event("joined", address))
        try:
            for text in receive(conn):
                group.on_event(Event("said", address, text))
                group.broadcast(text)
        finally:
            with group.lock:
                group.members.pop(conn, None)
    group.on_event(Event("left", address))


def accept_clients(server: StoppableSocket, on_event: Hook) -> None:
    """Accept clients, a thread for each, until the server is stopped."""
    group = Group(on_event)
    threads: list[Thread] = []
    try:
        while True:
            conn, address = server.accept()  # after `stop` it raises Stopped
            thread = Thread(target=handle, args=(conn, address, group))
            threads = [t for t in threads if t.is_alive()]  # else the list grows
            try:
                thread.start()
                threads.append(thread)
            except RuntimeError:
                conn.close()  # the system gives no more threads
    finally:
        # The thread that blocks in `sendall` holds the lock, so we do not ask for it:
        # even this server can be stopped.
        for conn in list(group.members):
            with suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()  # after `stop`, its recv returns b""


serve = server_of(accept_clients)
