"""The docstrings and comments of the code that learners read, in their language.

A docstring is one message, a comment another; comment lines that follow each other are one together. The
catalogue is ``zh_CN/LC_MESSAGES/sources.po``; pyproject.toml (`tool.babel`) says of which code. In it, a
translation has its lines as they are to be shown.
"""

from __future__ import annotations

import ast
import gettext
import inspect
import io
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chatstages.i18n import CATALOGUES, language
from chatstages.text import columns

WIDTH = 88  # columns that a line of code has, at most; a Chinese character takes two


@dataclass
class Prose:
    """A docstring or comment: its message, the lines on which it stands, and the column."""

    message: str
    first: int
    last: int
    column: int
    is_docstring: bool
    follows_code: bool = False

    def continues(self, other: Prose) -> bool:
        """Whether this comment is the next line of `other`."""
        level = (self.first - 1, self.column) == (other.last, other.column)
        return level and not (
            self.is_docstring or other.is_docstring or self.follows_code or other.follows_code
        )


def translated(source: str) -> str:
    """Return `source`, Python code or a part of it, in the reader's language. What is code stays as it is."""
    catalogue = gettext.translation("sources", CATALOGUES, [language()], fallback=True)
    return translate(source, catalogue.gettext)


def translate(source: str, translation: Callable[[str], str]) -> str:
    """Return `source` with the docstrings and comments for which `translation` has another text."""
    lines = source.splitlines()
    for prose in reversed(list(find(source))):
        text = translation(prose.message)
        if text != prose.message:
            first, last = prose.first - 1, prose.last
            lines[first:last] = written(prose, text.splitlines(), lines[first][: prose.column])
    return "\n".join(lines) + "\n" * source.endswith("\n")


def written(prose: Prose, text: list[str], before: str) -> list[str]:
    """Return the lines of a docstring or comment that says `text`; `before` stands before it."""
    if prose.is_docstring:
        one, *rest = text
        indented = [f"{before}{line}" if line else "" for line in rest]
        return [f'{before}"""{one}', *indented, f'{before}"""'] if rest else [f'{before}"""{one}"""']
    if prose.follows_code and len(text) == 1 and columns(f"{before}# {text[0]}") <= WIDTH:
        return [f"{before}# {text[0]}"]
    indent = before[: len(before) - len(before.lstrip())]
    return [f"{indent}# {line}" for line in text] + [before.rstrip()] * prose.follows_code


def find(source: str) -> Iterator[Prose]:
    """Yield each docstring and comment of `source`."""
    last: Prose | None = None
    for prose in tokens(source):
        if last and prose.continues(last):
            last.message, last.last = f"{last.message} {prose.message}", prose.last
            continue
        if last:
            yield last
        last = prose
    if last:
        yield last


def tokens(source: str) -> Iterator[Prose]:
    """Yield each docstring and comment line of `source`."""
    before = tokenize.INDENT  # what a docstring comes after; a module's begins the file
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        place = token.start[0], token.end[0], token.start[1]
        if token.type == tokenize.COMMENT:
            message = token.string.removeprefix("#").strip()
            if message:
                yield Prose(message, *place, False, bool(token.line[: token.start[1]].strip()))
        elif token.type == tokenize.STRING and before == tokenize.INDENT and token.string[:3] == '"""':
            yield Prose(inspect.cleandoc(token.string[3:-3]), *place, True)
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token.type


Message = tuple[int, None, str, list[str]]  # line, function, message, comments


def extract(
    file: BinaryIO, _keywords: object, _tags: object, options: dict[str, list[str]]
) -> Iterator[Message]:
    """Yield the messages of a file, to Babel; with the option `names`, those of these definitions alone."""
    source = file.read().decode()
    spans = [(1, source.count("\n") + 1)]
    if names := options.get("names"):
        definitions = [node for node in ast.parse(source).body if getattr(node, "name", "") in names]
        spans = [(node.lineno, node.end_lineno or node.lineno) for node in definitions]
    for prose in find(source):
        if any(first <= prose.first <= last for first, last in spans):
            yield prose.first, None, prose.message, []
