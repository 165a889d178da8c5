"""What all findings have in common: their evidence, and how to look at source code and at errors."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import lru_cache

# Code in these runs once for each object or module; a lock that is made there is shared.
MADE_ONCE = ("__init__", "__new__", "__post_init__", "__enter__", "<module>", "")


@dataclass(frozen=True, repr=False)
class Finding:
    """A mistake, or a fact, that a recording shows, with its evidence; `str` says it in one sentence."""

    events: tuple[int, ...]  # the numbers of the events that show it
    thread: str  # the thread that did it
    thing: str  # the socket, lock or pool to which it was done
    file: str  # the line to look at
    line: int

    def __repr__(self) -> str:  # so that a list of findings is readable
        return f"<{self}>"

    def __str__(self) -> str:
        raise NotImplementedError

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        raise NotImplementedError


@lru_cache(maxsize=1_000)
def function_at(file: str, line: int) -> str:
    """Return the name of the innermost function that contains the line; "" where there is none."""
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


def same_error(one: str, two: str) -> bool:
    """Tell whether two errors are of one class: then the second is probably the first, re-raised."""
    return bool(one) and bool(two) and one.partition(":")[0] == two.partition(":")[0]
