"""What is safe to show on a screen."""

from __future__ import annotations

import pytest

from chatstages.protocol.framing import Decoder, encode
from chatstages.text import clean, columns, one_line, wrapped

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ann：short", "Ann：short"),
        ("Ann：" + "x" * 20, "Ann：xxxxxxx\n    xxxxxxxx\n    xxxxx"),
        ("小明：大家好大家好", "小明：大家好\n    大家好"),
        ("Ann：hi      Teacher：none", "Ann：hi     \n     Teacher\n    ：none"),
        ("e\u0301" * 12, "e\u0301" * 12),
    ],
)
def test_the_rows_of_a_long_line_are_indented(text: str, shown: str) -> None:
    """So no part of a message looks like a message of somebody else."""
    assert wrapped(text, 12) == shown


def test_no_character_has_more_than_five_marks() -> None:
    """No joiner changes that; and what languages need stays."""
    acute, joiner = "\u0301", "\u200d"
    assert clean("a" + acute * 5 + "b") == "a" + acute * 5 + "b"
    assert clean("Z" + acute * 50 + "b" + acute * 9) == "Z" + acute * 5 + "b" + acute * 5
    assert clean("Z" + (acute * 5 + joiner) * 3) == "Z" + acute * 5 + joiner * 3
    assert clean("Z" + "\u20dd" * 20) == "Z" + "\u20dd" * 5
    for text in ("नमस्ते दुनिया क्ष्म्य", "בְּרֵאשִׁ֖ית", "ที่นี่", "བསྒྲིབས་ཀྱིས", "👩🏽‍🏫🏴󠁧󠁢󠁥󠁮󠁧󠁿"):
        assert clean(text) == text
