"""One member of the room of stage 5: a socket that never waits, a offset in the log, and a name.

A socket that is set not to block takes or gives what it can at once. `Connection` keeps in mind what follows
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

from chatstages.i18n import _
from chatstages.protocol.framing import MAX_LINE, RAW_PAUSE, LineDecoder, encode
from chatstages.protocol.names import COLON, SYSTEM, usable_name
from chatstages.runtime.events import Address, Event, EventKind, Hook
from chatstages.runtime.options import keep_alive

READ_SIZE = (
    2 << 10
)  # bytes taken from a member at a time, at most: small, so that everybody has a turn
LINES_PER_SECOND = 1_000  # lines a second from a member that says several at once
MAX_THROTTLE = 1.0  # seconds for which such a member is not heard, at most: it may have left meanwhile
SEND_SIZE = 256 << 10  # bytes handed to one send, at most
SEND_BUFFER = 128 << 10  # bytes that the system takes off our hands for each member
NOTICE_TIMEOUT = 5.0  # seconds that a member which is cut off has to hear why
NOWHERE = sys.maxsize  # the offset of a member that is sent nothing any more

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Connection:
    """A connection, its offset in the log, and its name."""

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
        self.offset = offset  # up to here it has been sent the log
        self.watched = 0  # what the worker's selector watches it for
        self.write_blocked = False  # its socket takes no more for now
        self.throttled = False  # it has said so much that it is not heard for now
        self.disconnected = False  # it has left, or was killed
        self.due = 0.0  # when to `on_timer`; 0 for never
        self.name = guest_name  # until it says who it is
        self.has_spoken = False
        self._announces = announces  # whether the members are told that it has joined
        self._claim = ""  # what it writes in front of the colon
        self._notice = b""  # of a line of our own, what its socket has not taken yet
        self._discarding = False  # it has been cut off, or the server ends: what it still says is thrown away
        self._discarded = 0  # bytes of that
        self._lines = LineDecoder()
        self._on_event = on_event

    def prepare(self) -> bool:
        """Set the options of the socket; close it and return False where the client has gone already."""
        try:
            self.conn.setblocking(False)
            self.conn.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # send a short line at once, too
            self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            keep_alive(self.conn)
        except OSError:
            self.conn.close()
            return False
        return True

    @property
    def wants(self) -> int:
        """What its socket is to be watched for, READ, WRITE, both or neither."""
        return (0 if self.throttled or self.disconnected else READ) | (
            WRITE if self.write_blocked else 0
        )

    @property
    def sends_on(self) -> bool:
        """Whether it goes on sending though it is not heard any more."""
        return self._discarded > 0

    def receive(self, claim_name: Callable[[str], str]) -> list[bytes]:
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
        if self._discarding:
            self._discarded += len(data)
            return []
        refused = self._lines.too_long
        if data:
            messages = self._lines.feed(data)
        else:  # who was killed in the middle of a line has not said that line
            messages = (
                [] if killed and not self._lines.raw else self._lines.flush(final=True)
            )
        refused = self._lines.too_long - refused
        for _each in range(refused):
            self._refuse()
        if not self.disconnected:
            self._throttle(len(messages), refused)
        return [self._stamp(message, claim_name) for message in messages if message]

    def _throttle(self, messages: int, refused: int) -> None:
        """Decide when to hear it next, now that it has said so much at once."""
        self.due = 0.0
        if (
            messages > 1 or refused
        ):  # it speaks without waiting for the room: let the others have their turn
            pause = min((messages + refused) / LINES_PER_SECOND, MAX_THROTTLE)
            self.throttled, self.due = True, time.monotonic() + pause
        elif (
            self._lines.raw and self._lines.waiting
        ):  # what ends its message is a pause
            self.due = time.monotonic() + RAW_PAUSE

    def on_timer(self, claim_name: Callable[[str], str]) -> list[bytes]:
        """Do what is `due`; return the lines for the log."""
        self.due = 0.0
        if self._discarding:
            self._end()  # it had its time
        elif self.throttled:
            self.throttled = False
        else:
            return [self._stamp(message, claim_name) for message in self._lines.flush()]
        return []

    def _stamp(self, message: str, claim_name: Callable[[str], str]) -> bytes:
        """Return the line that everybody will see: whose it is is our word, not the sender's."""
        written, colon, text = message.partition(COLON)
        if colon and not self._claim and (name := usable_name(written)):
            self._claim, self.name = written, claim_name(name)
        if not colon or written != self._claim:
            text = message
        line = f"{self.name}{COLON}{text}\n"
        if not self.has_spoken:
            self.has_spoken = True
            if self._announces:
                joined = _("{name} joined").format(name=self.name)
                line = f"{SYSTEM} {joined}\n{line}"
        self.tell("said", text)
        return encode(line)

    def tell(self, kind: EventKind, text: str = "") -> None:
        """Call the hook, with the name by which the members know this one."""
        self._on_event(
            Event(kind, self.address, text, self.name if self.has_spoken else "")
        )

    def _refuse(self) -> None:
        """Say that a message was too long to be passed on."""
        reason = _("Too long: a message has at most {limit} bytes.").format(
            limit=MAX_LINE
        )
        self.tell("refused", reason)
        if (
            not self.write_blocked
        ):  # else it has been sent half a line, and this would stand in the middle
            self._notice = encode(f"{SYSTEM} {reason}\n")
            self._send_notice()

    def _send_notice(self) -> None:
        """Send a line of our own: what the socket does not take now, it gets when it has room."""
        try:
            self._notice = self._notice[self.conn.send(self._notice) :]
        except BlockingIOError:
            pass
        except OSError:
            self._notice = b""  # it was killed: `recv` tells
        self.write_blocked = bool(self._notice)

    def send(self, piece: bytearray) -> None:
        """Send as much of `piece`, a part of the log from its offset on, as the socket takes."""
        try:
            sent = self.conn.send(piece)
        except BlockingIOError:
            sent = 0
        except (
            OSError
        ):  # it was killed; what it said before that is still heard, then `recv` tells
            self.offset = NOWHERE
            return
        self.offset += sent
        self.write_blocked = (
            sent < len(piece) or sent == SEND_SIZE
        )  # then there is more

    def on_writable(self) -> None:
        """Take note that the socket takes more again."""
        self.write_blocked = False
        if self._notice:
            self._send_notice()
        if self._discarding and not self._notice:
            self.shutdown_write()

    def disconnect_slow_consumer(self, missed: int) -> None:
        """Let it hear no more but why, when its socket takes that, and be heard no more."""
        reason = _("it does not read what is sent to it ({count} bytes unsent)").format(
            count=missed
        )
        self.tell("dropped", reason)
        goodbye = _("You were cut off: you did not read what was sent to you.")
        self._notice = encode(
            f"\n{SYSTEM} {goodbye}\n"
        )  # it may have been sent half a line
        self._discarding, self.offset, self.write_blocked, self.throttled = (
            True,
            NOWHERE,
            True,
            True,
        )
        self.due = time.monotonic() + NOTICE_TIMEOUT

    def shutdown_write(self) -> None:
        """Say that nothing more will come, and let it close first.

        If we did, with bytes of it unread, that would be a reset: it throws away what the member has not
        fetched yet (RFC 2525 section 2.17).
        """
        with suppress(OSError):
            self.conn.shutdown(socket.SHUT_WR)
        self._discarding, self.offset, self.write_blocked, self.throttled = (
            True,
            NOWHERE,
            False,
            False,
        )

    def reject(self) -> None:
        """Close the connection at once: there are too many already."""
        farewell = _("The room is full.")
        with suppress(OSError):
            self.conn.settimeout(0)
            self.conn.send(encode(f"{SYSTEM} {farewell}\n"))
            self.conn.recv(READ_SIZE)  # unread, it would make a reset of the end
        self.tell("dropped", _("the room is full"))
        self.close()

    def _end(self) -> None:
        """Want nothing any more: it has left. What it was behind with is to be counted."""
        self.offset = self.offset if self.write_blocked else NOWHERE
        self.disconnected, self.write_blocked, self.due = True, False, 0.0

    def close(self) -> None:
        """Close the connection, and tell."""
        self.conn.close()
        if self._discarded:
            reason = _("{count} bytes came when it was not heard any more").format(
                count=self._discarded
            )
            self.tell("refused", reason)
        self.tell("left")
