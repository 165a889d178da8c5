"""Sketches that explain an idea: who is connected to whom, and where each member is in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chatstages import svg
from chatstages.i18n import _
from chatstages.lab.reading import Rich
from chatstages.protocol import COLON, encode
from chatstages.svg import FONT, LETTER, box, label, safe, stroke
from chatstages.text import columns

HEIGHT = 44  # of a box; all lengths are in px
EDGE = 12  # between the frame and what is drawn
PROGRAM, WIRE = 150, 170  # the widths of a program's box, and of the gap between two

STYLE = (
    svg.theme("cs-sketch", svg.LIGHT, svg.DARK)
    + f".cs-sketch{{max-width:100%;height:auto}}.cs-sketch text{{fill:var(--ink);font:17px {FONT}}}"
    ".cs-sketch .middle{text-anchor:middle}.cs-sketch .end{text-anchor:end}.cs-sketch .b{font-weight:600}"
    ".cs-sketch .back{fill:var(--back)}.cs-sketch .box{fill:none;stroke:var(--ink);stroke-width:1.5}"
    ".cs-sketch .line{stroke:var(--one);stroke-width:2.5}.cs-sketch .tip{fill:var(--one)}"
)


def sketch(name: str) -> Rich:
    """Return the sketch "connections" or "offsets", in the language in use. Raises KeyError for another."""
    return {"connections": connections, "offsets": offsets}[name]()


def connections() -> Rich:
    """Return Ann and Ben, each connected to the server, and not to each other."""
    programs = [
        _("{name} (client)").format(name="Ann"),
        _("Server"),
        _("{name} (client)").format(name="Ben"),
    ]
    shapes = []
    for number, program in enumerate(programs):
        left = EDGE + number * (PROGRAM + WIRE)
        shapes.append(box(left, 30, PROGRAM, HEIGHT, "box", more=' rx="6"'))
        shapes.append(label(left + PROGRAM / 2, 58, program, "middle b"))
        if number:
            shapes += two_way(left - WIRE + 6, left - 6, 52)
            shapes.append(label(left - WIRE / 2, 38, _("connection"), "middle"))
    about = _("Ann and Ben are each connected to the server, and not to each other. Bytes go both ways.")
    width = 2 * EDGE + 3 * PROGRAM + 2 * WIRE
    return picture(_("Who is connected to whom"), about, " ⇄ ".join(programs), shapes, width, 100)


def offsets() -> Rich:
    """Return the log, line after line, and the offset of each member: up to there it has got everything."""
    lines = [
        f"{name}{COLON}{text}"
        for name, text in (
            ("Ann", _("hi")),
            ("Ben", _("hello")),
            ("Eve", _("good morning")),
            ("Ann", _("any news?")),
        )
    ]
    ends = [len(encode("".join(f"{line}\n" for line in lines[: n + 1]))) for n in range(len(lines))]
    members = {0: _("a slow consumer"), 2: "Ben", 3: _("Ann, Eve")}  # by the line that each has got last
    shapes, x = [label(EDGE, 28, _("the log: lines are only ever appended"), "b")], float(EDGE)
    for number, line in enumerate(lines):
        width = columns(f"{line}⏎") * LETTER + 46
        shapes.append(box(x, 44, width, HEIGHT, "box"))
        shapes.append(label(x + width / 2, 72, f"{line}⏎", "middle"))
        x += width
        if number in members:
            shapes += marker(x, members[number], ends[number], number == len(lines) - 1)
    about = [_("{who}: offset {n}").format(who=who, n=ends[number]) for number, who in members.items()]
    text = "\n".join([_("log: {lines}").format(lines=" ".join(f"{line}⏎" for line in lines)), *about])
    return picture(_("The log, and the offset of each member"), "; ".join(about), text, shapes, x + EDGE, 186)


def marker(x: float, who: str, offset: int, is_last: bool) -> Iterator[str]:
    """Yield an arrow from below at `x`, and whose offset that is; the last one's words end there."""
    yield stroke(x, 132, x, 104, "line")
    yield f'<path d="M{x - 7:.1f} 104 h14 l-7 -13z" class="tip"/>'
    style = "end" if is_last else "middle"
    yield label(x, 152, who, f"{style} b")
    yield label(x, 175, _("offset {n}").format(n=offset), style)


def two_way(begin: float, end: float, y: float) -> Iterator[str]:
    """Yield a line with a tip at both ends."""
    yield stroke(begin + 10, y, end - 10, y, "line")
    yield f'<path d="M{begin:.1f} {y} l13 -7 v14z M{end:.1f} {y} l-13 -7 v14z" class="tip"/>'


def picture(title: str, about: str, text: str, shapes: Iterable[str], width: float, height: float) -> Rich:
    """Return a sketch: as SVG with a title and a description for those who hear it, and as text."""
    head = [f"<desc>{safe(about)}</desc>", f"<style>{STYLE}</style>"]
    size = f' width="{width:.0f}" height="{height:.0f}"'
    return Rich(
        plain=text, html=svg.frame("cs-sketch", title, shapes, width, height, attributes=size, head=head)
    )
