"""The panel of a server, without a browser."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from chatstages import stage3_threads
from chatstages.faults import send_error_unhandled
from chatstages.lab import ChatServer, finish, join, start
from tests import support


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Give a server of stage 4, in the lab."""
    yield start(4)
    finish()


def wait_until(server: ChatServer, condition: Callable[[], bool]) -> None:
    """Wait until what the panel shows meets `condition`."""
    support.wait_until(condition, server._title, server._members, server._log)


def test_the_panel_shows_who_is_there_and_how_often_each_has_spoken(server: ChatServer) -> None:
    """By the names of this notebook's clients; others by their address."""
    ann, ben = join(server, "Ann"), join(server, "<b>Ben</b>")
    ann.say("one")
    ann.wait_for("one")
    wait_until(server, lambda: "<b>Ann</b> (messages: 1)" in server._members.value)
    assert "Connected: 2" in server._members.value
    assert "&lt;b&gt;Ben&lt;/b&gt;</b> (messages: 0)" in server._members.value
    ben.leave()
    wait_until(server, lambda: "Connected: 1" in server._members.value)
    assert "Ann said: one" in server._log.value


def test_the_story_is_told_with_names(server: ChatServer) -> None:
    """So it is the same each time, and can be compared."""
    ann = join(server, "Ann")
    ann.say("Hello!")
    server.wait_for("said")
    ann.leave()
    server.wait_for("left")
    assert server.log == ["Ann joined", "Ann said: Hello!", "Ann left"]


def test_the_button_stops_and_starts_at_the_same_address(server: ChatServer) -> None:
    """So the clients find it again."""
    ann, address = join(server, "Ann"), server.address
    server._button.click()
    assert not server.running
    assert server._button.description == "Start"
    server._button.click()
    assert server.running
    assert server.address == address
    ann.join()
    ann.say("Back again.")
    ann.wait_for("Back again.")


@pytest.mark.parametrize("stage", [1, 2])
def test_the_panel_shows_that_a_server_has_ended_by_itself(stage: int) -> None:
    """Nobody has clicked."""
    server = start(stage)
    ann = join(server, "Ann")
    ann.say("That is all.")
    ann.leave()
    wait_until(server, lambda: "ended" in server._title.value)
    assert server._button.description == "Start"
    finish()


def test_a_server_that_is_no_stage_goes_by_its_modules_name() -> None:
    """A classic mistake must not look like a stage."""
    server = start(send_error_unhandled)
    assert repr(server) == "<server, send_error_unhandled>"
    assert "send_error_unhandled" in server._title.value
    finish()


def test_one_may_wait_for_what_was_said(server: ChatServer) -> None:
    """Whatever a person has typed in between."""
    ann = join(server, "Ann")
    for text in ("typed in between", "wanted", "wanted"):
        ann.say(text)
        ann.wait_for(text)
    server.wait_for("said", text="wanted")
    server.wait_for("said", text="wanted")
    server.wait_for("said", 3)
    with pytest.raises(TimeoutError, match="1 × said wanted"):
        server.wait_for("said", text="wanted", timeout=0.01)


def test_starting_again_is_starting_anew(server: ChatServer) -> None:
    """Also while it runs: a cell may be run again."""
    ann, address = join(server, "Ann"), server.address
    server.start()
    assert server.address == address
    ann.join()
    ann.say("Here again.")
    ann.wait_for("Here again.")


def test_a_port_taken_meanwhile_is_said_in_the_panel(server: ChatServer) -> None:
    """And when it is free again, the button works."""
    server._button.click()
    with socket.socket() as other:
        other.bind(server.address)
        other.listen()
        server._button.click()
        assert "⚠" in server._log.value
        assert not server.running
    server._button.click()
    assert server.running
    server.refresh()
    assert "⚠" not in server._log.value


def test_waiting_returns_the_line_of_the_log(server: ChatServer) -> None:
    """So a cell prints that one, whatever has been typed since, and may wait for a name."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    ann.say("wanted")
    ann.wait_for("wanted")
    ben.say("typed afterwards")
    ben.wait_for("typed afterwards")
    assert server.wait_for("said", text="wanted") == "Ann said: wanted"
    assert server.wait_for("joined", text="Ben") == "Ben joined"
    assert server.wait_for("said", text="typed") == "Ben said: typed afterwards"


def test_a_module_need_not_state_what_its_client_can_do() -> None:
    """Then it does not receive, needs no name, and may send any number of messages."""
    module = ModuleType("mine")
    module.serve, module.connect = stage3_threads.serve, stage3_threads.connect  # type: ignore[attr-defined]
    server = start(module)
    ann = join(server, "Ann")
    for text in ("one", "two"):
        ann.say(text)
        assert server.wait_for("said", text=text) == f"Ann said: {text}"
    finish()
