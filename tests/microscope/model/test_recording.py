"""A recording has a bounded size."""

from __future__ import annotations

import socket

from chatstages.microscope import microscope


def test_the_oldest_events_are_dropped_and_counted() -> None:
    """Memory is bounded: by events, and by bytes."""
    one, two = socket.socketpair()
    with one, two:
        with microscope(max_events=10) as few:
            for _ in range(50):
                one.send(b"x")
                two.recv(1)
        with microscope(max_bytes=2_500) as light:
            for _ in range(5):
                one.send(b"x" * 1_000)
                two.recv(1_000)
    assert (len(few.events), few.dropped) == (10, 90)
    assert few.events[-1].number == 99
    assert (len(light.events), light.dropped) == (2, 8)
    assert light.things[light.events[-1].thing].received == 5_000
