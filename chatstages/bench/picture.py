"""Pictures of measurements: bars and curves, as SVG, light and dark, to be read from the back of the room."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from chatstages import svg
from chatstages.svg import DARK, FONT, LIGHT, box, label, safe, stroke
from chatstages.text import columns

WIDTH = 1000  # of the picture; all lengths are in its own units
MARGIN = 30
ROW = 46  # from one bar to the next
LABELS = 250  # the width of the names in front of the bars
CAPTIONS = 230  # of the numbers behind them
TEXT_BAR = 40  # characters of the longest bar of the text form

# The first is ours; the others can be told apart by those who see no red or no green, too.
COLOURS = (LIGHT["one"], LIGHT["two"], "#8250df", "#1a7f37", "#cf222e", "#9a6700", "#57606a")
DARK_COLOURS = (DARK["one"], DARK["two"], "#bc8cff", "#3fb950", "#ff7b72", "#d29922", "#8b949e")

# All of it within .cs-bench: a picture that stands in a page must not dress other pictures there.
STYLE = f"""
.cs-bench text{{fill:{LIGHT["ink"]};font-family:{FONT};font-size:22px}}
.cs-bench .title{{font-size:26px;font-weight:600}} .cs-bench .note{{font-size:17px;opacity:.75}}
.cs-bench .end{{text-anchor:end}} .cs-bench .middle{{text-anchor:middle}}
.cs-bench .back{{fill:{LIGHT["back"]}}} .cs-bench .bar{{fill:#8c959f}}
.cs-bench .grid{{stroke:#8c959f;opacity:.35}}
.cs-bench .line{{fill:none;stroke-width:4;stroke-linejoin:round}}
"""
DARK_STYLE = f""".cs-bench .back{{fill:{DARK["back"]}}} .cs-bench text{{fill:{DARK["ink"]}}}
.cs-bench .bar{{fill:#6e7681}}
"""


class Bar(NamedTuple):
    """A bar: its name, its length, what stands behind it, and whether it is ours."""

    name: str
    value: float
    caption: str
    is_ours: bool = False


def draw_bars(title: str, bars: list[Bar], notes: list[str]) -> str:
    """Return a picture of `bars`, one below the other, from zero: a bar twice as long is twice as much."""
    most = max((bar.value for bar in bars), default=1)
    shapes, top = [], 2 * MARGIN + 26
    for bar in bars:
        length = bar.value / most * (WIDTH - 2 * MARGIN - LABELS - CAPTIONS)
        left = MARGIN + LABELS
        colour = "bar c0" if bar.is_ours else "bar"
        shapes += [
            label(left - 14, top + 24, bar.name, "end"),
            box(left, top, length, ROW - 14, colour, more=' rx="3"'),
            label(left + length + 12, top + 24, bar.caption),
        ]
        top += ROW
    for note in notes:
        top += 25
        shapes.append(label(MARGIN, top, note, "note"))
    return frame(title, shapes, top + MARGIN, [f"{bar.name}: {bar.caption}" for bar in bars])


def print_bars(title: str, bars: list[Bar]) -> str:
    """Return `bars` as lines of text."""
    most = max((bar.value for bar in bars), default=1)
    names = max((columns(bar.name) for bar in bars), default=0)
    lines = [title]
    for bar in bars:
        length = "█" * max(1, round(bar.value / most * TEXT_BAR))
        lines.append(f"{bar.name}{' ' * (names - columns(bar.name))}  {length} {bar.caption}")
    return "\n".join(lines)


Curves = dict[str, list[tuple[float, float]]]  # points (x, y), all above zero, by name


def draw_curves(title: str, x_name: str, y_name: str, curves: Curves) -> str:
    """Return a picture of `curves`, both axes logarithmic: from one line to the next is ten times as much."""
    left, right, top, bottom = MARGIN + 80, WIDTH - 190, 110, 560
    points = [point for curve in curves.values() for point in curve]
    x_axis = Axis([x for x, _y in points], left, right)
    y_axis = Axis([y for _x, y in points], bottom, top)
    shapes = [
        label(left, top - 16, y_name, "note"),
        label((left + right) / 2, bottom + 62, x_name, "middle note"),
    ]
    for tick, x in x_axis.ticks():
        shapes += [stroke(x, top, x, bottom, "grid"), label(x, bottom + 32, f"{tick:,g}", "middle")]
    for tick, y in y_axis.ticks():
        shapes += [stroke(left, y, right, y, "grid"), label(left - 12, y + 8, f"{tick:,g}", "end")]
    places = spread_out([y_axis.place(curve[-1][1]) for curve in curves.values()], 26)
    for number, ((name, curve), place) in enumerate(zip(curves.items(), places, strict=True)):
        path = " ".join(f"{x_axis.place(x):.1f},{y_axis.place(y):.1f}" for x, y in curve)
        shapes.append(f'<polyline points="{path}" class="line s{number % len(COLOURS)}"/>')
        shapes.append(label(x_axis.place(curve[-1][0]) + 10, place + 7, name, f"c{number % len(COLOURS)}"))
    return frame(title, shapes, bottom + 90, list(curves))


class Axis:
    """A logarithmic axis: powers of ten around `values`, drawn from `begin` to `end`."""

    def __init__(self, values: list[float], begin: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        """Return where `value` is drawn."""
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> Iterator[tuple[float, float]]:
        """Yield the powers of ten, and where each is drawn."""
        for power in range(self._low, self._high + 1):
            yield 10.0**power, self.place(10.0**power)


def spread_out(places: list[float], distance: float) -> list[float]:
    """Return `places` moved downwards where two are less than `distance` apart: names must not overlap."""
    moved, last = dict.fromkeys(range(len(places)), 0.0), -math.inf
    for number in sorted(range(len(places)), key=places.__getitem__):
        last = moved[number] = max(places[number], last + distance)
    return list(moved.values())


def frame(title: str, shapes: Iterable[str], height: float, descriptions: list[str]) -> str:
    """Return a whole picture; `descriptions` are for those who hear it rather than see it."""
    style = STYLE + colours(COLOURS)
    style += "@media (prefers-color-scheme:dark){\n" + DARK_STYLE + colours(DARK_COLOURS) + "}"
    head = [f"<desc>{safe('; '.join(descriptions))}</desc>", f"<style>{style}</style>"]
    drawn = [label(MARGIN, MARGIN + 22, title, "title"), *shapes]
    return svg.frame("cs-bench", title, drawn, WIDTH, height, head=head) + "\n"


def colours(palette: Iterable[str]) -> str:
    """Return the styles of things that have a colour of their own (c), and of lines (s)."""
    pairs = (f".cs-bench .c{n}{{fill:{c}}} .cs-bench .s{n}{{stroke:{c}}}\n" for n, c in enumerate(palette))
    return "".join(pairs)
