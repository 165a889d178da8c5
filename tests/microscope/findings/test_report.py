"""The report of all findings, as text and as HTML."""

from __future__ import annotations

from pathlib import Path

from chatstages import i18n
from chatstages.microscope.findings import explain
from tests.support.microscope.recordings import Script, calm, chat, crossed, frozen, merged


def test_nothing_is_suspicious_in_a_calm_conversation() -> None:
    """So nothing is named."""
    explanation = explain(calm())
    assert not explanation
    assert repr(explanation) == "Nothing suspicious."


def test_findings_of_one_kind_are_said_once() -> None:
    """With how many there are."""
    assert repr(explain(merged())).count("⚠") == 3
    assert "(And 1 more like it.)" in repr(explain(merged()))


def test_what_is_forgotten_is_said() -> None:
    """A finding may be missing."""
    script = Script(max_events=1)
    chat(script)
    assert "4 older events were dropped." in repr(explain(script))


def test_hostile_text_does_nothing() -> None:
    """It is escaped in HTML, and cannot move a cursor."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for text in (b"<script>", b"\x1b[2J"):
        script.step("main", "send", ann, data=text)
    script.step(one, "recv", there, data=b"<script>\x1b[2J")
    bundle = explain(script)._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"]


def test_the_line_of_code_in_an_explanation_is_escaped(tmp_path: Path) -> None:
    """A program's comment is text, not HTML."""
    (tmp_path / "chat.py").write_text("sock.send(b'')  # <b>nothing</b>\n")
    script = Script()
    _threads, ((ann, _there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"", file=str(tmp_path / "chat.py"), line=1)
    html = explain(script)._repr_mimebundle_()["text/html"]
    assert "# &lt;b&gt;nothing&lt;/b&gt;" in html
    assert "<b>nothing" not in html


def test_every_sentence_can_be_said_in_both_languages() -> None:
    """No name in it is missing from what is filled in."""
    for language in i18n.LANGUAGES:
        i18n.use(language)
        for script in (merged(), crossed(), frozen()):
            assert repr(explain(script)).startswith("⚠")
