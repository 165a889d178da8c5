"""Use after close, a close that wakes nobody, an address in use."""

from __future__ import annotations

import pytest

from chatstages.microscope import findings
from chatstages.microscope.findings import explain
from tests.support.microscope.explained import found_kinds
from tests.support.microscope.recordings import Script, chat


def test_a_connection_closed_by_who_accepted_it() -> None:
    """The thread that it was given to finds a closed socket."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    script.step("main", "close", there, line=50)
    script.step(one, "recv", there, error="OSError: [Errno 9] Bad file descriptor")
    script.step(one, "run", error="OSError: [Errno 9] Bad file descriptor")
    (finding,) = findings.uses_after_close(script)
    assert (finding.thread, finding.user, finding.line) == ("main", one, 50)
    assert found_kinds(script) == ["UseAfterClose"]


def test_an_address_in_use() -> None:
    """Is named, with what helps."""
    script = Script()
    script.step("main", "bind", script.listener(), error="OSError: [Errno 98] Address already in use")
    assert found_kinds(script) == ["AddressInUse"]
    assert "SO_REUSEADDR" in repr(explain(script))


def closing(*before: tuple[str, str], error: str = "") -> Script:
    """Write how a socket is closed on which another thread waits, until something comes."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for kind, detail in before:
        script.step("main", kind, ann, detail=detail)  # type: ignore[arg-type]
    script.stuck(one, "recv", ann)
    began = script.clock
    script.clock += 1_000_000
    script.step("main", "close", ann, line=50)
    script.step(one, "send", there, data=b"hello")
    script.happen("thread 3", "recv", ann, began, data=b"" if error else b"hello", error=error)
    return script


def test_a_socket_closed_while_another_thread_waits() -> None:
    """That does not wake it; a shutdown before would."""
    (finding,) = findings.closed_while_blocked(closing())
    assert (finding.thread, finding.waiting, finding.line) == ("main", "thread 3", 50)
    assert found_kinds(closing()) == ["ClosedWhileBlocked"]


@pytest.mark.parametrize(
    "script",
    [
        closing(("shutdown", "SHUT_RDWR")),
        closing(("settimeout", "0.5")),
        closing(error="OSError: [WinError 10038] not a socket"),
    ],
)
def test_a_wait_that_ends_by_itself(script: Script) -> None:
    """After a shutdown, with a time limit, or where the system wakes it."""
    assert findings.closed_while_blocked(script) == []
