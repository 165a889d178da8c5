"""Monkey-patching: replacing attributes of classes and modules, and putting everything back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

MISSING = object()  # the owner itself has no attribute of that name; a base class may have one
REAL_LOCK = threading.Lock  # also while that is patched


class Patches:
    """The patches that are in place. One thread at a time may call, but `put` and `undo`: any thread."""

    def __init__(self) -> None:
        # Guards _done and _is_undone: a class that is defined while the recording ends must not be patched.
        self._lock = REAL_LOCK()
        self._done: list[tuple[Any, str, Any, Any]] = []  # owner, name, what was there, what is there now
        self._is_undone = False
        self._replaced: list[tuple[Any, Any]] = []  # old, new

    def put(self, owner: Any, name: str, new: Any) -> None:
        """Set the attribute `name` of a class or module to `new`, until `undo`; after that, do nothing."""
        with self._lock:
            if not self._is_undone:
                self._done.append((owner, name, vars(owner).get(name, MISSING), new))
                setattr(owner, name, new)

    def replace(self, owner: ModuleType, name: str, new: Any) -> None:
        """Set `name` of a module to `new`, and, in `everywhere`, of the modules that have imported it."""
        self._replaced.append((getattr(owner, name), new))
        self.put(owner, name, new)

    def everywhere(self, modules: Iterable[ModuleType]) -> None:
        """Replace in `modules` the old objects that ``from … import …`` has put there."""
        for module in modules:
            for name, value in list(namespace(module).items()):
                for old, new in self._replaced:
                    if value is old:
                        self.put(module, name, new)

    def undo(self) -> None:
        """Put everything back, also in the modules that have imported a patched name in the meantime.

        An attribute that somebody else has changed since is left alone.
        """
        with self._lock:
            self._is_undone = True
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
    """Return the attributes of `module`; `vars` would make a module load that loads lazily."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def loaded() -> Iterator[ModuleType]:
    """Yield the modules that are loaded now."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType):
            yield module


def without_our_frame(error: BaseException) -> None:
    """Take the calling function, which has caught `error`, out of its traceback.

    A bare `raise` after this does not add the function to the traceback again.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


Wrapper = Callable[..., Any]
