"""Scripts in windows of a notebook: each a process, with what it prints and a line to type in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatstages.lab import Terminal, finish, free_port, terminal
from tests.support import ROOT

EXAMPLES = ROOT / "examples"
GREETER = 'while name := input("Who? "):\n    print("Hello,", name)\n'


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    """No script outlives a test."""
    yield
    finish()


@pytest.fixture
def greeter(tmp_path: Path) -> Terminal:
    """A window with a script that greets whoever is named."""
    script = tmp_path / "greeter.py"
    script.write_text(GREETER)
    return terminal("greeter", str(script))


def test_what_is_typed_is_what_input_returns(greeter: Terminal) -> None:
    """And what the script prints is shown, whole lines, also in Chinese."""
    greeter.type("小明")
    assert "Hello, 小明" in greeter.wait_for("Hello")


def test_an_empty_line_can_be_typed(greeter: Terminal) -> None:
    """As stages 2 and 3 want it; here it ends the script, and the window says so."""
    greeter.wait_for("Who?")
    greeter.type()
    with pytest.raises(TimeoutError, match="has ended"):
        greeter.wait_for("Hello")
    assert not greeter.running
    with pytest.raises(BrokenPipeError, match="greeter"):
        greeter.type("too late")


def test_the_line_to_type_in_works_by_enter_also_when_it_is_empty(greeter: Terminal) -> None:
    """The page tells Enter first, and then the text if that is new."""
    greeter.wait_for("Who?")
    greeter._line._handle_custom_msg({"event": "submit"}, [])
    greeter._line.value = "Ann"
    assert "Hello, Ann" in greeter.wait_for("Hello, Ann")
    greeter._line._handle_custom_msg({"event": "submit"}, [])
    with pytest.raises(TimeoutError, match="has ended"):
        greeter.wait_for("Nobody")


def test_it_can_be_run_again(greeter: Terminal) -> None:
    """By its button, once it has ended; the second run is waited for by itself."""
    greeter.wait_for("Who?")
    greeter.type()
    with pytest.raises(TimeoutError):
        greeter.wait_for("Nobody")
    greeter._button.click()
    greeter.wait_for("Who?")
    assert greeter.running


def test_two_scripts_chat() -> None:
    """A server and two clients, as in three terminals; Ctrl-C ends the server, and all are told."""
    port = free_port()
    server = terminal("server", str(EXAMPLES / "stage4_server.py"), port)
    server.wait_for("Listening")
    ann, ben = (terminal(name, str(EXAMPLES / "stage4_client.py"), port) for name in ("Ann", "Ben"))
    for member in (ann, ben):
        member.wait_for("Connected.")
        server.wait_for("Connected:")
    ann.type("Hello!")
    assert ben.wait_for("Hello!") == "[group] Hello!"
    server.interrupt()
    assert "Stopped" in server.wait_for("KeyboardInterrupt")
    assert "closed the connection" in ben.wait_for("The server")


def test_a_window_of_the_same_name_replaces_the_former() -> None:
    """So a cell may be run again: the port is free by then."""
    port = free_port()
    first = terminal("server", str(EXAMPLES / "stage3_server.py"), port)
    first.wait_for("Listening")
    second = terminal("server", str(EXAMPLES / "stage3_server.py"), port)
    second.wait_for("Listening")
    assert not first.running
    with socket.create_connection(("127.0.0.1", port)):
        second.wait_for("Connected:")


def test_a_script_that_ignores_ctrl_c_is_ended_by_force(tmp_path: Path) -> None:
    """`finish` leaves nothing behind."""
    script = tmp_path / "stubborn.py"
    script.write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('on')\ninput()\ninput()\n"
    )
    stubborn = terminal("stubborn", str(script))
    stubborn.wait_for("on")
    finish()
    assert not stubborn.running


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(FileNotFoundError, match=r"nothing\.py.*%%writefile"):
        terminal("Ann", str(tmp_path / "nothing.py"))


def test_what_a_script_prints_does_nothing_on_the_page(tmp_path: Path) -> None:
    """It is shown as it is."""
    script = tmp_path / "page.py"
    script.write_text("print('<script>alert(1)</script>')")
    window = terminal("page", str(script))
    window.wait_for("alert")
    window.draw()
    assert "<script>" not in window._screen.value
    assert "&lt;script&gt;" in window._screen.value
