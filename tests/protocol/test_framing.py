"""Framing: from bytes to text and to whole lines, wherever the network has cut them."""

from __future__ import annotations

import pytest

from chatstages.protocol.framing import (
    LINE_PAUSE,
    MAX_LINE,
    RAW_PAUSE,
    Decoder,
    LineSplitter,
    clean_line,
    encode,
)
from chatstages.text import MAX_MARKS

TEXT = "小明：你好，👩‍🏫 ok\nbob：a\tb\r\n\n再见\n"
MARK = "\u0301"  # a combining acute accent
MESSAGES = ["小明：你好，👩‍🏫 ok", "bob：a\tb", "再见"]


@pytest.mark.parametrize("cut", range(len(TEXT.encode()) + 1))
def test_messages_are_the_same_wherever_the_bytes_are_cut(cut: int) -> None:
    """Every offset is tried."""
    data = TEXT.encode()
    lines, decoder = LineSplitter(), Decoder()
    assert lines.feed(data[:cut]) + lines.feed(data[cut:]) == list(map(encode, MESSAGES))
    assert decoder.decode(data[:cut]) + (decoder.decode(data[cut:]) if data[cut:] else "") == TEXT.replace(
        "\r\n", "\n"
    )


def test_one_byte_at_a_time_gives_the_same_messages() -> None:
    """However small the pieces."""
    lines = LineSplitter()
    assert [message for byte in TEXT.encode() for message in lines.feed(bytes([byte]))] == list(
        map(encode, MESSAGES)
    )


def test_half_a_character_is_kept_back_and_given_up_at_the_end() -> None:
    """So nothing that was sent is lost without a trace."""
    decoder = Decoder()
    assert decoder.decode("汉".encode()[:2]) == ""
    assert decoder.incomplete
    assert decoder.decode(b"") == "\ufffd"


def test_half_a_surrogate_pair_can_be_sent() -> None:
    """A keyboard may produce one; it has no UTF-8."""
    assert encode("a\ud83d") == b"a?"


def test_a_pause_ends_the_message_of_a_raw_client() -> None:
    """A character that is not whole yet stays back."""
    lines = LineSplitter()
    assert lines.feed("你好".encode()[:-1]) == []
    assert lines.raw
    assert lines.waiting
    assert lines.flush() == ["你".encode()]
    assert lines.feed("好".encode()[-1:]) == []
    assert lines.flush() == ["好".encode()]
    assert not lines.waiting


def test_one_waits_longer_for_the_rest_of_a_line_than_for_more_of_a_raw_message() -> None:
    """And for nothing where nothing has begun."""
    lines = LineSplitter()
    assert lines.patience is None
    lines.feed(b"a")
    assert lines.patience == RAW_PAUSE
    lines.feed(b"\n")
    assert lines.patience is None
    lines.feed(b"b")
    assert lines.patience == LINE_PAUSE


def test_one_newline_and_a_client_is_raw_no_more() -> None:
    """From then on its messages end at newlines."""
    lines = LineSplitter()
    assert lines.feed(b"a\nb") == [b"a"]
    assert not lines.raw


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_a_message_that_is_too_long_is_skipped_to_its_end(size: int) -> None:
    """It is counted once, what comes after it is a message again, and none of it is kept."""
    lines = LineSplitter()
    data = b"x" * (3 * MAX_LINE) + b"\nshort\n"
    messages = [m for i in range(0, len(data), size) for m in lines.feed(data[i : i + size])]
    assert messages == [b"short"]
    assert lines.too_long == 1


def test_a_message_of_just_the_limit_is_not_too_long() -> None:
    """The newline is not counted."""
    lines = LineSplitter()
    assert lines.feed(b"x" * MAX_LINE + b"\n") == [b"x" * MAX_LINE]
    assert lines.feed(b"x" * (MAX_LINE + 1) + b"\n") == []
    assert lines.too_long == 1


def test_a_carriage_return_does_not_count() -> None:
    """A message of the greatest length is no longer because it comes from Windows."""
    lines = LineSplitter()
    message = b"x" * MAX_LINE
    assert lines.feed(message + b"\r") == []
    assert lines.feed(b"\n" + message + b"\n") == [message] * 2
    assert lines.too_long == 0


def test_a_message_keeps_its_bytes_unless_they_are_unsafe() -> None:
    """UTF-8 that may be shown goes through as it came; anything else is replaced."""
    assert clean_line("小明：你好".encode()) == "小明：你好".encode()
    assert clean_line(b"a\xffb\r") == "a\ufffdb".encode()
    assert clean_line(b"a\x1b[2Jb") == "a\ufffd[2Jb".encode()
    assert clean_line(f"Ann：z{MARK * 50}o".encode()) == f"Ann：z{MARK * MAX_MARKS}o".encode()
