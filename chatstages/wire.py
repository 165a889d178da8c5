"""Bytes and text: decoding what the network brings, cutting it into lines, what is safe to show.

TCP carries a stream of bytes. It knows neither characters nor messages: what was sent in one piece
may arrive in three, and three in one. Stages 1 to 4 live with that (`Decoder`); stage 5 ends each
message with a newline and finds the messages again (`Lines`).

No function here blocks. An object belongs to one connection, so to one thread at a time.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata

RECV_SIZE = 65_535  # bytes asked of one recv, at most
MAX_LINE = 4_096  # bytes in one message of stage 5, the newline not counted
RAW_PAUSE = 0.05  # seconds of silence that end a message of a client that sends no newlines
LINE_PAUSE = 0.5  # seconds after which a client shows a line of which only the beginning has come
COLON = "："  # between name and text: U+FF1A, the full-width colon of a Chinese keyboard
MAX_NAME = 32  # characters
SYSTEM = "*"  # begins a line of the server's own; no name may begin so
GUEST = "#"  # begins the name that the server gives to a member without one; likewise

# What could move the cursor, clear a screen or turn the reading direction: C0 and C1 controls but tab
# and newline, the line separators, and the bidi controls of Unicode TR9. Emoji joiners stay.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]")
REPLACEMENT = "\ufffd"

# Characters of no width that are neither a space (Zs) nor a format character (Cf): fillers, selectors.
BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)

# Letters that look alike: the ones of Unicode TR39 that a keyboard of the region has at hand.
LOOKALIKES = str.maketrans("i1|0асԁеһіјкморԛѕтԝхуαινορυı∗", "llloacdehljkmopqstwxyalvopul*")
CAPITALS = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТХУ", "ABEZHIKMNOPTYXABEKMHOPCTXY")


def clean(text: str) -> str:
    """Return `text` with every character that is unsafe on a screen replaced by U+FFFD."""
    return text if text.isprintable() else UNSAFE.sub(REPLACEMENT, text)  # the first alone takes a tenth


def one_line(text: str) -> str:
    """Return `text`, cleaned, for a place with room for one line: a list, a log, a title."""
    return clean(text.rstrip("\n").replace("\n", " ⏎ "))


def columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


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
        return clean(self._decoder.decode(data, final=not data))

    @property
    def incomplete(self) -> bool:
        """Whether the last piece ended in the middle of a character."""
        return bool(self._decoder.getstate()[0])


class Lines:
    """Whole messages from bytes that arrive in pieces: a message ends at a newline.

    A message longer than `limit` bytes is thrown away up to its end and counted in `too_long`, so
    that nobody can fill our memory with a line that never ends.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.raw = True  # it has never sent a newline: stage 4's client, a script, netcat
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

    def feed(self, data: bytes) -> list[str]:
        """Return the messages that `data` completes, without their newlines.

        It cuts at the byte 0x0A alone, which is part of no other character in UTF-8.
        (`str.splitlines` would cut at U+2028 and a dozen others too.)
        """
        messages = []
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.raw = False
            if self._skipping:
                self._skipping = False  # here it ends; it has been counted
            elif len(line := line.removesuffix(b"\r")) > self._limit:
                self.too_long += 1
            else:
                messages.append(clean(line.decode("utf-8", "replace")))
        if len(rest.removesuffix(b"\r")) > self._limit and not self._skipping:
            self._skipping = True
            self.too_long += 1
        self._rest = b"" if self._skipping else rest
        return messages

    def flush(self, final: bool = False) -> list[str]:
        """Return what a pause completes: the message that has come without a newline, if any.

        A character that is not whole yet stays back, but at the end of the stream (`final`).
        When to call it: after RAW_PAUSE while the connection is `raw`, and at its end.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        message = clean(decoder.decode(self._rest, final))
        self._rest, self._skipping = decoder.getstate()[0], False
        return [message] if message else []


def check_name(name: str) -> str | None:
    """Return the nickname as it will be shown, or None where `name` cannot be one.

    A name is 1 to MAX_NAME visible characters on one line, without the full-width colon that ends
    it on the wire (nor any colon that looks like it), and does not begin like the server's own lines.
    """
    if len(name) > 4 * MAX_NAME:  # before anything that takes time
        return None
    shown = " ".join(unicodedata.normalize("NFC", name).split())
    plain = unicodedata.normalize("NFKC", shown)  # there, every colon of a keyboard is the same
    usable = (
        len(plain) <= MAX_NAME
        and len(shown) <= MAX_NAME
        and shown == clean(shown)
        and ":" not in plain
        and name_key(shown)
        and not name_key(shown).startswith((SYSTEM, GUEST))
    )
    return shown if usable else None


def name_key(name: str) -> str:
    """Return what two names that a reader could take for one another have in common.

    NFKC makes a full-width letter an ordinary one, `casefold` a capital a small one; characters
    without a shape of their own are left out, and letters that look alike become one.
    """
    plain = unicodedata.normalize("NFKC", name).translate(CAPITALS).casefold()
    visible = (c for c in BLANK.sub("", plain) if unicodedata.category(c) not in ("Cf", "Zs"))
    return "".join(visible).translate(LOOKALIKES)
