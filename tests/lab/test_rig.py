"""Servers in the kernel: started, replaced and stopped by cells."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from chatstages import protocol
from chatstages.lab import failures, finish, join, rig, silent_reader, speak, start
from chatstages.runtime.events import Event
from tests.support import PATIENCE, STAGES, connected

ignore_thread_warnings = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(autouse=True)
def _finished() -> Iterator[None]:
    """Stop what a test has started."""
    yield
    finish()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_runs_in_the_kernel(stage: int) -> None:
    """A server, a client, and what it said."""
    server = start(stage)
    ann = join(server, "Ann")
    ann.say("hello")
    server.wait_for("said")
    assert "hello" in server.events[1].text
    ann.leave()
    server.wait_for("left")


def test_a_cell_run_again_replaces_what_it_had_started() -> None:
    """The server, and with it its clients; a client by itself, too."""
    first = start(4)
    ann = join(first, "Ann")
    again = join(first, "Ann")
    first.wait_for("left")
    again.say("it is me")
    again.wait_for("it is me")
    assert ann.lines == []
    second = start(4)
    with pytest.raises(OSError, match="refused"):
        join(first, "Ben")
    join(second, "Ann")


def test_servers_of_different_stages_run_side_by_side() -> None:
    """Starting one leaves the other alone."""
    four, five = start(4), start(5)
    ann, ben = join(four, "Ann"), join(five, "Ben")
    ann.say("four")
    ben.say("five")
    ann.wait_for("four")
    ben.wait_for("Ben：five")


def test_waiting_for_the_server_has_an_end_and_says_for_what() -> None:
    """No cell hangs."""
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s for 2 × said; there is"):
        start(4).wait_for("said", 2, timeout=0.01)


def test_a_cell_that_waits_may_be_run_again() -> None:
    """It waits for what is new, and not for what an earlier run has left."""
    server = start(4)
    ann = join(server, "Ann")
    for number in range(3):
        ann.say("again")
        server.wait_for("said")
        ann.wait_for("again")
        assert len(server.events) == 2 + number
        assert "".join(ann.lines) == "again" * (1 + number)
    with pytest.raises(TimeoutError):
        ann.wait_for("again", timeout=0.01)


def test_a_server_that_accepts_nobody_more_is_no_endless_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage 2 listens to one client: the second is told so, and does not stay behind."""
    monkeypatch.setattr("chatstages.lab.chat_server.WAIT", 0.2)
    server = start(2)
    join(server, "Ann")
    with pytest.raises(TimeoutError, match="Ben × joined"):
        join(server, "Ben")


def test_the_last_cell_says_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    """In the same words however much was started, so that they can be compared; and how to chat again."""
    join(start(4), "Ann")
    finish()
    first = capsys.readouterr().out
    finish()
    assert capsys.readouterr().out == first
    assert first.startswith("✔ Everything is stopped, and no thread has failed.\n")
    assert "start(…)" in first


def raise_in_a_thread() -> None:
    """Let a thread end with an exception."""
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


@ignore_thread_warnings
def test_an_exception_in_a_thread_fails_the_last_cell() -> None:
    """It would pass unnoticed; and it is told once."""
    raise_in_a_thread()
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        finish()
    finish()


@ignore_thread_warnings
def test_an_exception_that_was_asked_for_is_forgiven() -> None:
    """Where it is the point of an experiment."""
    raise_in_a_thread()
    assert failures() == ["ZeroDivisionError: division by zero"]
    assert failures() == []
    finish()


def failure_of(act: Callable[[], object]) -> threading.ExceptHookArgs:
    """Return what Python tells of a thread that ended with the exception of `act`."""
    try:
        act()
    except Exception as error:
        return threading.ExceptHookArgs((type(error), error, error.__traceback__, None))
    raise AssertionError("nothing was raised")


def test_a_learners_own_error_is_shown_at_once() -> None:
    """One in our threads only at the end; and both are told then."""
    shown: list[threading.ExceptHookArgs] = []
    theirs = failure_of(lambda: 1 / 0)
    ours = failure_of(lambda: protocol.encode(None))  # type: ignore[arg-type]
    for failure in (theirs, ours):
        rig._record(shown.append, failure)
    assert shown == [theirs]
    assert [told.partition(":")[0] for told in failures(2)] == ["ZeroDivisionError", "AttributeError"]


def test_the_deaf_take_in_next_to_nothing() -> None:
    """So that whoever sends to them is soon held up."""
    assert silent_reader(start(4)).getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 10_000


def test_a_hook_that_fails_is_noticed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever thread of ours it was on."""
    failures: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def fail(event: Event) -> None:
        raise KeyError(event.kind)

    with STAGES[4].serve(on_event=fail) as server, connected(STAGES[4], server.address):
        deadline = time.monotonic() + PATIENCE
        while not failures and time.monotonic() < deadline:
            server.wait(0.01)
    assert isinstance(failures[0].exc_value, KeyError)


def test_the_lab_speaks_both_languages() -> None:
    """From the cell that chooses on."""
    speak("zh_CN")
    assert join(start(4), "小明")._send_button.description == "发送"
    speak("en")
    assert join(start(4), "Ann")._send_button.description == "Send"


@pytest.mark.parametrize("stage", [4, 5])
def test_a_kernel_ends_though_nobody_stopped_the_server(stage: int) -> None:
    """A restart of the kernel leaves no process, and so no port, behind."""
    code = f"from chatstages.lab import *; s = start({stage}); a = join(s, 'A'); a.say('x'); a.wait_for('x')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=6 * PATIENCE)
