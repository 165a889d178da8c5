"""Board: what each thread does, who holds and waits for each lock, bytes in flight, and deadlocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.microscope.findings.wording import listed, names, place, told
from chatstages.microscope.model.naming import named, stable_name
from chatstages.microscope.model.recording import Recording, Thing
from chatstages.microscope.model.snapshot import (
    BLOCKING_KINDS,
    Connection,
    History,
    Snapshot,
    call_name,
    take_snapshot,
)
from chatstages.microscope.pictures.spans import say, seconds, state
from chatstages.microscope.pictures.style import MARGIN, TOP, WIDTH, Picture, frame
from chatstages.svg import LETTER, box, label, shorten, wrap

ROW, LINE = 34, 22  # the height of a row, and of a second line in it
STATES = 280  # the x at which the states begin
MOST = 30  # threads, locks, connections that one picture shows


class Entry(NamedTuple):
    """A row of the board: a colour, a label, a state, and for how long it has lasted."""

    style: str
    name: str
    words: str
    time: str = ""
    where: str = ""
    load: int = 0  # bytes in flight

    @property
    def height(self) -> int:
        """The height of its row, in which what more there is to tell has a line of its own."""
        return ROW + (LINE if self.where or self.load else 0)


def board(recording: Recording, at: int | None = None) -> Picture:
    """Return the picture of the present, or of the end of the event number `at`."""
    recording = named(recording)
    return show(recording, take_snapshot(recording) if at is None else History(recording).at(at))


def show(recording: Recording, snapshot: Snapshot) -> Picture:
    """Return the picture of a snapshot."""
    things = recording.things
    parts = {
        _("Threads"): list(threads(snapshot)),
        _("Locks"): list(locks(snapshot, things)),
        _("Connections"): list(connections(snapshot)),
    }
    reasons = alarms(snapshot, things)
    notes = [_("{count} older events were dropped.").format(count=recording.dropped)] * bool(
        recording.dropped
    )
    words = [f"⚠ {reason}" for reason in reasons]
    shapes, y = [], float(TOP)
    for reason in words:
        lines = wrap(reason, (WIDTH - 2 * MARGIN - 24) / LETTER)
        height = ROW + LINE * (len(lines) - 1)
        shapes.append(box(MARGIN, y, WIDTH - 2 * MARGIN, height, "bad-box"))
        shapes += [label(MARGIN + 12, y + 23 + LINE * n, line, "bad b") for n, line in enumerate(lines)]
        y += height + 10
    for title, entries in parts.items():
        if entries:
            words += [
                told(title, "").rstrip(),
                *("  " + told(entry.name, entry.words).rstrip() for entry in entries[:MOST]),
            ]
            shapes.append(label(MARGIN, y + 18, title, "soft b"))
            y += 28
            for entry in entries[:MOST]:
                shapes.append(draw(entry, y))
                y += entry.height
            y += 20
            if len(entries) > MOST:
                notes.append(told(title, _("{count} more").format(count=len(entries) - MOST)))
    for note in notes:
        shapes.append(label(MARGIN, y + 10, note, "soft"))
        y += 24
    text = "\n".join(words + notes) or _("Nothing is going on.")
    return Picture(frame("board", _("What is going on"), shapes, WIDTH, y + 10), text)


def draw(entry: Entry, y: float) -> str:
    """Return a row."""
    room = (WIDTH - STATES - MARGIN) / LETTER
    shapes = [
        box(MARGIN, y, WIDTH - 2 * MARGIN, entry.height - 4, "card"),
        box(MARGIN, y, 10, entry.height - 4, entry.style),
        label(MARGIN + 22, y + 21, shorten(entry.name, 25), "b", entry.name),
        label(STATES, y + 21, shorten(entry.words, room - 9), "", entry.words),
        label(WIDTH - MARGIN - 10, y + 21, entry.time, "end mono"),
        label(STATES, y + 21 + LINE, shorten(entry.where, room), "soft", entry.where) if entry.where else "",
    ]
    if entry.load:
        shapes.append(box(STATES, y + 10 + LINE, min(entry.load / 1_000, 500) + 6, 12, "send"))
    return "".join(shapes)


def threads(snapshot: Snapshot) -> Iterator[Entry]:
    """Yield a row for each thread."""
    deadlock = snapshot.deadlock()
    for thing in snapshot.threads:
        ongoing = snapshot.ongoing_calls.get(thing.label)
        held = snapshot.locks_held_by(thing.label)
        holding = "  " + _("(holds {lock})").format(lock=names(held)) if held else ""
        hint = "" if thing.is_named else stable_name(thing)
        name = thing.label + (f" ({hint})" if hint else "")
        if ongoing is None:
            yield Entry("run", name, _("running") + holding)
            continue
        style = "bad-fill" if thing.label in deadlock else state(ongoing)
        words = say(ongoing)
        where = place(ongoing.file, ongoing.line) if ongoing.file else ""
        yield Entry(style, name, words + holding, seconds(snapshot.time - ongoing.since), where)


def locks(snapshot: Snapshot, things: dict[str, Thing]) -> Iterator[Entry]:
    """Yield a row for each lock that a thread holds or waits for."""
    wanted = dict.fromkeys(
        [*snapshot.holders, *(d.thing for d in snapshot.ongoing_calls.values() if d.kind == "acquire")]
    )
    for lock in wanted:
        waiting = snapshot.waiters_for(lock)
        holder, since = snapshot.holders.get(lock, ("", snapshot.time))
        words = _("held by {thread}").format(thread=holder) if holder else _("free")
        if waiting:
            words += _("; ") + _("{threads} waiting").format(threads=names(waiting))
        thing = things.get(lock)
        where = place(thing.file, thing.line) if thing and thing.file else ""
        name = lock + (f" ({thing.name})" if thing and thing.name else "")
        yield Entry(
            "lock" if waiting else "hold",
            name,
            words,
            seconds(snapshot.time - since) if holder else "",
            where,
        )


def connections(snapshot: Snapshot) -> Iterator[Entry]:
    """Yield a row for each connection, with its bytes in flight: sent, and not yet received."""
    for line in snapshot.connections:
        yield Entry(
            "send" if line.in_flight + line.in_flight_back else "wait",
            ends(line),
            in_flight(line),
            load=line.in_flight + line.in_flight_back,
        )


def ends(line: Connection) -> str:
    """Return the two ends of a connection."""
    return f"{line.one.label} ⇄ {line.other.label if line.other else '…'}"


def in_flight(line: Connection) -> str:
    """Return the bytes in flight on a connection, as text."""
    if line.other is None:
        return _("the peer is not watched")
    ways = [(line.in_flight, line.other.label), (line.in_flight_back, line.one.label)]
    waiting = [
        _("{count:,} bytes for {socket}").format(count=count, socket=end) for count, end in ways if count
    ]
    return told(_("in flight"), listed(waiting)) if waiting else _("nothing in flight")


def alarms(snapshot: Snapshot, things: dict[str, Thing]) -> list[str]:
    """Return why threads do not go on: a deadlock, and blocking calls under a lock that others wait for."""
    found = []
    if deadlock := snapshot.deadlock():
        found.append(_("Deadlock: {threads} wait for each other.").format(threads=names(deadlock)))
    for lock, (holder, _since) in snapshot.holders.items():
        ongoing, waiting = snapshot.ongoing_calls.get(holder), snapshot.waiters_for(lock)
        if not waiting or ongoing is None or ongoing.kind not in (*BLOCKING_KINDS, "select"):
            continue
        peer = things[ongoing.thing].peer if ongoing.thing in things else ""
        where = f"{ongoing.thing} ⇄ {peer}" if peer else ongoing.thing
        reason = _("{lock} is held by {holder}, which waits in {kind} on {where}. Waiting for it: {waiting}.")
        facts = {"lock": lock, "holder": holder, "kind": call_name(ongoing), "where": where}
        found.append(reason.format(waiting=names(waiting), **facts))
    return found
