"""The microscope: what really happened in code that uses sockets, threads and locks, without a change to it.

    from chatstages.microscope import microscope

    with microscope() as scope:
        …                      # any code: a stage, a classic mistake, your own
    scope.explain()            # what is worth a look
    scope.sequence()           # who said what to whom

Needs nothing but Python. In a notebook there is the cell magic `%%microscope` (`chatstages.lab.microscope`),
in a terminal ``python -m chatstages.microscope SCRIPT``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from chatstages.microscope.model.recording import MAX_BYTES, MAX_EVENTS, Recording
from chatstages.microscope.model.trace import load
from chatstages.microscope.probes.code_filter import NOWHERE
from chatstages.microscope.probes.recorder import Recorder
from chatstages.microscope.probes.watching import Probes
from chatstages.microscope.scope import Scope

__all__ = ["Recording", "Scope", "load", "microscope"]


@contextmanager
def microscope(
    *modules: ModuleType, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES
) -> Iterator[Scope]:
    """Record what sockets, threads and locks do in the block; yield the `Scope` that shows the recording.

    Watched is the code of the learner, of the stages and of `modules`, on all threads of the process; not the
    standard library, nor installed packages. The last `max_events` events are kept, with `max_bytes` bytes of
    data at most. Sends and recvs that are under way at the end are waited for, 0.5 s at most. Raises
    RuntimeError while another microscope is recording.
    """
    recording = Recording(max_events, max_bytes)
    recorder = Recorder(recording, modules)
    recorder.since = recorder.code_filter.location(sys._getframe()) or NOWHERE
    probes = Probes(recorder)
    try:
        probes.install(modules)
        yield Scope(recording)
        probes.settle()
    except KeyboardInterrupt as error:
        recorder.record_end_of_main(error)
        raise
    finally:
        probes.remove()
