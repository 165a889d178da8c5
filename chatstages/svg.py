"""The drawing kit of all pictures: SVG elements as text, lettering, and the colours that all have in common.

All lengths are in the units of the picture. A class of CSS gives an element its colours: each kind of picture
keeps its rules within a class of its own, so that it does not dress other pictures on the same page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from chatstages.text import clean, columns, one_line

FONT = 'system-ui,"Noto Sans CJK SC",sans-serif'
BREAKABLE = re.compile(r"[\u2e80-\u9fff][，。；：、！？）”]*|[^\s\u2e80-\u9fff]+\s*|\s+")
LETTER = 9.2  # the width of a letter of 16 px, about; a Chinese character takes two

# Text, background, and the two colours that can be told apart by those who see no red or no green, too.
LIGHT = {"ink": "#1f2328", "back": "#ffffff", "one": "#0969da", "two": "#bc4c00"}
DARK = {"ink": "#e6edf3", "back": "#16181d", "one": "#58a6ff", "two": "#f0883e"}


def variables(colours: dict[str, str]) -> str:
    """Return a palette as CSS variables."""
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def theme(name: str, day: dict[str, str], night: dict[str, str]) -> str:
    """Return CSS that gives the pictures of class `name` the palette of the page that they stand in.

    The system's choice first; then what JupyterLab and VS Code say of their own pages, which may differ.
    """
    return (
        f".{name}{{{variables(day)}}}"
        f"@media(prefers-color-scheme:dark){{.{name}{{{variables(night)}}}}}"
        f"[data-jp-theme-light=true] .{name},.vscode-light .{name}"
        f"{{{variables(day)}--back:var(--jp-layout-color0,#fff)}}"
        f"[data-jp-theme-light=false] .{name},.vscode-dark .{name}"
        f"{{{variables(night)}--back:var(--jp-layout-color0,#16181d)}}"
    )


def frame(
    classes: str,
    title: str,
    shapes: Iterable[str],
    width: float,
    height: float,
    *,
    attributes: str = "",
    head: Iterable[str] = (),
) -> str:
    """Return a whole picture: `shapes` on a background; `head` are elements such as desc and style."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{classes}" role="img"{attributes} '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<title>{safe(title)}</title>",
            *head,
            f'<rect class="back" width="{width:.0f}" height="{height:.0f}"/>',
            *shapes,
            "</svg>",
        ]
    )


def safe(words: str) -> str:
    """Return `words` escaped for SVG, on one line, without what could move a cursor or turn text round."""
    return escape(one_line(words))


def label(x: float, y: float, words: str, style: str = "", hover: str = "") -> str:
    """Return a line of text; `hover` is its tooltip."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{safe(words)}{tooltip(hover)}</text>'


def box(x: float, y: float, width: float, height: float, style: str, hover: str = "", more: str = "") -> str:
    """Return a rectangle; `hover` is its tooltip, `more` further attributes."""
    size = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
    return f'<rect {size} class="{style}"{more}>{tooltip(hover)}</rect>'


def stroke(x: float, y: float, to_x: float, to_y: float, style: str) -> str:
    """Return a straight line."""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{style}"/>'


def tooltip(words: str) -> str:
    """Return what is shown while the mouse is over the element that contains it; "" without words."""
    return f"<title>{escape(clean(words))}</title>" if words else ""


def wrap(words: str, most: float) -> list[str]:
    """Return `words` as lines of a width of `most` columns at most, broken at spaces or between 汉字."""
    lines = [""]
    for piece in BREAKABLE.findall(one_line(words)):
        if lines[-1] and columns((lines[-1] + piece).rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def shorten(words: str, most: float) -> str:
    """Return `words` on one line, shortened to a width of `most` columns."""
    words = one_line(words)
    if columns(words) <= most:
        return words
    while words and columns(words) > most - 1:
        words = words[:-1]
    return words + "…"
