"""Code in a notebook, at the size of a small laptop: no line of it wraps."""

from __future__ import annotations

from typing import Any

SHOW = """
from chatstages import i18n, stage2_session, stage3_threads, stage4_broadcast
from chatstages.faults import closed_too_early, decoded_in_pieces, send_error_unhandled
from chatstages.lab import compare, source
"""
# The height of a line, against that of the text of a whole listing.
HEIGHTS = """pre => {
    const lines = pre.textContent.trimEnd().split("\\n").length, box = pre.firstChild.getBoundingClientRect();
    return [lines, Math.round(pre.clientHeight / parseFloat(getComputedStyle(pre).lineHeight))];
}"""


def test_a_source_does_not_wrap(open_notebook: Any) -> None:
    """It scrolls sideways: as many lines are seen as it has."""
    notebook = open_notebook("source.ipynb", SHOW, "source(stage4_broadcast.Group)")
    notebook.page.set_viewport_size({"width": 1280, "height": 720})
    notebook.run_all()
    listing = notebook.page.locator("pre[tabindex]")
    lines, seen = listing.evaluate(HEIGHTS)
    assert lines == seen > 20
    notebook.picture("source")


def test_the_sides_of_a_comparison_stay_level(open_notebook: Any) -> None:
    """Each scrolls sideways by itself, and both are of the same height."""
    notebook = open_notebook(
        "compare.ipynb", SHOW, "compare(decoded_in_pieces.handle, stage2_session.handle)"
    )
    notebook.page.set_viewport_size({"width": 1280, "height": 720})
    notebook.run_all()
    left, right = (notebook.page.locator("td pre").nth(side) for side in (0, 1))
    tops = [
        pre.locator("div div").evaluate_all("all => all.map(each => each.offsetTop)") for pre in (left, right)
    ]
    assert tops[0] == tops[1]
    for side in (left, right):
        assert side.evaluate("pre => pre.scrollWidth > pre.clientWidth")
    notebook.picture("compare")
