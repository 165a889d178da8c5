"""The microscope in a notebook: the cell magic `%%microscope`, and all of `chatstages.microscope`.

    %%microscope
    …                      # any code that uses sockets, threads and locks

leaves what it has seen in `scope` (``%%microscope name``: in `name`). Importing this makes the magic known.
"""

from __future__ import annotations

import ast
import sys
from typing import Any

from chatstages.i18n import _
from chatstages.microscope import Scope, load, microscope
from chatstages.microscope.probes.patches import without_our_frame

__all__ = ["Scope", "load", "microscope", "register"]


def run_cell(shell: Any, name: str, cell: str) -> None:
    """Run `cell` under the microscope; the scope is in the user's variable `name` from its first line on.

    The value of the last line is shown, as ever. Raises what the cell raises, and UsageError, which IPython
    shows as one line, for a `name` that is none, and for a cell with an `await`: a magic cannot wait for it.
    """
    from IPython.core.error import UsageError  # who calls this has IPython

    name = name.strip() or "scope"
    if not name.isidentifier():
        raise UsageError(_("{name} cannot be the name of a variable.").format(name=repr(name)))
    if shell.should_run_async(cell, transformed_cell=shell.transform_cell(cell)):
        raise UsageError(_("Where a cell awaits something, write “with microscope() as scope:” around it."))
    codes = compiled(shell, cell)
    with microscope() as scope:
        shell.user_ns[name] = scope
        try:
            for code in codes:
                exec(code, shell.user_global_ns, shell.user_ns)
        except BaseException as error:
            without_our_frame(error)
            raise


def compiled(shell: Any, cell: str) -> list[Any]:
    """Return the cell as code: all of it, and its last line by itself if that is to be shown."""
    source = "\n" + shell.transform_cell(cell)  # lines are counted from that of the magic on
    file = shell.compile.cache(source, shell.execution_count, raw_code=cell)
    body = ast.parse(source, file).body
    last = [body.pop()] if body and isinstance(body[-1], ast.Expr) else []
    codes = [compile(ast.Module(body, []), file, "exec", dont_inherit=True)]
    return codes + [compile(ast.Interactive([line]), file, "single", dont_inherit=True) for line in last]


def register() -> bool:
    """Make `%%microscope` known where IPython runs; tell whether it does."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return False

    def magic(line: str, cell: str) -> None:
        """Run the cell under the microscope, and leave what it has seen in `scope`, or the name given."""
        try:
            run_cell(shell, line, cell)
        except BaseException as error:
            without_our_frame(error)
            raise

    shell.register_magic_function(magic, "cell", "microscope")
    return True


register()
