"""How places are written."""

from __future__ import annotations

import linecache
import sys
from types import SimpleNamespace

import pytest

from chatstages.microscope.findings.wording import listed, location, place
from chatstages.microscope.model.naming import is_cell

CELL = "/tmp/ipykernel_1/2.py"


@pytest.fixture
def _cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a cell, as IPython keeps it."""
    lines = ["conn.recv(65535)  # all of it\n", 'print("# no comment")\n']
    monkeypatch.setitem(linecache.cache, CELL, (len("".join(lines)), None, lines, CELL))


@pytest.mark.usefixtures("_cell")
def test_a_line_of_a_cell_is_its_code() -> None:
    """Many cells have a line 1. Where the code is not known any more, its number must do."""
    assert place(CELL, 1) == "“conn.recv(65535)”"
    assert place(CELL, 2) == '“print("# no comment")”'
    assert place(CELL, 3) == "this notebook, line 3"
    assert place("/home/ann/chat.py", 3) == "chat.py:3"


@pytest.mark.usefixtures("_cell")
def test_beside_its_code_a_line_has_the_number_of_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which only the kernel knows that has run it."""
    assert location("/home/ann/chat.py", 3) == "chat.py:3"
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert location(CELL, 1) == "this notebook, line 1"
    compiler = SimpleNamespace(format_code_name={CELL: ("Cell", "In[12]")}.get)
    shell = SimpleNamespace(compile=compiler)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert location(CELL, 1) == "this notebook, cell [12], line 1"


@pytest.mark.parametrize(
    ("file", "expected"), [(CELL, True), ("<stdin>", True), ("chat.py", False), ("", False)]
)
def test_what_is_a_cell(file: str, expected: bool) -> None:
    """Jupyter's cells have files that are none."""
    assert is_cell(file) == expected


def test_a_list_of_names_with_commas_is_still_a_list() -> None:
    """“server, for Ann” is one name."""
    assert listed(["thread 1", "thread 2"]) == "thread 1, thread 2"
    assert listed(["server, for Ann", "thread 2"]) == "server, for Ann; thread 2"
