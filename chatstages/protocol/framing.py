"""Framing: from a stream of bytes to text, and to whole messages.

TCP carries a stream of bytes. It knows neither characters nor messages: what was sent in one piece
may arrive in three (split), and three in one (coalesced). Stages 1 to 4 live with that (`Decoder`);
in stage 5 a newline is the delimiter, and `LineSplitter` finds the messages again.

No function here blocks. An object belongs to one connection, so to one thread at a time.
"""

from __future__ import annotations

import codecs
import io

from chatstages.text import MAX_MARKS, clean, replace_unsafe

MAX_LINE = 4_096  # bytes in one message of stage 5, the newline not counted
RAW_PAUSE = 0.05  # seconds of silence that end a message of a client that sends no newlines
LINE_PAUSE = 0.5  # seconds after which a client shows a line of which only the beginning has come


def encode(text: str) -> bytes:
    """Return the UTF-8 of `text`; half a surrogate pair, which has none, becomes a question mark."""
    return text.encode("utf-8", "replace")


class Decoder:
    """Text from bytes that arrive in pieces.

    A character that the network has cut in two is kept back until it is whole. Bytes that are no
    UTF-8 come out as U+FFFD: they are their sender's mistake, and no reason for us to fall over.
    """

    def __init__(self) -> None:
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        # A carriage return would let a text overwrite the line it stands on; this makes it a newline.
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)

    def decode(self, data: bytes) -> str:
        """Return the text that `data` completes; b"", the end of the stream, gives up what is kept back."""
        return replace_unsafe(self._decoder.decode(data, final=not data))

    @property
    def incomplete(self) -> bool:
        """Whether the last piece ended in the middle of a character."""
        return bool(self._decoder.getstate()[0])


class LineSplitter:
    """Whole messages from bytes that arrive in pieces: a message is a line, it ends at a newline.

    A message stays bytes; that they are UTF-8 and safe on a screen is seen to (`clean_line`). One longer
    than `limit` bytes is thrown away up to its end and counted in `too_long`, so that nobody can fill our
    memory with a line that never ends.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.raw = True  # it has never sent a newline: a client of stage 4, a script
        self.too_long = 0
        self._limit = limit
        self._rest = b""  # the beginning of a message whose end has not come yet
        self._skipping = False  # inside a message that is too long

    @property
    def waiting(self) -> bool:
        """Whether the beginning of a message is here, and its end is not."""
        return bool(self._rest) or self._skipping

    @property
    def patience(self) -> float | None:
        """For how many seconds to wait for the end of the message, None when none has begun."""
        return (RAW_PAUSE if self.raw else LINE_PAUSE) if self.waiting else None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes, without their newlines; an empty line is none.

        It cuts at the byte 0x0A alone, which is part of no other character in UTF-8.
        (`str.splitlines` would cut at U+2028 and a dozen others too.)
        """
        data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if lines:
            self.raw = False
        if len(data) > self._limit or self._skipping:
            lines = self._skip_long(lines)
        return list(map(clean_line, filter(None, lines)))

    def _skip_long(self, lines: list[bytes]) -> list[bytes]:
        """Return those of `lines` that are not too long, and count the others."""
        if self._skipping and lines:
            del lines[0]  # here it ends; it has been counted
            self._skipping = False
        if self._skipping or not self._is_short(self._rest):
            self._rest, self._skipping = b"", True
        return list(filter(self._is_short, lines))

    def _is_short(self, line: bytes) -> bool:
        """Tell whether `line` is within the limit (a return at its end does not count); count it if not."""
        is_short = len(line) <= self._limit or len(line.removesuffix(b"\r")) <= self._limit
        self.too_long += not is_short
        return is_short

    def flush(self, final: bool = False) -> list[bytes]:
        """Return what a pause completes: the message that has come without a newline, if any.

        A character that is not whole yet stays back, but at the end of the stream (`final`).
        When to call it: after RAW_PAUSE while the connection is `raw`, and at its end.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        message = clean(decoder.decode(self._rest, final))
        self._rest, self._skipping = decoder.getstate()[0], False
        return [encode(message)] if message else []


def clean_line(line: bytes) -> bytes:
    """Return `line` (as a rule the same bytes) as UTF-8 that is safe on a screen, without a final return."""
    try:
        text = line.decode()
        # Most lines have few bytes more than characters: then there cannot be many combining marks in a row.
        if text.isprintable() and len(line) - len(text) <= MAX_MARKS:
            return line
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
    return encode(clean(text.removesuffix("\r")))
