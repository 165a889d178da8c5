"""The sketches, as text and as SVG; tests/browser looks at them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from chatstages.i18n import LANGUAGES
from chatstages.lab import sketch, speak

NAMES = ["connections", "offsets"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_sketch_can_be_seen_and_heard(name: str, language: str) -> None:
    """It is well-formed, has a title and a description, and its letters are large enough."""
    speak(language)
    bundle = sketch(name)._repr_mimebundle_()
    picture = ElementTree.fromstring(bundle["text/html"])
    assert picture.findtext("{*}title")
    assert picture.findtext("{*}desc")
    scale = min(1, 800 / float(picture.get("width", "inf")))  # the output of a cell at 1280 px
    assert all(int(size) * scale >= 14 for size in re.findall(r"font:(\d+)px", bundle["text/html"]))


def test_the_connections_go_through_the_server() -> None:
    """There is none between Ann and Ben."""
    assert repr(sketch("connections")) == "Ann (client) ⇄ Server ⇄ Ben (client)"


def test_an_offset_is_a_number_of_bytes() -> None:
    """Of all that a member has got: "Ann：hi" and its newline are nine."""
    assert repr(sketch("offsets")).splitlines()[1:] == [
        "a slow consumer: offset 9",
        "Ben: offset 40",
        "Ann, Eve: offset 56",
    ]
