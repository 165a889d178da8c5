"""The full measurement: closed loop, paced load, growth, workers. See docs/benchmarks.md.

python -m chatstages.bench            writes build/benchmarks/report.md, results.json and growth.svg
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chatstages.bench.compare import OURS, LeftOut, Row, choose, measure_in_turn
from chatstages.bench.load import Figures, Job, is_slow, load_program
from chatstages.bench.peers import ALL, LARGER_POOLS
from chatstages.bench.picture import draw_curves
from chatstages.runtime.options import allow_many_connections

PACED = Job(members=100, seconds=3.0, rate=300)
GROWTH_SPEAKERS = 100  # so many speak, however many listen
MINUTES = 3.0  # for one table, about, at most

Table = list[list[str]]
Column = tuple[str, Callable[[Row], str]]


class Run:
    """One run of everything: its settings, what it has found, and how far it is."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, show: Callable[[str], None]) -> None:
        self.arguments = arguments
        self.folder = folder  # for what is compiled
        self.program = load_program(folder)
        self.results: dict[str, list[Row]] = {}
        self._show = show

    def measure(self, title: str, job: Job, rows: list[Row], rounds: int = 0) -> list[Row]:
        """Measure `rows` under `job`, and keep them under `title`."""
        rounds = rounds or self.arguments.rounds

        def on_turn(name: str) -> None:
            self._show(f"{title}: {name}")

        measure_in_turn(rows, job, rounds, self.program, on_turn, self.arguments.minutes * 60)
        self.results[title] = rows
        return rows

    def peers(self) -> list[Row]:
        """Return every server that is here."""
        return choose(self.arguments.servers, self.folder)[0]

    def left_out(self) -> list[LeftOut]:
        """Return the others."""
        return choose(self.arguments.servers, self.folder)[1]


def closed(run: Run) -> Iterator[str]:
    """Every member speaks again when its own message has come back."""
    for members in run.arguments.sizes:
        title = f"Closed loop, {members:,} members"
        rows = run.measure(title, Job(members, run.arguments.seconds), run.peers())
        yield from section(title, rows, COSTS)


def paced(run: Run) -> Iterator[str]:
    """As people do: what comes, comes when it comes, and not when the server is ready."""
    title = f"Paced, {PACED.members} members, {PACED.rate} messages a second"
    job = PACED._replace(seconds=max(run.arguments.seconds, min(PACED.seconds, 3 * run.arguments.seconds)))
    rows = run.measure(title, job, [row for row in run.peers() if not row.peer.only_hears])
    yield from section(title, rows, LATENCIES)


def growth(run: Run) -> Iterator[str]:
    """How the cost of a delivery changes when more and more listen."""
    curves: dict[str, list[tuple[float, float]]] = {}
    sizes = sorted({*run.arguments.sizes, run.arguments.most})
    for members in sizes:
        title = f"Growth, {members:,} members"
        rows = run.results.get(f"Closed loop, {members:,} members", [])
        if not rows or members > GROWTH_SPEAKERS:
            job = Job(members, run.arguments.seconds, speakers=min(members, GROWTH_SPEAKERS))
            rounds = min(run.arguments.rounds, 3 if members == run.arguments.most else run.arguments.rounds)
            rows = run.measure(title, job, [row for row in run.peers() if not row.peer.only_hears], rounds)
            yield from section(f"{title}, {job.speakers} of them speak", rows, COSTS)
        for row in rows:
            if row.rounds and not row.peer.only_hears:
                curves.setdefault(row.peer.name, []).append((members, row.cost))
    title = "Server's processor time for one delivery"
    ours_first = dict(sorted(curves.items(), key=lambda item: item[0] != OURS))
    picture = draw_curves(title, "members", "µs a delivery", ours_first)
    (run.arguments.folder / "growth.svg").write_text(picture, encoding="utf-8")
    yield f"![{title}, by members](growth.svg)\n"


def workers(run: Run) -> Iterator[str]:
    """Whether more threads in the pool help."""
    for members in run.arguments.sizes[1:] or run.arguments.sizes:
        title = f"Stage 5 with more workers, {members:,} members"
        rows = choose([OURS, *LARGER_POOLS], run.folder)[0]
        yield from section(title, run.measure(title, Job(members, run.arguments.seconds), rows), COSTS)


# --- the report --------------------------------------------------------------------------------------


def section(title: str, rows: list[Row], columns: list[Column]) -> Iterator[str]:
    """Yield a heading, a table, and what has to be known beside it."""
    yield f"## {title}\n"
    base = next((row for row in rows if row.key == OURS and row.rounds), None)
    names = ["server", *(name for name, _show in columns), *(["× stage 5"] if base else []), "rounds"]
    yield "| " + " | ".join(names) + " |"
    yield "|---" + "|---:" * (len(names) - 1) + "|"
    for row in filter(lambda row: row.rounds, rows):
        ratio = [f"{row.cost / base.cost:.2f}" if not row.peer.only_hears else ""] if base else []
        hears = " (only hears)" if row.peer.only_hears else ""
        cells = [row.peer.name + hears, *(show(row) for _name, show in columns), *ratio, str(len(row.rounds))]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield from (f"- {row.peer.name}: {flaw}" for row in rows for flaw in row.flaws())
    yield ""


def figure(name: str, of: Callable[[Figures], float], form: str) -> Column:
    """Return a column: the median, and in brackets the least and the most."""

    def show(row: Row) -> str:
        least, most = row.spread(of)
        return f"{row.median(of):{form}} ({least:{form}}–{most:{form}})"

    return name, show


COST = figure("server CPU, µs a delivery", lambda figures: figures.cost, ".3f")
COSTS = [
    figure("deliveries/s", lambda figures: figures.rate, ",.0f"),
    COST,
    figure("load's CPU", lambda figures: figures.share, ".0%"),
]
LATENCIES = [
    figure("p50, µs", lambda figures: figures.p50, ",.0f"),
    figure("p99, µs", lambda figures: figures.p99, ",.0f"),
    COST,
]


def introduction(run: Run) -> Iterator[str]:
    """Yield what was measured on, and with."""
    yield "# Stage 5 beside other servers\n"
    machine = f"{platform.system()}, {platform.machine()}, {os.cpu_count()} processors"
    yield f"{machine}, Python {platform.python_version()}."
    yield f"Medians (least–most) of rounds taken in turn, {run.arguments.seconds} s each.\n"
    yield from (f"- {missing}" for missing in run.left_out())


def main() -> int:
    """Measure everything; print and write the report."""
    arguments = parse()
    allow_many_connections()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, progress() as show:
        run = Run(arguments, Path(folder), show)
        if is_slow(run.program):
            print("The full measurement needs Linux and a C compiler.", file=sys.stderr)
            return 1
        parts = (introduction, closed, paced, growth, workers)
        report = "\n".join(piece for part in parts for piece in part(run))
    raw = {
        title: {row.peer.name: [figures._asdict() for figures in row.rounds] for row in rows}
        for title, rows in run.results.items()
    }
    (arguments.folder / "report.md").write_text(report, encoding="utf-8")
    (arguments.folder / "results.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
    print(report)
    return 0


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show on the terminal what is being measured, and for how long we have been at it."""
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda text: bar.update(task, description=text)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m chatstages.bench", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1_000], help="numbers of members")
    parser.add_argument("--most", type=int, default=10_000, help="members at the end of the growth plot")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (3 at most with --most)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds that are counted in each round")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="minutes for one table, at most")
    parser.add_argument("--servers", nargs="+", choices=ALL, default=list(ALL), help="which servers")
    parser.add_argument("--folder", type=Path, default=Path("build", "benchmarks"), help="for the report")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
