"""The cell magic, and what the core needs not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import PATIENCE, python


@pytest.mark.filterwarnings("ignore")  # what IPython's history and its own threads warn of
def test_the_cell_magic_leaves_the_scope_behind(tmp_path: Path) -> None:
    """`%%microscope` runs the cell, shows its last value, and leaves `scope`, or the name that was given."""
    source = f"import os; os.environ['IPYTHONDIR'] = {str(tmp_path)!r}"
    source += """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import chatstages.lab.microscope
shell.run_cell("from threading import Lock")
first = shell.run_cell("%%microscope\\nlock = Lock()\\nwith lock: pass\\n6 * 7")
assert not first.error_in_exec, first
print([(e.kind, e.line) for e in shell.user_ns["scope"].events], shell.user_ns["_"])
second = shell.run_cell("%%microscope mine\\nimport socket\\nsocket.socket().close()\\n1 / 0")
for wrong in ("%%microscope 5\\n1", "%%microscope\\nawait print(2)"):
    print(type(shell.run_cell(wrong).error_in_exec).__name__)
print(type(second.error_in_exec).__name__, [e.kind for e in shell.user_ns["mine"].events])
"""
    process = python("-c", source)
    output, errors = process.communicate(timeout=PATIENCE * 3)
    assert "[('acquire', 3), ('release', 3)] 42" in output, output + errors
    assert "ZeroDivisionError ['close']" in output
    assert output.count("UsageError\n") == 2
    assert "with microscope() as scope:" in output + errors


def test_the_core_loads_nothing_of_jupyter() -> None:
    """It needs nothing but Python."""
    code = (
        "import sys, chatstages.microscope; print([m for m in sys.modules if 'IPy' in m or 'jupyter' in m])"
    )
    output, errors = python("-c", code).communicate(timeout=PATIENCE * 3)
    assert output == "[]\n", errors
