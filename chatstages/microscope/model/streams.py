"""The bytes of each connection: which send has carried them to which recv.

TCP carries a stream of bytes. One send may arrive in three recvs, and three sends in one; so only the offset
of a byte in its stream tells which send and which recv it belongs to.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from chatstages.microscope.model.recording import Recording, TraceEvent

DELIMITERS = (b"\n", b"\0")
HEAD = re.compile(rb"(?s)[A-Z]+[ /].{1,8000}?\r?\n\r?\n")  # of an HTTP message, and of protocols like it
PREFIXES = ("!I", "!H", "<I", "<H", "!Q", "<Q", "B")  # formats of a length in front of a message (`struct`)


class Stream(NamedTuple):
    """One direction of a connection: its sends and recvs with data, in the order of their offsets."""

    sender: str  # the label of a socket; "" where that end is not watched
    receiver: str  # likewise
    sends: list[TraceEvent]
    recvs: list[TraceEvent]

    @property
    def data(self) -> list[tuple[int, bytes]]:
        """The known pieces of the stream, each with its offset."""
        return [(event.offset, event.data) for event in self.sends or self.recvs]

    @property
    def is_framed(self) -> bool:
        """Whether a receiver can tell where messages end: by a delimiter, a head, or a length before each."""
        data = b"".join(event.data for event in self.sends)
        ends = sum(event.data.endswith(DELIMITERS) for event in self.sends)
        if data.endswith(DELIMITERS) and ends * 4 >= len(self.sends):  # some send a line in several pieces
            return True
        return ends * 2 > len(self.sends) or HEAD.match(data) is not None or has_lengths(data)


class Delivery(NamedTuple):
    """Bytes that a send has carried to a recv; None for an end that was not recorded, or has not happened."""

    send: TraceEvent | None
    recv: TraceEvent | None
    begin: int  # the offsets of the bytes in the stream
    end: int

    @property
    def data(self) -> bytes:
        """The bytes."""
        event = self.send or self.recv
        return event.data[self.begin - event.offset : self.end - event.offset] if event else b""


class CharacterSplit(NamedTuple):
    """A character (UTF-8) whose first bytes came with one recv and whose last bytes with the next."""

    character: str
    recv: TraceEvent
    rest: TraceEvent
    offset: int  # of its first byte in the stream
    length: int  # bytes


def streams(recording: Recording) -> list[Stream]:
    """Return every stream that carried bytes, in the order of their first events."""
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


def deliveries(stream: Stream) -> list[Delivery]:
    """Return what each send has carried to each recv, in the order of the stream."""
    found, waiting = [], list(reversed(stream.recvs))
    for send in stream.sends:
        offset, end = send.offset, send.offset + len(send.data)
        while offset < end:
            while waiting and waiting[-1].offset + len(waiting[-1].data) <= offset:
                waiting.pop()
            recv = waiting[-1] if waiting and waiting[-1].offset < end else None
            if recv is not None and recv.offset <= offset:
                until = min(end, recv.offset + len(recv.data))
                found.append(Delivery(send, recv, offset, until))
            else:  # no recv has taken these bytes, or its event was dropped
                until = recv.offset if recv is not None else end
                found.append(Delivery(send, None, offset, until))
            offset = until
    return found + list(deliveries_without_send(stream))


def deliveries_without_send(stream: Stream) -> Iterable[Delivery]:
    """Yield what came from sends that were not recorded: another program's, or dropped ones."""
    known = stream.sends[0].offset if stream.sends else None
    for recv in stream.recvs:
        end = recv.offset + len(recv.data)
        if known is None or recv.offset < known:
            yield Delivery(None, recv, recv.offset, end if known is None else min(end, known))


def has_lengths(data: bytes) -> bool:
    """Tell whether `data` consists of messages with their length before each, in one of the known formats."""
    return any(is_all_messages(data, struct.Struct(prefix)) for prefix in PREFIXES)


def is_all_messages(data: bytes, prefix: struct.Struct) -> bool:
    """Tell whether `data` consists of whole messages with a length in the format `prefix` before each."""
    offset = 0
    while offset + prefix.size <= len(data):
        (size,) = prefix.unpack_from(data, offset)
        offset += prefix.size + size
    return 0 < offset == len(data)


def character_splits(stream: Stream) -> list[CharacterSplit]:
    """Return the characters that were split over two recvs. Bytes that are not UTF-8 have none."""
    found = []
    for recv, rest in zip(stream.recvs, stream.recvs[1:], strict=False):
        head = incomplete_character(recv.data)
        if not head or recv.offset + len(recv.data) != rest.offset:
            continue
        length = 2 + (head[0] >= 0xE0) + (head[0] >= 0xF0)
        try:
            character = (head + rest.data)[:length].decode()
        except UnicodeDecodeError:
            continue  # it goes on in a third recv, or was no character
        found.append(CharacterSplit(character, recv, rest, rest.offset - len(head), length))
    return found


def incomplete_character(data: bytes) -> bytes:
    """Return the first bytes of a character that `data` ends in the middle of, or b""."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data[-4:])
    return decoder.getstate()[0]
