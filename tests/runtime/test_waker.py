"""Waking threads that wait."""

from __future__ import annotations

import socket
import threading

import pytest

from chatstages.runtime import waker
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
        assert stop.is_set()
        assert stop.readable(ours)  # what had arrived by then is received
        ours.recv(1)
        assert not stop.readable(ours)
    stop.close()


def test_who_goes_on_sending_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives later than DRAIN_TIMEOUT after the stop is not received any more."""
    monkeypatch.setattr(waker, "DRAIN_TIMEOUT", 0.0)
    stop = StopSignal()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x")
        stop.set()
        while stop.readable(ours):
            pass
    stop.close()


def test_a_signal_handler_may_wake_while_its_thread_is_in_there_already() -> None:
    """The lock is reentrant: else the program would wait for itself."""
    signal = StopSignal()
    with signal._lock:
        signal.set()
    assert signal.is_set()
    signal.close()


def test_a_waker_may_be_woken_often_and_after_it_is_closed() -> None:
    """Waking never blocks, and the last wake-up finds nobody."""
    one = Waker()
    for _ in range(100_000):
        one.wake()
    one.drain()
    one.close()
    one.wake()
