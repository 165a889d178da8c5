"""The style of all pictures: colours (light and dark), text, and a frame around the shapes.

A picture is complete as it stands, without a script. What changes while a recording is stepped through bears
the number of its event (`data-n`), so that `at`, or a page's script, can grey out what comes later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from chatstages import svg
from chatstages.i18n import _
from chatstages.microscope.findings.wording import place, told
from chatstages.microscope.model.naming import stable_name
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.svg import DARK, LIGHT, label, tooltip
from chatstages.text import clean, one_line

MARGIN = 20
WIDTH = 840  # what a notebook shows on a small screen (1280 x 720) beside the list of files
TOP = 64  # where the first shape may begin, below the title

DAY = LIGHT | {
    "soft": "#59636e", "grid": "#d0d7de", "card": "#f3f5f7",
    "run": "#5fb878", "wait": "#c3d3e6", "send": "#f0a93b", "lock": "#e8590c", "hold": "#8250df",
    "held": "#ffffff", "bad": "#cf222e", "dead": "#cf222e", "mark": "#fff1c2",
}  # fmt: skip
NIGHT = DARK | {
    "soft": "#9da7b1", "grid": "#3d444d", "card": "#22262d",
    "run": "#2f8f4a", "wait": "#33475e", "send": "#b26a00", "lock": "#d9480f", "hold": "#9a6df0",
    "held": "#ffffff", "bad": "#ff7b72", "dead": "#da3633", "mark": "#4b3a00",
}  # fmt: skip
RULES = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


STYLE = svg.theme("cs-scope", DAY, NIGHT) + RULES


class Picture:
    """A picture, as SVG and as text."""

    def __init__(self, shapes: str, words: str) -> None:
        self.shapes = shapes  # SVG, without its style
        self.text = clean(words)

    @property
    def svg(self) -> str:
        """The picture as SVG with its style, for a file or a page."""
        return self.shapes.replace("<title>", f"<style>{STYLE}</style><title>", 1)

    def at(self, number: int) -> Picture:
        """Return the picture with everything later than the event `number` greyed out."""

        def shade(match: re.Match[str]) -> str:
            return match[0] + (' class="later"' if int(match[1]) > number else "")

        return Picture(re.sub(r'<g data-n="(\d+)"', shade, self.shapes), self.text)

    def at_time(self, time: int) -> Picture:
        """Return the picture, a timeline, with a line at that time (ns since the recording began)."""
        facts = re.search(
            r'data-begin="(\d+)" data-end="(\d+)" data-left="([\d.]+)" data-width="([\d.]+)"', self.shapes
        )
        if facts is None:
            return self
        begin, end, left, width = map(float, facts.groups())
        x = left + min(max(time - begin, 0) / max(end - begin, 1), 1) * width
        moved = rf'<line x1="{x:.1f}" \1 x2="{x:.1f}" \2 class="cursor" style="visibility:visible"/>'
        cursor = r'<line x1="[\d.]+" (y1="[\d.]+") x2="[\d.]+" (y2="[\d.]+") class="cursor"/>'
        return Picture(re.sub(cursor, moved, self.shapes), self.text)

    def save(self, path: str | Path) -> None:
        """Write the picture to a file, as SVG."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        # HTML, not image/svg+xml: JupyterLab shows that as an image, without what hovers or its theme.
        # And without the numbers of events, which change from run to run where threads race.
        shown = re.sub(r' data-n="\d+"', "", self.svg)
        return {"text/plain": self.text, "text/html": f'<div style="overflow-x:auto">{shown}</div>'}


def frame(kind: str, title: str, shapes: Iterable[str], width: float, height: float, more: str = "") -> str:
    """Return a whole picture with its title, without its style."""
    # Not smaller where it is too wide: its lettering could not be read. It can be scrolled.
    size = f' width="{width:.0f}" height="{height:.0f}" style="max-width:none"{more}'
    drawn = [label(MARGIN, 32, title, "title"), *shapes]
    return svg.frame(f"cs-scope cs-{kind}", title, drawn, width, height, attributes=size)


def group(number: int, *shapes: str, hover: str = "") -> str:
    """Return shapes that belong to the event `number`."""
    return f'<g data-n="{number}">{tooltip(hover)}{"".join(shapes)}</g>'


def said(data: bytes, most: int = 200) -> str:
    """Return bytes as text on one line; bytes that are no whole character in hex."""
    return one_line(data[: 4 * most].decode("utf-8", "backslashreplace").replace("\n", "⏎"))[:most]


def parts(recording: Recording) -> dict[str, str]:
    """Return the role of each thread: its own name, or that of its function."""
    found = {label: stable_name(thing) for label, thing in recording.things.items() if thing.what == "thread"}
    hints: dict[str, str] = {}
    for event in recording.events:
        is_named = event.kind == "run" and event.function[:1] not in ("_", "<", "")
        if is_named or (event.kind in ("accept", "recv") and event.thread not in hints):
            hints[event.thread] = event.function
    hints |= {label: "" for label in found if recording.things[label].name in ("main", "MainThread")}
    return {label: one_line(name or hints.get(label, "")) for label, name in found.items()}


def details(event: TraceEvent) -> str:
    """Return the tooltip of an event, without anything that changes from run to run."""
    lines = [told(event.thread, f"{event.kind} {event.thing}")]
    if event.data:
        lines.append(_("{count} bytes: {text}").format(count=len(event.data), text=said(event.data)))
    if event.error:
        lines.append(event.error)
    lines.append(f"{place(event.file, event.line)} {event.function}")
    return "\n".join(lines)


def missing(recording: Recording, left_out: int = 0) -> list[str]:
    """Return the notes on what a picture does not show."""
    notes = []
    if recording.dropped:
        notes.append(_("{count} older events were dropped.").format(count=recording.dropped))
    if left_out:
        notes.append(_("{count} older rows are left out.").format(count=left_out))
    return notes
