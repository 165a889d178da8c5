"""The notebooks as files: both languages alike, and fit to be committed; nbval runs them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient

from tests.support import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
WIDTH = 88  # characters of a line: more would wrap
LESSON = 45  # minutes
LANGUAGE = re.compile(r'speak\("(zh_CN|en)"\)')

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.relative_to(FOLDER).as_posix())


def read(path: Path) -> Any:
    """Return the notebook at `path`."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    """Return the cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks_in_both_languages() -> None:
    """The same names."""
    english = {path.name for path in FOLDER.glob("*.ipynb")}
    assert "04_broadcast.ipynb" in english
    assert {path.name for path in (FOLDER / "zh").glob("*.ipynb")} == english


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: str(p.name))
def test_the_languages_have_the_same_cells(path: Path) -> None:
    """The same structure, and the same code but for what people read: strings and comments."""
    english, chinese = read(path).cells, read(FOLDER / "zh" / path.name).cells
    assert [cell.cell_type for cell in english] == [cell.cell_type for cell in chinese]
    for ours, theirs in zip(english, chinese, strict=True):
        if ours.cell_type == "code":
            assert without_words(ours.source) == without_words(theirs.source)
        else:
            assert headings(ours.source) == headings(theirs.source)
        assert ours.metadata == theirs.metadata


def without_words(code: str) -> str:
    """Return `code` as a tree in which every string is empty; of a script, its name."""
    magic, code = re.match(r"((?:%%[^\n]*\n)?)(.*)", code, re.DOTALL).groups()  # type: ignore[union-attr]
    if magic.startswith("%%writefile"):
        return magic
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            node.value = ""
        for name, field in ast.iter_fields(node):
            if isinstance(node, ast.JoinedStr) and name == "values":
                node.values = [each for each in field if isinstance(each, ast.FormattedValue)]
    return magic + ast.unparse(tree)


def headings(markdown: str) -> list[int]:
    """Return the levels of the headings."""
    return [len(marks) for marks in re.findall(r"^(#+) ", markdown, re.MULTILINE)]


@every_notebook
def test_a_notebook_is_valid(path: Path) -> None:
    """By the format's own rules."""
    nbformat.validate(read(path))


@every_notebook
def test_every_cell_was_run_in_order(path: Path) -> None:
    """So what is saved is what a reader gets."""
    cells = [cell for cell in code_cells(read(path)) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_notebook
def test_nothing_of_one_machine_is_saved(path: Path) -> None:
    """No state of widgets (GitHub refuses it), no path, no address, no error, no time."""
    notebook = read(path)
    assert "widgets" not in notebook.metadata
    assert not [cell for cell in code_cells(notebook) if "execution" in cell.metadata]
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    saved = "\n".join(map(str, outputs))
    saved = saved.replace("http://www.w3.org/2000/svg", "")  # no address, but what SVG is called
    assert not re.search(r"(?<!<)/\w[\w.-]*/|[A-Z]:\\\\|0x[0-9a-f]{6}", saved)  # any absolute path


@every_notebook
def test_the_language_is_the_folders(path: Path) -> None:
    """The first cell with code sets it."""
    found = LANGUAGE.findall(code_cells(read(path))[0].source)
    assert found == ["zh_CN" if path.parent.name == "zh" else "en"]


@every_notebook
def test_the_last_cell_stops_everything(path: Path) -> None:
    """And fails if a thread has failed."""
    assert code_cells(read(path))[-1].source.strip() == "finish()"


@every_notebook
def test_cells_are_short_and_explained(path: Path) -> None:
    """At most 20 lines a cell but for whole scripts; never more than three cells of code in a row."""
    notebook = read(path)
    cells = [cell.source for cell in code_cells(notebook)]
    assert all(len(cell.splitlines()) <= 20 for cell in cells if not cell.startswith("%%writefile"))
    assert max(len(line) for cell in cells for line in cell.splitlines()) <= WIDTH
    kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
    assert "cccc" not in kinds
    assert kinds.startswith("m")


@every_notebook
def test_a_script_is_the_one_of_the_examples(path: Path) -> None:
    """So it is tested there; in the notebook's language."""
    examples = ROOT / "examples" / path.parent.relative_to(FOLDER)
    for cell in code_cells(read(path)):
        if match := re.match(r"%%writefile (\w+\.py)\n", cell.source):
            assert cell.source[match.end() :] + "\n" == (examples / match[1]).read_text(encoding="utf-8")


def test_every_script_of_the_examples_is_in_a_notebook() -> None:
    """Whoever works through the notebooks has written all of them."""
    for language in ("", "zh"):
        cells = [
            cell.source for path in (FOLDER / language).glob("*.ipynb") for cell in code_cells(read(path))
        ]
        written = {match[1] for cell in cells if (match := re.match(r"%%writefile (\w+\.py)\n", cell))}
        assert written == {path.name for path in (ROOT / "examples" / language).glob("*.py")}


@every_notebook
def test_every_section_has_its_minutes(path: Path) -> None:
    """In the metadata of the cell that begins with its heading; but for those at home, one lesson at most."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "markdown"]
    sections = [cell for cell in cells if re.search(r"^## ", cell.source, re.MULTILINE)]
    assert all(cell.source.startswith("## ") for cell in sections)
    assert all(headings(cell.source).count(2) == 1 for cell in sections)
    facts = [cell.metadata["chatstages"] for cell in sections]
    assert all(isinstance(section["minutes"], int) and section["minutes"] > 0 for section in facts)
    assert sum(section["minutes"] for section in facts if not section.get("at_home")) <= LESSON
    at_home = [cell.source.startswith(("## At home", "## 回家再看")) for cell in sections]
    assert at_home == [section.get("at_home", False) for section in facts]


@every_notebook
def test_a_notebook_says_what_to_do(path: Path) -> None:
    """When one is lost, where the words are, and what one can now build."""
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    lost, now = (
        ("**跟不上了？**", "**现在你能") if path.parent.name == "zh" else ("**Lost?**", "**You can now")
    )
    for needed in (lost, now, "(glossary.md)"):
        assert needed in text


@every_notebook
def test_chinese_is_emphasized_in_bold(path: Path) -> None:
    """Slanted characters are hard to read."""
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```|`[^`]*`|^\s*\* ", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            assert not re.findall(r"(?<!\*)\*(?!\*)[^*\n]*[\u4e00-\u9fff][^*\n]*(?<!\*)\*(?!\*)", text)


@pytest.fixture(scope="module")
def loop() -> None:
    """Let Jupyter make its event loop, which it keeps, before a test is asked what it leaves behind."""
    ensure_event_loop()


@pytest.mark.usefixtures("loop")
@pytest.mark.soak
@every_notebook
def test_every_cell_can_be_run_again(path: Path, tmp_path: Path) -> None:
    """At once, and all of them in a second round."""
    client = NotebookClient(read(path), timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    cells = list(enumerate(client.nb.cells))
    for again in ([cell for cell in cells for _each in range(2)], cells * 2):
        with client.setup_kernel():
            for number, cell in again:
                client.execute_cell(cell, number)  # raises what the cell raises
