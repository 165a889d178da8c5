"""Questions, without a browser."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chatstages.i18n import LANGUAGES
from chatstages.lab import ask
from chatstages.lab.quiz import Question, read_questions

EVERY = [(language, name) for language in LANGUAGES for name in read_questions(language)]


def shown(question: Question) -> str:
    """Return all HTML that the page shows."""
    rows = [child for child in question.children if hasattr(child, "children")]
    parts = [*question.children, *(part for row in rows for part in row.children)]
    html = "\n".join(part.value for part in parts if hasattr(part, "value"))
    return re.sub(' style="[^"]*"', "", html)


def texts(question: dict[str, Any]) -> list[str]:
    """Return all that a person reads of a question."""
    return [question["question"], *(answer[key] for answer in question["answers"] for key in ("text", "why"))]


def test_both_languages_have_the_same_questions() -> None:
    """In the same order, with the right answer in the same place."""
    english, chinese = (
        [
            (name, [answer.get("right", False) for answer in question["answers"]])
            for name, question in all_.items()
        ]
        for all_ in map(read_questions, ("en", "zh_CN"))
    )
    assert english == chinese
    assert all(rights.count(True) == 1 for _name, rights in english)


@pytest.mark.parametrize(("language", "name"), EVERY)
def test_backticks_come_in_pairs(language: str, name: str) -> None:
    """So that what stands between them is shown as code, and none is left over."""
    assert all(text.count("`") % 2 == 0 for text in texts(read_questions(language)[name]))


def test_code_is_set_as_code_and_everything_else_as_it_is() -> None:
    """The escaping comes first: no answer can bring in an element."""
    answer = {"text": "`<b>` & <i>", "why": "see `x < y`", "right": True}
    question = Question({"question": "What is `a & b`?", "answers": [answer]})
    question._buttons[0].click()
    html = shown(question)
    assert "What is <code>a &amp; b</code>?" in html
    assert "<code>&lt;b&gt;</code> &amp; &lt;i&gt;" in html
    assert "✔ see <code>x &lt; y</code>" in html
    assert question._buttons[0].tooltip == "<b> & <i>"
    assert repr(question) == "What is a & b?\n  A <b> & <i>"


def test_every_answer_says_why() -> None:
    """Right or wrong."""
    question = ask("who_receives")
    for button in question._buttons:
        button.click()
        assert re.search("[✔✘] .{20}", question._feedback.value)
