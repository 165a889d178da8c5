"""Stage 3: a thread for each client."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest

from chatstages import stage3_threads as stage
from chatstages import stage4_broadcast
from tests.support import PATIENCE, Recorder, connected, raw_client, read_to_end

# Stage 4 has the same threads.
threaded = pytest.mark.parametrize("module", [stage, stage4_broadcast])


def test_forty_clients_are_all_heard(told: Recorder) -> None:
    """Nobody's connection is taken from under its thread, as it is when the accepting thread closes it."""
    with stage.serve(on_event=told) as server:
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(stage, server.address)) for _ in range(40)]
            for n in range(5):
                for number, client in enumerate(clients):
                    client.send(f"<{number}.{n}>")
            for number in range(40):
                told.wait_text("said", f"<{number}.4>")
        told.wait("left", 40)
    by_client: dict[object, str] = {}
    for event in told.of("said"):
        by_client[event.address] = by_client.get(event.address, "") + event.text
    said = sorted(by_client.values())
    assert said == sorted("".join(f"<{number}.{n}>" for n in range(5)) for number in range(40))


def test_a_silent_client_keeps_nobody_from_talking(told: Recorder) -> None:
    """While one thread waits in recv, the others go on."""
    with stage.serve(on_event=told) as server, raw_client(server.address):
        told.wait("joined")
        with connected(stage, server.address) as client:
            client.send("hello")
            told.wait_text("said", "hello")


def test_threads_end_with_their_clients(told: Recorder) -> None:
    """A hundred clients, one after the other, do not add up."""
    with stage.serve(on_event=told) as server:
        before = threading.active_count()
        for n in range(1, 101):
            stage.connect(server.address).close()
            told.wait("left", n)
        names = {thread.name for thread in threading.enumerate()}
        assert threading.active_count() <= before + 1, names


@threaded
def test_ended_threads_are_forgotten(
    module: ModuleType, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of those to join at the end does not grow with everybody who ever came."""
    made: list[weakref.ref[threading.Thread]] = []

    class Noted(threading.Thread):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(weakref.ref(self))

    def outlive(number: int) -> None:
        """Let a client come and go, and its thread end."""
        with raw_client(server.address):
            told.wait("joined", number)
        if thread := made[-1]():
            thread.join(PATIENCE)

    monkeypatch.setattr(module, "Thread", Noted)
    with module.serve(on_event=told) as server:
        for number in range(1, 11):
            outlive(number)
        gc.collect()
        assert sum(thread() is not None for thread in made) <= 1


class NoThread(threading.Thread):
    """A thread where the system gives us no more."""

    def start(self) -> None:
        """Fail as Python does."""
        raise RuntimeError("can't start new thread")


@threaded
def test_who_gets_no_thread_is_turned_away(
    module: ModuleType, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees the end, instead of waiting for ever; and the next one is served as usual."""
    monkeypatch.setattr(module, "Thread", NoThread)
    with module.serve(on_event=told) as server:
        with raw_client(server.address) as sock:
            assert read_to_end(sock) == b""
        monkeypatch.setattr(module, "Thread", threading.Thread)
        with raw_client(server.address) as sock:
            sock.sendall(b"hello")
            told.wait_text("said", "hello")


@threaded
def test_a_server_whose_last_client_got_no_thread_can_be_stopped(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that has never started cannot be joined."""
    reported: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: reported.append(failure.exc_value))
    monkeypatch.setattr(module, "Thread", NoThread)
    with module.serve() as server, raw_client(server.address) as sock:
        assert read_to_end(sock) == b""
    assert reported == []
