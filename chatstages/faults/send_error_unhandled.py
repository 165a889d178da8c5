"""Stage 4, but an error in sending strikes the speaker, and a leaver stays in the list.

Eve leaves. Ann says something; the server's thread for Ann sends it to everybody, comes
to Eve, and the sending fails: in *Ann's* thread, which ends. Ann has done nothing
wrong, and is disconnected.

The fix: an error belongs to the member on which it happens, and a leaver is taken off
the list (`stage4_broadcast.Group`).
"""

from threading import Lock, Thread

from chatstages.faults.serving import server_of
from chatstages.runtime import Event, Hook, StoppableSocket
from chatstages.stage4_broadcast import (
    ECHOES,
    LEAVE_WORD,
    NEEDS_NAME,
    TIMEOUT,
    Address,
    connect,
    receive,
)

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "Group", "connect", "serve"]


class Group:
    """The members of the chat."""

    def __init__(self, on_event: Hook) -> None:
        self.on_event = on_event
        self.lock = Lock()  # Guards members.
        self.members: dict[StoppableSocket, Address] = {}

    def broadcast(self, text: str) -> None:
        """Send `text` to every member. Any thread may call."""
        with self.lock:
            members = list(self.members.items())  # a copy: others join and leave
        for conn, address in members:
            if conn.stopped:
                return  # the server ends
            # The mistake: the speaker gets the error.
            conn.sendall(text.encode(errors="replace"))


def handle(conn: StoppableSocket, address: Address, group: Group) -> None:
    """Receive from one member until it leaves, and broadcast what it says."""
    with conn:
        conn.settimeout(TIMEOUT)  # for sendall; recv of a StoppableSocket ignores it
        with group.lock:
            group.members[conn] = address
        group.on_event(Event("joined", address))
        for text in receive(conn):
            group.on_event(Event("said", address, text))
            group.broadcast(text)
    group.on_event(Event("left", address))  # and another: it stays a member


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
        for thread in threads:
            thread.join()  # after `stop`, its recv returns b""


serve = server_of(accept_clients)
