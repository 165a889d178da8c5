"""One member of stage 5, without its socket: bytes in, lines for the log out.

It does no I/O, takes no lock and knows no clock, so a test feeds it bytes and looks at
what comes out (in the field: "sans I/O"). Here it is decided which name a member has,
what is no message, and how fast it may send.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from chatstages.protocol import COLON, LineSplitter, encode, usable_name

COLON_BYTES = encode(COLON)
LINES_PER_SECOND = 1_000  # from a member that sends several at once
MAX_THROTTLE = 1.0  # seconds without a recv, at most: it may have left meanwhile
UNKNOWN = b"\n"  # what no line begins with

# How a browser (RFC 9112 section 3; RFC 9113 section 3.4) and a client of TLS (RFC 8446
# section 5.1) begin.
HTTP = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PRI) \S+ HTTP/\d")
TLS_HANDSHAKE = b"\x16\x03"


class Member:
    """What one member says, and under which name."""

    def __init__(self, guest_name: str, claim_name: Callable[[str], str]) -> None:
        self.name = guest_name  # until it gives one
        self.has_spoken = False
        self._claim_name = claim_name
        self._written = UNKNOWN  # how it writes its own name, and the colon
        self._prefix = UNKNOWN  # what stands in front of all that it says
        self.lines = LineSplitter()

    @property
    def waits_for_pause(self) -> bool:
        """Whether a pause will end its message: it has sent no newline yet."""
        return self.lines.raw and self.lines.waiting

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, as everybody will see them."""
        said = []
        for line in self.lines.feed(data):
            if line.startswith(self._prefix):
                said.append(line)  # as it came: the bytes go straight into the log
            elif line:
                said.append(self._stamp(line))
        return said

    def flush(self, final: bool = False) -> list[bytes]:
        """Return the message that a pause ends, or the end of the connection."""
        return [self._stamp(line) for line in self.lines.flush(final)]

    def _stamp(self, line: bytes) -> bytes:
        """Put the name in front: it is the server's word, not the sender's."""
        written, colon, _text = line.partition(COLON_BYTES)
        is_first = bool(colon) and self._written is UNKNOWN
        if is_first and (name := usable_name(written.decode())):
            self._written, self.name = written + colon, self._claim_name(name)
        self.has_spoken = True
        self._prefix = encode(self.name + COLON)
        return self._prefix + line.removeprefix(self._written)


def throttle_time(count: int) -> float:
    """Return for how many seconds not to receive after `count` messages in one recv.

    One at a time is how people talk. Who sends several does not wait for the room, so
    the others come first.
    """
    return min(count / LINES_PER_SECOND, MAX_THROTTLE) if count > 1 else 0.0


def foreign_protocol(begin: bytes) -> str:
    """Return what a client that begins so speaks: HTTP, TLS, or "": it may chat."""
    if begin.startswith(TLS_HANDSHAKE):
        return "TLS"
    return "HTTP" if HTTP.match(begin) else ""
