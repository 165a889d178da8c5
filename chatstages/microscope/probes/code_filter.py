"""Which code is looked at, and where in it a call comes from.

Of interest is what a learner has written or reads: the cell, the script, its modules, the stages and the
classic mistakes. Not of interest are the standard library, what pip has installed, and our own machinery.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, ModuleType
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2]
# Of our own package: what is there to be read. The rest is machinery.
LESSONS = ("stage*.py", "faults/*.py", "lab/asyncio_room.py")
LISTENER = str(PACKAGE / "listener.py")  # machinery, too, but its threads are the stages'
INSTALLED = {"site-packages", "dist-packages"}
LIBRARY = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
COMMANDS = Path(sysconfig.get_path("scripts")).resolve()  # `jupyter`, `pytest`, `chatstages` start there


class Place(NamedTuple):
    """A place in the code that is looked at."""

    file: str = ""
    line: int = 0
    function: str = ""


NOWHERE = Place()  # no frame of interest is on the stack


class Interest:
    """Tells code of interest from the rest. Any thread may ask."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._names = {"__main__"} | {module.__name__ for module in modules}
        self._files = {file: True for module in modules if (file := getattr(module, "__file__", None))}

    def in_frame(self, frame: FrameType) -> bool:
        """Tell whether the code of `frame` is of interest."""
        file = frame.f_code.co_filename
        known = self._files.get(file)
        if known is None:
            if file.startswith("<"):
                return self._is_typed(frame)
            known = self.in_file(file)
        return known

    def in_file(self, file: str) -> bool:
        """Tell whether the code in `file` is of interest; not for code from no file."""
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = is_of_interest(file)
        return known

    def _is_typed(self, frame: FrameType) -> bool:
        """Tell whether code from no file was typed by the learner, rather than made, as a dataclass's is."""
        return frame.f_globals.get("__name__") in self._names and frame.f_code.co_name != "__init__"

    def in_module(self, module: ModuleType) -> bool:
        """Tell whether `module` is of interest."""
        facts = object.__getattribute__(module, "__dict__")  # `vars` would wake a module that loads lazily
        if facts.get("__name__") in self._names:
            return True
        file = facts.get("__file__")
        return isinstance(file, str) and self.in_file(file)

    def maker(self, frame: FrameType | None) -> FrameType | None:
        """Return `frame` if its code is of interest; for code made from none (a dataclass), who called it."""
        while frame is not None and not self.in_frame(frame):
            if frame.f_code.co_filename != "<string>":
                return None
            frame = frame.f_back
        return frame

    def is_machinery(self, frame: FrameType) -> bool:
        """Tell whether the code of `frame` is ours, and nobody's business: it draws widgets, say."""
        file = frame.f_code.co_filename
        return file.startswith(f"{PACKAGE}{os.sep}") and file != LISTENER and not self.in_frame(frame)

    def place(self, frame: FrameType | None) -> Place | None:
        """Return the innermost place of interest from `frame` on; None where there is none."""
        files = self._files
        while frame is not None:
            code = frame.f_code
            known = files.get(code.co_filename)
            if known is None:
                known = self.in_frame(frame)
            if known:
                return Place(code.co_filename, frame.f_lineno or 0, code.co_name)
            frame = frame.f_back
        return None


def is_of_interest(file: str) -> bool:
    """Tell whether the code in `file` is, by default."""
    if not file or file.startswith("<"):
        return False
    path = Path(file).absolute()
    if path.is_relative_to(PACKAGE):
        return any(path.match(str(PACKAGE / pattern)) for pattern in LESSONS)
    if INSTALLED & set(path.parts) or path.parent.resolve() == COMMANDS:
        return False
    return not any(path.resolve().is_relative_to(folder) for folder in LIBRARY)
