"""Stage 4: a group. What one member says, every member receives, the speaker too.

**Unlike stage 3:**

- The server broadcasts. An error belongs to the member on which it happens.
- The client has a thread that receives while you type.

**Still wrong:** (stage 5 solves it)

- Nobody sees who is speaking. One `recv` is taken for one message.
- When two speak at once, members see them in different orders, or pieces mixed.
- A slow consumer (it does not read) blocks whoever speaks, until it is disconnected.
- A thread for each member, without a limit.
"""

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock, Thread, current_thread

from chatstages.i18n import _
from chatstages.protocol import Decoder
from chatstages.runtime import BackgroundServer, Event, Hook, StoppableSocket, ignore

ECHOES, NEEDS_NAME, KEEPS_HISTORY = True, False, False  # for `chatstages chat`
LEAVE_WORD = "exit"  # what a person types to leave
TIMEOUT = 0.5  # seconds: for a slow consumer, and for a server to close its side
Address = tuple[str, int]  # host, port


def receive(conn: socket.socket) -> Iterator[str]:
    """Yield what each `recv` brings, as text, until the other side has left."""
    decoder = Decoder()  # from bytes to text
    with suppress(OSError):  # OSError: the other side was killed
        while True:
            data = conn.recv(65535)
            if text := decoder.decode(data):  # of b"": half a character, if any
                yield text
            if not data:
                break  # the other side has closed


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
            try:
                conn.sendall(text.encode(errors="replace"))
            except OSError as error:  # this member's affair, not the speaker's
                with self.lock:
                    was_member = self.members.pop(conn, None)
                if was_member and isinstance(error, TimeoutError):
                    self.on_event(Event("dropped", address, _("slow consumer")))
                with suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)  # its own thread closes it


def handle(conn: StoppableSocket, address: Address, group: Group) -> None:
    """Receive from one member until it leaves, and broadcast what it says."""
    with conn:
        conn.settimeout(TIMEOUT)  # for sendall; recv of a StoppableSocket ignores it
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
        for thread in threads:
            thread.join()  # after `stop`, its recv returns b""


def serve(
    host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore
) -> BackgroundServer:
    """Serve in a thread; port 0: any free one. Raises OSError if the port is in use."""
    server = StoppableSocket()
    server.bind((host, port))
    server.listen()
    return BackgroundServer(server, accept_clients, on_event)


class Client:
    """A connection, and a thread that receives. Raises OSError if no server is up."""

    def __init__(self, address: Address, on_event: Hook = ignore) -> None:
        self.received: deque[str] = deque(maxlen=1000)
        self.sock = StoppableSocket()
        self.sock.connect(address)
        self._leaving = False
        self._receiver = Thread(target=self._receive, args=(address, on_event))
        self._receiver.start()

    def _receive(self, address: Address, on_event: Hook) -> None:
        with self.sock:  # after that, `send` raises
            for text in receive(self.sock):
                self.received.append(text)
                on_event(Event("received", address, text))
        if not self._leaving:
            on_event(Event("disconnected", address))

    def send(self, text: str) -> None:
        """Send `text`, from one thread at a time. Raises OSError if disconnected."""
        self.sock.sendall(text.encode(errors="replace"))

    def close(self) -> None:
        """Leave: half-close (FIN), and receive until the server closes, too."""
        self._leaving = True
        with suppress(OSError):  # to close with bytes unread would send RST, no FIN
            self.sock.shutdown(socket.SHUT_WR)
        for timeout in (TIMEOUT, None):
            if current_thread() is not self._receiver:  # a hook may call this, too
                self._receiver.join(timeout)
            self.sock.stop()  # ends the thread, if the server does not close


connect = Client
