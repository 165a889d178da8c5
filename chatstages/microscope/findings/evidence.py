"""What findings have in common: where something stands, and who has held which lock from when to when."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import lru_cache

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


def same_error(one: str, two: str) -> bool:
    """Tell whether the two are the same exception, perhaps passed on."""
    return bool(one) and bool(two) and one.partition(":")[0] == two.partition(":")[0]
