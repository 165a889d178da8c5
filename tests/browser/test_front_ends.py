"""The lab in real front ends: JupyterLab and Notebook 7, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.browser.conftest import Page
from tests.support.corpus import CORPUS, HTML

Open = Callable[..., Page]

IMPORTS = "from chatstages.lab import *\nspeak('en')"


@pytest.mark.parametrize(
    ("front_end", "notebook"),
    [("lab", "04_broadcast.ipynb"), ("notebook", "zh/04_broadcast.ipynb")],
)
def test_run_all_works_twice(open_notebook: Open, front_end: str, notebook: str) -> None:
    """And no cell shows an error."""
    page = open_notebook(notebook)
    page.run_all()
    page.run_all()
    assert page.errors() == []
    page.picture(f"{front_end}-{notebook.replace('/', '-')}")


def test_people_chat(open_notebook: Open, front_end: str) -> None:
    """Typed in one and sent with Enter, or with the button, it is seen in the others."""
    page = open_notebook(
        "chat.ipynb", IMPORTS, "s = start(5)\na, b = join(s, 'Ann'), join(s, 'Ben')\nrow(s, a, b)"
    )
    page.run(0, 1)
    page.box("Ann").fill("Hello, Ben! 你好 😀")
    page.box("Ann").press("Enter")
    page.log(2).get_by_text("Ann：Hello, Ben! 你好 😀").wait_for()
    page.box("Ben").fill("Hello, Ann!")
    page.page.get_by_role("button", name="Send").nth(1).click()
    page.log(1).get_by_text("Ben：Hello, Ann!").wait_for()
    page.page.get_by_role("button", name="1 new").first.wait_for()
    page.picture(f"{front_end}-chat")
    assert page.box("Ann").input_value() == ""
    assert page.errors() == []


def test_a_script_runs_in_a_window(open_notebook: Open, front_end: str) -> None:
    """What is typed is its input, an empty line too; once it has ended, a button runs it again."""
    script = "%%writefile hello.py\nwhile name := input('Who? '):\n    print('Hello,', name)"
    page = open_notebook("script.ipynb", IMPORTS, script, "t = terminal('Eve', 'hello.py')\nrow(t)")
    page.run(0, 2)
    page.log(0).get_by_text("Who?").wait_for()
    page.box("Eve").fill("小明")
    page.box("Eve").press("Enter")
    page.log(0).get_by_text("Hello, 小明").wait_for()
    page.box("Eve").press("Enter")
    page.page.get_by_role("button", name="Run again").click()
    page.page.get_by_role("button", name="Ctrl-C").wait_for()
    page.picture(f"{front_end}-script")
    assert page.errors() == []


def test_a_keyboard_is_enough(open_notebook: Open) -> None:
    """Tab goes from the box to the buttons; Space presses them; leaving and coming back need no mouse."""
    page = open_notebook("keys.ipynb", IMPORTS, "s = start(4)\na = join(s, 'Ann')\nrow(s, a)")
    page.run(0, 1)
    keyboard = page.page.keyboard
    page.box("Ann").focus()
    keyboard.type("first")
    keyboard.press("Tab")
    keyboard.press("Space")  # Send
    page.log(1).get_by_text("first").wait_for()
    keyboard.press("Tab")
    keyboard.press("Space")  # Leave
    page.log(0).get_by_text("Ann left").wait_for()
    page.page.get_by_role("button", name="Join").wait_for()
    keyboard.press("Space")  # Join
    page.page.get_by_role("button", name="Leave").wait_for()
    page.box("Ann").focus()
    keyboard.type("back again")
    keyboard.press("Enter")
    page.log(1).get_by_text("back again").wait_for()
    assert page.errors() == []


def test_nothing_that_is_said_or_called_acts_on_the_page(open_notebook: Open) -> None:
    """Of a hostile text or name the page shows the letters, and gains no element."""
    page = open_notebook(
        "hostile.ipynb",
        IMPORTS,
        f"names, texts = {HTML!r}, {CORPUS!r}",
        "s = start(4)\na = join(s, 'Ann')\nclients = [join(s, n) for n in names]\nrow(s, a, *clients)",
        "for text in [*texts, 'the end']:\n    clients[0].say(text + '|')\na.wait_for('the end')",
    )
    page.run(0, 3)
    page.log(1).get_by_text("the end").wait_for()
    elements = page.page.evaluate(
        """() => [...document.querySelectorAll('.widget-html-content, .jp-RenderedHTML [role=log]')]
            .flatMap(place => [...place.querySelectorAll('*')]).map(element => element.tagName)"""
    )
    assert set(elements) <= {"DIV", "SPAN", "BR", "B", "I"}
    assert page.page.evaluate("window.hacked") is None
    shown = page.log(1).inner_text()
    assert "<script>window.hacked = 1</script>|" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert page.errors() == []


@pytest.mark.parametrize("front_end", ["lab"])
def test_forty_clients_stay_usable_while_hundreds_of_lines_arrive(
    open_notebook: Open, front_end: str
) -> None:
    """What is typed meanwhile is sent, no line is lost or overtaken, and older ones are counted."""
    page = open_notebook(
        "forty.ipynb",
        IMPORTS,
        "s = start(5)\nclients = [join(s, f'm{n}') for n in range(40)]\nrow(*clients)",
        "from threading import Event, Thread\n"
        "def chatter():\n"
        "    for number in range(900):\n"
        "        clients[1].say(f'line {number}')\n"
        "        Event().wait(1 / 300)\n"
        "thread = Thread(target=chatter)\n"
        "thread.start()",
        "thread.join()\n"
        "clients[39].wait_for('line 899')\n"
        "numbers = [int(l.split()[-1]) for l in clients[39].lines if 'line' in l]\n"
        "assert numbers == list(range(numbers[0], 900))",
    )
    page.run(0, 2)
    page.box("m0").fill("typed in between")
    page.box("m0").press("Enter")
    page.log(39).get_by_text("m0：typed in between").wait_for()
    page.picture(f"{front_end}-forty")
    page.run(3, 3)
    for client in (0, 39):
        page.log(client).get_by_text("m1：line 899").wait_for()
        assert re.search(r"\(\d+ older lines\)", page.log(client).inner_text())
    assert page.errors() == []


def test_a_question_answers(open_notebook: Open, front_end: str) -> None:
    """With the reason, whichever answer is clicked."""
    page = open_notebook("question.ipynb", IMPORTS, "ask('who_receives')")
    page.run(0, 1)
    page.page.locator("button[title='Ben and Eve']").click()
    page.page.get_by_role("status").get_by_text("✘").wait_for()
    page.page.locator("button[title='Ann, Ben and Eve']").click()
    page.page.get_by_role("status").get_by_text("✔").wait_for()
    page.picture(f"{front_end}-question")


@pytest.mark.parametrize("front_end", ["lab"])
@pytest.mark.parametrize(("windows", "lines"), [("s, a, b", [3]), ("a, b, c", [3]), ("s, a, b, c", [2, 2])])
def test_no_window_stands_alone_on_a_small_screen(
    open_notebook: Open, front_end: str, windows: str, lines: list[int]
) -> None:
    """At 1280 × 720, with the file browser open; and each has a box in which one can type."""
    page = open_notebook(
        f"row{len(windows)}.ipynb",
        IMPORTS,
        f"s = start(5)\na, b, c = (join(s, n) for n in ('Ann', 'Ben', 'Eve'))\nrow({windows})",
    )
    page.page.set_viewport_size({"width": 1280, "height": 720})
    page.run(0, 1)
    page.box("Ann").wait_for()
    logs = [page.log(number).bounding_box() for number in range(sum(lines))]
    lefts = [round(log["x"]) for log in logs]
    assert [lefts.count(left) for left in sorted(set(lefts))] == [len(lines)] * lines[0]
    assert all(page.box(name).bounding_box()["width"] > 100 for name in ("Ann", "Ben"))
    page.picture(f"{front_end}-row-{len(windows)}")
