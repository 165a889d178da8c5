"""How findings and pictures write places, lists and received data in a sentence."""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from pathlib import PurePath

from chatstages.i18n import _
from chatstages.text import clean

LONGEST = 40  # characters of a text that a sentence quotes


def place(file: str, line: int) -> str:
    """Return the line as "file.py:12", without folders, so that it is the same on every machine."""
    path = PurePath(file.replace("\\", "/"))
    # Without the number of the cell: where cells are run without a history (by nbval), all have the same.
    if "ipykernel" in str(path.parent) or file.startswith("<"):
        return _("this notebook, line {line}").format(line=line)
    return f"{path.name}:{line}" if file else _("somewhere")


def code(file: str, line: int) -> str:
    """Return the source of the line, or "" where that cannot be read."""
    return clean(linecache.getline(file, line).strip()) if file else ""


def quote(data: bytes | str) -> str:
    """Return `data` in quotation marks, LONGEST characters at most, safe to show on one line."""
    text = data if isinstance(data, str) else data[: 4 * LONGEST].decode("utf-8", "backslashreplace")
    shown = clean(text.replace("\n", "⏎").replace("\t", "⇥"))
    return f"“{shown[:LONGEST]}…”" if len(shown) > LONGEST else f"“{shown}”"


def names(labels: Iterable[str]) -> str:
    """Return `labels` as a list in a sentence, without repetitions, four at most."""
    shown = list(dict.fromkeys(labels))
    return listed(shown[:4]) + (" …" if len(shown) > 4 else "")


def listed(words: Iterable[str]) -> str:
    """Return `words` as a list, with the comma of the language in use."""
    return _(", ").join(words)


def told(what: str, words: str) -> str:
    """Return "what: words", with the colon of the language in use."""
    return _("{what}: {words}").format(what=what, words=words)
