"""Which code is watched."""

from __future__ import annotations

import queue
import socket
from pathlib import Path

import pytest

from chatstages import stage4_broadcast
from chatstages.microscope import microscope
from chatstages.microscope.probes.code_filter import is_included


def test_what_is_watched_by_default() -> None:
    """The learner's own code and the lessons; not the standard library, packages, or our other modules."""
    package = Path(stage4_broadcast.__file__).parent
    for name in (
        "stage1_oneshot.py",
        "stage5_pool/room.py",
        "faults/closed_too_early.py",
        "bench/asyncio_room.py",
    ):
        assert is_included(str(package / name))
    assert is_included(__file__)
    for file in (
        package / "listener.py",
        package / "runtime/sockets.py",
        package / "lab/rig.py",
        Path(socket.__file__),
        Path(pytest.__file__),
    ):
        assert not is_included(str(file))
    assert not is_included("<frozen runpy>")


def test_a_module_given_by_name_is_watched() -> None:
    """`microscope(queue)` looks into the queue, too."""
    with microscope(queue) as scope:
        channel: queue.Queue[int] = queue.Queue()
        channel.put(1)
    assert "lock" in {thing.what for thing in scope.things.values()}
    assert scope.of("acquire")[0].file == queue.__file__
