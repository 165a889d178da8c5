"""Questions with feedback: several answers to click on, and for each the reason why it is right or not.

The questions are in ``questions/en.toml`` and ``questions/zh_CN.toml``: they belong to the notebooks, and
like those they are written twice, not translated sentence by sentence.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets

from chatstages import i18n
from chatstages.lab.widgets import BORDER, FONT, as_html

FOLDER = Path(__file__).parent / "questions"
LETTERS = "ABCDE"
CODE = '<code style="font-size:.95em">'  # the page's own size would be smaller than the text around it


def ask(question: str) -> Question:
    """Return the question of that name, in the language in use. Raises KeyError when there is none."""
    return Question(read_questions(i18n.language())[question])


@cache
def read_questions(language: str) -> dict[str, Any]:
    """Return all questions in `language`, by their names."""
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


def marked_html(text: str) -> str:
    """Return `text` as HTML: it shows as it is, but what stands between backticks is set as code."""
    return re.sub(r"`([^`]+)`", rf"{CODE}\1</code>", as_html(text))


class Question(ipywidgets.VBox):  # type: ignore[misc]
    """A question, a button for each answer, and what is to be said of the answer that was clicked."""

    def __init__(self, question: dict[str, Any]) -> None:
        self._question = question["question"]
        self._answers = question["answers"]
        self._feedback = ipywidgets.HTML()
        self._buttons = []
        rows = []
        for letter, answer in zip(LETTERS, self._answers, strict=False):
            # The text stands beside the button, because a button cuts off what is longer than it is wide.
            button = ipywidgets.Button(
                description=letter, tooltip=answer["text"].replace("`", ""), layout={"width": "3em"}
            )
            button.on_click(self._on_click)
            self._buttons.append(button)
            text = ipywidgets.HTML(f'<div style="{FONT};line-height:1.5">{marked_html(answer["text"])}</div>')
            rows.append(ipywidgets.HBox([button, text], layout={"align_items": "center"}))
        text = f'<div style="font-weight:600;{FONT};line-height:1.4">{marked_html(self._question)}</div>'
        super().__init__([ipywidgets.HTML(text), *rows, self._feedback], layout={"margin": "4px 0 8px"})

    def __repr__(self) -> str:
        answers = (f"  {letter} {a['text']}" for letter, a in zip(LETTERS, self._answers, strict=False))
        return "\n".join([self._question, *answers]).replace("`", "")

    def _repr_mimebundle_(self, **options: object) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        bundle["text/plain"] = repr(self)  # ipywidgets would cut it after 110 characters
        return bundle

    def _on_click(self, button: ipywidgets.Button) -> None:
        answer = self._answers[self._buttons.index(button)]
        right = answer.get("right", False)
        for other in self._buttons:
            other.button_style = ""
        button.button_style = "success" if right else "warning"
        mark = "✔" if right else "✘"
        self._feedback.value = (
            f'<div role="status" style="padding:6px 10px;{BORDER};{FONT};line-height:1.5;max-width:46em">'
            f"{mark} {marked_html(answer['why'])}</div>"
        )
