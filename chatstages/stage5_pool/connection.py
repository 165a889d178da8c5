"""One connection of stage 5: a non-blocking socket, an offset in the log, a name.

A non-blocking socket takes or gives at once what it can. `Connection` remembers what
follows from that: whether there is more to send, whether to receive from it, when to
look at it again. It knows neither threads nor locks: only its worker touches it.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from chatstages.i18n import _
from chatstages.protocol import COLON, LineDecoder, encode, usable_name
from chatstages.protocol.framing import MAX_LINE, RAW_PAUSE
from chatstages.protocol.names import SYSTEM
from chatstages.runtime import Address, Event, EventKind, Hook, keep_alive

READ_SIZE = 2 << 10  # bytes of one recv, at most: small, so that everybody has a turn
LINES_PER_SECOND = 1_000  # from a member that sends several at once
MAX_THROTTLE = 1.0  # seconds without a recv, at most: it may have left meanwhile
SEND_SIZE = 256 << 10  # bytes of one send, at most
SEND_BUFFER = 128 << 10  # bytes of send buffer that we ask the system for
NOTICE_TIMEOUT = 5.0  # seconds that a slow consumer has to read why it is disconnected
NOWHERE = sys.maxsize  # the offset of a connection to which no more of the log is sent

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Connection:
    """A socket, its offset in the log, and the name of its member."""

    def __init__(
        self,
        conn: socket.socket,
        address: Address,
        offset: int,
        guest_name: str,
        on_event: Hook,
        announces: bool = False,
    ) -> None:
        self.conn, self.address = conn, address
        self.offset = offset  # the log up to here has been sent
        self.watched = 0  # for what the worker's selector watches it: READ, WRITE
        self.write_blocked = False  # its send buffer is full
        self.throttled = False  # it has sent too much: no recv for now
        self.disconnected = False  # it has closed its side, or was killed
        self.due = 0.0  # the time of `on_timer`, in monotonic seconds; 0: never
        self.name = guest_name  # until it gives one
        self.has_spoken = False
        self._announces = announces  # whether a line says that it has joined
        self._claim = ""  # what it writes in front of the colon
        self._notice = b""  # the rest of a line of the server's own, not sent yet
        self._discarding = False  # what it still sends is discarded, and counted
        self._discarded = 0  # bytes
        self._lines = LineDecoder()
        self._on_event = on_event

    def prepare(self) -> bool:
        """Set the socket's options; close it, and return False, if that fails."""
        try:
            self.conn.setblocking(False)
            # Send a short line at once, without waiting for more (Nagle's algorithm).
            self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            keep_alive(self.conn)
        except OSError:
            self.conn.close()
            return False
        return True

    @property
    def wants(self) -> int:
        """For what the selector should watch it: READ, WRITE, both or neither."""
        read = 0 if self.throttled or self.disconnected else READ
        return read | (WRITE if self.write_blocked else 0)

    @property
    def sends_on(self) -> bool:
        """Whether it goes on sending though all that is discarded."""
        return self._discarded > 0

    def tell(self, kind: EventKind, text: str = "") -> None:
        """Call the hook with an event of this connection, and its name if known."""
        name = self.name if self.has_spoken else ""
        self._on_event(Event(kind, self.address, text, name))

    # --- receiving ---

    def receive(self, claim_name: Callable[[str], str]) -> list[bytes]:
        """Call `recv` once; return the lines for the log."""
        killed = False
        try:
            data = self.conn.recv(READ_SIZE)  # b"" when it has closed its side
        except BlockingIOError:
            return []
        except OSError:
            data, killed = b"", True  # RST, or no sign of life: it has left
        if not data:
            self._end()
        if self._discarding:
            self._discarded += len(data)
            return []
        messages, refused = self._decode(data, killed)
        for _each in range(refused):
            self._refuse()
        if not self.disconnected:
            self._throttle(len(messages), refused)
        return self._stamp(messages, claim_name)

    def _decode(self, data: bytes, killed: bool) -> tuple[list[str], int]:
        """Return the messages that `data` completes, and how many were too long."""
        before = self._lines.too_long
        if data:
            messages = self._lines.feed(data)
        elif killed and not self._lines.raw:
            messages = []  # half a line of a peer that was killed is no message
        else:
            messages = self._lines.flush(final=True)
        return messages, self._lines.too_long - before

    def _throttle(self, messages: int, refused: int) -> None:
        """Decide when to receive next, after so many messages at once."""
        self.due = 0.0
        if messages > 1 or refused:  # it does not wait for the room: others come first
            pause = min((messages + refused) / LINES_PER_SECOND, MAX_THROTTLE)
            self.throttled, self.due = True, time.monotonic() + pause
        elif self._lines.raw and self._lines.waiting:  # a pause will end its message
            self.due = time.monotonic() + RAW_PAUSE

    def on_timer(self, claim_name: Callable[[str], str]) -> list[bytes]:
        """Do what is `due`; return the lines for the log."""
        self.due = 0.0
        if self._discarding:
            self._end()  # NOTICE_TIMEOUT is over
        elif self.throttled:
            self.throttled = False
        else:
            return self._stamp(self._lines.flush(), claim_name)
        return []

    def _stamp(
        self, messages: list[str], claim_name: Callable[[str], str]
    ) -> list[bytes]:
        """Return the lines for everybody: the server, not the sender, puts the name."""
        lines = []
        for message in filter(None, messages):
            written, colon, text = message.partition(COLON)
            if colon and not self._claim and (name := usable_name(written)):
                self._claim, self.name = written, claim_name(name)
            if not colon or written != self._claim:
                text = message
            if not self.has_spoken:
                self.has_spoken = True
                if self._announces:
                    joined = _("{name} joined").format(name=self.name)
                    lines.append(encode(f"{SYSTEM} {joined}\n"))
            lines.append(encode(f"{self.name}{COLON}{text}\n"))
            self.tell("said", text)
        return lines

    def _refuse(self) -> None:
        """Tell the member that a message was too long to be passed on."""
        sentence = _("Too long: a message has at most {limit} bytes.")
        reason = sentence.format(limit=MAX_LINE)
        self.tell("refused", reason)
        if not self.write_blocked:  # else this would stand in the middle of a line
            self._notice = encode(f"{SYSTEM} {reason}\n")
            self._send_notice()

    # --- sending ---

    def send(self, piece: bytearray) -> None:
        """Send as much of `piece`, the log from its offset on, as the buffer takes."""
        try:
            sent = self.conn.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:
            # It was killed: `recv` brings what it said before, then the end.
            self.offset = NOWHERE
            return
        self.offset += sent
        self.write_blocked = sent < len(piece) or sent == SEND_SIZE  # there is more

    def _send_notice(self) -> None:
        """Send a line of the server's own; its rest follows when there is room."""
        try:
            self._notice = self._notice[self.conn.send(self._notice) :]
        except BlockingIOError:
            pass
        except OSError:
            self._notice = b""  # it was killed: `recv` brings the end
        self.write_blocked = bool(self._notice)

    def on_writable(self) -> None:
        """Go on sending: the selector says that the buffer has room again."""
        self.write_blocked = False
        if self._notice:
            self._send_notice()
        if self._discarding and not self._notice:
            self.shutdown_write()

    # --- ending ---

    def disconnect_slow_consumer(self, missed: int) -> None:
        """Send no more of the log, but only why, and discard what it still sends."""
        reason = _("it does not read what is sent to it ({count} bytes unsent)")
        self.tell("dropped", reason.format(count=missed))
        goodbye = _("You were disconnected: you did not read what was sent.")
        self._notice = encode(f"\n{SYSTEM} {goodbye}\n")  # half a line may stand before
        self._discard(write_blocked=True)
        self.due = time.monotonic() + NOTICE_TIMEOUT

    def shutdown_write(self) -> None:
        """Half-close (FIN), and let the peer close first.

        If we did, with bytes of it unread, that would be RST: it destroys what the
        peer has not read yet (RFC 2525 section 2.17).
        """
        with suppress(OSError):
            self.conn.shutdown(socket.SHUT_WR)
        self._discard(write_blocked=False)

    def _discard(self, write_blocked: bool) -> None:
        """Send no more of the log, and discard what arrives."""
        self._discarding, self.offset = True, NOWHERE
        self.write_blocked = self.throttled = write_blocked

    def reject(self) -> None:
        """Close the connection at once: there are too many already."""
        farewell = _("The room is full.")
        with suppress(OSError):
            self.conn.settimeout(0)
            self.conn.send(encode(f"{SYSTEM} {farewell}\n"))
            self.conn.recv(READ_SIZE)  # unread, it would make the close RST
        self.tell("dropped", _("the room is full"))
        self.conn.close()

    def _end(self) -> None:
        """Want nothing any more; what could not be sent to it is to be counted."""
        self.offset = self.offset if self.write_blocked else NOWHERE
        self.disconnected, self.write_blocked, self.due = True, False, 0.0

    def close(self) -> None:
        """Close the socket, and tell."""
        self.conn.close()
        if self._discarded:
            sentence = _("{count} bytes came when it was not heard any more")
            self.tell("refused", sentence.format(count=self._discarded))
        self.tell("left")
