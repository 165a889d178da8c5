"""What the tests of the examples share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _programs_hear_ctrl_c() -> Iterator[None]:
    """Let SIGINT reach what a test starts, also where the tests run in the background of a shell script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
