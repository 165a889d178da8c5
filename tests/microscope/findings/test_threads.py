"""Blocked threads, busy loops, exceptions, threads that Ctrl-C does not end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chatstages.microscope import findings, microscope
from chatstages.microscope.findings import explain
from tests.support.microscope.explained import found_kinds
from tests.support.microscope.recordings import Script, chat


@pytest.mark.parametrize("asks", [True, False])
def test_an_exception_of_a_job_is_lost_where_nobody_asks_for_it(asks: bool) -> None:
    """With `result`, or `exception`, it is no secret."""
    with microscope() as scope, ThreadPoolExecutor(1) as pool:
        job = pool.submit(lambda: 1 / 0)
        if asks:
            assert isinstance(job.exception(), ZeroDivisionError)
    assert len(scope.explain()) == (0 if asks else 1)


def test_a_loop_that_nobody_leaves() -> None:
    """The other side has closed, and recv says so again and again; stage 5 asks twice, which is all right."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    for _each in range(2):
        script.step(one, "recv", there)
    assert findings.busy_loops(script) == []
    for _each in range(100):
        script.step(one, "recv", there)
    assert [(loop.thread, loop.times) for loop in findings.busy_loops(script)] == [(one, 102)]
    assert found_kinds(script) == ["BusyLoop"]


@pytest.mark.parametrize(("recvs", "loops"), [(4, 0), (5, 1)])
def test_five_empty_recvs_are_a_loop(recvs: int, loops: int) -> None:
    """Four are none yet."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    for _each in range(recvs):
        script.step(one, "recv", there)
    assert len(findings.busy_loops(script)) == loops


def test_an_exception_in_a_thread() -> None:
    """It is named with the line where it struck."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    script.step(one, "recv", there, error="ConnectionResetError: gone", line=33)
    script.step(one, "run", error="ConnectionResetError: gone", line=30)
    (broken,) = findings.uncaught_exceptions(script)
    assert (broken.thread, broken.line, broken.in_pool) == (one, 33, False)
    assert found_kinds(script) == ["UncaughtException"]


def test_an_exception_after_the_end() -> None:
    """The mistake is not where it struck: nobody has looked at what recv had returned."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    script.step(one, "recv", there)
    script.step(one, "send", there, error="BrokenPipeError: gone", line=33)
    script.step(one, "run", error="BrokenPipeError: gone", line=30)
    (broken,) = findings.uncaught_exceptions(script)
    assert "b''" in broken.advice


def test_who_pays_for_a_leaver() -> None:
    """The thread of one who had done nothing wrong."""
    script = Script()
    (one, _two), ((ann, ann_there), (_ben, ben_there)) = chat(script)
    script.step("main", "send", ann, data=b"hi")
    script.step(one, "recv", ann_there, data=b"hi")
    script.step(one, "send", ben_there, error="BrokenPipeError: no", line=22)
    script.step(one, "run", error="BrokenPipeError: no")
    (finding,) = findings.unhandled_send_errors(script)
    assert (finding.thread, finding.served, finding.thing, finding.line) == (one, ann_there, ben_there, 22)
    assert found_kinds(script) == ["UnhandledSendError"]


def test_who_waits_long() -> None:
    """Whatever for; but only a send is suspicious."""
    script = Script()
    (one, two), ((_ann, there), (_ben, ben_there)) = chat(script)
    script.step(one, "recv", there, takes=5_000, data=b"at last")
    script.stuck(two, "send", ben_there)
    script.clock += 2_000_000_000
    assert [(wait.thread, wait.kind, wait.still) for wait in findings.blocked_threads(script)] == [
        (one, "recv", False),
        (two, "send", True),
    ]
    assert [wait.kind for wait in findings.blocked_threads(script, longer_than=4)] == ["recv"]
    assert [str(finding) for finding in explain(script)] == [
        "thread 3 has been blocked in send on socket 5 for 2.0 s"
    ]


def test_threads_that_a_ctrl_c_has_left() -> None:
    """Python waits for them; not for daemons, nor for those that have ended."""
    script = Script()
    (one, two), ((_ann, ann_there), (_ben, ben_there)) = chat(script)
    daemon = script.new_thing("thread", daemon=True).label
    for thread, sock in ((one, ann_there), (two, ben_there), (daemon, ann_there)):
        script.stuck(thread, "recv", sock)
    script.step(two, "run", error="")
    assert findings.lingering_threads(script) == []
    script.step("main", "run", error="KeyboardInterrupt: ")
    (finding,) = findings.lingering_threads(script)
    assert (finding.thread, finding.kind, finding.thing) == (one, "recv", ann_there)
    assert found_kinds(script) == ["LingeringThread"]
