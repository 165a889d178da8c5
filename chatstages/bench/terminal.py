"""The comparison on a terminal: a bar while it runs, then a table."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from chatstages.bench.compare import Comparison, label, measure
from chatstages.i18n import _


def measure_with_progress(members: int, servers: Iterable[str], seconds: float, rounds: int) -> Comparison:
    """Compare `servers`, as `measure` does, and show how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    names = list(servers)
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=None)
        turns = 0

        def show(name: str) -> None:
            nonlocal turns
            progress.update(task, description=name, completed=turns, total=rounds * len(names))
            turns += 1

        return measure(members, names, seconds, rounds, show)


def show(comparison: Comparison) -> None:
    """Print the table and what has to be known beside it."""
    console = Console(highlight=False)
    console.print(table(comparison))
    for note in comparison.notes():
        console.print(note, markup=False)


def table(comparison: Comparison) -> Table:
    """Return the numbers: the median of all rounds."""
    result = Table(title=_("{n} members; the median of the rounds").format(n=comparison.members))
    result.add_column(_("server"), no_wrap=True)
    for name in (_("deliveries/s"), _("CPU µs/delivery"), _("× stage 5"), _("load's CPU")):
        result.add_column(name, justify="right")
    for row in comparison.measured():
        ratio = comparison.ratio(row)
        result.add_row(
            label(row),
            f"{row.median(lambda figures: figures.rate):,.0f}",
            f"{row.cost:.2f}",
            f"{ratio:.1f}" if ratio else "",
            f"{row.median(lambda figures: figures.share):.0%}",
            style="bold" if row.key == "stage 5" else "",
        )
    return result
