"""The client of stage 5: that of stage 4, with a nickname and whole lines.

What you say goes over the wire as `name：text` and a newline, and each line that comes
back is a message (`protocol.LineSplitter`).
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread, current_thread

from chatstages.i18n import _
from chatstages.protocol import COLON, LineSplitter, check_name, encode
from chatstages.protocol.framing import MAX_LINE
from chatstages.runtime import Address, Event, Hook, StoppableSocket, ignore

TIMEOUT = 0.5  # seconds that a leaving client gives the server to close its side


def receive(conn: StoppableSocket) -> Iterator[str]:
    """Yield each line that arrives, until the other side has left.

    The server of stage 4 ends no line: there, a pause ends a text.
    """
    lines = LineSplitter(limit=1 << 20)
    with suppress(OSError):  # OSError: the other side was killed
        while not conn.stopped:
            if not conn.readable(lines.patience):
                yield from map(bytes.decode, lines.flush())
                continue
            data = conn.recv(65535)
            yield from map(bytes.decode, lines.feed(data))
            if not data:
                break  # the other side has closed
    yield from map(bytes.decode, lines.flush(final=True))


class Client:
    """A connection with a nickname, and a thread that receives.

    `received` holds the last 1,000 lines. One thread at a time may send or close.
    Without a `name`, it cannot send until one is set. Raises OSError if no server is
    up, ValueError (which says why) if `name` cannot be a nickname.
    """

    def __init__(
        self, address: Address, name: str = "", on_event: Hook = ignore
    ) -> None:
        self._name = check_name(name) if name else ""
        self.received: deque[str] = deque(maxlen=1000)
        self.sock = StoppableSocket()
        self.sock.connect(address)
        self._leaving = False
        self._receiver = Thread(target=self._receive, args=(address, on_event))
        self._receiver.start()

    @property
    def name(self) -> str:
        """The nickname. To set what cannot be one raises ValueError, which says why."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = check_name(name)

    def _receive(self, address: Address, on_event: Hook) -> None:
        with self.sock:  # after that, `send` raises
            for text in receive(self.sock):
                self.received.append(text)
                on_event(Event("received", address, text))
        if not self._leaving:
            on_event(Event("disconnected", address))

    def send(self, text: str) -> None:
        """Send `text`, each of its lines as one message, from one thread at a time.

        Raises ValueError if a line is too long (MAX_LINE) or there is no name, OSError
        if disconnected.
        """
        if not self._name:
            raise ValueError(_("Choose a nickname first."))
        messages = [
            encode(f"{self._name}{COLON}{line}") for line in text.split("\n") if line
        ]
        if any(len(message) > MAX_LINE for message in messages):
            raise ValueError(
                _("Too long: a message has at most {limit} bytes.").format(
                    limit=MAX_LINE
                )
            )
        self.sock.sendall(b"".join(message + b"\n" for message in messages))

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
