"""Waking threads that wait."""

from __future__ import annotations

import socket
import threading

from chatstages.runtime.sockets import StoppableSocket
from chatstages.runtime.waker import StopSignal, Waker


def listening() -> StoppableSocket:
    """Return a socket that listens on a free port."""
    server = StoppableSocket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_one_stop_wakes_all_who_wait() -> None:
    """Ten threads wait for ten silent sockets; one call ends it."""
    stop, pairs = StopSignal(), [socket.socketpair() for _ in range(10)]
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda s=ours: answers.append(stop.readable(s))) for ours, _theirs in pairs
    ]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert answers == [False] * 10
    stop.close()
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_readable_tells_data_from_a_pause() -> None:
    """True when a recv would not block, False when the time is over."""
    stop = StopSignal()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not stop.readable(ours, timeout=0.01)
        theirs.sendall(b"x")
        assert stop.readable(ours)
        stop.set()
        assert not stop.readable(ours)
        assert stop.is_set()
    stop.close()


def test_a_waker_may_be_woken_often_and_after_it_is_closed() -> None:
    """Waking never blocks, and the last wake-up finds nobody."""
    waker = Waker()
    for _ in range(100_000):
        waker.wake()
    waker.drain()
    waker.close()
    waker.wake()
