"""Sources side by side, and questions: what is shown, without a browser."""

from __future__ import annotations

import ast
import itertools
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatstages import i18n, stage1_oneshot, stage2_session, stage3_threads
from chatstages.lab import ask, compare, source
from chatstages.lab import painter as painter_module
from chatstages.lab.comparison import LINE, Pair, draw, pairs
from chatstages.lab.painter import Painter
from chatstages.lab.quiz import read_questions
from tests.support import ROOT, Recorder

QUESTIONS = list(read_questions("en"))


def text_of(html: str) -> str:
    """Return what a page shows of `html`."""
    return unescape(re.sub("<[^>]*>", "", html))


def test_a_source_is_shown_as_it_is() -> None:
    """In the colours of the page's editor, and as text; its lines do not wrap."""
    shown = source(stage1_oneshot.serve)._repr_mimebundle_()
    assert shown["text/plain"].startswith("def serve(")
    assert text_of(shown["text/html"]).rstrip() == shown["text/plain"]
    assert "white-space:pre;" in shown["text/html"]
    assert '--jp-mirror-editor-keyword-color)">def</span>' in shown["text/html"]


def test_a_script_is_shown_whole(tmp_path: Path) -> None:
    """By its path, as text or as a Path, with all of its comments."""
    script = tmp_path / "mine.py"
    script.write_text('"""Mine."""\n\nprint("好")  # a < b\n', encoding="utf-8")
    assert repr(source(script)) == repr(source(str(script))) == script.read_text(encoding="utf-8").rstrip()


def test_a_script_is_compared_with_a_function(tmp_path: Path) -> None:
    """Each under its own name."""
    script = tmp_path / "mine.py"
    script.write_text("def handle_one(server, on_event):\n    pass\n", encoding="utf-8")
    lines = repr(compare(script, stage1_oneshot.handle_one)).splitlines()
    assert lines[:2] == [f"--- {script}", "+++ stage1_oneshot.handle_one"]
    assert "-    pass" in lines


def test_chinese_readers_see_chinese() -> None:
    """In a source, and on both sides of a comparison."""
    i18n.use("zh_CN")
    assert '"""接受一个客户端，接收一条消息。"""' in repr(source(stage1_oneshot.handle_one))
    shown = repr(compare(stage1_oneshot.handle_one, stage2_session.handle_one))
    assert '-    """接受一个客户端，接收一条消息。"""' in shown
    assert '+    """接受一个客户端，为它服务。"""' in shown


def test_a_module_is_shown_without_its_docstring() -> None:
    """Which is for reading before, not between."""
    text = repr(source(stage2_session))
    assert text.startswith("import socket")
    assert text.rstrip().endswith("connect = Client")
    ast.parse(text)


def test_two_sources_stand_side_by_side() -> None:
    """What is the same is folded, what differs is marked; text that looks like HTML is no HTML."""
    shown = compare(stage2_session, stage3_threads)._repr_mimebundle_()
    assert "+from threading import Thread" in shown["text/plain"].splitlines()
    assert "lines alike" in shown["text/html"]
    assert "-&gt; None:" in shown["text/html"]
    left, right = shown["text/html"].split("</pre>")[:2]
    assert left.count(f'<div style="{LINE}') == right.count(f'<div style="{LINE}') > 10
    assert "+ from threading import Thread" in text_of(right)


def test_every_line_is_in_a_comparison_once() -> None:
    """Folded ones are counted."""
    before, after = list("abcdefghijklmnop"), list("abXcdefghijklmnoYZ")
    rows = list(pairs(before, after))
    folded = sum(row.folded for row in rows)
    assert sum(row.left is not None for row in rows) + folded == len(before)
    assert sum(row.right is not None for row in rows) + folded == len(after)
    assert folded > 0
    assert [row.right for row in rows if row.differs] == ["X", "Y", "Z"]


def test_similar_lines_stand_side_by_side() -> None:
    """What is between them stands before or after, opposite nothing of its kind."""
    before = ["data = conn.recv(10)", "text = data.decode()"]
    comment = "  # a comment, however long it is, does not make them two lines that differ"
    after = ["decoder = Decoder()", "data = conn.recv(65535)", "text = decoder.decode(data)" + comment]
    assert [(row.left, row.right) for row in pairs(before, after)] == [
        (None, after[0]),
        (before[0], after[1]),
        (before[1], after[2]),
    ]


def test_only_the_words_that_differ_are_marked() -> None:
    """Within a line; the rest of it is shaded, behind a sign."""
    left, right = draw(Pair("data = conn.recv(10)", "data = conn.recv(65535)", differs=True))
    assert re.findall("<del.*?>(.*?)</del>", left) == ["10"]
    assert re.findall("<ins.*?>(.*?)</ins>", right) == ["65535"]
    assert (text_of(left), text_of(right)) == ("− data = conn.recv(10)", "+ data = conn.recv(65535)")


def test_lines_that_have_little_in_common_are_marked_as_a_whole() -> None:
    """To mark every second word would say less."""
    left, right = draw(Pair("import socket", "while True:", differs=True))
    assert "<del" not in left + right


def test_both_languages_have_the_same_questions() -> None:
    """With the same answers right, one of them for each."""
    english, chinese = read_questions("en"), read_questions("zh_CN")
    assert list(english) == list(chinese)
    for name in english:
        right = [answer.get("right", False) for answer in english[name]["answers"]]
        assert right == [answer.get("right", False) for answer in chinese[name]["answers"]], name
        assert right.count(True) == 1
        assert len(right) >= 3


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_says_why(name: str, language: str) -> None:
    """Right or wrong, when it is clicked."""
    i18n.use(language)
    question = ask(name)
    for button, answer in zip(question._buttons, question._answers, strict=True):
        button.click()
        assert answer["why"][:10] in question._feedback.value.replace("&#x27;", "'")
        assert ("✔" in question._feedback.value) == answer.get("right", False)
    assert question._repr_mimebundle_()["text/plain"] == repr(question)
    assert len(repr(question).splitlines()) == 1 + len(question._answers)


def test_every_question_is_asked_in_a_notebook() -> None:
    """And each of the notebooks of the stages asks at least three."""
    asked = {}
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        text = path.read_text(encoding="utf-8")
        asked[path.name] = [name for name in QUESTIONS if f'ask(\\"{name}\\")' in text]
    assert sorted(itertools.chain(*asked.values())) == sorted(QUESTIONS)
    assert all(len(names) >= 3 for names in asked.values()), asked


def test_the_painter_draws_what_has_changed_and_rests() -> None:
    """A thousand changes are few pictures, and the last one shows them all."""
    told, drawn = Recorder(), []

    class Widget:
        changes = 0

        def draw(self) -> int:
            drawn.append(self.changes)
            with told._changed:
                told._changed.notify_all()
            return 10

    widget, painter = Widget(), Painter()
    for _ in range(1_000):
        widget.changes += 1
        painter.draw_soon(widget)
    told.until(lambda: bool(drawn) and drawn[-1] == 1_000, "the last picture")
    assert len(drawn) < 100


def test_the_painter_rests_longer_the_more_it_has_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page takes so many characters a second, all widgets together."""
    pauses: list[float] = []

    class Pause:
        def wait(self, seconds: float) -> None:
            pauses.append(seconds)

    class Widget:
        def draw(self) -> int:
            return painter_module.RATE // 4

    painter = Painter()
    painter._changed = {Widget(): None, Widget(): None}
    monkeypatch.setattr(painter_module, "threading", SimpleNamespace(Event=Pause))
    painter._work()
    assert pauses == [painter_module.PAUSE, 0.5]
