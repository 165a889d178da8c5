"""A socket whose blocked accept and recv can be ended."""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress

import pytest

from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Hook, ignore
from chatstages.runtime.sockets import StoppableSocket, Stopped
from tests.support import PATIENCE, Recorder


def listening() -> StoppableSocket:
    """Return a socket that listens on a free port."""
    server = StoppableSocket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_accept_waits_while_no_more_files_may_be_open(told: Recorder) -> None:
    """The client is accepted as soon as a descriptor is free; until then nobody spins or falls over."""
    resource = pytest.importorskip("resource")
    accepted = threading.Event()

    def run(server: StoppableSocket, on_event: Hook) -> None:
        server.accept()[0].close()
        accepted.set()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = listening()
    with socket.socket() as client:
        running = BackgroundServer(server, run, ignore)
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


def test_a_socket_that_does_not_listen_says_so_at_once() -> None:
    """A beginner has forgotten `listen`: no waiting would help."""
    with StoppableSocket() as server:
        server.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="Invalid argument"):
            server.accept()


def test_a_closed_socket_says_so_at_once() -> None:
    """As any socket does: an accept and a recv after `close` are mistakes in the program."""
    server = listening()
    server.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.accept()
    with listening() as other:
        conn = StoppableSocket(stop_signal=other.stop_signal)
        conn.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            conn.recv(1)


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
