"""What is safe to show on a screen."""

from __future__ import annotations

import pytest

from chatstages.protocol.framing import Decoder, encode
from chatstages.text import clean, columns, one_line

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
