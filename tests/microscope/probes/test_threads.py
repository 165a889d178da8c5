"""Threads and jobs of pools are recorded."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatstages.microscope import microscope
from tests.support import PATIENCE
from tests.support.microscope.sockets import run_thread


def test_an_exception_in_a_thread_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the `run` event, and goes where it always goes, without a frame of ours."""
    seen: list[list[str]] = []
    monkeypatch.setattr(
        threading,
        "excepthook",
        lambda args: seen.append([f.name for f in traceback.extract_tb(args.exc_traceback)]),
    )

    def failing() -> None:
        raise ValueError("on purpose")

    with microscope() as scope:
        run_thread(failing)
    (run,) = scope.of("run")
    assert run.error == "ValueError: on purpose"
    assert run.function == "failing"
    assert seen == [["_bootstrap_inner", "run", "failing"]]
    assert scope.things[run.thread].name == "failing"


def test_a_subclass_with_a_run_of_its_own_is_seen_too() -> None:
    """Its `run` is called as ever; afterwards the thread has no attribute more than before."""

    class Mine(threading.Thread):
        def run(self) -> None:
            self.attributes = set(vars(self))

    with microscope() as scope:
        thread = Mine()
        before = set(vars(thread))
        thread.start()
        thread.join(PATIENCE)
    assert thread.attributes <= before
    assert len(scope.of("run")) == 1
    assert scope.of("start")[0].other == scope.of("run")[0].thread


def test_a_job_of_a_pool_is_seen() -> None:
    """Which worker did it, for which pool, and what became of it."""

    def job(number: int) -> float:
        return 1 / number

    with microscope() as scope, ThreadPoolExecutor(1, "helpers") as pool:
        assert pool.submit(job, 2).result() == 0.5
        assert isinstance(pool.submit(job, 0).exception(), ZeroDivisionError)
    good, bad = scope.of("task")
    assert (good.thread, good.thing, good.error) == ("thread 1", "pool 1", "")
    assert bad.error == "ZeroDivisionError: division by zero"
    assert scope.things["pool 1"].name == "helpers"
