"""Which send has carried which bytes to which recv."""

from __future__ import annotations

import pytest

from chatstages.microscope.model.recording import TraceEvent
from chatstages.microscope.model.streams import Stream, character_splits, deliveries, streams
from tests.support.microscope.recordings import Script, chat, merged


def test_arrows_follow_the_bytes() -> None:
    """Three sends to one recv, one send to three."""
    (stream,) = streams(merged())
    found = [
        (arrow.data, arrow.send and arrow.send.data, arrow.recv and arrow.recv.data)
        for arrow in deliveries(stream)
    ]
    letters, characters = "大家好".encode(), [b"\xe5\xa4", b"\xa7\xe5", b"\xae\xb6" + "好".encode()]
    assert found == [(text, text, b"abc") for text in (b"a", b"b", b"c")] + [
        (piece, letters, piece) for piece in characters
    ]


def test_what_nobody_fetched_has_an_arrow_to_nobody() -> None:
    """Only the part that is missing."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"hello")
    script.step("main", "recv", there, data=b"he")
    found = [(arrow.data, arrow.recv is None) for arrow in deliveries(streams(script)[0])]
    assert found == [(b"he", False), (b"llo", True)]


@pytest.mark.parametrize("kind", ["send", "recv"])
def test_a_connection_of_which_one_end_was_seen(kind: str) -> None:
    """Has sends without recvs, or the other way round."""
    script = Script()
    sock = script.new_thing("socket", role="client").label
    script.step("main", kind, sock, data=b"hello")  # type: ignore[arg-type]
    (stream,) = streams(script)
    (arrow,) = deliveries(stream)
    assert {stream.sender, stream.receiver} == {sock, ""}
    assert (arrow.send is None, arrow.recv is None) == (kind == "recv", kind == "send")
    assert arrow.data == b"hello"


def test_a_forgotten_send_leaves_a_recv_without_one() -> None:
    """The places of the bytes stay right."""
    script = Script(max_events=3)
    _threads, ((ann, there), _ben) = chat(script)
    for text in (b"one", b"two"):
        script.step("main", "send", ann, data=text)
    script.step("main", "recv", there, data=b"one")
    script.step("main", "recv", there, data=b"two")
    found = [(arrow.data, arrow.send is None, arrow.recv is None) for arrow in deliveries(streams(script)[0])]
    assert found == [(b"two", False, False), (b"one", True, False)]


def test_bytes_that_are_no_characters_are_not_cut() -> None:
    """A picture, say."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"\xff\xe5\x00")
    script.step("main", "recv", there, data=b"\xff\xe5")
    script.step("main", "recv", there, data=b"\x00")
    assert character_splits(streams(script)[0]) == []


@pytest.mark.parametrize(("offset", "characters"), [(2, ["大"]), (9, [])], ids=["next to it", "after a gap"])
def test_a_character_is_put_together_only_from_neighbouring_bytes(offset: int, characters: list[str]) -> None:
    """Bytes between the two pieces that nobody recorded may belong to it."""
    head, rest = (
        TraceEvent(number, number, number, "main", "recv", "socket 1", data=data, offset=at)
        for number, data, at in ((0, b"\xe5\xa4", 0), (1, b"\xa7", offset))
    )
    assert [cut.character for cut in character_splits(Stream("", "socket 1", [], [head, rest]))] == characters
