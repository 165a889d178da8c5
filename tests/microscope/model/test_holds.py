"""Who held which lock."""

from __future__ import annotations

from chatstages.microscope.model.holds import holds
from tests.support.microscope.recordings import Script


def test_a_release_that_failed_has_held_nothing() -> None:
    """A lock that nobody held cannot be given back."""
    script = Script()
    script.step("main", "release", script.lock(), error="RuntimeError: release unlocked lock")
    assert holds(script) == []
