"""What is safe to show on a screen, and how wide it is there."""

from __future__ import annotations

import re
import unicodedata

# What could move the cursor, clear a screen or turn the reading direction: C0 and C1 controls but tab
# and newline, the line separators, and the bidi controls of Unicode TR9. Emoji joiners stay.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]")
REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """Return `text` with every character that is unsafe on a screen replaced by U+FFFD."""
    return text if text.isprintable() else UNSAFE.sub(REPLACEMENT, text)  # the first alone takes a tenth


def one_line(text: str) -> str:
    """Return `text`, cleaned, for a place with room for one line: a list, a log, a title."""
    return clean(text.rstrip("\n").replace("\n", " ⏎ "))


def columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
