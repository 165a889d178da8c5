"""The program that makes the load: in C where there is a compiler, else in Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from chatstages.bench.peers import Failed, Missing, Peer, compiled, running
from chatstages.i18n import _


class Job(NamedTuple):
    """What the members do."""

    members: int
    seconds: float = 1.0  # that are counted
    speakers: int = 0  # of the members, so many speak; 0: all
    rate: int = 0  # messages a second in all; 0: each speaks again when its last message has come back
    warmup: float = 0.3  # seconds before counting begins
    drain: float = 2.0  # seconds that the last messages may take to reach everybody
    patience: float = 30.0  # seconds that joining may take


class Figures(NamedTuple):
    """What one round has counted. Times are in seconds, p50 and p99 (of the latencies) in microseconds."""

    deliveries: int  # messages that reached a member; with a server that only hears, that reached it
    messages: int  # that were sent
    seconds: float
    server_cpu: float
    own_cpu: float  # of the load itself
    p50: float
    p99: float
    lost: int  # members whom the server disconnected
    damaged: int  # messages that arrived broken
    stalled: int  # messages not sent because the server took nothing
    missing: int  # deliveries that had not come when the round was over
    drained: bool  # whether the round was over because nothing came any more, rather than because time was up

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of the server's processor time for one delivery."""
        return self.server_cpu / self.deliveries * 1e6

    @property
    def share(self) -> float:
        """How much of one processor the load itself needed, 0 to 1."""
        return self.own_cpu / self.seconds


def load_program(folder: Path) -> list[str]:
    """Return the command that makes the load, compiled into `folder`; in Python where that cannot be.

    Raises ImportError when that needs psutil and it is not installed.
    """
    try:
        return [str(compiled("load", folder))]
    except Missing:
        import psutil as _needed  # noqa: F401

        return [sys.executable, "-m", "chatstages.bench.slow_load"]


def is_slow(program: list[str]) -> bool:
    """Tell whether the load is made in Python."""
    return program[0] == sys.executable


def run(program: list[str], peer: Peer, job: Job) -> Figures:
    """Start the server of `peer`, put the load on it, and stop it. Raises Failed."""
    with running(peer) as (pid, port):
        return put_load(program, peer, job, pid, port)


def put_load(program: list[str], peer: Peer, job: Job, pid: int, port: int) -> Figures:
    """Put the load on a server that runs as process `pid` and listens on `port`. Raises Failed."""
    deadline = job.seconds + job.warmup + job.drain + job.patience
    options = {
        "mode": "pour" if peer.only_hears else "paced" if job.rate else "closed",
        "port": port,
        "pids": pid,
        "members": job.members,
        "speakers": job.speakers or job.members,
        "seconds": job.seconds,
        "warmup": job.warmup,
        "drain": job.drain,
        "rate": job.rate,
        "deadline": round(deadline) + 1,
        **{name: text.hex() for name, text in peer.speech._asdict().items()},
    }
    return count([*program, *(f"{name}={value}" for name, value in options.items())], deadline)


def count(command: list[str], deadline: float) -> Figures:
    """Run the load; return what it has counted. Raises Failed."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=deadline)
    except subprocess.TimeoutExpired:
        raise Failed(_("not finished after {n} s").format(n=round(deadline))) from None
    if result.returncode:
        raise Failed((result.stderr.strip().splitlines() or [""])[-1])
    figures = Figures(**json.loads(result.stdout))
    if not figures.deliveries:
        raise Failed(_("nothing was delivered"))
    return figures
