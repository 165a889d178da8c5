"""The rows of a sequence: messages, connections that begin and end, exceptions.

A row comes after its cause. A send may be recorded after the recv that it causes, so it is ordered by its
beginning, and a recv by its end. Where threads wait for each other, the order is the same in every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from chatstages.i18n import _
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.snapshot import LIFETIME_KINDS
from chatstages.microscope.model.streams import Delivery, character_splits, deliveries, streams
from chatstages.microscope.pictures.style import said
from chatstages.text import one_line

Mark = Literal["", "coalesced", "split", "unread", "unseen", "join", "leave", "error"]
HARMLESS = (
    "BlockingIOError",
    "TimeoutError",
    "timeout",
    "Empty",
    "Full",
    "Stopped",
)  # a call that does not block, has a timeout, or waits for what stops it, raises these
OUTSIDE = "…"  # the lane of peers that are not watched


class Row(NamedTuple):
    """One row: something that goes from one lane to another, or happens on one."""

    time: int  # nanoseconds; the order of the rows
    source: str
    target: str  # "" where it stays on its lane
    text: str
    mark: Mark
    begin: TraceEvent
    end: TraceEvent | None = None  # of a message the recv, of a connection the accept
    characters: str = ""  # those that were split at its end


LaneOf = Callable[[TraceEvent], str]


def by_thread(recording: Recording) -> LaneOf:
    """Return a function that returns the thread of an event."""
    return lambda event: event.thread


def by_endpoint(recording: Recording) -> LaneOf:
    """Return a function that returns the socket of an event; of a server's connection, its listener."""
    servers = {event.other: event.thing for event in recording.events if event.kind == "accept"}

    def lane(event: TraceEvent) -> str:
        """Return the label of the socket, or of the listener that it comes from."""
        return servers.get(event.thing, event.thing) if event.kind not in LIFETIME_KINDS else ""

    return lane


def rows(recording: Recording, lane: LaneOf) -> list[Row]:
    """Return all rows, each after its cause."""
    events = recording.events
    found = [*messages(recording, lane), *joins(recording, lane), *leaves(recording, lane)]
    found += [error for event in events if (error := failure(event, lane(event)))]
    return sorted(found, key=lambda row: (row.time, row.begin.number))


def messages(recording: Recording, lane: LaneOf) -> Iterator[Row]:
    """Yield a row for each delivery of bytes from a send to a recv."""
    touched: dict[str, str] = {}  # by socket: the lane that uses it
    for event in recording.events:
        if event.thing:
            touched.setdefault(event.thing, lane(event))
            if event.kind == "recv":
                touched[event.thing] = lane(event)
    for stream in streams(recording):
        pieces = deliveries(stream)
        sends = Counter(piece.send.number for piece in pieces if piece.send)
        recvs = Counter(piece.recv.number for piece in pieces if piece.recv)
        halves = {cut.recv.number: cut.character for cut in character_splits(stream)}
        for piece in pieces:
            row = message(piece, lane, touched.get(stream.receiver, OUTSIDE))
            if piece.send and sends[piece.send.number] > 1:
                row = row._replace(mark="split")
            elif piece.recv and recvs[piece.recv.number] > 1:
                row = row._replace(mark="coalesced")
            if piece.send and piece.begin > piece.send.offset and piece.recv:
                row = row._replace(time=piece.recv.ended)  # not the first piece: it is ordered by its arrival
            last = piece.recv and piece.end == piece.recv.offset + len(piece.recv.data)
            yield row._replace(characters=halves.get(piece.recv.number, "") if piece.recv and last else "")


def message(piece: Delivery, lane: LaneOf, reader: str) -> Row:
    """Return the row of one delivery."""
    send, recv, text = piece.send, piece.recv, said(piece.data)
    if send and recv:
        return Row(send.began, lane(send), lane(recv), text, "", send, recv)
    if send:
        return Row(send.began, lane(send), reader, text, "unseen" if reader == OUTSIDE else "unread", send)
    assert recv
    return Row(recv.ended, OUTSIDE, lane(recv), text, "", recv, recv)


def joins(recording: Recording, lane: LaneOf) -> Iterator[Row]:
    """Yield a row for each new connection: from the connect to the accept."""
    things = recording.things
    accepts = {event.other: event for event in recording.events if event.kind == "accept" and event.other}
    for event in recording.events:
        if event.kind == "connect" and not event.error:
            accept = accepts.pop(things[event.thing].peer, None) if event.thing in things else None
            target = lane(accept) if accept else OUTSIDE
            yield Row(event.began, lane(event), target, _("connects"), "join", event, accept)
    for label, accept in accepts.items():
        if label not in things or not things[label].peer:
            yield Row(accept.ended, OUTSIDE, lane(accept), _("connects"), "join", accept)


def leaves(recording: Recording, lane: LaneOf) -> Iterator[Row]:
    """Yield a row for each end of a connection: from the first close or shutdown to the recv of b""."""
    things, done = recording.things, set[str]()
    ends: dict[str, TraceEvent] = {}
    for event in recording.events:
        if event.kind == "recv" and not event.data and not event.error:
            ends.setdefault(event.thing, event)
    for event in sorted(recording.events, key=lambda event: event.began):  # the first that began is the cause
        thing = things.get(event.thing)
        if event.kind not in ("shutdown", "close") or event.error or thing is None or event.thing in done:
            continue
        if thing.role in ("client", "server", "pair"):
            done |= {event.thing, thing.peer}
            end = ends.get(thing.peer)
            target = lane(end) if end else ""
            words = _("half-closes") if event.detail == "SHUT_WR" else _("closes")
            yield Row(event.began, lane(event), target, words, "leave", event, end)


def failure(event: TraceEvent, lane: str) -> Row | None:
    """Return the row of the exception that the event has raised, if it is worth one."""
    if not event.error or event.kind in ("shutdown", "close"):  # the peer may have closed before
        return None
    if event.kind not in LIFETIME_KINDS and event.error.startswith(HARMLESS):
        return None
    text = event.error if event.kind in LIFETIME_KINDS else f"{event.kind}: {event.error}"
    return Row(event.ended, lane or event.thread, "", one_line(text), "error", event)
