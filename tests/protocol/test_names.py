"""Nicknames: which can be one, and which two look alike."""

from __future__ import annotations

import pytest

from chatstages.protocol.names import check_name, name_key, usable_name


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


def test_nothing_invisible_makes_another_name_of_a_letter_and_its_mark() -> None:
    """Whatever stands between them."""
    names = ["José", "Jose\u0301", *(f"Jose{invisible}\u0301" for invisible in "\u200d\u034f\ufe00\u2060")]
    assert len(set(map(name_key, names))) == 1


def test_a_character_that_becomes_many_makes_no_long_name() -> None:
    """U+FDFA is 18 characters when it is taken apart: that would take time."""
    with pytest.raises(ValueError, match="at most 32 characters"):
        check_name("\ufdfa" * 32)
