"""Watching: all probes together, installed when a recording begins and removed when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import ModuleType

from chatstages.i18n import _
from chatstages.microscope.model.snapshot import under_way
from chatstages.microscope.probes import recorder as recorders
from chatstages.microscope.probes.conditions import Conditions
from chatstages.microscope.probes.patches import Patches, loaded
from chatstages.microscope.probes.recorder import Recorder
from chatstages.microscope.probes.selecting import Selecting
from chatstages.microscope.probes.sockets import Sockets
from chatstages.microscope.probes.subclasses import Subclasses
from chatstages.microscope.probes.threads import Threads
from chatstages.microscope.probes.traffic import Traffic

SETTLE = 0.5  # seconds; a send that takes longer is blocked, and that is what there is to see
PAUSE = 0.001  # seconds between two looks


class Probes:
    """Everything that is patched while a recording is made. One at a time in a process.

    Any thread may remove the probes, also another one than the thread that has installed them.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._patches = Patches()

    def install(self, modules: Iterable[ModuleType] = ()) -> None:
        """Patch everything. Raises RuntimeError while another recording is being made."""
        other = recorders.begin(self._recorder)
        if other is not None:
            where = f"{other.since.file}:{other.since.line}"
            raise RuntimeError(
                _("Another microscope has been recording since {where}: end that first.").format(where=where)
            )
        try:
            sockets = Sockets(self._recorder)
            traffic = Traffic(self._recorder, sockets)
            sockets.install(self._patches)
            traffic.install(self._patches)
            Subclasses(self._recorder, sockets.makers() | traffic.makers()).install(self._patches)
            Selecting(self._recorder, sockets).install(self._patches)
            Conditions(self._recorder).install(self._patches)
            Threads(self._recorder).install(self._patches)
            watched = [module for module in loaded() if self._recorder.code_filter.includes_module(module)]
            self._patches.everywhere({id(module): module for module in (*watched, *modules)}.values())
        except BaseException:
            self.remove()
            raise

    def settle(self) -> None:
        """Wait until the sends and recvs that are under way have ended, SETTLE seconds at most.

        A thread may not have come back from a `sendall` whose bytes have long arrived: without its event
        that message would have no sender. Nor has one that is just being woken by bytes.
        """
        me, waiting = self._recorder.label_here(), under_way(self._recorder.recording)
        waiting.pop(me, None)  # a signal handler may end the recording in the middle of a call
        until = time.monotonic() + SETTLE
        while waiting and time.monotonic() < until:
            time.sleep(PAUSE)
            now = self._recorder.recording.ongoing_calls
            waiting = {thread: call for thread, call in waiting.items() if now.get(thread) == call}

    def remove(self) -> None:
        """Put everything back as it was. A second call does nothing."""
        if recorders.end(self._recorder):
            self._recorder.end()
            self._patches.undo()
