"""`chatstages microscope SCRIPT`: run a program, and record what it does.

What stands behind the program's name is the program's own, so this command reads its arguments itself.
"""

from __future__ import annotations

from collections.abc import Sequence


def run(argv: Sequence[str], prog: str) -> int:
    """Run the program that `argv` names under the microscope; return the exit status."""
    # It loads all that is to be patched: not for the other commands.
    from chatstages.microscope.__main__ import main

    return main(argv, prog)
