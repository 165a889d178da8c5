"""Findings about what was sent and received: coalesced, split, interleaved messages; short writes."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from chatstages.locale import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.wording import names, quote
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.streams import Stream, character_splits, deliveries, streams

ENDS = ("shutdown", "close")


@dataclass(frozen=True, repr=False)
class CoalescedMessages(Finding):
    """Several sends that have arrived as one recv, or one send that has arrived as several.

    `thread` is the one that received, on the socket `thing`.
    """

    sends: int
    recvs: int
    text: str
    is_framed: bool  # then a receiver can part them again

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


def glued(recording: Recording) -> list[CoalescedMessages]:
    """Return every recv that holds parts of several sends, and every send that has come in several recvs."""
    found = list[CoalescedMessages]()
    for stream in streams(recording):
        by_recv, by_send = defaultdict[int, list[TraceEvent]](list), defaultdict[int, list[TraceEvent]](list)
        for arrow in deliveries(stream):
            if arrow.send and arrow.recv:
                by_recv[arrow.recv.number].append(arrow.send)
                by_send[arrow.send.number].append(arrow.recv)
        is_framed = stream.is_framed
        for recv in stream.recvs:
            if len(sends := by_recv[recv.number]) > 1:
                found.append(merged(recv, sends, is_framed))
        for send in stream.sends:
            if len(recvs := by_send[send.number]) > 1:
                found.append(parted(send, recvs, is_framed))
    return sorted(found, key=lambda finding: finding.events[-1])


def merged(recv: TraceEvent, sends: list[TraceEvent], is_framed: bool) -> CoalescedMessages:
    """Return the finding for one recv with several sends in it."""
    numbers = (*(send.number for send in sends), recv.number)
    place = (numbers, recv.thread, recv.thing, recv.file, recv.line)
    return CoalescedMessages(*place, len(sends), 1, quote(recv.data), is_framed)


def parted(send: TraceEvent, recvs: list[TraceEvent], is_framed: bool) -> CoalescedMessages:
    """Return the finding for one send that has come in several recvs."""
    numbers = (send.number, *(recv.number for recv in recvs))
    last = recvs[-1]
    place = (numbers, last.thread, last.thing, last.file, last.line)
    return CoalescedMessages(*place, 1, len(recvs), quote(send.data), is_framed)


@dataclass(frozen=True, repr=False)
class SplitCharacter(Finding):
    """A character of which one recv has brought the beginning, and the next the rest."""

    character: str
    place: int  # of its first byte in the stream
    is_framed: bool

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


def split_characters(recording: Recording) -> list[SplitCharacter]:
    """Return every character that was cut in two on the way."""
    found = []
    for stream in streams(recording):
        is_framed = stream.is_framed
        for cut in character_splits(stream):
            recv = cut.recv
            where = ((recv.number, cut.rest.number), recv.thread, recv.thing, recv.file, recv.line)
            found.append(SplitCharacter(*where, cut.character, cut.offset, is_framed))
    return found


@dataclass(frozen=True, repr=False)
class EmptySend(Finding):
    """A send of nothing."""

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
    datagrams = {label for label, thing in recording.things.items() if thing.datagram}
    return [
        EmptySend((event.number,), event.thread, event.thing, event.file, event.line)
        for event in recording.events
        if event.kind == "send" and not event.data and not event.error and event.thing not in datagrams
    ]


@dataclass(frozen=True, repr=False)
class ShortWrite(Finding):
    """A send that took only a part of what it was given, and nobody has sent the rest."""

    detail: str  # how many of how many bytes

    def __str__(self) -> str:
        sentence = _("send on {thing} took only {detail}, and {thread} never sent the rest")
        return sentence.format(thing=self.thing, detail=sizes(self.detail), thread=self.thread)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "On a socket with a time limit, or one that does not block, send may take less than it is given, "
            "and says how much. Keep the rest and send it later, or let a blocking socket sendall."
        )


def sizes(detail: str) -> str:
    """Return "3 of 10 bytes" in the reader's language."""
    sent, _of, whole, _bytes = detail.split()
    return _("{sent} of {whole} bytes").format(sent=f"{int(sent):,}", whole=f"{int(whole):,}")


def short_writes(recording: Recording) -> list[ShortWrite]:
    """Return every send whose rest was not sent: something else came behind it, or the end of the connection.

    Who waits (select) before the end has kept the rest, and gives a slow receiver up; a last word to such a
    one, with the end right behind it, is no mistake either.
    """
    found, selects = list[ShortWrite](), defaultdict[str, list[int]](list)
    by_socket = defaultdict[str, list[TraceEvent]](list)
    for event in recording.events:
        if event.kind == "select":
            selects[event.thread].append(event.number)
        elif event.kind in ("send", "recv", *ENDS) and not event.error:
            by_socket[event.thing].append(event)
    for events in by_socket.values():
        behind = len(events)  # the place of the next event that is no recv
        for place in reversed(range(len(events))):
            send = events[place]
            if send.rest and is_short_write(send, events[behind : behind + 2], selects[send.thread]):
                where = (send.thread, send.thing, send.file, send.line)
                found.append(ShortWrite((send.number, events[behind].number), *where, send.detail))
            if send.kind != "recv":
                behind = place
    return sorted(found, key=lambda finding: finding.events)


def is_short_write(send: TraceEvent, following: list[TraceEvent], selects: list[int]) -> bool:
    """Tell whether what `send` has left over was not sent by what comes next on its socket."""
    if not following:
        return False
    behind, *more = following
    if behind.kind == "send":
        return not continues(behind, send.rest) and not any(event.kind in ENDS for event in more)
    return bisect(selects, send.number) == bisect(selects, behind.number)  # nobody has waited in between


def continues(send: TraceEvent, rest: bytes) -> bool:
    """Tell whether `send` was given what a send before it had left over: as far as both are known."""
    given = send.data + send.rest
    return given.startswith(rest[: len(given)])


@dataclass(frozen=True, repr=False)
class InterleavedMessages(Finding):
    """A message passed on in pieces, with something of another thread's between them."""

    others: str

    def __str__(self) -> str:
        sentence = _("On {thing} a message that {thread} passed on in pieces was mixed with one of {others}")
        return sentence.format(thing=self.thing, thread=self.thread, others=self.others)

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _("A lock around each piece does not help: what it guards must be a whole message.")


def interleaved_messages(recording: Recording) -> list[InterleavedMessages]:
    """Return every place where a message that was passed on in pieces was mixed with another thread's."""
    sends = defaultdict[str, list[TraceEvent]](list)  # of each socket, in the order of its stream
    mine = defaultdict[str, dict[str, list[TraceEvent]]](
        lambda: defaultdict(list)
    )  # of each thread, by socket
    for event in recording.events:
        if event.kind == "send" and event.data:
            sends[event.thing].append(event)
            mine[event.thread][event.thing].append(event)
    found = list[InterleavedMessages]()
    for stream in streams(recording):
        for first, second in neighbours(stream):
            for sock, passed in mine[first.thread].items():
                place = bisect(passed, second.number, key=lambda send: send.number)
                if 0 < place < len(passed) and passed[place - 1].number > first.number:
                    found += interrupted(passed[place - 1], passed[place], sends[sock], first, second)
    return found


def neighbours(stream: Stream) -> Iterator[tuple[TraceEvent, TraceEvent]]:
    """Yield the recvs that have brought two pieces of one send, one after the other, on one thread."""
    pieces = [arrow for arrow in deliveries(stream) if arrow.send and arrow.recv]
    for one, two in pairwise(pieces):
        if one.send is two.send and one.recv and two.recv and one.recv.thread == two.recv.thread:
            yield one.recv, two.recv


def interrupted(
    begin: TraceEvent, end: TraceEvent, sends: list[TraceEvent], first: TraceEvent, second: TraceEvent
) -> Iterator[InterleavedMessages]:
    """Yield the finding, if between the passing on of `first` and of `second` others have sent there."""
    if passes_on(begin, first) and passes_on(end, second):
        others = between(sends, begin.offset, end.offset)
        others = [send for send in others if send.thread != begin.thread]
        if others:
            numbers = (begin.number, others[0].number, end.number)
            who = names([send.thread for send in others])
            yield InterleavedMessages(numbers, begin.thread, begin.thing, begin.file, begin.line, who)


def between(sends: list[TraceEvent], begin: int, end: int) -> list[TraceEvent]:
    """Return those of `sends`, in the order of their stream, that begin between two of its places."""
    at = [bisect(sends, place, key=lambda send: send.offset) for place in (begin, end - 1)]
    return sends[at[0] : at[1]]


def passes_on(send: TraceEvent, recv: TraceEvent) -> bool:
    """Tell whether what was sent looks like what had been received."""
    middle = len(recv.data) // 2
    return recv.data[middle : middle + 16] in send.data
