"""The room of stage 5: its log, its names, its lock.

What the log keeps and forgets: test_room_model.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from contextlib import closing
from typing import Any
from unittest import mock

import pytest

from chatstages.protocol.names import name_key
from chatstages.runtime import Waker
from chatstages.stage5_pool import room as stage5_room
from chatstages.stage5_pool.room import LOG_SIZE, Room
from tests.support import PATIENCE


def test_who_is_at_a_place_that_is_forgotten_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if it is the last byte before the first that is kept: better nothing than half a line."""
    monkeypatch.setattr(stage5_room, "LOG_SIZE", 4)
    monkeypatch.setattr(stage5_room, "DROP_SIZE", 1)
    room = Room()
    room.append([b"one", b"two"])
    assert [room.read(place, 100) for place in (0, 3, 4, 8)] == [b"", b"", b"two\n", b""]


def test_a_newcomer_gets_half_the_log_at_most() -> None:
    """However many lines were promised: with all of it, the next line would push the newcomer off."""
    room = Room()
    room.append([b"x" * 999] * (LOG_SIZE // 1_000))
    _start, end = room.bounds()
    assert end - LOG_SIZE // 2 <= room.offset_for_newcomer(1 << 20) < end
    assert room.offset_for_newcomer(0) == end
    assert room.offset_for_newcomer(3) == end - 3_000


def test_who_subscribes_is_woken_when_the_log_has_grown() -> None:
    """But not by what it appends itself: it knows that."""
    room = Room()
    with closing(Waker()) as own, closing(Waker()) as other, selectors.DefaultSelector() as selector:
        for waker in (own, other):
            room.subscribe(waker)
            selector.register(waker, selectors.EVENT_READ)
        room.append([b"hello"], own)
        assert [key.fileobj for key, _events in selector.select(PATIENCE)] == [other]


def test_many_who_want_the_same_name_are_told_apart_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when half of them have left: a number is given once, so the search is short."""
    room, tries = Room(), [0]
    names = [room.claim_name("Ann") for _ in range(400)]
    for name in names[::2]:
        room.release_name(name)
    key = name_key
    monkeypatch.setattr(stage5_room, "name_key", lambda name: tries.append(1) or key(name))  # type: ignore[func-returns-value]
    again = [room.claim_name("Ann") for _ in range(100)]
    assert len({*again, *names[1::2]}) == 300
    assert len(tries) < 100 * 15


GUARDED = set(vars(Room())) - {"_lock"}


class Watched(Room):
    """A room that lets nobody touch what its lock guards unless the lock is held."""

    def __getattribute__(self, name: str) -> Any:
        if name in GUARDED:
            assert self._lock.locked(), f"{name} without the lock"
        return super().__getattribute__(name)


ACTS: dict[str, Callable[[Room], object]] = {
    "append": lambda room: room.append([b"hello"]),
    "subscribe": lambda room: room.subscribe(mock.Mock()),
    "bounds": Room.bounds,
    "read": lambda room: room.read(0, 1),
    "offset_for_newcomer": lambda room: room.offset_for_newcomer(1),
    "claim_name": lambda room: room.claim_name("Ann"),
    "release_name": lambda room: room.release_name("Ann"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_the_room_touches_nothing_without_its_lock(act: Callable[[Room], object]) -> None:
    """Reading two numbers in one line is two steps: a line said in between would make them disagree."""
    room = Watched()
    room.append([b"the first"])
    room.claim_name("Ann")
    act(room)


def test_every_way_into_the_room_is_watched() -> None:
    """A method that is added has to be added above."""
    assert set(ACTS) == {name for name in vars(Room) if not name.startswith("_")}
