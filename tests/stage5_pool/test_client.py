"""The client of stage 5: names, lines, and a server that means no good."""

from __future__ import annotations

import socket

import pytest

from chatstages import stage5_pool as stage
from chatstages.protocol import framing
from chatstages.protocol.framing import MAX_LINE
from chatstages.protocol.names import COLON
from tests.support import Recorder, connected, raw_client


def test_a_client_of_a_server_without_lines_hears_it_all_the_same(heard: Recorder) -> None:
    """The server of the tutorial's own script passes on what it receives, newline or not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(stage, server.getsockname(), "小明", heard):
            conn, _address = server.accept()
            with conn:
                conn.sendall("小红：你好".encode())
                heard.wait("received", 1)
                conn.sendall("小明：嗯\n小红：再见".encode())
                heard.wait("received", 3)
    assert [event.text for event in heard.of("received")] == ["小红：你好", "小明：嗯", "小红：再见"]


def test_the_client_refuses_to_send_what_is_too_long() -> None:
    """Before it is lost, and so that the person knows."""
    with stage.serve() as server, connected(stage, server.address, "小明") as member:
        with pytest.raises(ValueError, match="4096 bytes"):
            member.send("汉" * 2_000)


def test_several_lines_are_several_messages(heard: Recorder) -> None:
    """Each with its name; an empty one is none."""
    with stage.serve() as server, connected(stage, server.address, "小明", heard) as member:
        member.send("一\n\n二")
        heard.wait("received", 2)
    assert [event.text for event in heard.of("received")] == ["小明：一", "小明：二"]


@pytest.mark.parametrize("name", [" ", "a：b", "x" * 40])
def test_a_client_needs_a_usable_name(name: str) -> None:
    """The error comes before the connection."""
    with stage.serve() as server, pytest.raises(ValueError, match="nickname"):
        stage.connect(server.address, name)


def test_a_client_may_send_a_message_of_just_the_limit(heard: Recorder) -> None:
    """Its name is counted, the newline is not."""
    text = "x" * (MAX_LINE - len(f"a{COLON}".encode()))
    with stage.serve() as server, connected(stage, server.address, "a", heard) as member:
        member.send(text)
        heard.wait("received")
    assert [event.text for event in heard.of("received")] == [f"a{COLON}{text}"]


def test_the_last_text_of_a_server_needs_no_newline(heard: Recorder) -> None:
    """The end of the connection ends it, before any pause has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(stage, server.getsockname(), "小明", heard):
            conn, _address = server.accept()
            conn.sendall("小红：你好".encode())
            conn.close()
            heard.wait("disconnected")
    assert [event.text for event in heard.of("received")] == ["小红：你好"]


def test_a_line_from_the_server_may_be_longer_than_what_one_sends(heard: Recorder) -> None:
    """The server puts a name in front of a message, which may have just the limit."""
    with stage.serve() as server, connected(stage, server.address, "听", heard):
        with raw_client(server.address) as sock:
            sock.sendall(b"x" * MAX_LINE + b"\n")
            heard.wait("received")
    assert [event.text for event in heard.of("received")] == [f"#2{COLON}{'x' * MAX_LINE}"]


def test_a_client_keeps_the_last_1_000_lines(heard: Recorder) -> None:
    """However many have arrived."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(stage, server.getsockname(), "小明", heard) as client:
            conn, _address = server.accept()
            with conn:
                conn.sendall(b"".join(b"%d\n" % number for number in range(1_010)))
                heard.wait("received", 1_010)
                assert list(client.received) == [str(number) for number in range(10, 1_010)]


def test_a_line_that_never_ends_is_not_kept(heard: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server cannot fill a client's memory; what comes after the line is heard."""
    monkeypatch.setattr(framing, "LINE_PAUSE", 1_000.0)  # however slowly it comes
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(stage, server.getsockname(), "小明", heard):
            conn, _address = server.accept()
            with conn:
                conn.sendall(b"before\n" + b"x" * (2 << 20) + b"\nafter\n")
                heard.wait_text("received", "after")
    assert [event.text for event in heard.of("received")] == ["before", "after"]
