"""Two sources side by side: what differs is shaded, and within a line what differs there, more so.

A line takes one line, however long it is: each side scrolls sideways by itself. So that the two stay level,
every line is of the same height.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher, unified_diff
from functools import cache
from html import escape
from itertools import zip_longest
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.lab.reading import LISTING, Code, Rich, name, read
from chatstages.lab.widgets import BORDER

CONTEXT = 3  # lines that are the same, shown before and after those that differ
SIMILAR = 0.5  # from here on, lines are two versions of one line (0: nothing in common, 1: the same)
WORD = re.compile("[\u3400-\u9fff]|\\w+| {4}|\\s+|.")  # an indentation is several

REMOVED, ADDED = "229,83,75", "46,160,67"  # red, green; a sign says it, too
LINE = "height:1.4em;line-height:1.4em"
CELL = "padding:0;text-align:left;vertical-align:top;width:50%;max-width:0"


def compare(old: Code, new: Code) -> Rich:
    """Show the sources of `old` and `new` side by side, with what differs marked."""
    before, after, names = read(old), read(new), (name(old), name(new))
    plain = unified_diff(before, after, *names, lineterm="", n=CONTEXT)
    sides = zip(*map(draw, pairs(before, after)), strict=True)
    head = "".join(f'<th style="{CELL};padding:4px">{escape(title)}</th>' for title in names)
    body = "".join(f'<td style="{CELL}">{column(lines)}</td>' for lines in sides)
    style = f"width:100%;table-layout:fixed;border-collapse:collapse;{BORDER}"
    return Rich(
        "\n".join(plain),
        f'<table style="{style}"><tr>{head}</tr><tr style="background:none">{body}</tr></table>',
    )


def column(lines: tuple[str, ...]) -> str:
    """Return one side; its lines are all as wide as the longest."""
    inner = f'<div style="width:max-content;min-width:100%">{"".join(lines)}</div>'
    small = "font-size:calc(var(--jp-code-font-size,13px) - 1px)"  # there are two of them
    return f'<pre tabindex="0" style="{LISTING};padding:4px;{small}">{inner}</pre>'


class Pair(NamedTuple):
    """A line on each side; None where a side has none. With `folded`, that many lines alike."""

    left: str | None
    right: str | None
    differs: bool = False
    folded: int = 0


def pairs(before: list[str], after: list[str]) -> Iterator[Pair]:
    """Yield the lines of both sides, next to each other; long stretches that are the same are folded."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for number, (tag, a, a_end, b, b_end) in enumerate(blocks):
        if tag != "equal":
            yield from align(before[a:a_end], after[b:b_end])
            continue
        lines = before[a:a_end]
        first = CONTEXT if number > 0 else 0
        last = CONTEXT if number < len(blocks) - 1 else 0
        folded = len(lines) - first - last
        if folded <= 1:
            yield from (Pair(line, line) for line in lines)
        else:
            yield from (Pair(line, line) for line in lines[:first])
            yield Pair(None, None, folded=folded)
            yield from (Pair(line, line) for line in lines[len(lines) - last :])


def align(before: list[str], after: list[str]) -> Iterator[Pair]:
    """Yield the lines of a stretch that differs: the most similar ones level, then what is between them."""
    places = ((i, j) for i in range(len(before)) for j in range(len(after)))
    i, j = max(places, key=lambda at: similarity(before[at[0]], after[at[1]]), default=(0, 0))
    if not before or not after or similarity(before[i], after[j]) < SIMILAR:
        yield from (Pair(*lines, differs=True) for lines in zip_longest(before, after))
        return
    yield from align(before[:i], after[:j])
    yield Pair(before[i], after[j], differs=True)
    yield from align(before[i + 1 :], after[j + 1 :])


@cache
def similarity(left: str, right: str) -> float:
    """Return how much two lines have in common, indentation and comment aside: from 0 to 1."""
    old, new = (line.strip().partition("  # ")[0] for line in (left, right))
    return SequenceMatcher(None, old, new, autojunk=False).ratio()


def draw(pair: Pair) -> tuple[str, str]:
    """Return a line of each side, as HTML."""
    if pair.folded:
        text = _("⋯ {n} lines alike").format(n=pair.folded)
        return (f'<div style="{LINE};opacity:.6">  {text}</div>',) * 2
    left, right = escape(pair.left or ""), escape(pair.right or "")
    if not pair.differs:
        return f'<div style="{LINE}">  {left}</div>', f'<div style="{LINE}">  {right}</div>'
    if pair.left and pair.right and similarity(pair.left, pair.right) >= SIMILAR:
        left, right = mark(pair.left, pair.right)
    return shade("−", left, REMOVED, pair.left), shade("+", right, ADDED, pair.right)


def shade(sign: str, html: str, colour: str, line: str | None) -> str:
    """Return a line that differs, behind its sign; an empty one where a side has none."""
    if line is None:
        return f'<div style="{LINE}"></div>'
    return f'<div style="{LINE};background:rgba({colour},.15)">{sign} {html}</div>'


def mark(left: str, right: str) -> tuple[str, str]:
    """Return two similar lines as HTML, with the words marked that only one of them has."""
    words, others = WORD.findall(left), WORD.findall(right)
    old, new = "", ""
    for tag, a, a_end, b, b_end in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        removed, added = escape("".join(words[a:a_end])), escape("".join(others[b:b_end]))
        if tag != "equal":
            removed = removed and f'<del style="{changed(REMOVED)}">{removed}</del>'
            added = added and f'<ins style="{changed(ADDED)}">{added}</ins>'
        old, new = old + removed, new + added
    return old, new


def changed(colour: str) -> str:
    """Return the style of words that differ."""
    return f"text-decoration:none;background:rgba({colour},.45)"
