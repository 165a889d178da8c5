"""Findings about what was sent and received: messages glued and cut, characters cut, sends of nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from chatstages.locale import _
from chatstages.microscope.evidence import names, quote
from chatstages.microscope.recording import Event, Recording
from chatstages.microscope.streams import Stream, arrows, cuts, streams


class Glued(NamedTuple):
    """Several sends that have arrived as one recv, or one send that has arrived as several."""

    events: tuple[int, ...]
    thread: str  # that received
    thing: str  # the socket on which
    file: str
    line: int
    sends: int
    recvs: int
    text: str
    is_lines: bool  # newlines end the messages: then a receiver can part them again

    def __str__(self) -> str:
        if self.sends > 1:
            sentence = _("{sends} sends have arrived glued together, in one recv on {thing}: {text}")
        else:
            sentence = _("One send was cut: it has arrived in {recvs} pieces on {thing}: {text}")
        return sentence.format(sends=self.sends, recvs=self.recvs, thing=self.thing, text=self.text)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "TCP knows no messages, only bytes in order. Look at how this code tells where a message ends: "
            "one recv is not one message. A newline behind each, or its length before it, tells."
        )


def glued(recording: Recording) -> list[Glued]:
    """Return every recv that holds parts of several sends, and every send that has come in several recvs."""
    found = list[Glued]()
    for stream in streams(recording):
        by_recv, by_send = defaultdict[int, list[Event]](list), defaultdict[int, list[Event]](list)
        for arrow in arrows(stream):
            if arrow.send and arrow.recv:
                by_recv[arrow.recv.number].append(arrow.send)
                by_send[arrow.send.number].append(arrow.recv)
        is_lines = stream.is_lines
        for recv in stream.recvs:
            if len(sends := by_recv[recv.number]) > 1:
                found.append(merged(recv, sends, is_lines))
        for send in stream.sends:
            if len(recvs := by_send[send.number]) > 1:
                found.append(parted(send, recvs, is_lines))
    return sorted(found, key=lambda finding: finding.events[-1])


def merged(recv: Event, sends: list[Event], is_lines: bool) -> Glued:
    """Return the finding for one recv with several sends in it."""
    numbers = (*(send.number for send in sends), recv.number)
    place = (numbers, recv.thread, recv.thing, recv.file, recv.line)
    return Glued(*place, len(sends), 1, quote(recv.data), is_lines)


def parted(send: Event, recvs: list[Event], is_lines: bool) -> Glued:
    """Return the finding for one send that has come in several recvs."""
    numbers = (send.number, *(recv.number for recv in recvs))
    last = recvs[-1]
    place = (numbers, last.thread, last.thing, last.file, last.line)
    return Glued(*place, 1, len(recvs), quote(send.data), is_lines)


class CutCharacter(NamedTuple):
    """A character of which one recv has brought the beginning, and the next the rest."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int
    character: str
    place: int  # of its first byte in the stream
    is_lines: bool

    def __str__(self) -> str:
        sentence = _(
            "The character {character} was cut in two: {thing} received its beginning and its end apart"
        )
        return sentence.format(character=quote(self.character), thing=self.thing)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "A character may take up to four bytes. Look at how this code decodes: each piece by itself "
            "fails here; an incremental decoder (codecs), or whole lines, do not."
        )


def cut_characters(recording: Recording) -> list[CutCharacter]:
    """Return every character that was cut in two on the way."""
    found = []
    for stream in streams(recording):
        is_lines = stream.is_lines
        for cut in cuts(stream):
            recv = cut.recv
            where = ((recv.number, cut.rest.number), recv.thread, recv.thing, recv.file, recv.line)
            found.append(CutCharacter(*where, cut.character, cut.place, is_lines))
    return found


class EmptySend(NamedTuple):
    """A send of nothing."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int

    def __str__(self) -> str:
        sentence = _("{thread} has sent nothing (b'') on {thing}: no byte goes over the line")
        return sentence.format(thread=self.thread, thing=self.thing)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "An empty message cannot end a conversation: the other side does not notice. Closing ends it."
        )


def empty_sends(recording: Recording) -> list[EmptySend]:
    """Return every send of nothing."""
    return [
        EmptySend((event.number,), event.thread, event.thing, event.file, event.line)
        for event in recording.events
        if event.kind == "send" and not event.data and not event.error
    ]


class Mixed(NamedTuple):
    """A message passed on in pieces, with something of another thread's between them."""

    events: tuple[int, ...]
    thread: str
    thing: str
    file: str
    line: int
    others: str

    def __str__(self) -> str:
        sentence = _("On {thing} a message that {thread} passed on in pieces was mixed with one of {others}")
        return sentence.format(thing=self.thing, thread=self.thread, others=self.others)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("A lock around each piece does not help: what it guards must be a whole message.")


def mixed(recording: Recording) -> list[Mixed]:
    """Return every place where a message that was passed on in pieces was mixed with another thread's."""
    sends: dict[str, list[Event]] = defaultdict(list)
    for event in recording.events:
        if event.kind == "send" and event.data:
            sends[event.thing].append(event)
    found = list[Mixed]()
    for stream in streams(recording):
        for first, second in neighbours(stream):
            for sock, passed in sends.items():
                found += interrupted(sock, passed, first, second)
    return found


def neighbours(stream: Stream) -> Iterator[tuple[Event, Event]]:
    """Yield the recvs that have brought two pieces of one send, one after the other, on one thread."""
    pieces = [arrow for arrow in arrows(stream) if arrow.send and arrow.recv]
    for one, two in pairwise(pieces):
        if one.send is two.send and one.recv and two.recv and one.recv.thread == two.recv.thread:
            yield one.recv, two.recv


def interrupted(sock: str, sends: list[Event], first: Event, second: Event) -> Iterator[Mixed]:
    """Yield the finding, if between the passing on of `first` and of `second` others have sent on `sock`."""
    before = [s for s in sends if s.thread == first.thread and first.number < s.number < second.number]
    after = [s for s in sends if s.thread == first.thread and s.number > second.number]
    if not (before and after and passes_on(before[-1], first) and passes_on(after[0], second)):
        return
    begin, end = before[-1], after[0]
    between = [s for s in sends if begin.offset < s.offset < end.offset and s.thread != first.thread]
    if between:
        numbers = (begin.number, between[0].number, end.number)
        others = names([send.thread for send in between])
        yield Mixed(numbers, first.thread, sock, begin.file, begin.line, others)


def passes_on(send: Event, recv: Event) -> bool:
    """Tell whether what was sent looks like what had been received."""
    middle = len(recv.data) // 2
    return recv.data[middle : middle + 16] in send.data
