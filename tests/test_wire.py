"""Bytes and text."""

from __future__ import annotations

import pytest

from chatstages.protocol.framing import LINE_PAUSE, MAX_LINE, RAW_PAUSE, Decoder, LineDecoder, encode
from chatstages.protocol.names import check_name, name_key, usable_name
from chatstages.text import clean, columns, one_line

TEXT = "小明：你好，👩‍🏫 ok\nbob：a\tb\r\n\n再见\n"
MESSAGES = ["小明：你好，👩‍🏫 ok", "bob：a\tb", "", "再见"]

# Things that could do harm on a screen: what arrives, what is left of it.
UNSAFE = {
    "\x1b[2J": "\ufffd[2J",
    "\x1b]0;title\x07": "\ufffd]0;title\ufffd",
    "a\rb": "a\nb",
    "a\x00b\x08\x0b\x0cc": "a\ufffdb\ufffd\ufffd\ufffdc",
    "\x7f\x80\x85\x9b31m": "\ufffd\ufffd\ufffd\ufffd31m",
    "\u202eevil\u202c": "\ufffdevil\ufffd",
    "\u2066x\u2069\u200e\u200f\u061c": "\ufffdx\ufffd\ufffd\ufffd\ufffd",
    "one\u2028two\u2029three": "one\ufffdtwo\ufffdthree",
}


@pytest.mark.parametrize("cut", range(len(TEXT.encode()) + 1))
def test_messages_are_the_same_wherever_the_bytes_are_cut(cut: int) -> None:
    """Every offset is tried."""
    data = TEXT.encode()
    lines, decoder = LineDecoder(), Decoder()
    assert lines.feed(data[:cut]) + lines.feed(data[cut:]) == MESSAGES
    assert decoder.decode(data[:cut]) + (decoder.decode(data[cut:]) if data[cut:] else "") == TEXT.replace(
        "\r\n", "\n"
    )


def test_one_byte_at_a_time_gives_the_same_messages() -> None:
    """However small the pieces."""
    lines = LineDecoder()
    assert [message for byte in TEXT.encode() for message in lines.feed(bytes([byte]))] == MESSAGES


@pytest.mark.parametrize(("text", "shown"), UNSAFE.items())
def test_what_could_do_harm_on_a_screen_is_replaced(text: str, shown: str) -> None:
    """By U+FFFD, so that one sees that something was there; a carriage return becomes a newline."""
    decoder = Decoder()
    assert decoder.decode(encode(text)) + decoder.decode(b"") == shown
    assert "\n" not in one_line(shown)


def test_what_people_write_stays_as_it_is() -> None:
    """Joined emoji, tabs and any script."""
    text = "👨‍👩‍👧‍👦\té 한국어 नमस्ते שלום <b>&amp;</b>"
    assert clean(text) == text


def test_full_width_characters_take_two_columns() -> None:
    """Not Chinese ones alone: letters and marks of a Chinese keyboard, too."""
    assert [columns(text) for text in ("a", "你", "Ａ", "：", "a你Ａ：")] == [1, 2, 2, 2, 7]


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
    lines = LineDecoder()
    assert lines.feed("你好".encode()[:-1]) == []
    assert lines.raw
    assert lines.waiting
    assert lines.flush() == ["你"]
    assert lines.feed("好".encode()[-1:]) == []
    assert lines.flush() == ["好"]
    assert not lines.waiting


def test_one_waits_longer_for_the_rest_of_a_line_than_for_more_of_a_raw_message() -> None:
    """And for nothing where nothing has begun."""
    lines = LineDecoder()
    assert lines.patience is None
    lines.feed(b"a")
    assert lines.patience == RAW_PAUSE
    lines.feed(b"\n")
    assert lines.patience is None
    lines.feed(b"b")
    assert lines.patience == LINE_PAUSE


def test_one_newline_and_a_client_is_raw_no_more() -> None:
    """From then on its messages end at newlines."""
    lines = LineDecoder()
    assert lines.feed(b"a\nb") == ["a"]
    assert not lines.raw


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_a_message_that_is_too_long_is_skipped_to_its_end(size: int) -> None:
    """It is counted once, what comes after it is a message again, and none of it is kept."""
    lines = LineDecoder()
    data = b"x" * (3 * MAX_LINE) + b"\nshort\n"
    messages = [m for i in range(0, len(data), size) for m in lines.feed(data[i : i + size])]
    assert messages == ["short"]
    assert lines.too_long == 1


def test_a_message_of_just_the_limit_is_not_too_long() -> None:
    """The newline is not counted."""
    lines = LineDecoder()
    assert lines.feed(b"x" * MAX_LINE + b"\n") == ["x" * MAX_LINE]
    assert lines.feed(b"x" * (MAX_LINE + 1) + b"\n") == []
    assert lines.too_long == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "visible"),
        ("  ", "visible"),
        ("\u200b", "visible"),
        ("\u3164", "visible"),
        ("a：b", "colon"),
        ("\x1b[2Jx", "control"),
        ("x" * 33, "at most 32"),
        ("ｶﾞ" * 17, "at most 32"),
        ("a" + " " * 200 + "b", "at most 32"),
        ("x" * 1_000_000, "at most 32"),
        ("*", "begin"),
        ("#1", "begin"),
    ],
)
def test_what_cannot_be_a_nickname(name: str, reason: str) -> None:
    """Nothing to see, too much of it, the colon, the beginnings of the server's own lines; and why."""
    assert usable_name(name) is None
    with pytest.raises(ValueError, match=reason):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb", "a b"), (" 小  明 ", "小 明"), ("x" * 32, "x" * 32), ("ｶﾞ" * 16, "ｶﾞ" * 16)]
)
def test_a_nickname_is_at_most_32_characters_on_one_line(name: str, shown: str) -> None:
    """Counted as they are shown: a half-width letter and its mark are two."""
    assert check_name(name) == shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Teacher", "teacher"),
        ("ｔｅａｃｈｅｒ", "teacher"),
        ("tеасhеr", "teacher"),
        ("小 明", "小明"),
        ("a\u200bb", "ab"),
        ("PAU1", "paul"),
    ],
)
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    """A full-width letter, a Cyrillic one, a capital, a space: no way to speak as somebody else."""
    assert name_key(one) == name_key(other)


def test_names_that_differ_stay_apart() -> None:
    """Most do."""
    names = ["小明", "小红", "Ann", "Anna", "José", "Jose", "老师", "学生一", "学生二"]
    assert len({name_key(name) for name in names}) == len(names)


def test_a_carriage_return_does_not_count() -> None:
    """A message of the greatest length is no longer because it comes from Windows."""
    lines = LineDecoder()
    message = b"x" * MAX_LINE
    assert lines.feed(message + b"\r") == []
    assert lines.feed(b"\n" + message + b"\n") == [message.decode()] * 2
    assert lines.too_long == 0


@pytest.mark.parametrize(
    "name", ["＃2", "\u200b* x", "＊ x", "∗ x", "\u3164* x", "\u200b#1", "Ben: hi", "Ben︓ hi", "\ufdfa" * 4]
)
def test_nobody_is_called_like_the_server_or_like_two(name: str) -> None:
    """In whatever dress: full-width, behind something invisible, with another colon, or grown by NFKC."""
    assert usable_name(name) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [("Ann", "Ann\U000e0100"), ("Ann", "Ann\u180b"), ("Eve", "Εve"), ("Ben", "Вen"), ("Ali", "Alı")],
)
def test_further_names_that_look_alike_are_one(name: str, other: str) -> None:
    """Greek and Cyrillic capitals, and marks without a shape."""
    assert name_key(name) == name_key(other)
