"""The scripts are short, narrow, plain, and in both languages the same."""

from __future__ import annotations

import ast
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.examples.program import CLIENTS, FOLDERS, SERVERS, stage_of

SCRIPTS = [(lang, script) for lang in FOLDERS for script in SERVERS + CLIENTS]
LINES = {1: 25, 2: 25, 3: 25, 4: 40, 5: 95}  # at most, by stage; comments count, empty lines do not
COLUMNS = 88
every_script = pytest.mark.parametrize(("lang", "script"), SCRIPTS)


def read(lang: str, script: str) -> str:
    """Return the text of a script."""
    return (FOLDERS[lang] / script).read_text(encoding="utf-8")


def columns(line: str) -> int:
    """Return how wide a line is on a screen: a Chinese character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


class Blank(ast.NodeTransformer):
    """Empties the strings of a program."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Empty a string; leave numbers and bytes as they are."""
        return ast.Constant("") if isinstance(node.value, str) else node


@pytest.mark.parametrize("lang", FOLDERS)
def test_nothing_else_lies_in_the_folders(lang: str) -> None:
    """Each of the scripts here is tested."""
    assert {path.name for path in FOLDERS[lang].glob("*.py")} == set(SERVERS + CLIENTS)


@every_script
def test_a_script_can_be_typed(lang: str, script: str) -> None:
    """It has at least 8 lines, and not too many."""
    lines = [line for line in read(lang, script).splitlines() if line.strip()]
    assert 8 <= len(lines) <= LINES[stage_of(script)]


@every_script
def test_no_line_wraps_in_a_notebook(lang: str, script: str) -> None:
    """No line is wider than 88 columns."""
    assert max(map(columns, read(lang, script).splitlines())) <= COLUMNS


@every_script
def test_a_script_needs_python_and_nothing_else(lang: str, script: str) -> None:
    """It imports the standard library only."""
    tree = ast.parse(read(lang, script))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names - {"__future__"}


@every_script
def test_a_main_guard_stands_where_functions_are(lang: str, script: str) -> None:
    """A flat script has none."""
    text = read(lang, script)
    assert ('if __name__ == "__main__":' in text) == ("\ndef " in text)


@pytest.mark.parametrize("script", SERVERS + CLIENTS)
def test_both_languages_run_the_same_code(script: str) -> None:
    """They differ in comments and in strings alone."""
    english, chinese = (ast.dump(Blank().visit(ast.parse(read(lang, script)))) for lang in FOLDERS)
    assert english == chinese


@pytest.mark.parametrize("script", SERVERS + CLIENTS)
def test_a_chinese_script_speaks_chinese(script: str) -> None:
    """Each of its comments, and each string that is shown."""
    for line in read("zh", script).splitlines():
        _code, mark, comment = line.partition("# ")
        shown = [s for s in strings(line) if len(s) > 1 and s not in ("127.0.0.1", "__main__", "win32")]
        for text in ([comment] if mark else []) + [s for s in shown if s not in ("replace", "exit")]:
            assert any("\u4e00" <= character <= "\u9fff" for character in text), line


def strings(line: str) -> list[str]:
    """Return the strings of more than one word in a line of code, where it can be read by itself."""
    try:
        tree = ast.parse(line.strip())
    except SyntaxError:
        return []
    return [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


@pytest.mark.parametrize("lang", FOLDERS)
def test_the_readme_names_each_script(lang: str) -> None:
    """And each stage's port."""
    text = (Path(FOLDERS[lang]) / "README.md").read_text(encoding="utf-8")
    assert all(script in text for script in SERVERS + CLIENTS)
    assert all(str(30_000 + stage) in text for stage in LINES)
