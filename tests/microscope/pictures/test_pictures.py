"""What all pictures have in common."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from chatstages.microscope.model.recording import Recording
from chatstages.microscope.pictures import Picture, board, sequence, timeline, wire
from chatstages.microscope.pictures.style import WIDTH
from tests.support.microscope.recordings import Script, calm, chat, crossed, frozen, group, merged

PICTURES: list[Callable[[Recording], Picture]] = [sequence, timeline, board, wire]


SCRIPTS = [calm, merged, crossed, frozen, Script]


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_picture_is_svg_and_text(
    draw: Callable[[Recording], Picture], script: Callable[[], Script]
) -> None:
    """Also of a recording in which nothing has happened."""
    picture = draw(script())
    assert ET.fromstring(picture.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert repr(picture)
    assert set(picture._repr_mimebundle_()) == {"text/plain", "text/html"}


@pytest.mark.parametrize("draw", PICTURES)
def test_every_picture_says_what_is_forgotten(draw: Callable[[Recording], Picture]) -> None:
    """In words, and to be seen."""
    script = Script(max_events=1)
    chat(script)
    assert "4 older events were dropped." in draw(script).text
    assert "4 older events were dropped." in draw(script).svg


@pytest.mark.parametrize("draw", PICTURES)
def test_hostile_text_does_nothing(draw: Callable[[Recording], Picture]) -> None:
    """Whatever was sent, and whatever a thread or file is called."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    evil = "<script>alert(1)</script>\x1b[2J\u202e"
    thread, lock = script.thread(evil), script.lock()
    script.step(thread, "send", ann, data=evil.encode(), file=evil, function=evil)
    script.step(thread, "recv", there, data=evil.encode())
    script.step(thread, "recv", there, error=evil, detail=evil)
    script.take(thread, lock, file=evil)
    picture = draw(script)
    ET.fromstring(picture.svg)
    assert "<script" not in picture.svg
    assert not re.search("[\x1b\u202e]", picture.svg + picture.text)


def test_a_long_recording_makes_a_picture_of_bounded_size() -> None:
    """And says what it leaves out."""
    script = Script(max_events=100_000)
    _threads, ((ann, there), _ben) = chat(script)
    for _each in range(2_000):
        script.step("main", "send", ann, data=b"hello")
        script.step("main", "recv", there, data=b"hello")
    for draw in PICTURES:
        assert len(draw(script).svg) < 400_000
    assert "older rows are left out." in sequence(script).text


def test_a_picture_without_what_comes_later() -> None:
    """It is greyed out, and nothing moves."""
    picture = sequence(merged())
    first = next(event.number for event in merged().events if event.kind == "send")
    assert picture.at(first).shapes.count('class="later"') > 5
    assert picture.at(10**9).shapes == picture.shapes
    assert 'visibility:visible"' in timeline(merged()).at_time(3_000_000).shapes


def test_a_notebook_compares_no_numbers_of_events() -> None:
    """They change from run to run."""
    assert "data-n" not in sequence(merged())._repr_mimebundle_()["text/html"]


def test_a_picture_is_saved_as_svg(tmp_path: object) -> None:
    """With its colours."""
    sequence(merged()).save(f"{tmp_path}/picture.svg")
    with open(f"{tmp_path}/picture.svg", encoding="utf-8") as file:
        assert "prefers-color-scheme" in file.read()


SMALLEST = 14  # px, of lettering


@pytest.mark.parametrize("draw", PICTURES)
def test_a_picture_can_be_read_in_a_notebook(draw: Callable[[Recording], Picture]) -> None:
    """It fits beside the list of files; one that does not is scrolled, and not made smaller."""
    svg = draw(merged()).svg
    assert int(ET.fromstring(svg).attrib["width"]) <= WIDTH
    assert "max-width:none" in ET.fromstring(svg).attrib["style"]
    sizes = re.findall(r"font(?:-size)?:(\d+)px", svg)
    assert min(map(int, sizes)) >= SMALLEST
    assert "overflow-x:auto" in draw(merged())._repr_mimebundle_()["text/html"]


def test_five_lanes_fit_and_more_are_scrolled() -> None:
    """A lane is as wide as its name."""
    widths = []
    for size in (4, 9):
        script, _threads, _pairs = group(size)
        widths.append(int(ET.fromstring(sequence(script).svg).attrib["width"]))
    assert widths[0] <= WIDTH < widths[1]
