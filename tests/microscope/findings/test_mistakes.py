"""Each classic mistake is found, and nothing in the same program with the fix."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from chatstages.microscope import Scope, microscope
from chatstages.microscope.findings import explain
from tests.support import PATIENCE
from tests.support.microscope.chat_program import LEFT, STOPPED
from tests.support.microscope.mistakes import MISTAKES, Mistake

MOMENT = 0.1  # seconds: a call that the microscope sees begin has then surely come to the system


def play(source: str, file: Path) -> Scope:
    """Run a program under the microscope."""
    file.write_text(source, encoding="utf-8")
    with microscope() as scope:

        def until(kind: str, count: int) -> None:
            """Wait until so many threads are in such a call."""
            while sum(ongoing.kind == kind for ongoing in scope.recording.ongoing_calls.values()) < count:
                time.sleep(0.001)  # pytest's timeout ends it

        names = {"__name__": "chat", "until": until, "pause": lambda: time.sleep(MOMENT)}
        exec(compile(source, str(file), "exec"), names)
    return scope


def each(mistake: Mistake) -> str:
    """Return a name for the test."""
    return f"{mistake.number}-{mistake.kind}"


@pytest.mark.parametrize("mistake", MISTAKES, ids=each)
def test_a_classic_mistake_is_named(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a line of the program, and what to look at."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    scope = play(mistake.broken, tmp_path / "chat.py")
    named = [finding for finding in explain(scope.recording) if type(finding).__name__ == mistake.kind]
    assert named, repr(scope.explain())
    assert Path(named[0].file).name == "chat.py"
    assert named[0].line
    assert named[0].advice


@pytest.mark.parametrize("mistake", MISTAKES, ids=each)
def test_nothing_is_named_in_the_fixed_program(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same program, without the mistake."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    scope = play(mistake.fixed, tmp_path / "chat.py")
    named = {type(finding).__name__ for finding in explain(scope.recording)}
    assert named <= set(mistake.also), repr(scope.explain())


def stop_with_ctrl_c(tmp_path: Path, source: str, again: bool) -> Scope:
    """Run a server under the microscope, let one client in, and press Ctrl-C, once or twice."""
    (tmp_path / "server.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "chatstages.microscope", "-o", "seen.json", "server.py"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))):
                assert process.stdout.readline() == "joined\n"
                process.send_signal(signal.SIGINT)
                while "KeyboardInterrupt" not in process.stderr.readline():
                    pass  # pytest's timeout ends it
                while process.poll() is None:  # pytest's timeout ends it
                    if again:  # one that comes while Python is busy ending the main thread may be lost
                        process.send_signal(signal.SIGINT)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(PATIENCE / 5)
        finally:
            process.kill()
    return Scope.load(tmp_path / "seen.json")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process")
def test_a_server_that_ctrl_c_does_not_stop_is_named(tmp_path: Path) -> None:
    """With the thread that keeps it alive; and not where it stops."""
    left = explain(stop_with_ctrl_c(tmp_path, LEFT, again=True).recording)
    assert [type(finding).__name__ for finding in left] == ["LingeringThread"]
    (finding,) = left
    assert (finding.thread, Path(finding.file).name) == ("thread 1", "server.py")
    assert not explain(stop_with_ctrl_c(tmp_path, STOPPED, again=False).recording)


def test_a_cell_that_was_interrupted() -> None:
    """Its threads go on, and are named."""
    here, there = socket.socketpair()
    reader = threading.Thread(target=lambda: there.recv(1))
    with here, there:
        with suppress(KeyboardInterrupt), microscope() as scope:
            reader.start()
            while not any(ongoing.kind == "recv" for ongoing in scope.recording.ongoing_calls.values()):
                pass  # pytest's timeout ends it
            raise KeyboardInterrupt
        here.sendall(b"x")
        reader.join()
    assert [type(finding).__name__ for finding in scope.explain()] == ["LingeringThread"]
