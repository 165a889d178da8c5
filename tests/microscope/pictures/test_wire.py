"""The wire: the bytes of a connection."""

from __future__ import annotations

from chatstages.microscope.pictures import sequence, wire
from tests.support.microscope.recordings import Script, chat, merged


def test_a_wire_in_words() -> None:
    """Where sends and recvs begin, and which characters were cut."""
    assert wire(merged()).text.splitlines() == [
        "socket 2 → socket 3: 12 bytes; sends: 4, recvs: 4",
        "       0 │61╷62╷63│e5 a4╵a7 e5╵ae b6 e5 a5 bd              │a╷b╷c│大╵家╵好",
        "  ✂ 大 at offset 3 was split",
        "  ✂ 家 at offset 6 was split",
    ]


def test_a_split_character_is_marked_where_it_was_split() -> None:
    """In the picture as in the text: with the same sentence, and scissors between its bytes."""
    picture = wire(merged())
    for sentence in ("✂ 大 at offset 3 was split", "✂ 家 at offset 6 was split"):
        assert f">{sentence}</text>" in picture.svg
    assert picture.svg.count(">✂</text>") == picture.shapes.count('class="line cut"') == 2


def test_a_long_stream_is_shown_in_part() -> None:
    """With what is left out, and with every place where something begins."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"x" * 100_000)
    script.step("main", "send", ann, data=b"end")
    script.step("main", "recv", there, data=b"x" * 100_000 + b"end")
    words = wire(script).text
    assert len(words.splitlines()) < 40
    assert "⋯ 99," in words
    assert "end" in words
    assert len(sequence(script).svg) < 20_000


def test_a_wire_shows_a_limited_number_of_streams() -> None:
    """And says how many more there are."""
    script = Script()
    listener = script.listener()
    for _each in range(9):
        client, _server = script.connect(listener)
        script.step("main", "send", client, data=b"x")
    text = wire(script).text
    assert text.count("1 bytes; sends") == 8
    assert "1 more streams are left out." in text
