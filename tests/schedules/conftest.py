"""The lock of the room becomes one of frontrun's."""

from __future__ import annotations

import threading

import pytest

from chatstages.stage5_pool import room as stage5_room


@pytest.fixture(autouse=True)
def _a_lock_that_yields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the room the lock that frontrun has put into `threading` since `stage5_room` took its own."""
    monkeypatch.setattr(stage5_room, "Lock", threading.Lock)
