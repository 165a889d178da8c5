"""How findings and pictures write places, lists and received data in a sentence."""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from pathlib import PurePath

from chatstages.locale import _
from chatstages.wire import clean

LONGEST = 40  # characters of a text that a sentence quotes


def place(file: str, line: int) -> str:
    """Return where that is, short: a name that is the same on every machine."""
    path = PurePath(file.replace("\\", "/"))
    # Not the number of the cell: where cells are run without a history (nbval does) all have the same.
    if "ipykernel" in str(path.parent) or file.startswith("<"):
        return _("this notebook, line {line}").format(line=line)
    return f"{path.name}:{line}" if file else _("somewhere")


def code(file: str, line: int) -> str:
    """Return the line of code that stands there, or nothing where that cannot be read."""
    return clean(linecache.getline(file, line).strip()) if file else ""


def quote(data: bytes | str) -> str:
    """Return `data` as text between quotation marks, shortened, and safe to show on one line."""
    text = data if isinstance(data, str) else data[: 4 * LONGEST].decode("utf-8", "backslashreplace")
    shown = clean(text.replace("\n", "⏎").replace("\t", "⇥"))
    return f"“{shown[:LONGEST]}…”" if len(shown) > LONGEST else f"“{shown}”"


def names(labels: Iterable[str]) -> str:
    """Return `labels` as a list in a sentence, long ones shortened."""
    shown = list(dict.fromkeys(labels))
    return listed(shown[:4]) + (" …" if len(shown) > 4 else "")


def listed(words: Iterable[str]) -> str:
    """Return `words` as a list, with the comma of the reader's language."""
    return _(", ").join(words)


def told(what: str, words: str) -> str:
    """Return what is said of something, with the colon of the reader's language."""
    return _("{what}: {words}").format(what=what, words=words)
