"""Stage 2: a session."""

from __future__ import annotations

from chatstages import stage2_session as stage
from tests.support import Recorder, connected


def test_the_server_shows_each_message_and_ends_when_the_client_leaves(told: Recorder) -> None:
    """It ends by itself, after any number of messages."""
    server = stage.serve(on_event=told)
    with connected(stage, server.address) as client:
        for text in ("one", "two", "three"):
            client.send(text)
            told.wait_text("said", text)
    assert server.wait(10)
    assert [event.text for event in told.of("said")] == ["one", "two", "three"]


def test_an_empty_message_ends_nothing(told: Recorder) -> None:
    """Sending nothing sends no bytes, so the server cannot notice it: closing is what ends a session."""
    with stage.serve(on_event=told) as server, connected(stage, server.address) as client:
        client.send("")
        client.send("still here")
        told.wait_text("said", "still here")
        assert told.of("left") == []


def test_quick_messages_may_arrive_glued_together(told: Recorder) -> None:
    """No byte is lost, but where one message ends is (the fault that stages 1 to 4 show)."""
    with stage.serve(on_event=told) as server:
        with connected(stage, server.address) as client:
            for _ in range(50):
                client.send("message")
        told.wait("left")
        said = told.of("said")
    assert "".join(event.text for event in said) == "message" * 50


def test_a_long_text_cut_in_characters_arrives_whole(told: Recorder) -> None:
    """Decoding each chunk by itself would fail: the pieces do not end where a character ends."""
    text = "a" + "汉" * 60_000
    with stage.serve(on_event=told) as server:
        with connected(stage, server.address) as client:
            client.send(text)
        told.wait("left")
    assert "".join(event.text for event in told.of("said")) == text
