"""What a Chinese reader sees in place of the docstrings and comments: the same code, in Chinese."""

from __future__ import annotations

import ast
import gettext
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po

from chatstages import i18n
from chatstages.i18n.sources import translate, translated
from chatstages.text import columns
from tests.support import ROOT

PACKAGE = ROOT / "chatstages"
PATTERNS = ["stage*.py", "stage5_pool/*.py", "faults/*.py", "bench/asyncio_room.py", "protocol/framing.py"]
LEARNERS_READ = sorted(path for pattern in PATTERNS for path in PACKAGE.glob(pattern))
every_file = pytest.mark.parametrize("path", LEARNERS_READ, ids=lambda path: path.stem)
TEXTS = {"One.": "一。", "two three": "二三", "four": "四" * 40, "Five.": "五。\n\n六。"}


def code(source: str) -> str:
    """Return what Python reads in `source`, without the docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
    return ast.dump(tree)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the messages that `make translations` finds."""
    pot = tmp_path_factory.mktemp("extracted") / "sources.pot"
    options = ["--quiet", "extract", "-F", str(ROOT / "pyproject.toml"), "-o", str(pot), str(PACKAGE)]
    CommandLineInterface().run(["pybabel", *options])  # type: ignore[no-untyped-call]
    with pot.open("rb") as file:
        return {str(message.id) for message in read_po(file) if message.id}


def test_every_docstring_and_comment_has_its_chinese(extracted: set[str]) -> None:
    """`make translations` shows which are new; nothing that is no longer there is kept."""
    with (PACKAGE / "i18n/zh_CN/LC_MESSAGES/sources.po").open("rb") as file:
        kept = {str(message.id): message for message in read_po(file, locale="zh_CN") if message.id}
    assert set(kept) == extracted
    assert [english for english, message in kept.items() if not message.string or message.fuzzy] == []
    assert len(kept) > 200


@every_file
def test_the_code_is_the_same_in_chinese(path: Path) -> None:
    """Python reads the same; and no line is wider than the widest of the original."""
    i18n.use("zh_CN")
    source = path.read_text(encoding="utf-8")
    chinese = translated(source)
    assert chinese != source
    assert code(chinese) == code(source)
    widest = max(88, *map(columns, source.splitlines()))
    assert [line for line in chinese.splitlines() if columns(line) > widest] == []


@every_file
def test_in_english_the_code_is_as_it_is(path: Path) -> None:
    """To the last character."""
    source = path.read_text(encoding="utf-8")
    i18n.use("en")
    assert translated(source) == source


@every_file
def test_nothing_of_the_english_is_left(path: Path) -> None:
    """A file that is translated whole has no comment that was overlooked."""
    catalogue = gettext.translation("sources", i18n.CATALOGUES, ["zh_CN"])
    asked: list[str] = []
    translate(path.read_text(encoding="utf-8"), lambda text: asked.append(text) or text)  # type: ignore[func-returns-value]
    missing = [text for text in asked if catalogue.gettext(text) == text]
    assert missing == [] or path.stem == "framing"  # of that, two classes alone


def test_a_docstring_keeps_its_indentation() -> None:
    """One of several lines has its closing quotes on a line of their own."""
    source = 'def f():\n    """One."""\n\n    def g():\n        """Five."""\n'
    assert translate(source, lambda text: TEXTS[text]).splitlines() == [
        "def f():",
        '    """一。"""',
        "",
        "    def g():",
        '        """五。',
        "",
        "        六。",
        '        """',
    ]


def test_comment_lines_that_follow_each_other_are_one_message() -> None:
    """And a comment behind code is one of its own."""
    source = "if x:  # four\n    # two\n    # three\n    y = 1  # two three\n"
    chinese = translate(source, lambda text: {"four": "四", "two three": "二三"}[text])
    assert chinese == "if x:  # 四\n    # 二三\n    y = 1  # 二三\n"


def test_a_comment_that_grows_too_long_goes_above_its_line() -> None:
    """A Chinese character takes two columns."""
    source = "if x:\n    y = 1  # four\n"
    assert translate(source, lambda text: TEXTS[text]) == f"if x:\n    # {'四' * 40}\n    y = 1\n"


def test_a_method_alone_is_translated() -> None:
    """As `inspect` gives it, indented."""
    assert (
        translate('    def f():\n        """One."""\n', TEXTS.__getitem__)
        == '    def f():\n        """一。"""\n'
    )


def test_a_string_that_is_no_docstring_stays() -> None:
    """And so does a number sign in it."""
    source = 'x = """One."""\ny = "# four"\n'
    assert translate(source, TEXTS.__getitem__) == source


def test_who_does_not_read_sources_does_not_load_the_translator() -> None:
    """To import a stage stays light."""
    code = "import sys, chatstages.stage4_broadcast; sys.exit('chatstages.i18n.sources' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
