"""One connection of stage 5: a non-blocking socket, an offset in the log, a state.

A non-blocking socket takes or gives at once what it can. `Connection` remembers what
follows from that. It alone changes its state, and tells its worker when it has. It
knows neither threads nor locks nor the log: only its worker touches it.

    OPEN ──── it must go: a slow consumer, a stop ────► CLOSING ──► CLOSED
      └──────────── the peer has closed or was killed ───────────────▲
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from chatstages.i18n import _
from chatstages.protocol import encode
from chatstages.protocol.framing import MAX_LINE, RAW_PAUSE
from chatstages.protocol.names import SYSTEM
from chatstages.runtime import Address, Event, EventKind, Hook, keep_alive
from chatstages.runtime.event_queue import Lines
from chatstages.stage5_pool.member import Member, foreign_protocol, throttle_time

READ_SIZE = 2 << 10  # bytes of one recv, at most: small, so that everybody has a turn
SEND_BUFFER = 128 << 10  # bytes of send buffer that we ask the system for
NOTICE_TIMEOUT = 5.0  # seconds that a peer has to read why it is disconnected
DRAIN_SIZE = 16 << 10  # bytes of one recv while the server stops
MAX_UNREAD = 1 << 20  # bytes that are counted at the end: who sends on would hold it up
LONG = 512  # bytes of one recv that are more than a person types

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class State(Enum):
    """The states of a connection."""

    OPEN = "it receives, and is sent the log"
    CLOSING = "it is sent why, then FIN; what it still sends is discarded"
    CLOSED = "the peer has closed its side, or was killed"


OPEN, CLOSING, CLOSED = State


class Connection:
    """A socket, how far it has been sent the log, and its member."""

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        offset: int | None,
        member: Member,
        announces: bool = False,
    ) -> None:
        self.sock, self.address, self.member = sock, address, member
        self.offset = offset  # the log up to here has been sent; None: nothing waits
        self.state = OPEN
        self.killed = False  # to send to it fails; it may still have to be received
        self.write_blocked = False  # its send buffer is full, or more of the log waits
        self.throttled = False  # it has sent too much: no recv for now
        self.due = 0.0  # the time of `on_timer`, in monotonic seconds; 0: never
        self._begin: bytes | None = b""  # what came first, until we know who speaks
        self._announces = announces  # whether a line says that it has joined
        self._notice = b""  # the rest of a line of the server's own, not sent yet
        self._discarded = 0  # bytes
        self._refused = 0  # messages
        self._lines = member.lines
        self._read_size = READ_SIZE
        self._tell: Callable[[Event | Lines], object] | None = None
        self._changed: Callable[[Connection], object] = lambda connection: None

    def prepare(self) -> bool:
        """Set the socket's options; close it, and return False, if that fails."""
        try:
            self.sock.setblocking(False)
            # Send a short line at once, without waiting for more (Nagle's algorithm).
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            keep_alive(self.sock)
        except OSError:
            self.sock.close()
            return False
        return True

    def attach(
        self,
        changed: Callable[[Connection], object],
        tell: Callable[[Event | Lines], object] | None,
    ) -> None:
        """Call `changed` when the state has changed, `tell` when something happens."""
        self._changed, self._tell = changed, tell
        self.tell("joined")

    @property
    def takes_log(self) -> bool:
        """Whether it is sent what the log grows by."""
        return self.state is OPEN and not self.killed

    @property
    def interest(self) -> int:
        """For what the selector should watch it: READ, WRITE, both or neither."""
        if self.state is CLOSED:
            return 0
        return READ * (not self.throttled) | WRITE * self.write_blocked

    def unsent(self, end: int) -> int:
        """Return how many bytes it has not been sent of a log that ends at `end`."""
        return max(0, end - self.offset) if self.offset is not None else 0

    @property
    def discards(self) -> bool:
        """Whether it goes on sending though all that is discarded."""
        return self.state is CLOSING and self._discarded > 0

    def tell(self, kind: EventKind, text: str = "") -> None:
        """Tell what happens to it, with its name if known."""
        if self._tell:
            name = self.member.name if self.member.has_spoken else ""
            self._tell(Event(kind, self.address, text, name))

    # --- receiving ---

    def receive(self) -> list[bytes]:
        """Call `recv` once; return the lines for the log."""
        try:
            # The plain recv, not that of a StoppableSocket: it does not wait anyway.
            data = socket.socket.recv(self.sock, self._read_size)
        except BlockingIOError:
            return []
        except OSError:
            self.killed = True  # RST, or no sign of life: it has left
            data = b""
        if not data:  # it has closed its side
            return self._end()
        if self.state is CLOSING:
            self._discarded += len(data)
            return []
        if self._begin is not None and self._is_foreign(data):
            return []
        lines = self.member.feed(data)
        if len(lines) != 1 or len(data) > LONG or self._lines.too_long != self._refused:
            self._pace(data)
        return self._said(lines) if self._tell or self._announces else lines

    def _said(self, lines: list[bytes]) -> list[bytes]:
        """Tell what it has said; before its first message, that it has joined."""
        if lines and self._tell:
            self._tell((self.address, self.member.name, lines))
        if lines and self._announces:
            self._announces = False
            joined = _("{name} joined").format(name=self.member.name)
            return [system_line(joined), *lines]
        return lines

    def _pace(self, data: bytes) -> None:
        """Refuse what was too long; decide when to receive next, after `data`."""
        refused = self._lines.too_long - self._refused
        self._refused = self._lines.too_long
        for _each in range(refused):
            self._refuse()
        self.due = 0.0
        # Empty lines count, and what was refused, and that there is more than one recv.
        more = len(data) == self._read_size
        pause = throttle_time(data.count(b"\n") + 2 * refused + more)
        if pause and self._read_size == READ_SIZE:
            self.throttled, self.due = True, time.monotonic() + pause
        elif self.member.waits_for_pause:
            self.due = time.monotonic() + RAW_PAUSE
        self._changed(self)

    def on_timer(self) -> list[bytes]:
        """Do what is `due`; return the lines for the log."""
        self.due = 0.0
        self._changed(self)
        if self.state is CLOSING:
            self._close()  # NOTICE_TIMEOUT is over
        elif self.throttled:
            self.throttled = False
            if self.member.waits_for_pause:
                self.due = time.monotonic() + RAW_PAUSE
        elif self.member.waits_for_pause:
            return self._said(self.member.flush())
        return []

    def _refuse(self) -> None:
        """Tell the member that a message was too long to be passed on."""
        reason = _("Too long: a message has at most {limit} bytes.")
        reason = reason.format(limit=MAX_LINE)
        self.tell("refused", reason)
        if not self.write_blocked:  # else this would stand in the middle of a line
            self._notice = system_line(reason) + b"\n"
            self._send_notice()

    def _is_foreign(self, data: bytes) -> bool:
        """Tell whether this is no chat client; disconnect it if so."""
        begin = (self._begin or b"") + data
        if protocol := foreign_protocol(begin):
            reason = _("it speaks {protocol}, and this is a chat")
            self.tell("dropped", reason.format(protocol=protocol))
            self._disconnect(answer_to(protocol))
        is_decided = self.member.has_spoken or b"\n" in begin or len(begin) > MAX_LINE
        self._begin = None if is_decided else begin
        return bool(protocol)

    def drain(self) -> None:
        """From now on receive all that has arrived, without throttling."""
        if self.state is OPEN:
            self._read_size = DRAIN_SIZE
            self.throttled = False
            self._changed(self)

    def stop_receiving(self) -> list[bytes]:
        """Receive no more; return the message that has no newline, of a raw client."""
        if self.state is not OPEN:
            return []
        self.throttled, self.due = True, 0.0
        self._changed(self)
        is_whole = self.member.waits_for_pause
        return self._said(self.member.flush(final=True)) if is_whole else []

    # --- sending ---

    def fall_behind(self, offset: int) -> None:
        """From `offset` on it has to be sent the log when there is room again."""
        self.offset, self.write_blocked = offset, True
        self._changed(self)

    def catch_up(self, piece: bytes, more: bool) -> None:
        """Send `piece`, the log from its offset on; `more`: the log goes on there."""
        assert self.offset is not None
        try:
            sent = self.sock.send(piece) if piece else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.stop_sending()
            return
        if sent < len(piece) or more:
            self.fall_behind(self.offset + sent)
        else:
            self.offset = None

    def stop_sending(self) -> None:
        """It was killed: `recv` brings what it said before, and then the end."""
        self.killed, self.write_blocked, self._notice = True, False, b""
        self._changed(self)

    def _send_notice(self) -> None:
        """Send a line of the server's own; its rest follows when there is room."""
        try:
            self._notice = self._notice[self.sock.send(self._notice) :]
        except BlockingIOError:
            pass
        except OSError:
            self.stop_sending()
        self.write_blocked = bool(self._notice)
        self._changed(self)

    def on_writable(self) -> bool:
        """Go on sending; return whether it can take more of the log."""
        self.write_blocked = False
        self._changed(self)
        if self._notice:
            self._send_notice()
        if self.state is CLOSING and not self._notice:
            self._shutdown_write()
        return not self.write_blocked

    # --- ending ---

    def disconnect_slow_consumer(self, missed: int) -> None:
        """Send no more of the log, but only why."""
        reason = _("it does not read what is sent to it ({count} bytes unsent)")
        self.tell("dropped", reason.format(count=missed))
        goodbye = _("You were disconnected: you did not read what was sent.")
        # Half a line may stand before it.
        self._disconnect(b"\n" + system_line(goodbye) + b"\n")

    def _disconnect(self, notice: bytes) -> None:
        """Send `notice` and FIN, and discard what it still sends until it closes."""
        self.state, self.offset, self._notice = CLOSING, None, notice
        self.due = time.monotonic() + NOTICE_TIMEOUT
        # First the notice is sent; then what it still sends is received, and discarded.
        self.write_blocked = self.throttled = True
        self._changed(self)

    def _shutdown_write(self) -> None:
        """Half-close (FIN), and let the peer close first.

        If we did, with bytes of it unread, that would be RST: it destroys what the
        peer has not read yet (RFC 2525 section 2.17).
        """
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.write_blocked = self.throttled = False
        self._changed(self)

    def shutdown_write(self) -> None:
        """Half-close (FIN): the server stops. Discard what it still sends."""
        if self.state is OPEN:
            self.state, self.offset = CLOSING, None
            self._shutdown_write()

    def _end(self) -> list[bytes]:
        """Close, for the peer has; return the message with which it left."""
        lines = []
        # Half a line of a peer that was killed is no message.
        if self.state is OPEN and (not self.killed or self.member.waits_for_pause):
            lines = self._said(self.member.flush(final=True))
        self._close()
        return lines

    def _close(self) -> None:
        """Want nothing any more."""
        self.state, self.due = CLOSED, 0.0
        self._changed(self)

    def close(self) -> None:
        """Count what was not received, close the socket, and tell."""
        with suppress(OSError):
            while self._discarded < MAX_UNREAD and (data := self.sock.recv(DRAIN_SIZE)):
                self._discarded += len(data)
        self.sock.close()
        if self._discarded:
            sentence = _("{count} bytes came when it was not heard any more")
            self.tell("refused", sentence.format(count=self._discarded))
        self.tell("left")

    def reject(self, on_event: Hook) -> None:
        """Close the connection at once: there are too many already."""
        farewell = _("The room is full.")
        with suppress(OSError):
            self.sock.settimeout(0)
            self.sock.send(system_line(farewell) + b"\n")
            self.sock.recv(READ_SIZE)  # unread, it would make the close RST
        on_event(Event("dropped", self.address, _("the room is full")))
        self.sock.close()


def send_to_all(
    receivers: dict[Connection, socket.socket], offset: int, piece: bytes
) -> None:
    """Send `piece`, which stands in the log at `offset`, to all who are up to date.

    What they have is the worker's offset: only who does not take it all gets one of its
    own. This loop is most of what a busy server does.
    """
    size = len(piece)
    for connection, sock in receivers.items():
        try:
            sent = sock.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.stop_sending()
            continue
        if sent != size:
            connection.fall_behind(offset + sent)


def system_line(text: str) -> bytes:
    """Return a line of the server's own, without its newline."""
    return encode(f"{SYSTEM} {text}")


def answer_to(protocol: str) -> bytes:
    """Return what a client of another protocol is told; a browser shows it."""
    header = (
        b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    reason = _("This is a chat: connect with a chat client, not with {protocol}.")
    line = system_line(reason.format(protocol=protocol)) + b"\n"
    return header + line if protocol == "HTTP" else line
