"""Stage 3: a thread for each client."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from chatstages import stage3_threads as stage

from tests.support import Recorder, connected, raw_client


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
