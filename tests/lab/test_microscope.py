"""What the notebooks show under the microscope."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatstages.faults import sending_under_the_lock
from chatstages.lab import finish, join, silent_reader, start
from chatstages.microscope import Scope, microscope

NAMES = ("Ann", "Ben", "Eve")
RUNS = 10  # of one cell


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    """Stop the servers and clients of a test."""
    yield
    finish()


def arrows(scope: Scope) -> list[tuple[str, str]]:
    """Return from which lane to which a message goes, in any order."""
    picture = scope.sequence()
    assert "not received" not in picture.text
    lines = [line.partition(": “")[0].split(" → ") for line in picture.text.splitlines()]
    return sorted((source, target) for source, targets in lines for target in targets.split("; "))


def test_a_broadcast_is_one_arrow_in_and_one_out_for_each_member() -> None:
    """In every run, also where a thread has waited since before the recording, or an earlier one."""
    server = start(4)
    members = [join(server, name) for name in NAMES]
    for _each in range(RUNS):
        with microscope() as scope:
            members[1].say("Now I speak.")
            for member in members:
                member.wait_for("Now I speak.")
        out = [("server, for Ben", f"{name}, receiving") for name in NAMES]
        assert arrows(scope) == [("main", "server, for Ben"), *out]


def test_each_member_has_a_thread_of_the_server() -> None:
    """The arrows of a stage 3 end in different lanes."""
    server = start(3)
    members = [join(server, name) for name in NAMES]
    for _each in range(RUNS):
        with microscope() as scope:
            for member in members:
                member.say(f"I am {member.name}.")
                server.wait_for("said", text=f"I am {member.name}.")
        assert arrows(scope) == [("main", f"server, for {name}") for name in NAMES]


def frozen_room() -> str:
    """Let a room freeze; return what the board shows then."""
    with microscope() as scope:
        server = start(sending_under_the_lock)
        ann, ben = join(server, "Ann"), join(server, "Ben")
        silent = silent_reader(server)
        server.wait_for("joined", 3)
        ann.say("blah " * 50_000)
        ann.wait_for("blah ")
        ben.say("Does anybody hear me?")
        while "waiting" not in (shown := scope.board().text):
            pass  # pytest's timeout ends it
        silent.close()
        ben.wait_for("hear me?")
    return shown


def test_a_board_shows_the_threads_of_the_program_only() -> None:
    """Neither those that draw the page, nor those of a server that has been replaced."""
    frozen_room()
    threads = frozen_room().partition("Threads:\n")[2].partition("Locks:")[0].splitlines()
    served = [f"server, for {name}" for name in ("Ann", "Ben", "silent_reader")]
    expected = ["main", "server, accepting", *served, "Ann, receiving", "Ben, receiving"]
    assert [line.partition(": ")[0].strip().partition(" (")[0] for line in threads] == expected
