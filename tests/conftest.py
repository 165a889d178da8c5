"""No test may leave anything behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chatstages import i18n
from tests.support import PATIENCE, Recorder


def descriptors() -> set[str]:
    """Return what this process has open: files, sockets, selectors (empty where the system hides it)."""
    folder = Path("/proc/self/fd")
    found = set()
    for entry in folder.iterdir() if folder.exists() else ():
        with suppress(FileNotFoundError):  # the descriptor with which we read the folder
            found.add(f"{entry.name} {os.readlink(entry)}")
    return found


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a descriptor (so also a socket, or a listening port) behind."""
    threads, files = set(threading.enumerate()), descriptors()
    yield
    deadline = time.monotonic() + PATIENCE
    while (left := set(threading.enumerate()) - threads) and time.monotonic() < deadline:
        for thread in left:
            thread.join(0.1)  # a daemon of the standard library may be on its way out
    assert not left, f"threads left behind: {left}"
    assert not descriptors() - files, f"descriptors left behind: {descriptors() - files}"


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    """Let every test begin in English."""
    i18n.use("en")
    yield
    i18n.use("en")


@pytest.fixture
def told() -> Recorder:
    """Return a recorder for a server's events."""
    return Recorder()


@pytest.fixture
def heard() -> Recorder:
    """Return a recorder for a client's events."""
    return Recorder()
