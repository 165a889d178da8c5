"""Watching: what is put in the place of sockets, locks, threads and selectors, and is taken away again."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from chatstages.locale import _
from chatstages.microscope.probes import recorder as recorders
from chatstages.microscope.probes.conditions import Conditions
from chatstages.microscope.probes.patches import Patches, loaded
from chatstages.microscope.probes.recorder import Recorder
from chatstages.microscope.probes.selecting import Selecting
from chatstages.microscope.probes.sockets import Sockets
from chatstages.microscope.probes.threads import Threads
from chatstages.microscope.probes.traffic import Traffic


class Watch:
    """What is in place while a recording is made. One at a time in a process; any thread may end it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._patches = Patches()

    def begin(self, modules: Iterable[ModuleType] = ()) -> None:
        """Put everything in place. Raises RuntimeError when another recording is being made."""
        other = recorders.begin(self._recorder)
        if other is not None:
            where = f"{other.since.file}:{other.since.line}"
            raise RuntimeError(
                _("A microscope is in place already, since {where}: end that first.").format(where=where)
            )
        try:
            sockets = Sockets(self._recorder)
            sockets.watch(self._patches)
            Traffic(self._recorder, sockets).watch(self._patches)
            Selecting(self._recorder, sockets).watch(self._patches)
            Conditions(self._recorder).watch(self._patches)
            Threads(self._recorder).watch(self._patches)
            looked_at = [module for module in loaded() if self._recorder.interest.in_module(module)]
            self._patches.everywhere({id(module): module for module in (*looked_at, *modules)}.values())
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Put everything back as it was. To call it again does nothing."""
        if recorders.end(self._recorder):
            self._recorder.end()
            self._patches.undo()
