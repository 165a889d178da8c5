"""Board: what each thread does, who holds and waits for each lock, bytes in flight, and deadlocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.microscope.findings.wording import listed, names, place, told
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
from chatstages.microscope.pictures.style import MARGIN, TOP, Picture, frame, stable_name
from chatstages.svg import box, label, shorten

WIDTH, ROW = 1160, 34
MOST = 30  # threads, locks, connections that one picture shows


class Entry(NamedTuple):
    """A row of the board: a colour, a label, a state, and for how long it has lasted."""

    style: str
    name: str
    words: str
    time: str = ""
    where: str = ""
    load: int = 0  # bytes in flight


def board(recording: Recording, at: int | None = None) -> Picture:
    """Return the picture of the present, or of the end of the event number `at`."""
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
    for reason in reasons:
        shapes += [
            box(MARGIN, y, WIDTH - 2 * MARGIN, ROW, "bad-box"),
            label(MARGIN + 12, y + 23, f"⚠ {reason}", "bad b"),
        ]
        y += ROW + 10
    for title, entries in parts.items():
        if entries:
            words += [
                told(title, "").rstrip(),
                *("  " + told(entry.name, entry.words).rstrip() for entry in entries[:MOST]),
            ]
            shapes.append(label(MARGIN, y + 18, title, "soft b"))
            shapes += [draw(entry, y + 28 + ROW * number) for number, entry in enumerate(entries[:MOST])]
            y += 48 + ROW * min(len(entries), MOST)
            if len(entries) > MOST:
                notes.append(told(title, _("{count} more").format(count=len(entries) - MOST)))
    for note in notes:
        shapes.append(label(MARGIN, y + 10, note, "soft"))
        y += 24
    text = "\n".join(words + notes) or _("Nothing is going on.")
    return Picture(frame("board", _("What is going on"), shapes, WIDTH, y + 10), text)


def draw(entry: Entry, y: float) -> str:
    """Return a row."""
    shapes = [
        box(MARGIN, y, WIDTH - 2 * MARGIN, ROW - 4, "card"),
        box(MARGIN, y, 10, ROW - 4, entry.style),
        label(MARGIN + 22, y + 21, shorten(entry.name, 27), "b"),
        label(290, y + 21, shorten(entry.words, 48), "", entry.words),
        label(810, y + 21, entry.time, "end mono"),
        label(WIDTH - MARGIN - 10, y + 21, shorten(entry.where, 36), "soft end"),
    ]
    if entry.load:
        shapes.append(box(830, y + 9, min(entry.load / 1_000, 240) + 6, 12, "send"))
    return "".join(shapes)


def threads(snapshot: Snapshot) -> Iterator[Entry]:
    """Yield a row for each thread."""
    deadlock = snapshot.deadlock()
    for thing in snapshot.threads:
        ongoing = snapshot.ongoing_calls.get(thing.label)
        held = snapshot.locks_held_by(thing.label)
        holding = "  " + _("(holds {lock})").format(lock=names(held)) if held else ""
        name = thing.label + (f" ({stable_name(thing)})" if stable_name(thing) else "")
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
