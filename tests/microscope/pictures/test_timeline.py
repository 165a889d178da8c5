"""The timeline: what each thread did, and when."""

from __future__ import annotations

import pytest

from chatstages.microscope.pictures import timeline
from chatstages.microscope.pictures.spans import fold
from tests.support.microscope.recordings import crossed, merged


def test_a_timeline_in_words() -> None:
    """The states in order, without times."""
    assert timeline(crossed()).text.splitlines() == [
        "thread 2: acquires lock 1 · waits for lock 2 · holds lock 1 · still blocked · DEADLOCK",
        "thread 3: acquires lock 2 · waits for lock 1 · holds lock 2 · still blocked · DEADLOCK",
    ]


def test_a_timeline_can_be_looked_at_closer() -> None:
    """What lies outside is not drawn."""
    whole, part = timeline(merged()).svg, timeline(merged(), begin=0.0, end=0.002).svg
    assert whole.count("<rect") > part.count("<rect")
    assert "thread 2" not in part


@pytest.mark.parametrize(
    ("words", "folded"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a ×3"]),
        (["x", "a", "b", "a", "b", "y"], ["x", "(a · b) ×2", "y"]),
        ([], []),
    ],
)
def test_what_comes_again_and_again_is_said_once(words: list[str], folded: list[str]) -> None:
    """With how often."""
    assert fold(words) == folded
