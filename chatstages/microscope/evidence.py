"""What findings have in common: where something stands, and who has held which lock from when to when."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.microscope.recording import Event, Recording
from chatstages.text import clean

FOREVER = 1 << 62  # the end of what has not ended
LONGEST = 40  # characters of a text that a sentence quotes
MADE_ONCE = ("__init__", "__new__", "__post_init__", "__enter__", "<module>", "")


@dataclass(frozen=True, repr=False)
class Finding:
    """Something that was found, with its evidence; `str` says it in one sentence."""

    events: tuple[int, ...]  # the numbers of those that show it
    thread: str  # that it is about
    thing: str  # the socket, lock or pool that it is about
    file: str  # where to look
    line: int

    def __repr__(self) -> str:  # a list of findings can be read, too
        return f"<{self}>"

    def __str__(self) -> str:
        raise NotImplementedError

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        raise NotImplementedError


class Hold(NamedTuple):
    """A lock that was held: by whom, from when to when, and the acquire with which that began."""

    lock: str
    thread: str
    begin: int
    end: int  # FOREVER where it is held still
    acquire: Event | None
    release: Event | None


def holds(recording: Recording) -> list[Hold]:
    """Return who has held which lock, in the order in which they were given back; then those held still."""
    found = []
    acquired: dict[tuple[str, str], Event] = {}
    for event in recording.events:
        key = (event.thing, (event.kind == "release" and event.other) or event.thread)
        if event.kind == "acquire" and not event.detail and not event.error:
            acquired[key] = event
        elif event.kind == "release" and not event.error:
            begin = acquired.pop(key, None)
            found.append(Hold(*key, event.began, event.ended, begin, event))
    for lock, (thread, since) in recording.holders.items():
        found.append(Hold(lock, thread, since, FOREVER, acquired.get((lock, thread)), None))
    return found


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


@lru_cache(maxsize=1_000)
def function_at(file: str, line: int) -> str:
    """Return the name of the innermost function around that line; "" where there is none."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return ""
    found, begin = "", 0
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = node.lineno <= line <= (node.end_lineno or 0)
            if inside and node.lineno >= begin:
                found, begin = node.name, node.lineno
    return found


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


def same_error(one: str, two: str) -> bool:
    """Tell whether the two are the same exception, perhaps passed on."""
    return bool(one) and bool(two) and one.partition(":")[0] == two.partition(":")[0]
