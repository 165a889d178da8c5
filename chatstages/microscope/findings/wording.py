"""How findings and pictures write places, lists and received data in a sentence."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from chatstages.i18n import _
from chatstages.microscope.model.naming import is_cell
from chatstages.text import clean

LONGEST = 40  # characters of a text that a sentence quotes
COMMENT = re.compile(r"\s+#\s.*")  # at the end of a line of code


def place(file: str, line: int) -> str:
    """Return the line as "file.py:12", without folders, so that it is the same on every machine.

    Of a notebook's cell it is the code itself, in quotation marks.
    """
    path = PurePath(file.replace("\\", "/"))
    if is_cell(file):  # many cells have such a line; the code says which one it is
        found = COMMENT.sub("", code(file, line))
        return quote(found) if found else _("this notebook, line {line}").format(line=line)
    return f"{path.name}:{line}" if file else _("somewhere")


def location(file: str, line: int) -> str:
    """Return the line as "file.py:12", or with the number of its cell, to stand beside its code."""
    if not is_cell(file):
        return place(file, line)
    if number := cell_number(file):
        return _("this notebook, cell [{number}], line {line}").format(number=number, line=line)
    return _("this notebook, line {line}").format(line=line)


def cell_number(file: str) -> str:
    """Return the number that Jupyter shows beside the cell, as long as the kernel knows it, or ""."""
    ipython = sys.modules.get("IPython")  # not imported: where it is not running, there are no cells
    shell: Any = ipython.get_ipython() if ipython is not None else None
    try:
        _what, name = shell.compile.format_code_name(file)  # "Cell", "In[12]"
    except (AttributeError, TypeError):
        return ""
    return str(name).removeprefix("In[").removesuffix("]")


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
    parts = list(words)
    comma = _(", ")
    return (_("; ") if any(comma in part for part in parts) else comma).join(parts)


def told(what: str, words: str) -> str:
    """Return "what: words", with the colon of the language in use."""
    return _("{what}: {words}").format(what=what, words=words)
