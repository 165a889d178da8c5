"""Stage 1: one message, one way."""

from __future__ import annotations

from contextlib import suppress

from chatstages import stage1_oneshot as stage
from tests.support import Recorder, connected, raw_client, read_to_end


def test_the_server_ends_by_itself(told: Recorder) -> None:
    """One client, one message, and both sides close."""
    server = stage.serve(on_event=told)
    with connected(stage, server.address) as client:
        client.send("hello")
    assert server.wait(10)
    assert [event.text for event in told.of("said")] == ["hello"]


def test_the_server_closes_after_one_message(told: Recorder) -> None:
    """It does not wait for the client to close."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.sendall(b"hello")
        assert read_to_end(sock) == b""
        assert server.wait(10)


def test_saying_nothing_is_no_message(told: Recorder) -> None:
    """A client that only comes and goes has said nothing."""
    server = stage.serve(on_event=told)
    stage.connect(server.address).close()
    assert server.wait(10)
    assert [event.kind for event in told.events] == ["joined", "left"]


def test_a_long_message_is_shown_as_far_as_it_came(told: Recorder) -> None:
    """One recv is taken for one message (the fault that this stage shows), in whole characters at least."""
    text = "a" + "汉" * 60_000
    with stage.serve(on_event=told) as server:
        with raw_client(server.address) as sock:
            with suppress(OSError):  # the server closes before it is all sent
                sock.sendall(text.encode())
            told.wait("left")
        (said,) = told.of("said")
    assert text.startswith(said.text)
