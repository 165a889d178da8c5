"""Reading code in a notebook: a source with highlighting, in the reader's language; no line of it wraps.

Colours are those of the page's own editor (the `--jp-…` variables). Markdown would have them, too, but
JupyterLab wraps the long lines of its code.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from html import escape
from pathlib import Path
from textwrap import dedent
from types import ModuleType

from pygments import lex
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

from chatstages.i18n.sources import translated
from chatstages.lab.widgets import BORDER

# A module, class or function, or the path of a script.
Code = ModuleType | Callable[..., object] | str | Path

FONT = (
    "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);line-height:1.4"
)
LISTING = f"{FONT};white-space:pre;word-break:normal;overflow-x:auto;margin:0;padding:4px 8px"
COLOURS = {
    Comment: "comment",
    String: "string",
    Number: "number",
    Keyword: "keyword",
    Operator.Word: "keyword",
    Name.Builtin: "builtin",
    Name.Class: "def",
    Name.Function: "def",
}


class Rich:
    """Something to show: as HTML where that can be drawn, as text elsewhere."""

    def __init__(self, plain: str, html: str) -> None:
        self._plain, self._html = plain, html

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/plain": self._plain, "text/html": self._html}

    def __repr__(self) -> str:
        return self._plain


def source(code: Code) -> Rich:
    """Show the source of a module (without its docstring), class or function, or the script at a path."""
    text = "\n".join(read(code))
    coloured = "".join(colour(kind, part) for kind, part in lex(text, PythonLexer(stripnl=False)))
    return Rich(text, f'<pre tabindex="0" style="{LISTING};{BORDER}">{coloured}</pre>')


def colour(kind: _TokenType, text: str) -> str:
    """Return a token as HTML, in the colour that the page's editor gives it."""
    for some, style in COLOURS.items():
        if kind in some:
            return f'<span style="color:var(--jp-mirror-editor-{style}-color)">{escape(text)}</span>'
    return escape(text)


def read(code: Code) -> list[str]:
    """Return the lines of a script as they are, or of our code in the reader's language."""
    if isinstance(code, str | Path):
        return Path(code).read_text(encoding="utf-8").rstrip().splitlines()
    text = dedent(translated(inspect.getsource(code))).rstrip()  # of a method, too
    return without_docstring(text) if isinstance(code, ModuleType) else text.splitlines()


def without_docstring(text: str) -> list[str]:
    """Return the lines of a module after its docstring and its __future__ import."""
    lines, skipped = text.splitlines(), 0
    for statement in ast.parse(text).body[:2]:
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if (is_docstring or is_future) and statement.end_lineno:
            skipped = statement.end_lineno
    while skipped < len(lines) and not lines[skipped].strip():
        skipped += 1
    return lines[skipped:]


def name(code: Code) -> str:
    """Return what `code` is called, with its module; a script is called by its path."""
    if isinstance(code, str | Path):
        return str(code)
    module = code.__name__ if isinstance(code, ModuleType) else f"{code.__module__}.{code.__qualname__}"
    return module.removeprefix("chatstages.")
