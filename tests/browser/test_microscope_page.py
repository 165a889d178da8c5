"""The pictures of a recording in a real browser: each by itself, all on one page, and in a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from chatstages.i18n import LANGUAGES, use
from chatstages.microscope.pictures import board, save_page, sequence, timeline, wire
from chatstages.microscope.pictures.style import Picture
from tests.browser.conftest import Page
from tests.support.microscope.recordings import calm, crossed, frozen, merged


def test_the_slider_moves_all_pictures(browser: Any, tmp_path: Path) -> None:
    """Without an error, and without asking anybody for anything."""
    save_page(merged(), tmp_path / "page.html")
    page = browser.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "page.html").as_uri())
    later = page.locator("#sequence .later, #wire .later")
    assert later.count() == 0  # it opens at the end
    page.evaluate("go(6)")
    assert later.count() > 5
    assert "send socket 2" in page.locator("#said").inner_text()
    assert "2 bytes for socket 3" in page.locator("#board").inner_text()
    page.click("#closer")
    assert page.locator("#timeline .cursor").evaluate("line => line.style.visibility") == "visible"
    page.click("#play")
    page.wait_for_function("Number(slider.value) > 7")
    assert errors == []
    assert len(asked) == 1
    page.close()


PICTURES: dict[str, Callable[[], Picture]] = {
    "sequence": lambda: sequence(merged()),
    "endpoints": lambda: sequence(calm(), lanes="endpoints"),
    "timeline": lambda: timeline(crossed()),
    "board": lambda: board(frozen()),
    "wire": lambda: wire(merged(), "socket 2"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_can_be_read(name: str, language: str, browser: Any, tmp_path: Path) -> None:
    """By day and by night: every word stands inside, and none upon another."""
    use(language)
    picture = PICTURES[name]()
    shots = []
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1300, "height": 1000}, color_scheme=scheme)
        page.set_content(f"<body>{picture._repr_mimebundle_()['text/html']}</body>")
        folder = Path(os.environ.get("CHATSTAGES_PICTURES", tmp_path))
        folder.mkdir(parents=True, exist_ok=True)
        shots.append(page.screenshot(path=folder / f"{name}-{language}-{scheme}.png"))
        boxes = page.evaluate(
            """() => [...document.querySelectorAll('svg text')]
                .filter(text => getComputedStyle(text).visibility === 'visible' && text.textContent.trim())
                .map(text => { const box = text.getBoundingClientRect();
                               return [box.left, box.top, box.right, box.bottom, text.textContent] })"""
        )
        left, top, right, bottom = page.evaluate(
            """() => { const box = document.querySelector('svg').getBoundingClientRect();
                       return [box.left, box.top, box.right, box.bottom] }"""
        )
        assert boxes
        for box in boxes:
            assert left <= box[0] < box[2] <= right + 1, box
            assert top <= box[1] < box[3] <= bottom + 1, box
        assert [pair for pair in combinations(boxes, 2) if overlap(*pair)] == []
        page.close()
    assert shots[0] != shots[1]


def overlap(one: list[float], two: list[float]) -> bool:
    """Tell whether two texts stand upon each other: by more than the room that letters leave."""
    across = min(one[2], two[2]) - max(one[0], two[0])
    down = min(one[3], two[3]) - max(one[1], two[1])
    return across > 2 and down > 0.4 * min(one[3] - one[1], two[3] - two[1])


IN_A_NOTEBOOK = """
import socket, threading
from chatstages.lab.board import Board, player
from chatstages.lab.microscope import microscope
watching = microscope()
scope = watching.__enter__()
lock = threading.Lock()
lock.acquire()
thread = threading.Thread(target=lambda: lock.acquire() and lock.release())
thread.start()
board = Board(scope.recording)
board
"""


def test_a_live_board_and_a_recording_to_play(open_notebook: Callable[..., Page], front_end: str) -> None:
    """The board shows why a thread waits, and then that it waits no more; the slider moves the pictures."""
    page = open_notebook(
        "board.ipynb",
        IN_A_NOTEBOOK,
        "here, there = socket.socketpair()\nhere.send(b'hello')\nlock.release()\nthread.join()",
        "board.stop()\nthere.recv(9)\nhere.close()\nthere.close()\nwatching.__exit__(None, None, None)",
        "from chatstages.lab import speak\nspeak('en')\nplayer(scope.recording)",
    )
    page.run(0, 0)
    page.page.locator("svg text", has_text="waits for lock 1").wait_for()
    page.run(1, 1)
    page.page.locator("svg text", has_text="in flight: 5 bytes for socket 2").wait_for()
    assert page.page.locator("svg text", has_text="waits for lock 1").count() == 0
    page.picture(f"{front_end}-board")
    page.run(2, 3)
    slider = page.page.locator(".jp-OutputArea .noUi-target").last
    width = slider.bounding_box()["width"]
    slider.click(position={"x": width - 2, "y": 2})
    page.page.get_by_text("this notebook: close socket 2").locator("visible=true").first.wait_for()
    page.page.get_by_role("tab", name="Wire").click()
    page.page.locator("svg text", has_text="68").locator("visible=true").first.wait_for()
    page.picture(f"{front_end}-player")
    assert page.errors() == []
