"""Questions, without a browser."""

from __future__ import annotations

import itertools
import re
from html import unescape
from typing import Any

import pytest

from chatstages import i18n
from chatstages.i18n import LANGUAGES
from chatstages.lab import ask
from chatstages.lab.quiz import Question, read_questions
from tests.support import ROOT

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


@pytest.mark.parametrize(("language", "name"), EVERY)
def test_every_answer_says_why(language: str, name: str) -> None:
    """Right or wrong, when it is clicked."""
    i18n.use(language)
    question = ask(name)
    for button, answer in zip(question._buttons, question._answers, strict=True):
        button.click()
        shown = unescape(re.sub(r"<[^>]*>", "", question._feedback.value))
        assert answer["why"].replace("`", "") in shown
        assert ("✔" in shown) == answer.get("right", False)
    assert question._repr_mimebundle_()["text/plain"] == repr(question)
    assert len(repr(question).splitlines()) == 1 + len(question._answers)


def test_every_question_is_asked_in_a_notebook() -> None:
    """And each of the notebooks asks at least three."""
    asked = {}
    questions = list(read_questions("en"))
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        text = path.read_text(encoding="utf-8")
        asked[path.name] = [name for name in questions if f'ask(\\"{name}\\")' in text]
    assert sorted(itertools.chain(*asked.values())) == sorted(questions)
    assert all(len(names) >= 3 for names in asked.values()), asked
