"""Stopping a blocked call."""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress

import pytest

from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.sockets import StoppableSocket, Stopped
from chatstages.runtime.waker import StopSignal, Waker
from tests.support import PATIENCE, Recorder, raw_client


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


def test_a_bell_may_be_rung_often_and_after_it_is_closed() -> None:
    """Ringing never blocks, and the last ring finds nobody."""
    waker = Waker()
    for _ in range(100_000):
        waker.wake()
    waker.drain()
    waker.close()
    waker.wake()


def test_accept_waits_while_no_more_files_may_be_open(told: Recorder) -> None:
    """The client is accepted as soon as a descriptor is free; until then nobody spins or falls over."""
    resource = pytest.importorskip("resource")
    accepted = threading.Event()

    def run(server: StoppableSocket) -> None:
        server.accept()[0].close()
        accepted.set()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = listening()
    with socket.socket() as client:
        running = BackgroundServer(server, run)
        spare = os.open(os.devnull, os.O_RDONLY)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, hard))
            with pytest.raises(OSError, match=r".+") as caught:
                os.open(os.devnull, os.O_RDONLY)
            assert caught.value.errno == errno.EMFILE
            client.connect(running.address)  # the system connects it; the server cannot accept it
            assert not accepted.wait(0.1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            os.close(spare)
        assert accepted.wait(10)
        assert running.wait(10)


def test_accept_waits_longer_and_longer_while_no_more_files_may_be_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From 10 ms to 1 s: nobody spins, and who can be accepted again does not wait long."""
    server, waits = listening(), list[float]()

    def fail(_server: socket.socket) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 9:
            server.stop()

    monkeypatch.setattr(socket.socket, "accept", fail)
    monkeypatch.setattr(server.stop_signal, "readable", lambda server: not server.stopped)
    monkeypatch.setattr(server.stop_signal, "wait", wait)
    with server, pytest.raises(Stopped):
        server.accept()
    assert waits == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0])


def test_a_client_that_has_gone_again_does_not_hold_up_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has woken us, and there is nobody to accept: we do not wait for another without an end."""
    server, looks = listening(), iter([True, False])
    monkeypatch.setattr(server.stop_signal, "readable", lambda server: next(looks))
    ended = threading.Event()

    def accept() -> None:
        with suppress(Stopped):
            server.accept()
        ended.set()

    thread = threading.Thread(target=accept)
    thread.start()
    held_up = not ended.wait(PATIENCE)
    if held_up:
        socket.create_connection(server.getsockname()).close()
    thread.join()
    server.close()
    assert not held_up


def test_an_error_in_a_server_ends_it_and_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is given back, and Python reports the exception as it does for any thread."""
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))

    def fail(server: StoppableSocket) -> None:
        raise LookupError("no such thing")

    server = listening()
    assert BackgroundServer(server, fail).wait(10)
    assert server.fileno() == -1
    assert [str(error) for error in reported] == ["no such thing"]


def test_a_hook_may_stop_the_server_of_one(told: Recorder) -> None:
    """Called on the server's own thread, `stop` does not wait for itself."""
    from chatstages import stage2_session

    def hook(event: object) -> None:
        server.stop()

    server = stage2_session.serve(on_event=hook)
    with raw_client(server.address) as sock:
        assert sock.recv(1) == b""
    assert server.wait(10)
