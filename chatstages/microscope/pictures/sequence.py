"""Sequence: a lane for each thread (or endpoint), and what goes from one to another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Literal, NamedTuple

from chatstages.i18n import _
from chatstages.microscope.findings.wording import listed, told
from chatstages.microscope.model.naming import named
from chatstages.microscope.model.recording import Recording, Thing
from chatstages.microscope.pictures.rows import OUTSIDE, Mark, Row, by_endpoint, by_thread, rows
from chatstages.microscope.pictures.style import MARGIN, WIDTH, Picture, details, frame, group, missing, parts
from chatstages.svg import LETTER, label, safe, shorten, stroke
from chatstages.text import columns

LANE, NARROW = 230, 160  # from one lane to the next, few or many
ROW = 44  # from one row to the next
HEAD = 110  # the y of the first row
MOST_ROWS = 150  # the newest rows; a page could not hold a longer picture
MOST_LANES = 12  # the lanes with the most rows

TIPS: dict[Mark, str] = {
    "coalesced": "odd",
    "split": "odd",
    "unread": "faint",
    "unseen": "faint",
    "join": "faint",
    "leave": "faint",
}


def sequence(recording: Recording, lanes: Literal["threads", "endpoints"] = "threads") -> Picture:
    """Return who sent what to whom, in order; `lanes` says what a lane stands for."""
    recording = named(recording)
    found = rows(recording, (by_thread if lanes == "threads" else by_endpoint)(recording))
    found = [row for row in found if row.source]
    shown = found[-MOST_ROWS:]
    order = choose_lanes(recording, shown)
    notes = missing(recording, len(found) - len(shown))
    busy = {name for row in shown for name in (row.source, row.target) if name}
    if len(busy) > len(order):
        notes.append(_("{count} lanes with less to show are left out.").format(count=len(busy) - len(order)))
    shown = [row for row in shown if {row.source, row.target} - {""} <= set(order)]
    words = "\n".join([*describe(shown, order), *notes]) or _("Nothing was sent.")
    return Picture(draw(recording, order, shown, notes), words)


def choose_lanes(recording: Recording, shown: list[Row]) -> list[str]:
    """Return the MOST_LANES lanes with the most rows, in the order of their things."""
    counts: dict[str, int] = {}
    for row in shown:
        for name in {row.source, row.target} - {""}:
            counts[name] = counts.get(name, 0) + 1
    most = sorted(counts, key=lambda name: -counts[name])[:MOST_LANES]
    order = [*recording.things, OUTSIDE]
    return sorted(most, key=lambda name: order.index(name) if name in order else len(order))


def describe(shown: list[Row], order: list[str]) -> Iterator[str]:
    """Yield the rows as text. A broadcast is one line, since the order of its recipients may be chance."""
    for _same, several in groupby(shown, lambda row: (row.source, row.text, row.mark, row.characters)):
        alike = list(several)
        if alike[0].mark in ("join", "leave", "error") or len({row.target for row in alike}) < len(alike):
            yield from (write(row, row.target) for row in alike)
        else:
            yield write(alike[0], listed(sorted((row.target for row in alike), key=order.index)))


def write(row: Row, target: str) -> str:
    """Return a row as text."""
    where = f"{row.source} → {target}" if target else row.source
    if row.mark in ("join", "leave"):
        return told(where, row.text)
    if row.mark == "error":
        return f"{where} ✗ {row.text}"
    remark = {
        "coalesced": _("coalesced"),
        "split": _("split"),
        "unread": _("not received"),
    }.get(row.mark, "")
    if row.characters:
        remark += " " + _("in the middle of {character}").format(character=row.characters)
    return told(where, f"“{shorten(row.text, 60)}”") + (f"  ({remark.strip()})" if remark else "")


class Grid(NamedTuple):
    """The coordinates of a picture."""

    lane: float  # from one lane to the next
    lanes: dict[str, float]
    tops: list[float]  # the y at which each row begins
    ends: list[float]  # the y at which each row's arrow ends


def draw(recording: Recording, order: list[str], shown: list[Row], notes: list[str]) -> str:
    """Return the picture."""
    lane = max(NARROW, min(LANE, (WIDTH - 2 * MARGIN) / max(len(order), 1)))
    lanes = {name: MARGIN + lane / 2 + lane * place for place, name in enumerate(order)}
    tops = [HEAD + ROW * (place + 0.7) for place in range(len(shown))]
    grid = Grid(lane, lanes, tops, arrivals(shown, tops))
    width = max(2 * MARGIN + lane * max(len(order), 1), 560)
    bottom = HEAD + ROW * (len(shown) + 0.6)
    shapes, known = [], parts(recording)
    for name, x in lanes.items():
        shapes += [
            stroke(x, HEAD - 4, x, bottom, "life pale"),
            *head(recording.things.get(name), name, x, lane),
        ]
        shapes.append(label(x, 94, shorten(known.get(name, ""), lane / LETTER - 1), "soft middle"))
    for place, row in enumerate(shown):
        shapes.append(draw_row(grid, place, row, width))
    for place, note in enumerate(notes):
        shapes.append(label(MARGIN, bottom + 28 + 22 * place, note, "soft"))
    return frame("sequence", _("Who sent what to whom"), shapes, width, bottom + 30 + 22 * len(notes))


def head(thing: Thing | None, name: str, x: float, lane: float) -> list[str]:
    """Return the head of a lane: its label, and of a socket its role."""
    second = _("not watched") if name == OUTSIDE else ""
    if thing is not None and thing.what == "socket":
        second = {"listener": _("server"), "client": _("client")}.get(thing.role, "")
    return [label(x, 72, shorten(name, lane / LETTER - 1), "b middle"), label(x, 94, second, "soft middle")]


def arrivals(shown: list[Row], tops: list[float]) -> list[float]:
    """Return the y at which each arrow ends: its row's, or below what its receiver did before."""
    ends = list(tops)
    last = {row.end.number: place for place, row in enumerate(shown) if row.end}  # the last row of each recv
    for place, row in enumerate(shown):
        if row.end is None or row.mark == "join":
            continue
        level = last[row.end.number]
        busy = [n for n in range(level + 1, len(shown)) if comes_first(shown[n], row.target, row.end.ended)]
        ends[place] = tops[busy[-1]] + ROW / 2 if busy else tops[level]
    return ends


def comes_first(row: Row, lane: str, time: int) -> bool:
    """Tell whether that row shows something that `lane` did or received before that time."""
    got = row.target == lane and row.end is not None and row.end.ended < time
    return got or (row.source == lane and row.time < time)


def draw_row(grid: Grid, place: int, row: Row, width: float) -> str:
    """Return one row: an arrow with its text, or a mark on a lane."""
    x, y = grid.lanes[row.source], grid.tops[place]
    hover = details(row.begin) + (f"\n{details(row.end)}" if row.end and row.end is not row.begin else "")
    if row.mark == "error":
        side = "end" if x > width * 0.6 else ""  # where there is more room for the words
        room = (x if side else width - x) - 30
        text = label(x + (-14 if side else 14), y + 6, shorten(row.text, room / LETTER), f"bad b halo {side}")
        cross = f'<path class="arrow bad-line" d="M{x - 7:.1f} {y - 7:.1f}l14 14m0 -14l-14 14"/>'
        return group(row.begin.number, cross, text, hover=hover)
    if not row.target or row.target == row.source:
        dot = f'<cycle cx="{x:.1f}" cy="{y:.1f}" r="5" class="faint-tip"/>'
        words = label(x + 14, y + 6, shorten(row.text, 22), "soft halo")
        return group(row.begin.number, dot, words, hover=hover)
    line, tip, words = arrow(grid, place, row)
    number = row.end.number if row.end else row.begin.number
    return group(row.begin.number, line, words, hover=hover) + group(number, tip, hover=hover)


def arrow(grid: Grid, place: int, row: Row) -> tuple[str, str, str]:
    """Return an arrow, its tip, and its text with a remark."""
    x, y, to_x, to_y = grid.lanes[row.source], grid.tops[place], grid.lanes[row.target], grid.ends[place]
    kind, side = TIPS.get(row.mark, ""), 1 if to_x > x else -1
    if row.mark == "unread":
        to_x = to_x - side * 40
    line = stroke(x, y, to_x - side * 9, to_y, f"arrow {kind}")
    tip = f"{to_x:.1f},{to_y:.1f} {to_x - side * 12:.1f},{to_y - 6:.1f} {to_x - side * 12:.1f},{to_y + 6:.1f}"
    head = f'<polygon points="{tip}" class="tip {kind}-tip"/>'
    is_news = row.mark in ("join", "leave")
    remark = {"coalesced": _("coalesced"), "split": _("split"), "unread": _("not received")}.get(row.mark, "")
    if row.characters:
        remark += f" ✂ {row.characters}"
    room = abs(to_x - x) / LETTER - 3
    words = shorten(row.text, max(room - (columns(remark) + 2 if remark else 0), 6))
    text_x, text_y = x + side * 14, y - 7
    tail = f' <tspan class="odd-text" font-weight="600">{safe(remark)}</tspan>' if remark else ""
    style = f"halo {'' if side > 0 else 'end'} {'soft' if is_news else ''}"
    # The text is level, at the sender's end, also where the arrow slants.
    said = f'<text x="{text_x:.1f}" y="{text_y:.1f}" class="{style}">{safe(words)}{tail}</text>'
    return line, head, said
