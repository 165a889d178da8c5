"""The live board and the player of recordings."""

from __future__ import annotations

from chatstages.lab.board import Board, player
from chatstages.microscope.pictures import board
from tests.support.microscope.recordings import Script, frozen, merged


def test_a_live_board_follows_until_it_is_stopped() -> None:
    """A second picture of the same state is not sent."""
    script = frozen()
    with Board(script) as shown:
        assert "thread 2" in shown._html.value
        assert shown.draw() == 0
        script.step("thread 2", "send", "socket 5")
    assert "send socket 5" not in shown._html.value
    assert repr(shown) == board(script).text


def test_a_player_moves_all_pictures_together() -> None:
    """The slider chooses the step."""
    shown = player(merged())
    shown.slider.value = 5
    assert "send socket 2" in shown._said.value
    for number in range(4):
        shown._tabs.selected_index = number
        assert "<svg" in shown._tabs.children[number].value
    assert "<svg" in player(Script())._said.value  # where there is nothing to step through
