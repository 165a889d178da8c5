"""Which code is watched, and from which line of it a call comes.

Watched is the code that a learner writes or reads: the cell, the script and its modules, the stages and the
classic mistakes. Not watched are the standard library, installed packages, and the rest of this package.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, ModuleType
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2]
# The parts of this package that are watched.
LESSONS = ("stage*.py", "stage5_pool/*.py", "faults/*.py", "bench/asyncio_room.py")
# This is not, but the thread that it starts runs a stage's code.
STARTER = str(PACKAGE / "runtime" / "background.py")
INSTALLED = {"site-packages", "dist-packages"}
LIBRARY = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
COMMANDS = Path(sysconfig.get_path("scripts")).resolve()  # `jupyter`, `pytest`, `chatstages` start there


class Location(NamedTuple):
    """A line of the watched code."""

    file: str = ""
    line: int = 0
    function: str = ""


NOWHERE = Location()  # no frame of watched code is on the stack


class CodeFilter:
    """Tells watched code from all other code. Any thread may call."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._names = {"__main__"} | {module.__name__ for module in modules}
        self._files = {file: True for module in modules if (file := getattr(module, "__file__", None))}

    def includes_frame(self, frame: FrameType) -> bool:
        """Tell whether the code of `frame` is watched."""
        file = frame.f_code.co_filename
        known = self._files.get(file)
        if known is None:
            if file.startswith("<"):
                return self._is_typed(frame)
            known = self.includes_file(file)
        return known

    def includes_file(self, file: str) -> bool:
        """Tell whether the code in `file` is watched, which must not be a made-up name such as "<string>"."""
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = is_included(file)
        return known

    def _is_typed(self, frame: FrameType) -> bool:
        """Tell whether code without a file was typed by a learner, not generated like a dataclass's."""
        return frame.f_globals.get("__name__") in self._names and frame.f_code.co_name != "__init__"

    def includes_module(self, module: ModuleType) -> bool:
        """Tell whether the code of `module` is watched."""
        facts = object.__getattribute__(module, "__dict__")  # `vars` would make a lazy module load
        if facts.get("__name__") in self._names:
            return True
        file = facts.get("__file__")
        return isinstance(file, str) and self.includes_file(file)

    def creator(self, frame: FrameType | None) -> FrameType | None:
        """Return `frame` if its code is watched; of generated code (a dataclass's), its caller."""
        while frame is not None and not self.includes_frame(frame):
            if frame.f_code.co_filename != "<string>":
                return None
            frame = frame.f_back
        return frame

    def is_machinery(self, frame: FrameType) -> bool:
        """Tell whether the code of `frame` is this package's own, and starts threads for its own use."""
        file = frame.f_code.co_filename
        is_ours = file.startswith(f"{PACKAGE}{os.sep}") and file != STARTER
        return is_ours and not self.includes_frame(frame)

    def location(self, frame: FrameType | None) -> Location | None:
        """Return the innermost watched line from `frame` on outwards; None where there is none."""
        files = self._files
        while frame is not None:
            code = frame.f_code
            known = files.get(code.co_filename)
            if known is None:
                known = self.includes_frame(frame)
            if known:
                return Location(code.co_filename, frame.f_lineno or 0, code.co_name)
            frame = frame.f_back
        return None


def is_included(file: str) -> bool:
    """Tell whether the code in `file` is watched by default."""
    if not file or file.startswith("<"):
        return False
    path = Path(file).absolute()
    if path.is_relative_to(PACKAGE):
        return any(path.match(str(PACKAGE / pattern)) for pattern in LESSONS)
    if INSTALLED & set(path.parts) or path.parent.resolve() == COMMANDS:
        return False
    return not any(path.resolve().is_relative_to(folder) for folder in LIBRARY)
