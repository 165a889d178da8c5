"""What is safe to show on a screen, and how wide it is there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# What could move the cursor, clear a screen or turn the reading direction: C0 and C1 controls but tab
# and newline, the line separators, and the bidi controls of Unicode TR9. Emoji joiners stay.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]")
REPLACEMENT = "\ufffd"


MAX_MARKS = 5  # combining marks on one character: more than any language needs; a hundred cover other lines
# So many characters in a row of which no Latin, Chinese, Japanese or Korean text consists, nor an emoji:
# where there are none, no character has too many marks, and we need not look at each.
SUSPECT = re.compile(
    "[^\x00-\xac\xae-\u02ff\u2000-\u200a\u2010-\u205f\u2070-\u20cf\u2100-\u2bff\u3000-\u3029\u3030-\u3098"
    f"\u309b-\u9fff\uac00-\ud7ff\uff00-\uffef\U0001f000-\U0003ffff]{{{MAX_MARKS + 1}}}"
)


def replace_unsafe(text: str) -> str:
    """Return `text` with every character that is unsafe on a screen replaced by U+FFFD."""
    return text if text.isprintable() else UNSAFE.sub(REPLACEMENT, text)  # the first alone takes a tenth


def clean(text: str) -> str:
    """Return `text`, a whole message, with nothing unsafe on a screen, nor too many marks on a character."""
    return cap_marks(replace_unsafe(text))


def cap_marks(text: str) -> str:
    """Return `text` with at most MAX_MARKS combining marks on each character."""
    return text if text.isascii() or not SUSPECT.search(text) else "".join(capped(text))


def capped(text: str) -> Iterator[str]:
    """Yield the characters of `text`, but of combining marks in a row only the first MAX_MARKS."""
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            marks += 1
            if marks > MAX_MARKS:
                continue
        elif category != "Cf":  # such as a joiner: it has no shape, so the marks go on where they were
            marks = 0
        yield character


def one_line(text: str) -> str:
    """Return `text`, cleaned, for a place with room for one line: a list, a log, a title."""
    if text.isprintable():  # as nearly all is
        return cap_marks(text)
    return clean(text.rstrip("\n").replace("\n", " ⏎ "))


def columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes: a Chinese character takes two, a mark none."""
    return sum(map(width, text))


def width(character: str) -> int:
    """Return how many columns of a terminal `character` takes."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, available: int, indent: str = "    ") -> str:
    """Return `text`, one line, in rows of `available` columns, the second and further ones indented.

    So no row but the first begins at the left edge, and nobody can make a part of a message look like a
    message of somebody else.
    """
    rows, row, used = [], "", 0
    for character in text.expandtabs(4):
        used += width(character)
        if used > max(available, 2 * len(indent)):
            rows.append(row)
            row, used = indent, len(indent) + width(character)
        row += character
    return "\n".join([*rows, row])
