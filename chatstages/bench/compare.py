"""Rounds in turn, their medians, and the result that a person sees."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from chatstages.bench.load import Figures, Job, is_slow, load_program, run
from chatstages.bench.peers import ALL, LARGER_POOLS, Failed, Missing, Peer
from chatstages.bench.picture import Bar, draw_bars, print_bars
from chatstages.i18n import _
from chatstages.runtime.options import allow_many_connections

OURS = "stage 5"  # to which the others are compared
ROUNDS = 3


@dataclass
class Row:
    """One server, and what its rounds have counted."""

    key: str  # its name in `peers.ALL`
    peer: Peer
    rounds: list[Figures] = field(default_factory=list)
    trouble: str = ""  # why it was not measured to the end

    def median(self, of: Callable[[Figures], float]) -> float:
        """Return the middle of all rounds."""
        return statistics.median(map(of, self.rounds))

    def spread(self, of: Callable[[Figures], float]) -> tuple[float, float]:
        """Return the least and the most of all rounds."""
        values = list(map(of, self.rounds))
        return min(values), max(values)

    @property
    def cost(self) -> float:
        """Microseconds of the server's processor time for one delivery."""
        return self.median(lambda figures: figures.cost)

    def flaws(self) -> list[str]:
        """Return what a reader has to know: servers that lose things look fast."""
        lost = sum(figures.lost for figures in self.rounds)
        damaged = sum(figures.damaged for figures in self.rounds)
        missing = sum(figures.missing for figures in self.rounds if figures.drained)
        return [
            *([self.trouble] if self.trouble else []),
            *([_("members disconnected: {n}").format(n=lost)] if lost else []),
            *([_("messages damaged: {n}").format(n=damaged)] if damaged else []),
            *([_("deliveries lost: {n}").format(n=missing)] if missing else []),
        ]


class LeftOut(NamedTuple):
    """A server that cannot run here, and what would change that."""

    name: str
    reason: str

    def __str__(self) -> str:
        return _("left out: {name} ({reason})").format(name=self.name, reason=self.reason)


@dataclass
class Comparison:
    """All the servers under one load. In a notebook it shows itself as a picture, elsewhere as text."""

    members: int
    rows: list[Row]
    left_out: list[LeftOut]
    slow: bool  # the load was made in Python

    def measured(self) -> list[Row]:
        """Return the servers that were measured."""
        return [row for row in self.rows if row.rounds]

    def ratio(self, row: Row) -> float | None:
        """Return how many times the processor time of stage 5 the server needs for a delivery.

        None without stage 5, and for a server that only hears: it does other work.
        """
        if row.peer.only_hears:
            return None
        ours = next((row for row in self.measured() if row.key == OURS), None)
        return row.cost / ours.cost if ours else None

    def title(self) -> str:
        """Return what the picture shows."""
        return _("The server's processor time for one delivery: {n} members").format(n=self.members)

    def bars(self) -> list[Bar]:
        """Return the picture's bars."""
        return [Bar(label(row), row.cost, self.caption(row), row.key == OURS) for row in self.measured()]

    def caption(self, row: Row) -> str:
        """Return what stands beside the bar of `row`."""
        ratio = self.ratio(row)
        return f"{row.cost:.2f} µs" + (f"  × {ratio:.1f}" if ratio else "")

    def notes(self) -> list[str]:
        """Return what has to be known beside the numbers."""
        flaws = [f"{row.peer.name}: {flaw}" for row in self.rows for flaw in row.flaws()]
        slow = [_("No C compiler: the load is made in Python, and takes processor time from the servers.")]
        return [*flaws, *map(str, self.left_out), *(slow if self.slow else [])]

    def svg(self) -> str:
        """Return the picture."""
        return draw_bars(self.title(), self.bars(), self.notes())

    def __repr__(self) -> str:
        return "\n".join([print_bars(self.title(), self.bars()), *self.notes()])

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg()}


def label(row: Row) -> str:
    """Return the name of the server, and whether it does less than the others."""
    return _("{name} (only hears)").format(name=row.peer.name) if row.peer.only_hears else row.peer.name


def choose(names: Iterable[str], folder: Path) -> tuple[list[Row], list[LeftOut]]:
    """Return the servers of `names` that can run here (what is compiled goes into `folder`), and the rest."""
    rows, left_out = [], []
    for name in names:
        try:
            rows.append(Row(name, (ALL | LARGER_POOLS)[name](folder)))
        except Missing as missing:
            left_out.append(LeftOut(name, str(missing)))
    return rows, left_out


def measure_in_turn(
    rows: list[Row],
    job: Job,
    rounds: int,
    program: list[str],
    on_turn: Callable[[str], None],
    time_limit: float = float("inf"),
) -> None:
    """Measure each server once, then each once more, and so on: what else the machine does hits them all.

    One that has failed is not tried again. No round begins of which `time_limit` seconds would not see the
    end; the first one is broken off there.
    """
    begin = time.monotonic()
    for number in range(rounds):
        used = time.monotonic() - begin
        if number and used + used / number > time_limit:
            break
        for row in rows:
            on_turn(row.peer.name)
            if number == 0 and time.monotonic() - begin > time_limit:
                row.trouble = _("not measured: no time was left")
            if not row.trouble:
                measure_once(row, job, program)


def measure_once(row: Row, job: Job, program: list[str]) -> None:
    """Let `row` have one round more, or know why not."""
    try:
        row.rounds.append(run(program, row.peer, job))
    except Failed as failure:
        row.trouble = str(failure)


def ignore(_name: str) -> None:
    """Take note of nothing."""


def measure(
    members: int = 50,
    servers: Iterable[str] = ("stage 4", "asyncio", "stage 5"),
    seconds: float = 0.7,
    rounds: int = ROUNDS,
    on_turn: Callable[[str], None] = ignore,
) -> Comparison:
    """Compare `servers`: all members speak, each again when its last message is back.

    `servers` are names in `peers.ALL` and `peers.LARGER_POOLS`, `seconds` are counted in each of `rounds`,
    and `on_turn` is told whose turn it is. A server that is missing is left out. Raises ImportError where
    psutil is needed and missing.
    """
    allow_many_connections()
    with tempfile.TemporaryDirectory() as folder:
        rows, left_out = choose(servers, Path(folder))
        program = load_program(Path(folder))
        measure_in_turn(rows, Job(members, seconds), rounds, program, on_turn)
    return Comparison(members, rows, left_out, is_slow(program))
