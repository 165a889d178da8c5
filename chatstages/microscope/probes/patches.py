"""Putting something in the place of something else, and putting everything back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

MISSING = object()  # the owner has nothing of that name; a base class of it may


class Patches:
    """What has been put in the place of what. One thread at a time may call."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []  # owner, name, what was there, what is there now
        self._replaced: list[tuple[Any, Any]] = []

    def put(self, owner: Any, name: str, new: Any) -> None:
        """Let the attribute `name` of a class or module be `new`."""
        self._done.append((owner, name, vars(owner).get(name, MISSING), new))
        setattr(owner, name, new)

    def replace(self, owner: ModuleType, name: str, new: Any) -> None:
        """Let `name` of a module be `new`, and, in `everywhere`, of those that took it from there."""
        self._replaced.append((getattr(owner, name), new))
        self.put(owner, name, new)

    def everywhere(self, modules: Iterable[ModuleType]) -> None:
        """Replace in `modules` what ``from … import …`` had put there before."""
        for module in modules:
            for name, value in list(namespace(module).items()):
                for old, new in self._replaced:
                    if value is old:
                        self.put(module, name, new)

    def undo(self) -> None:
        """Put everything back, also where a module has imported it in the meantime.

        What somebody else has put there since is left alone.
        """
        while self._done:
            owner, name, old, new = self._done.pop()
            if vars(owner).get(name, MISSING) is not new:
                continue
            if old is MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, old)
        for module in loaded():
            for name, value in list(namespace(module).items()):
                for old, new in self._replaced:
                    if value is new and not module.__name__.startswith(__package__):
                        namespace(module)[name] = old
        self._replaced.clear()


def namespace(module: ModuleType) -> dict[str, Any]:
    """Return what `module` holds, without waking one that loads lazily."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def loaded() -> Iterator[ModuleType]:
    """Yield the modules that are loaded now."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType):
            yield module


def without_our_frame(error: BaseException) -> None:
    """Make `error`, caught in a function of ours, look as if that function were not there.

    A bare `raise` after this does not add the function to the traceback again.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


Wrapper = Callable[..., Any]
