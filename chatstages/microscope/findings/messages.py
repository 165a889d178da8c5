"""Findings about what was sent and received: coalesced, split, interleaved messages; short writes."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from chatstages.i18n import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.wording import names, quote
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.streams import Stream, character_splits, deliveries, streams

ENDS = ("shutdown", "close")


@dataclass(frozen=True, repr=False)
class CoalescedMessages(Finding):
    """Several sends whose bytes arrived in one recv.

    `thread` is the one that received, on the socket `thing`.
    """

    sends: int
    text: str
    is_framed: bool  # a receiver can tell the messages apart

    def __str__(self) -> str:
        sentence = _("{sends} sends arrived coalesced in one recv on {thing}: {text}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return framing_advice()


@dataclass(frozen=True, repr=False)
class SplitMessage(Finding):
    """One send whose bytes arrived in several recvs.

    `thread` is the one that received, on the socket `thing`.
    """

    recvs: int
    text: str
    is_framed: bool  # a receiver can put the message together again

    def __str__(self) -> str:
        sentence = _("One send arrived split over {recvs} recvs on {thing}: {text}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return framing_advice()


def framing_advice() -> str:
    """Return the advice for messages that arrive coalesced or split."""
    return _(
        "TCP is a byte stream: it keeps bytes in order, and knows no messages. Look at how this code tells "
        "where a message ends: one recv is not one message. Framing tells: a delimiter (a newline) after "
        "each message, or its length before it."
    )


def coalesced_messages(recording: Recording) -> list[CoalescedMessages]:
    """Return every recv with the bytes of several sends."""
    found = []
    for stream in streams(recording):
        sends, is_framed = defaultdict[int, list[TraceEvent]](list), stream.is_framed
        for delivery in deliveries(stream):
            if delivery.send and delivery.recv:
                sends[delivery.recv.number].append(delivery.send)
        for recv in stream.recvs:
            if len(carried := sends[recv.number]) > 1:
                numbers = (*(send.number for send in carried), recv.number)
                where = (numbers, recv.thread, recv.thing, recv.file, recv.line)
                text = quote(recv.data)
                found.append(CoalescedMessages(*where, len(carried), text, is_framed))
    return sorted(found, key=lambda finding: finding.events[-1])


def split_messages(recording: Recording) -> list[SplitMessage]:
    """Return every send whose bytes arrived in several recvs."""
    found = []
    for stream in streams(recording):
        recvs, is_framed = defaultdict[int, list[TraceEvent]](list), stream.is_framed
        for delivery in deliveries(stream):
            if delivery.send and delivery.recv:
                recvs[delivery.send.number].append(delivery.recv)
        for send in stream.sends:
            if len(pieces := recvs[send.number]) > 1:
                numbers, last = (send.number, *(recv.number for recv in pieces)), pieces[-1]
                where = (numbers, last.thread, last.thing, last.file, last.line)
                found.append(SplitMessage(*where, len(pieces), quote(send.data), is_framed))
    return sorted(found, key=lambda finding: finding.events[-1])


@dataclass(frozen=True, repr=False)
class SplitCharacter(Finding):
    """A character whose bytes arrived in two recvs."""

    character: str
    offset: int  # of its first byte in the stream
    is_framed: bool

    def __str__(self) -> str:
        sentence = _("The character {character} was split: its bytes arrived in two recvs on {thing}")
        return sentence.format(character=quote(self.character), thing=self.thing)

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "A character takes up to four bytes in UTF-8. Look at how this code decodes: to "
            "decode each recv by itself fails here. Use an incremental decoder "
            "(codecs.getincrementaldecoder), or decode whole lines."
        )


def split_characters(recording: Recording) -> list[SplitCharacter]:
    """Return every character that was split over two recvs."""
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
    """A send of b""."""

    def __str__(self) -> str:
        sentence = _("{thread} sent an empty message (b'') on {thing}: not one byte goes over the wire")
        return sentence.format(thread=self.thread, thing=self.thing)

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "An empty message cannot end a conversation: the peer does not notice it. Close the "
            "connection, or half-close it with shutdown(SHUT_WR)."
        )


def empty_sends(recording: Recording) -> list[EmptySend]:
    """Return every send of b"", but on datagram sockets, where it is a message."""
    datagrams = {label for label, thing in recording.things.items() if thing.datagram}
    return [
        EmptySend((event.number,), event.thread, event.thing, event.file, event.line)
        for event in recording.events
        if event.kind == "send" and not event.data and not event.error and event.thing not in datagrams
    ]


@dataclass(frozen=True, repr=False)
class ShortWrite(Finding):
    """A send that took only a part of what it was given, and whose rest was never sent."""

    detail: str  # "3 of 10 bytes"

    def __str__(self) -> str:
        sentence = _("Short write: send on {thing} took only {detail}, and {thread} never sent the rest")
        return sentence.format(thing=self.thing, detail=sizes(self.detail), thread=self.thread)

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "On a non-blocking socket, or one with a timeout, send may take less than it was "
            "given; it returns how much. Keep the rest and send it later, or call sendall on a "
            "blocking socket."
        )


def sizes(detail: str) -> str:
    """Return "3 of 10 bytes" in the language in use."""
    sent, _of, whole, _bytes = detail.split()
    return _("{sent} of {whole} bytes").format(sent=f"{int(sent):,}", whole=f"{int(whole):,}")


def short_writes(recording: Recording) -> list[ShortWrite]:
    """Return every short write whose rest was not sent: other data came next, or the end of the connection.

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
        behind = len(events)  # the index of the next event that is no recv
        for place in reversed(range(len(events))):
            send = events[place]
            if send.rest and is_short_write(send, events[behind : behind + 2], selects[send.thread]):
                where = (send.thread, send.thing, send.file, send.line)
                found.append(ShortWrite((send.number, events[behind].number), *where, send.detail))
            if send.kind != "recv":
                behind = place
    return sorted(found, key=lambda finding: finding.events)


def is_short_write(send: TraceEvent, following: list[TraceEvent], selects: list[int]) -> bool:
    """Tell whether the events that follow `send` on its socket do not send its rest."""
    if not following:
        return False
    behind, *more = following
    if behind.kind == "send":
        return not continues(behind, send.rest) and not any(event.kind in ENDS for event in more)
    return bisect(selects, send.number) == bisect(selects, behind.number)  # no select in between


def continues(send: TraceEvent, rest: bytes) -> bool:
    """Tell whether `send` was given the rest of the send before, as far as both are known."""
    given = send.data + send.rest
    return given.startswith(rest[: len(given)])


@dataclass(frozen=True, repr=False)
class InterleavedMessages(Finding):
    """A message that was forwarded in pieces, with another thread's data between them."""

    others: str

    def __str__(self) -> str:
        sentence = _(
            "On {thing}, a message that {thread} forwarded in pieces was interleaved with one of {others}"
        )
        return sentence.format(thing=self.thing, thread=self.thread, others=self.others)

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _("A lock around each piece does not help: the critical section must contain a whole message.")


def interleaved_messages(recording: Recording) -> list[InterleavedMessages]:
    """Return every message that was forwarded in pieces and interleaved with another thread's."""
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
    """Yield each two consecutive recvs, of one thread, of the bytes of one send."""
    pieces = [delivery for delivery in deliveries(stream) if delivery.send and delivery.recv]
    for one, two in pairwise(pieces):
        if one.send is two.send and one.recv and two.recv and one.recv.thread == two.recv.thread:
            yield one.recv, two.recv


def interrupted(
    begin: TraceEvent, end: TraceEvent, sends: list[TraceEvent], first: TraceEvent, second: TraceEvent
) -> Iterator[InterleavedMessages]:
    """Yield the finding, if other threads have sent between the forwarding of `first` and of `second`."""
    if forwards(begin, first) and forwards(end, second):
        others = between(sends, begin.offset, end.offset)
        others = [send for send in others if send.thread != begin.thread]
        if others:
            numbers = (begin.number, others[0].number, end.number)
            who = names([send.thread for send in others])
            yield InterleavedMessages(numbers, begin.thread, begin.thing, begin.file, begin.line, who)


def between(sends: list[TraceEvent], begin: int, end: int) -> list[TraceEvent]:
    """Return those of `sends` (sorted by offset) that begin between the two offsets."""
    at = [bisect(sends, place, key=lambda send: send.offset) for place in (begin, end - 1)]
    return sends[at[0] : at[1]]


def forwards(send: TraceEvent, recv: TraceEvent) -> bool:
    """Tell whether `send` has forwarded the data of `recv`: it contains the bytes in their middle."""
    middle = len(recv.data) // 2
    return recv.data[middle : middle + 16] in send.data
