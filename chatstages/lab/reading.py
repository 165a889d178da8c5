"""Reading code in a notebook: a source with highlighting, and two of them side by side."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher, unified_diff
from html import escape
from types import ModuleType
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.lab.widgets import BORDER

CONTEXT = 3  # lines that are the same, shown before and after those that differ
Code = ModuleType | Callable[..., object]  # a module, class or function

CELL = "padding:0 6px;white-space:pre-wrap;overflow-wrap:anywhere;vertical-align:top;width:50%"
REMOVED, ADDED, SAME = "rgba(229,83,75,.22)", "rgba(46,160,67,.22)", "transparent"


class Rich:
    """Something to show: as HTML or Markdown where that can be drawn, as text elsewhere."""

    def __init__(self, **bundle: str) -> None:
        self._bundle = bundle

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {f"text/{kind}": text for kind, text in self._bundle.items()}

    def __repr__(self) -> str:
        return self._bundle["plain"]


def source(code: Code) -> Rich:
    """Show the source of a module, class or function; a module without its docstring."""
    text = "\n".join(read(code))
    return Rich(plain=text, markdown=f"```python\n{text}\n```")


def compare(old: Code, new: Code) -> Rich:
    """Show the sources of `old` and `new` side by side, with what differs marked."""
    before, after = read(old), read(new)
    old_name, new_name = name(old), name(new)
    rows = "".join(map(draw, pairs(before, after)))
    head = "".join(
        f'<th style="text-align:left;{CELL}">{escape(title)}</th>' for title in (old_name, new_name)
    )
    table = (
        f'<table style="width:100%;table-layout:fixed;border-collapse:collapse;{BORDER};text-align:left;'
        f'font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);line-height:1.4">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return Rich(
        plain="\n".join(unified_diff(before, after, old_name, new_name, lineterm="", n=CONTEXT)), html=table
    )


def read(code: Code) -> list[str]:
    """Return the lines of the source; of a module those after its docstring and __future__ import."""
    text = inspect.getsource(code)
    lines = text.rstrip().splitlines()
    if not isinstance(code, ModuleType):
        return lines
    body = ast.parse(text).body
    skipped = [0]
    for statement in body[:2]:
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if (is_docstring or is_future) and statement.end_lineno:
            skipped.append(statement.end_lineno)
    while not lines[max(skipped)].strip():
        skipped.append(max(skipped) + 1)
    return lines[max(skipped) :]


def name(code: Code) -> str:
    """Return what `code` is called, with its module."""
    module = code.__name__ if isinstance(code, ModuleType) else f"{code.__module__}.{code.__qualname__}"
    return module.removeprefix("chatstages.")


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
            for i in range(max(a_end - a, b_end - b)):
                left = before[a + i] if a + i < a_end else None
                right = after[b + i] if b + i < b_end else None
                yield Pair(left, right, differs=True)
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


def draw(pair: Pair) -> str:
    """Return a row of the table."""
    if pair.folded:
        text = _("⋯ {n} lines alike").format(n=pair.folded)
        return f'<tr><td colspan="2" style="{CELL};text-align:center;opacity:.6">{text}</td></tr>'
    cells = []
    for line, colour in ((pair.left, REMOVED), (pair.right, ADDED)):
        shade = colour if pair.differs and line is not None else SAME
        cells.append(
            f'<td style="{CELL};text-align:left;background:{shade}">{escape(line or "") or "&nbsp;"}</td>'
        )
    return f"<tr>{''.join(cells)}</tr>"
