"""The page with all pictures of a recording, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatstages.microscope.pictures import save_page
from tests.scripted import merged


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
