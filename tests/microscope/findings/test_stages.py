"""The findings of real servers: the stages, and the classic mistakes of the package."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import pytest

from chatstages.faults import (
    a_pool_for_each,
    a_pool_that_blocks,
    closed_too_early,
    decoded_in_pieces,
    send_error_unhandled,
    sending_under_the_lock,
)
from chatstages.microscope import findings, microscope
from chatstages.microscope.findings import explain
from chatstages.microscope.model.recording import Recording
from chatstages.microscope.pictures import sequence
from chatstages.runtime.background import BackgroundServer
from tests.support import PATIENCE, STAGES, Recorder, connected, listening, options
from tests.support.microscope.explained import found_kinds


@contextmanager
def clients(
    module: ModuleType, count: int, stage: int = 0
) -> Iterator[tuple[BackgroundServer, Recorder, list[Any]]]:
    """Run a server of `module` with so many clients, each with a recorder as `heard`."""
    told = Recorder()
    with ExitStack() as stack:
        server = stack.enter_context(module.serve(on_event=told))
        found = []
        for number in range(count):
            heard, name = Recorder(), f"member {number}"
            facts = listening(module, heard) | options(stage, name)
            client = stack.enter_context(connected(module, server.address, **facts))
            found.append(client)
            client.heard = heard
            told.wait("joined", number + 1)
        yield server, told, found


def workers_wait(recording: Recording, count: int) -> bool:
    """Tell whether so many workers of a pool wait for their clients, each in a job that has begun."""
    things = recording.things
    busy = {
        thread for thread, ongoing in recording.ongoing_calls.items() if ongoing.kind in ("select", "recv")
    }
    return sum(things[thread].name.startswith("handler_") for thread in busy) >= count


@pytest.mark.parametrize("stage", STAGES)
def test_a_calm_stage_is_not_suspicious(stage: int) -> None:
    """Who waits for what he has said has nothing to hear about; the sequence is the same each time."""
    words = set()
    for _round in range(2):
        with microscope() as scope:
            with clients(STAGES[stage], 1 if stage < 3 else 3, stage) as (_server, told, everybody):
                everybody[0].send("你好")
                told.wait_text("said", "你好")
                for client in everybody if stage > 3 else ():
                    client.heard.wait_text("received", "你好")
        assert repr(explain(scope.recording)) == "Nothing suspicious."
        lines = sequence(scope.recording, lanes="endpoints").text.splitlines()
        words.add("\n".join(line for line in lines if "closes" not in line))
    assert len(words) == 1


def test_decoding_in_pieces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exception that it ends in."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    with microscope() as scope, clients(decoded_in_pieces, 1) as (server, _told, (ann,)):
        ann.send("你好，大家好")
        assert server.wait(PATIENCE)
    assert found_kinds(scope.recording) == ["UncaughtException"]
    assert "UnicodeDecodeError" in repr(explain(scope.recording))


def test_closing_too_early_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line of the mistake."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    with microscope() as scope, clients(closed_too_early, 2):
        pass
    assert found_kinds(scope.recording) == ["UseAfterClose"]
    assert re.search(r"closed_too_early\.py:\d+  conn\.close\(\)", repr(explain(scope.recording)))


def test_who_pays_for_a_leaver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line of the mistake."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    with microscope() as scope, clients(send_error_unhandled, 2) as (_server, told, (ann, eve)):
        eve.close()
        told.wait("left")
        ann.send("Where is she?")
        ann.heard.wait("disconnected")
    assert "UnhandledSendError" in found_kinds(scope.recording)
    assert re.search(r"send_error_unhandled\.py:\d+  conn\.sendall\(", repr(explain(scope.recording)))


def test_a_pool_for_each_is_named() -> None:
    """While it goes on, and afterwards."""
    with microscope() as scope, clients(a_pool_for_each, 5):
        assert found_kinds(scope.recording) == ["PoolPerClient"]
    assert found_kinds(scope.recording) == ["PoolPerClient"]


def test_a_pool_that_blocks_is_named() -> None:
    """While the third is not heard, and afterwards."""
    with microscope() as scope, clients(a_pool_that_blocks, 3) as (_server, _told, (ann, ben, eve)):
        while not workers_wait(scope.recording, 2):
            pass  # pytest's timeout ends it
        eve.send("Hello?")
        ann.send("Welcome!")
        for client in (ann, ben, eve):  # else it may arrive coalesced with what comes next
            client.heard.wait_text("received", "Welcome!")
        assert found_kinds(scope.recording) == ["ExhaustedPool"]
        ben.close()
        ann.heard.wait_text("received", "Hello?")
    assert found_kinds(scope.recording) == ["ExhaustedPool"]


def test_sending_under_the_lock_is_named() -> None:
    """With the peer that does not read."""
    with microscope() as scope, clients(sending_under_the_lock, 2) as (server, told, (ann, ben)):
        with socket.socket() as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sleeper.connect(server.address)
            told.wait("joined", 3)
            ann.send("x" * 200_000)
            ann.heard.wait("received")
            ben.send("Hello?")
            told.wait_text("said", "Hello?")
            while "BlockingCallUnderLock" not in found_kinds(scope.recording):  # pytest's timeout ends it
                pass
        ben.heard.wait_text("received", "Hello?")
    (first, *_more) = findings.blocking_calls_under_lock(scope.recording)
    assert first.kind == "send"
    assert first.peer
