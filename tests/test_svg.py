"""The drawing kit."""

from __future__ import annotations

from chatstages.svg import wrap


def test_words_are_wrapped_at_spaces_and_between_chinese_characters() -> None:
    """A Chinese character takes two columns; a comma stays with what it follows."""
    assert wrap("to be or not to be", 9) == ["to be or", "not to be"]
    assert wrap("线程一等待锁，线程二也等待。", 12) == ["线程一等待", "锁，线程二也", "等待。"]
    assert wrap("Unbreakable", 4) == ["Unbreakable"]
    assert wrap("", 4) == [""]
