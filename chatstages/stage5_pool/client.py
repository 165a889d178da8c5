"""The client of stage 5: that of stage 4, with a nickname and whole lines.

It stands apart so that `stage5_pool`, the server, can be read in one sitting. What you say goes over the
wire as `name：text` and a newline, and each line that comes back is a message (`protocol.LineDecoder`).
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from chatstages.i18n import _
from chatstages.protocol.framing import MAX_LINE, RECV_SIZE, LineDecoder, encode
from chatstages.protocol.names import COLON, check_name
from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Address, Event, Hook, ignore
from chatstages.runtime.options import TIMEOUT
from chatstages.runtime.sockets import Stop, closed_on_error

LEAVE_TIMEOUT = 0.5  # seconds that a leaving client gives the server to close its side


class Client:
    """A connection to the server, and a thread that receives.

    `received` holds the last 1,000 lines that have arrived. One thread at a time may send or close.
    """

    def __init__(self, address: Address, name: str, on_event: Hook) -> None:
        self.name = check_name(name) or ""
        if not self.name:
            raise ValueError(_("This cannot be a nickname: {name}").format(name=repr(name)))
        with closed_on_error(socket.socket()) as self._sock:
            self._sock.settimeout(TIMEOUT)
            self._sock.connect(address)
        self.received: deque[str] = deque(maxlen=1_000)
        self._leaving = False
        self._receiver = BackgroundServer(
            self._sock, partial(self._receive, address=address, on_event=on_event)
        )

    def _receive(self, sock: socket.socket, stop: Stop, address: Address, on_event: Hook) -> None:
        for text in receive(sock, stop):
            self.received.append(text)
            on_event(Event("heard", address, text))
        sock.close()  # from here on `send` raises
        if not self._leaving:
            on_event(Event("gone", address))

    def send(self, text: str) -> None:
        """Send `text`, each of its lines as one message.

        Raises ValueError when a line is too long (MAX_LINE), OSError when the server has gone.
        """
        messages = [encode(f"{self.name}{COLON}{line}") for line in text.split("\n") if line]
        if any(len(message) > MAX_LINE for message in messages):
            raise ValueError(_("Too long: a message has at most {limit} bytes.").format(limit=MAX_LINE))
        self._sock.sendall(b"".join(message + b"\n" for message in messages))

    def close(self) -> None:
        """Leave, at once, whoever speaks or does not.

        First we say "no more" (FIN), behind the last byte sent, and hear the server out until it closes its
        side too. To close with bytes unread would tell it to throw away what we said (RST, RFC 2525 2.17).
        """
        self._leaving = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._receiver.wait(LEAVE_TIMEOUT)
        self._receiver.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def receive(conn: socket.socket, stop: Stop) -> Iterator[str]:
    """Yield each line that arrives, until the other side has left.

    A server that knows no lines (the one of stage 4) ends none: its text is taken after a pause.
    """
    lines, data = LineDecoder(limit=1 << 20), b"?"
    while data and not stop.is_set():
        if stop.readable(conn, lines.patience):
            try:
                data = conn.recv(RECV_SIZE)  # b"" when the other side has closed
            except OSError:
                data = b""  # it was killed: for us it has left
            yield from lines.feed(data)
        else:
            yield from lines.flush()
    yield from lines.flush(final=True)


def connect(address: Address, name: str, on_event: Hook = ignore) -> Client:
    """Connect to the server at `address` (host, port) as `name`.

    Raises OSError when nobody answers there, ValueError when `name` cannot be a nickname.
    """
    return Client(address, name, on_event)


def ask_name(ask: Callable[[str], str]) -> str:
    """Ask a person for a nickname until there is one."""
    while (name := check_name(ask(_("Nickname: ")))) is None:
        pass
    return name


def chat(client: Client, ask: Callable[[str], str], show: Callable[[object], None]) -> None:
    """Let a person use the client: ask for messages and send them; `exit` leaves."""
    while (text := ask(">>> ")) != "exit":
        try:
            client.send(text)
        except ValueError as error:
            show(error)
