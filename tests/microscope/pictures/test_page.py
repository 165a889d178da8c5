"""The page: all pictures in one file."""

from __future__ import annotations

import re

from chatstages.microscope.pictures import page, save_page
from chatstages.microscope.pictures.page import MOST_STEPS, choose_steps
from tests.support.microscope.recordings import Script, chat, many_messages, merged


def test_the_slider_stops_at_the_newest_steps() -> None:
    """What is left out is the beginning."""
    script = many_messages(400)
    steps = choose_steps(script)
    assert (len(steps), steps[-1]) == (MOST_STEPS, script.events[-1])


def test_a_message_cannot_end_the_script_of_a_page() -> None:
    """The data of the page stand in a script; “</script>” in a message must not end it."""
    script = Script()
    _threads, ((ann, _there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"</script><script>alert(1)</script>")
    html = page(script)
    assert html.count("</script>") == 2
    assert html.count("<script") == 2 + html.count("<\\/script><script>alert")
    assert "<\\/script><script>alert" in html


def test_a_page_needs_no_network(tmp_path: object) -> None:
    """It has every picture, and no address but that of the SVG's vocabulary."""
    save_page(merged(), f"{tmp_path}/page.html")
    with open(f"{tmp_path}/page.html", encoding="utf-8") as file:
        html = file.read()
    assert html == page(merged())
    assert set(re.findall(r"https?://[\w./]+", html)) == {"http://www.w3.org/2000/svg"}
    assert html.count("<svg") >= 5
    assert html.count("</script>") == 2
