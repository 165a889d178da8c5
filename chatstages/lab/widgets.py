"""What the widgets of the lab have in common: how they look, and standing side by side.

Colours come from the page's theme (the `--jp-…` variables), so that they are right in the dark, too.
ipywidgets.HTML shows what it is given: all that anybody can choose, a name or a text, goes through `as_html`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import ipywidgets

from chatstages.text import clean

FONT = "font-size:var(--jp-content-font-size2,16px)"
NARROWEST = "15em"  # in which the box of a client and its buttons have room
WINDOW = {"min_width": "0", "margin": "4px"}  # the layout of a server and of a client; Row gives the width
BORDER = "border:1px solid var(--jp-border-color1,#bbb);border-radius:4px"


def as_html(text: str) -> str:
    """Return `text` so that it shows as it is, and does nothing."""
    return escape(clean(text.removesuffix("\n"))).replace("\n", "<br>")


def title_html(on: bool, name: str, state: str) -> str:
    """Return a widget's headline: a dot (full and green, or empty and grey), its name, and its state."""
    dot, colour = ("●", "#2e9e4f") if on else ("○", "#888")
    small = f'<span style="font-weight:400;opacity:.8">{as_html(state)}</span>'
    return (
        f'<div style="font-weight:600;{FONT};overflow-wrap:anywhere">'
        f'<span style="color:{colour}" aria-hidden="true">{dot}</span> {as_html(name)} {small}</div>'
    )


def log_html(lines: Iterable[str], height: int) -> str:
    """Return `lines`, which are HTML, as a box `height` em high that shows the newest at its bottom."""
    return (
        f'<div role="log" tabindex="0" style="height:{height}em;overflow-y:auto;display:flex;'
        f"flex-direction:column-reverse;padding:4px 8px;{BORDER};line-height:1.5;{FONT};"
        f'color:var(--jp-content-font-color1,inherit);overflow-wrap:anywhere"><div>{"<br>".join(lines)}</div></div>'
    )


def trouble_html(reason: str) -> str:
    """Return a line of a log that says why something has failed."""
    return f'<span style="color:#d9534f">⚠ {as_html(reason)}</span>'


def row(*widgets: ipywidgets.Widget) -> ipywidgets.Widget:
    """Lay out servers and clients side by side, three or two across; fewer where there is no room."""
    return Row(widgets)


class Row(ipywidgets.GridBox):  # type: ignore[misc]
    """Widgets in columns of the same width. Where it can be avoided, none stands on a line of its own."""

    def __init__(self, widgets: tuple[ipywidgets.Widget, ...]) -> None:
        across = next((columns for columns in (3, 2) if len(widgets) % columns != 1), 3)
        # As many columns as fit, each NARROWEST or more, but at most `across`.
        width = f"max({NARROWEST}, {100 / across - 1:.0f}%)"
        super().__init__(widgets, layout={"grid_template_columns": f"repeat(auto-fit, minmax({width}, 1fr))"})

    def __repr__(self) -> str:
        return "  ".join(map(repr, self.children))
