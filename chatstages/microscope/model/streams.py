"""Following the bytes: which send has brought what to which recv.

TCP carries a stream of bytes. What was sent in one piece may arrive in three, and three in one; so nothing
but the place of a byte in its stream tells which send and which recv it belongs to.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from chatstages.microscope.model.recording import Event, Recording

ENDS = (b"\n", b"\0")  # of messages
HEAD = re.compile(rb"(?s)[A-Z]+[ /].{1,8000}?\r?\n\r?\n")  # as HTTP and its like have it
PREFIXES = ("!I", "!H", "<I", "<H", "!Q", "<Q", "B")  # how a length is written before a message


class Stream(NamedTuple):
    """One direction of a connection: the sends and recvs that have carried bytes."""

    sender: str  # the label of a socket; "" where that end was not watched
    receiver: str  # likewise
    sends: list[Event]
    recvs: list[Event]

    @property
    def data(self) -> list[tuple[int, bytes]]:
        """The pieces of the stream that are known, each with the place where it begins."""
        return [(event.offset, event.data) for event in self.sends or self.recvs]

    @property
    def is_framed(self) -> bool:
        """Whether a receiver can find the messages again: by their ends, by a head, or by their lengths."""
        data = b"".join(event.data for event in self.sends)
        ends = sum(event.data.endswith(ENDS) for event in self.sends)
        if data.endswith(ENDS) and ends * 4 >= len(self.sends):  # some send a line in several pieces
            return True
        return ends * 2 > len(self.sends) or HEAD.match(data) is not None or has_lengths(data)


class Arrow(NamedTuple):
    """Bytes on their way from a send to a recv; None where that was not seen, or has not happened."""

    send: Event | None
    recv: Event | None
    begin: int  # the places in the stream
    end: int

    @property
    def data(self) -> bytes:
        """The bytes that it carries."""
        event = self.send or self.recv
        return event.data[self.begin - event.offset : self.end - event.offset] if event else b""


class Cut(NamedTuple):
    """A character of which one recv has brought the beginning and the next the rest."""

    character: str
    recv: Event
    rest: Event
    place: int  # of its first byte in the stream
    length: int  # in bytes


def streams(recording: Recording) -> list[Stream]:
    """Return every stream in which anything was seen to be carried, in the order in which it began."""
    things = recording.things
    found: dict[tuple[str, str], Stream] = {}
    for event in recording.events:
        if not event.data or event.kind not in ("send", "recv"):
            continue
        peer = things[event.thing].peer if event.thing in things else ""
        ends = (event.thing, peer) if event.kind == "send" else (peer, event.thing)
        stream = found.setdefault(ends, Stream(*ends, [], []))
        (stream.sends if event.kind == "send" else stream.recvs).append(event)
    for stream in found.values():
        stream.sends.sort(key=lambda event: event.offset)
        stream.recvs.sort(key=lambda event: event.offset)
    return list(found.values())


def arrows(stream: Stream) -> list[Arrow]:
    """Return what each send has brought to each recv, in the order of the stream."""
    found, waiting = [], list(reversed(stream.recvs))
    for send in stream.sends:
        place, end = send.offset, send.offset + len(send.data)
        while place < end:
            while waiting and waiting[-1].offset + len(waiting[-1].data) <= place:
                waiting.pop()
            recv = waiting[-1] if waiting and waiting[-1].offset < end else None
            if recv is not None and recv.offset <= place:
                until = min(end, recv.offset + len(recv.data))
                found.append(Arrow(send, recv, place, until))
            else:  # nobody has fetched these bytes, or their recv is forgotten
                until = recv.offset if recv is not None else end
                found.append(Arrow(send, None, place, until))
            place = until
    return found + list(unexplained(stream))


def unexplained(stream: Stream) -> Iterable[Arrow]:
    """Yield what has come from sends that nobody saw: another program's, or forgotten ones."""
    known = stream.sends[0].offset if stream.sends else None
    for recv in stream.recvs:
        end = recv.offset + len(recv.data)
        if known is None or recv.offset < known:
            yield Arrow(None, recv, recv.offset, end if known is None else min(end, known))


def has_lengths(data: bytes) -> bool:
    """Tell whether `data` is nothing but messages, each with its length before it."""
    return any(is_all_messages(data, struct.Struct(prefix)) for prefix in PREFIXES)


def is_all_messages(data: bytes, prefix: struct.Struct) -> bool:
    """Tell whether `data` is nothing but messages with such a length before each."""
    place = 0
    while place + prefix.size <= len(data):
        (size,) = prefix.unpack_from(data, place)
        place += prefix.size + size
    return 0 < place == len(data)


def cuts(stream: Stream) -> list[Cut]:
    """Return the characters that were cut in two on the way. What is no UTF-8 has none."""
    found = []
    for recv, rest in zip(stream.recvs, stream.recvs[1:], strict=False):
        begun = unfinished(recv.data)
        if not begun or recv.offset + len(recv.data) != rest.offset:
            continue
        length = 2 + (begun[0] >= 0xE0) + (begun[0] >= 0xF0)
        try:
            character = (begun + rest.data)[:length].decode()
        except UnicodeDecodeError:
            continue  # it goes on in a third piece, or was no character
        found.append(Cut(character, recv, rest, rest.offset - len(begun), length))
    return found


def unfinished(data: bytes) -> bytes:
    """Return the beginning of a character at the end of `data`, or nothing."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data[-4:])
    return decoder.getstate()[0]
