"""A server in a thread of its own."""

from __future__ import annotations

import threading

import pytest

from chatstages import stage5_pool
from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Event, Hook, ignore
from chatstages.runtime.sockets import StoppableSocket
from tests.support import PATIENCE, Recorder, raw_client


def listening() -> StoppableSocket:
    """Return a socket that listens on a free port."""
    server = StoppableSocket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_an_error_in_a_server_ends_it_and_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is given back, and Python reports the exception as it does for any thread."""
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))

    def fail(server: StoppableSocket, on_event: Hook) -> None:
        raise LookupError("no such thing")

    server = listening()
    assert BackgroundServer(server, fail, ignore).wait(10)
    assert server.fileno() == -1
    assert [str(error) for error in reported] == ["no such thing"]


def test_a_hook_that_stops_its_server_is_told_the_end() -> None:
    """What happens while it waits in `stop`, it is told afterwards."""
    kinds: list[str] = []
    ended = threading.Event()

    def hook(event: Event) -> None:
        kinds.append(event.kind)
        if event.kind == "said":
            server.stop()
        if event.kind == "left":
            ended.set()

    server = stage5_pool.serve(on_event=hook)
    with raw_client(server.address) as sock:
        sock.sendall(b"stop\n")
        assert ended.wait(PATIENCE)
    assert server.wait(PATIENCE)
    assert kinds == ["joined", "said", "left"]


def test_a_hook_may_stop_the_server_of_one(told: Recorder) -> None:
    """The thread that calls the hook does not wait for itself."""
    from chatstages import stage2_session

    def hook(event: object) -> None:
        server.stop()

    server = stage2_session.serve(on_event=hook)
    with raw_client(server.address) as sock:
        assert sock.recv(1) == b""
    assert server.wait(10)
