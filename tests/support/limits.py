"""Threads that must end, and as many open files as a crowd needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.events import PATIENCE

resource = pytest.importorskip("resource", reason="counts descriptors as POSIX does")


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Let this process open so many files; skip the test where the system does not let it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    except (OSError, ValueError):
        pytest.skip(f"this system lets a process open fewer than {count} files")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def in_a_thread(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Do `work` meanwhile; at the end of the block wait until it is done."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(3 * PATIENCE)
        assert not thread.is_alive()
