"""Every classic mistake does what it is there to show, and the stage that fixes it does not."""

from __future__ import annotations

import inspect
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from difflib import ndiff
from types import ModuleType
from typing import Any

import pytest

from chatstages.bench import asyncio_room
from chatstages.faults import (
    a_pool_for_each,
    a_pool_that_blocks,
    closed_too_early,
    decoded_in_pieces,
    send_error_unhandled,
    sending_under_the_lock,
)
from chatstages.runtime.background import BackgroundServer
from tests.support import PATIENCE, STAGES, Recorder, connected, fill, listening, read_until, stopped

FAULTS = [
    a_pool_for_each,
    a_pool_that_blocks,
    closed_too_early,
    decoded_in_pieces,
    sending_under_the_lock,
    send_error_unhandled,
]
Raised = list[BaseException]


# What each has of its own, function by function. All else is a copy of the stage.
MISTAKES = [
    (decoded_in_pieces, 2, "handle", ["data = conn.recv(RECV_SIZE)", "# The mistake", "if text := data."]),
    (decoded_in_pieces, 2, "handle_one", []),
    (closed_too_early, 3, "handle", ["with conn:"]),
    (closed_too_early, 3, "accept_clients", ["# The mistake", "conn.close()"]),
    (send_error_unhandled, 4, "Group", ["# The mistake", "conn.sendall("]),
    (
        send_error_unhandled,
        4,
        "handle",
        ["for text", "group.on_event(", "group.broadcast(", "group.on_event("],
    ),
    (send_error_unhandled, 4, "accept_clients", []),
    (sending_under_the_lock, 4, "handle", ["conn.setsockopt("]),
    (sending_under_the_lock, 4, "Group", [
        "# The mistake", "for conn in self.members:", "if conn.stopped:", "return", "conn.sendall(",
    ]),
    (sending_under_the_lock, 4, "accept_clients", [
        "# The thread that blocks", "# even this server", "for conn in list(group.members):",
        "with suppress(OSError):", "conn.shutdown(",
    ]),
    (a_pool_for_each, 4, "accept_clients", [
        '"""Accept clients', "with ExitStack()", "# The mistake", "pool = pools.", "pool.submit(",
    ]),
    (a_pool_that_blocks, 4, "handle", []),
    (a_pool_that_blocks, 4, "accept_clients", [
        '"""Accept clients', "with ThreadPoolExecutor(", "conn.settimeout(", "with group.lock:",
        "group.members[conn] =", "group.on_event(", "# The mistake", "# client waits", "pool.submit(",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "stage", "name", "mistake"), MISTAKES)
def test_a_fault_is_its_stage_but_for_the_mistake(
    fault: ModuleType, stage: int, name: str, mistake: list[str]
) -> None:
    """So that a comparison of the two shows the mistake, and nothing else."""
    before, after = (inspect.getsource(getattr(each, name)).splitlines() for each in (STAGES[stage], fault))
    own = [line[1:].strip() for line in ndiff(before, after) if line.startswith("+")]
    assert len(own) == len(mistake), own
    assert all(line.startswith(start) for line, start in zip(own, mistake, strict=True)), own


def test_every_copy_of_a_fault_is_compared() -> None:
    """None of their functions and classes is left out."""
    written = {
        (fault.__name__, name)
        for fault in FAULTS
        for name, thing in vars(fault).items()
        if getattr(thing, "__module__", "") == fault.__name__
    }
    compared = {(fault.__name__, name) for fault, _stage, name, _mistake in MISTAKES}
    assert written == compared


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> Raised:
    """Return the exceptions that have ended threads."""
    exceptions: Raised = []

    def record(failure: threading.ExceptHookArgs) -> None:
        assert failure.exc_value
        exceptions.append(failure.exc_value)

    monkeypatch.setattr(threading, "excepthook", record)
    return exceptions


@contextmanager
def group(module: ModuleType, told: Recorder, members: int) -> Iterator[tuple[BackgroundServer, list[Any]]]:
    """Run the server of `module` with so many clients, each with a recorder as `heard`."""
    with ExitStack() as stack:
        server = stack.enter_context(module.serve(on_event=told))
        clients = []
        for number in range(members):
            heard = Recorder()
            client = stack.enter_context(connected(module, server.address, **listening(module, heard)))
            client.heard = heard
            told.wait("joined", number + 1)
            clients.append(client)
        yield server, clients


@pytest.mark.parametrize("module", FAULTS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_even_a_broken_server_can_be_stopped(module: ModuleType, told: Recorder, raised: Raised) -> None:
    """While somebody is connected."""
    with group(module, told, 1) as (server, _clients):
        assert stopped(server)


def test_decoding_piece_by_piece_ends_the_server(told: Recorder, raised: Raised) -> None:
    """One innocent message is enough."""
    with group(decoded_in_pieces, told, 1) as (server, (ann,)):
        ann.send("你好，大家好")
        assert server.wait(PATIENCE)
    assert isinstance(raised[0], UnicodeDecodeError)
    assert told.of("said") == []


def test_closing_too_early_loses_what_is_said(told: Recorder, raised: Raised) -> None:
    """The thread finds a closed socket."""
    with group(closed_too_early, told, 2):
        pass  # they have joined; to stop the server is to wait for its threads
    assert all(isinstance(exception, OSError) for exception in raised)
    assert len(raised) == 2
    assert told.of("said") == []


@pytest.mark.parametrize(("module", "ann_survives"), [(send_error_unhandled, False), (STAGES[4], True)])
def test_who_pays_for_a_leaver(
    module: ModuleType, ann_survives: bool, told: Recorder, raised: Raised
) -> None:
    """In the broken server the one who was speaking; in stage 4 nobody."""
    with group(module, told, 2) as (_server, (ann, eve)):
        eve.close()
        told.wait("left")
        ann.send("Where is she?")
        ann.heard.wait_text("received", "Where is she?")
        if ann_survives:
            ann.send("Well.")
            ann.heard.wait_text("received", "Well.")
        else:
            ann.heard.wait("disconnected")
    assert bool(raised) is not ann_survives


def workers() -> int:
    """Return the number of threads of the pools."""
    return sum(thread.name.startswith("handler") for thread in threading.enumerate())


def test_a_pool_for_each_limits_nothing(told: Recorder) -> None:
    """As many threads as clients."""
    with group(a_pool_for_each, told, 5):
        assert workers() == 5 > a_pool_for_each.MAX_WORKERS


def test_with_a_pool_that_blocks_the_third_is_not_heard_until_somebody_leaves(told: Recorder) -> None:
    """It hears the others all the same."""
    with group(a_pool_that_blocks, told, 3) as (_server, (ann, ben, eve)):
        eve.send("Hello?")
        ann.send("Welcome!")
        eve.heard.wait_text("received", "Welcome!")
        assert workers() == a_pool_that_blocks.MAX_WORKERS
        assert [event.text for event in told.wait("said")] == ["Welcome!"]
        ben.close()
        ann.heard.wait_text("received", "Hello?")


@contextmanager
def sleeper(server: BackgroundServer) -> Iterator[socket.socket]:
    """Connect a member that takes in next to nothing."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.connect(server.address)
        yield sock


def test_sending_under_the_lock_freezes_everybody(told: Recorder) -> None:
    """One who does not read is enough; when it goes, all is well again."""
    with group(sending_under_the_lock, told, 2) as (server, (ann, ben)):
        with sleeper(server):
            told.wait("joined", 3)
            ann.send("x" * 200_000)
            ann.heard.wait("received")
            ben.send("Hello?")
            told.wait_text("said", "Hello?")
            assert not ben.heard.of("received") or "Hello?" not in ben.heard.of("received")[-1].text
        ben.heard.wait_text("received", "Hello?")


def connect_named(server: BackgroundServer, name: str) -> tuple[Any, Recorder]:
    """Connect a client of stage 5; return it with what it hears."""
    heard = Recorder()
    return asyncio_room.connect(server.address, name, on_event=heard), heard


@pytest.mark.parametrize("patient", [True, False])
def test_the_asyncio_room_must_not_wait_for_one_member(patient: bool, told: Recorder) -> None:
    """If it waits for one that does not read, nobody is heard any more."""
    with asyncio_room.serve(on_event=told, patient=patient) as server, sleeper(server):
        told.wait("joined")
        ann, ann_heard = connect_named(server, "Ann")
        with closing(ann):
            told.wait("joined", 2)
            for number in range(100):
                ann.send(f"{number} " + "blah " * 800)
            if patient:
                # The server has stopped reading from Ann: her words fill the buffers, and then she waits.
                ann.sock.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    fill(ann.sock, until=lambda: False, chunk=b"x" * 4_000 + b"\n")
                assert len(told.of("said")) < 100
            else:
                ann_heard.wait_text("received", "99 blah")


def test_the_asyncio_room_cuts_off_who_leaves_too_much_waiting(told: Recorder) -> None:
    """So its memory is bounded."""
    with asyncio_room.serve(on_event=told) as server, sleeper(server):
        told.wait("joined")
        ann, ann_heard = connect_named(server, "Ann")
        with closing(ann):
            for _ in range(1_100):
                ann.send("x" * 4_000)
            ann.send("the end")
            ann_heard.wait_text("received", "the end")
            told.wait("left")


def test_the_asyncio_room_speaks_the_wire_of_stage_5(told: Recorder) -> None:
    """Bad bytes, a line that is too long, a reset: that member's affair."""
    with asyncio_room.serve(on_event=told) as server:
        ann, ann_heard = connect_named(server, "Ann")
        with closing(ann), socket.create_connection(server.address, PATIENCE) as eve:
            told.wait("joined", 2)
            eve.sendall(b"\xff\n" + b"x" * 20_000 + b"\n")
            told.wait("left")
            ann.send("still here")
            ann_heard.wait_text("received", "Ann：still here")
            assert read_until(eve, b"\n") == b"\xff\n"
