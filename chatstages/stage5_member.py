"""One member of the room of stage 5: a socket that never waits, a position in the log, and a name.

A socket that is set not to block takes or gives what it can at once. `Member` keeps in mind what follows
from that: whether there is more to send, whether it is to be heard, when to look at it again. It knows
nothing of threads and locks: only the worker that it was given to touches it (see `stage5_pool`).
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from chatstages.events import Address, Event, Hook
from chatstages.listener import keep_alive
from chatstages.locale import _
from chatstages.wire import COLON, MAX_LINE, RAW_PAUSE, SYSTEM, Lines, check_name, encode

READ_SIZE = 2 << 10  # bytes taken from a member at a time, at most: small, so that everybody has a turn
PACE = 1_000  # lines a second from a member that says several at once
MAX_REST = 1.0  # seconds for which such a member is not heard, at most: it may have left meanwhile
SEND_SIZE = 256 << 10  # bytes handed to one send, at most
SEND_BUFFER = 128 << 10  # bytes that the system takes off our hands for each member
FAREWELL_TIMEOUT = 5.0  # seconds that a member which is cut off has to hear why
NOWHERE = sys.maxsize  # the position of a member that is sent nothing any more

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Member:
    """A connection, its position in the log, and its name."""

    def __init__(
        self, conn: socket.socket, address: Address, position: int, name: str, on_event: Hook
    ) -> None:
        self.conn, self.address = conn, address
        self.position = position  # up to here it has been sent the log
        self.watched = 0  # what the worker's selector watches it for
        self.full = False  # its socket takes no more for now
        self.resting = False  # it has said so much that it is not heard for now
        self.gone = False  # it has left, or was killed
        self.due = 0.0  # when to `look_again`; 0 for never
        self.name = name  # until it says who it is
        self._claim = ""  # what it writes in front of the colon
        self._note = b""  # of a line of our own, what its socket has not taken yet
        self._parting = False  # it has been cut off, or the server ends: what it still says is thrown away
        self._thrown_away = 0  # bytes of that
        self._lines = Lines()
        self._on_event = on_event

    def prepare(self) -> bool:
        """Set the options of the socket; close it and return False where the client has gone already."""
        try:
            self.conn.setblocking(False)
            self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # send a short line at once, too
            self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            keep_alive(self.conn)
        except OSError:
            self.conn.close()
            return False
        return True

    @property
    def wants(self) -> int:
        """What its socket is to be watched for, READ, WRITE, both or neither."""
        return (0 if self.resting or self.gone else READ) | (WRITE if self.full else 0)

    @property
    def talking(self) -> bool:
        """Whether it goes on talking though it is not heard any more."""
        return self._thrown_away > 0

    def hear(self, take_name: Callable[[str], str]) -> list[bytes]:
        """Receive once; return the lines for the log."""
        killed = False
        try:
            data = self.conn.recv(READ_SIZE)  # b"" when it has closed its side
        except BlockingIOError:
            return []
        except OSError:
            data, killed = b"", True  # for us it has left
        if not data:
            self._end()
        if self._parting:
            self._thrown_away += len(data)
            return []
        refused = self._lines.too_long
        if data:
            messages = self._lines.feed(data)
        else:  # who was killed in the middle of a line has not said that line
            messages = [] if killed and not self._lines.raw else self._lines.flush(final=True)
        refused = self._lines.too_long - refused
        for _each in range(refused):
            self._refuse()
        if not self.gone:
            self._rest(len(messages), refused)
        return [self._stamp(message, take_name) for message in messages if message]

    def _rest(self, messages: int, refused: int) -> None:
        """Decide when to hear it next, now that it has said so much at once."""
        self.due = 0.0
        if messages > 1 or refused:  # it speaks without waiting for the room: let the others have their turn
            pause = min((messages + refused) / PACE, MAX_REST)
            self.resting, self.due = True, time.monotonic() + pause
        elif self._lines.raw and self._lines.waiting:  # what ends its message is a pause
            self.due = time.monotonic() + RAW_PAUSE

    def look_again(self, take_name: Callable[[str], str]) -> list[bytes]:
        """Do what is `due`; return the lines for the log."""
        self.due = 0.0
        if self._parting:
            self._end()  # it had its time
        elif self.resting:
            self.resting = False
        else:
            return [self._stamp(message, take_name) for message in self._lines.flush()]
        return []

    def _stamp(self, message: str, take_name: Callable[[str], str]) -> bytes:
        """Return the line that everybody will see: whose it is is our word, not the sender's."""
        written, colon, text = message.partition(COLON)
        if colon and not self._claim and (name := check_name(written)):
            self._claim, self.name = written, take_name(name)
        line = f"{self.name}{COLON}{text if colon and written == self._claim else message}\n"
        self._on_event(Event("said", self.address, line))
        return encode(line)

    def _refuse(self) -> None:
        """Say that a message was too long to be passed on."""
        reason = _("Too long: a message has at most {limit} bytes.").format(limit=MAX_LINE)
        self._on_event(Event("refused", self.address, reason))
        if not self.full:  # else it has been sent half a line, and this would stand in the middle
            self._note = encode(f"{SYSTEM} {reason}\n")
            self._send_note()

    def _send_note(self) -> None:
        """Send a line of our own: what the socket does not take now, it gets when it has room."""
        try:
            self._note = self._note[self.conn.send(self._note) :]
        except BlockingIOError:
            pass
        except OSError:
            self._note = b""  # it was killed: `recv` tells
        self.full = bool(self._note)

    def send(self, piece: bytearray) -> None:
        """Send as much of `piece`, a part of the log from its position on, as the socket takes."""
        try:
            sent = self.conn.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:  # it was killed; what it said before that is still heard, then `recv` tells
            self.position = NOWHERE
            return
        self.position += sent
        self.full = sent < len(piece) or sent == SEND_SIZE  # then there is more

    def has_room(self) -> None:
        """Take note that the socket takes more again."""
        self.full = False
        if self._note:
            self._send_note()
        if self._parting and not self._note:
            self.hang_up()

    def cut_off(self, missed: int) -> None:
        """Let it hear no more but why, when its socket takes that, and be heard no more."""
        reason = _("it does not read what is sent to it ({count} bytes unsent)").format(count=missed)
        self._on_event(Event("dropped", self.address, reason))
        goodbye = _("You were cut off: you did not read what was sent to you.")
        self._note = encode(f"\n{SYSTEM} {goodbye}\n")  # it may have been sent half a line
        self._parting, self.position, self.full, self.resting = True, NOWHERE, True, True
        self.due = time.monotonic() + FAREWELL_TIMEOUT

    def hang_up(self) -> None:
        """Say that nothing more will come, and let it close first.

        If we did, with bytes of it unread, that would be a reset: it throws away what the member has not
        fetched yet (RFC 2525 section 2.17).
        """
        with suppress(OSError):
            self.conn.shutdown(socket.SHUT_WR)
        self._parting, self.position, self.full, self.resting = True, NOWHERE, False, False

    def turn_away(self) -> None:
        """Close the connection at once: there are too many already."""
        farewell = _("The room is full.")
        with suppress(OSError):
            self.conn.settimeout(0)
            self.conn.send(encode(f"{SYSTEM} {farewell}\n"))
            self.conn.recv(READ_SIZE)  # unread, it would make a reset of the end
        self._on_event(Event("dropped", self.address, _("the room is full")))
        self.close()

    def _end(self) -> None:
        """Want nothing any more: it has left. What it was behind with is to be counted."""
        self.position = self.position if self.full else NOWHERE
        self.gone, self.full, self.due = True, False, 0.0

    def close(self) -> None:
        """Close the connection, and tell."""
        self.conn.close()
        if self._thrown_away:
            reason = _("{count} bytes came when it was not heard any more").format(count=self._thrown_away)
            self._on_event(Event("refused", self.address, reason))
        self._on_event(Event("left", self.address))
