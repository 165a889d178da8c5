"""The board: the state of everything."""

from __future__ import annotations

from chatstages.microscope.pictures import board
from tests.support.microscope.recordings import crossed, frozen


def test_a_board_says_why_all_is_still() -> None:
    """Who holds what, who waits, and what is in flight."""
    assert board(frozen()).text.splitlines() == [
        "⚠ lock 1 is held by thread 2, which waits in send on socket 5 ⇄ socket 4. Waiting for it: thread 3.",
        "Threads:",
        "  main: running",
        "  thread 2 (handle): send socket 5  (holds lock 1)",
        "  thread 3 (handle): waits for lock 1",
        "Locks:",
        "  lock 1: held by thread 2; thread 3 waiting",
        "Connections:",
        "  socket 2 ⇄ socket 3: nothing in flight",
        "  socket 4 ⇄ socket 5: in flight: 70,000 bytes for socket 4",
    ]
    assert board(crossed()).text.startswith("⚠ Deadlock: thread 2, thread 3 wait for each other.")
