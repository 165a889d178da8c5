"""The notebooks as files: both languages alike, and fit to be committed; nbval runs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
LANGUAGE = re.compile(r'speak\("(zh_CN|en)"\)')  # the one cell in which the languages differ

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
    """The same structure, and the same code but for the name of the language."""
    english, chinese = read(path).cells, read(FOLDER / "zh" / path.name).cells
    assert [cell.cell_type for cell in english] == [cell.cell_type for cell in chinese]
    for ours, theirs in zip(english, chinese, strict=True):
        if ours.cell_type == "code":
            assert LANGUAGE.sub("", ours.source) == LANGUAGE.sub("", theirs.source)
        else:
            assert headings(ours.source) == headings(theirs.source)
        assert ours.metadata == theirs.metadata


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
    """At most 20 lines a cell; never more than three cells of code in a row."""
    notebook = read(path)
    assert all(len(cell.source.splitlines()) <= 20 for cell in code_cells(notebook))
    kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
    assert "cccc" not in kinds
    assert kinds.startswith("m")
