"""Our window before any server: one that was not started in this notebook."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from chatstages.lab import ChatClient, finish, join, start
from tests import support
from tests.support import PATIENCE, STAGES


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Give a listening socket, as anybody's server has one."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock
        finish()


def address_of(listener: socket.socket) -> str:
    """Return the address as a person writes it."""
    return f"127.0.0.1:{listener.getsockname()[1]}"


def wait_until_shown(client: ChatClient, text: str) -> None:
    """Wait until the window of `client` shows `text`."""
    support.wait_until(lambda: text in client._log.value + client._title.value, client._log, client._title)


def test_a_window_before_anybodys_server_shows_both_directions(listener: socket.socket) -> None:
    """As plain text; what is sent is shown too, for the server may not send it back."""
    ann = join(address_of(listener), "Ann")
    conn, _address = listener.accept()
    with conn:
        ann.say("你好")
        assert conn.recv(100).decode() == "你好"
        conn.sendall(b"Welcome!\n")
        assert ann.wait_for("Welcome") == "Welcome!"
        wait_until_shown(ann, "→ 你好")


def test_the_window_shows_that_the_server_has_ended(listener: socket.socket) -> None:
    """And joining is possible again when it is back."""
    ann = join(address_of(listener), "Ann")
    listener.accept()[0].close()
    wait_until_shown(ann, "The server has closed the connection.")
    wait_until_shown(ann, "not connected")
    with pytest.raises(ConnectionError, match="Ann is not connected"):
        ann.say("unsent")
    ann.join()
    listener.accept()[0].close()


def test_joining_again_replaces_the_client(listener: socket.socket) -> None:
    """And the last cell ends it."""
    join(address_of(listener), "Ann")
    first, _address = listener.accept()
    join(("127.0.0.1", listener.getsockname()[1]), "Ann")
    second, _address = listener.accept()
    with first, second:
        assert first.recv(1) == b""
        finish()
        assert second.recv(1) == b""


@pytest.mark.parametrize("stage", STAGES)
def test_the_client_of_any_stage_can_be_chosen(stage: int) -> None:
    """Stage 5 sends the nickname and whole lines."""
    server = start(stage)
    ann = join(f"127.0.0.1:{server.address[1]}", "Ann", stage=stage)
    ann.say("hello")
    assert server.wait_for("said", text="hello").endswith("hello")
    wait_until_shown(ann, "→ hello")
    finish()


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_client_that_does_not_receive_notices_the_end_before_it_sends(
    stage: int, listener: socket.socket
) -> None:
    """Though the first bytes could still be sent."""
    ann = join(address_of(listener), "Ann", stage=stage)
    listener.accept()[0].close()
    select.select([ann.connection.sock], [], [], PATIENCE)  # until FIN has arrived
    with pytest.raises(ConnectionError, match="Ann is not connected"):
        ann.say("unsent")


def test_a_client_of_another_stage_can_be_put_before_a_server_of_the_notebook() -> None:
    """Stage 4 knows no lines, so it shows the name that the client of stage 5 puts in front."""
    server = start(4)
    join(server, "Ann", stage=5).say("hello")
    assert server.wait_for("said").endswith("Ann：hello")
    finish()


@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.1:", "localhost:http", "127.0.0.1:0", "a:70000"])
def test_what_is_no_address_is_refused(where: str) -> None:
    """With an example of one."""
    with pytest.raises(ValueError, match=f"{where} is no address: write host:port, for example"):
        join(where, "Ann")


def test_where_nobody_listens_one_is_told_so(listener: socket.socket) -> None:
    """With the address, and what to do."""
    where = address_of(listener)
    listener.close()
    with pytest.raises(ConnectionRefusedError, match=rf"No server listens at {where} .* Start it first\."):
        join(where, "Ann")
