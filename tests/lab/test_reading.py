"""Sources, and two of them side by side: what is shown, without a browser."""

from __future__ import annotations

import ast
import re
from html import unescape
from pathlib import Path

from chatstages import i18n, stage1_oneshot, stage2_session, stage3_threads
from chatstages.lab import compare, source
from chatstages.lab.comparison import LINE, Pair, draw, pairs


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
