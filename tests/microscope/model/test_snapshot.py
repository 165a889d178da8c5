"""The state of everything at a time in the past."""

from __future__ import annotations

from chatstages.microscope.model.snapshot import History, take_snapshot
from chatstages.microscope.pictures import board
from tests.support.microscope.recordings import Script, merged


def test_a_board_of_the_past() -> None:
    """Between a send and its recv the bytes are in flight."""
    script = merged()
    sends = [event.number for event in script.events if event.kind == "send"]
    assert "in flight: 3 bytes for socket 3" in board(script, at=sends[2]).text
    assert "in flight: 12 bytes" not in board(script).text
    assert History(script).at(sends[0]).connections[0].in_flight == 1


def test_the_past_knows_who_held_a_lock() -> None:
    """And who waited for it."""
    script = Script()
    one, two = script.thread(), script.thread()
    lock = script.lock()
    script.take(one, lock)
    began = script.clock
    meanwhile = script.step("main", "start", other=two)
    script.clock += 1_000_000
    script.give(one, lock)
    script.happen(two, "acquire", lock, began)
    snapshot = History(script).at(meanwhile)
    assert snapshot.holders[lock][0] == one
    assert snapshot.waiters_for(lock) == [two]
    assert take_snapshot(script).holders == {}
