"""A program in a process of its own: `python -m chatstages.microscope`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from chatstages.microscope import load
from chatstages.microscope.model.recording import Recording, TraceEvent
from tests.support import PATIENCE, python
from tests.support.microscope import programs


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_left_alone(tmp_path: Path) -> None:
    """It waits for no lock that a thread of its parent had, and leaves no recording."""
    status, _output, errors, recording = run_script(tmp_path, programs.FORKING)
    assert status == 0, errors
    assert errors.count("The recording is in") == 1
    assert not [event for event in recording.events if event.data == b"hello"]


def test_an_exception_of_the_main_thread_is_named(tmp_path: Path) -> None:
    """Without our own frames in the traceback, also when it was the command that ran the script."""
    (tmp_path / "script.py").write_text(programs.FAILING)
    process = python("-m", "chatstages", "microscope", "script.py", cwd=tmp_path)
    _output, errors = process.communicate(timeout=PATIENCE * 3)
    assert process.returncode == 1
    assert "⚠ An uncaught exception ended main: ValueError: on purpose." in errors
    assert 'script.py:4  raise ValueError("on purpose")' in errors
    assert errors.count('  File "') == 1


def test_a_page_can_be_had_instead(tmp_path: Path) -> None:
    """With what is suspicious, which is also said at the end."""
    (tmp_path / "script.py").write_text("import socket\none, two = socket.socketpair()\none.send(b'')\n")
    process = python("-m", "chatstages.microscope", "-o", "out.html", "script.py", cwd=tmp_path)
    _output, errors = process.communicate(timeout=PATIENCE * 3)
    assert "⚠ main sent an empty message (b'') on socket 1" in errors
    assert "script.py:3  one.send(b'')" in errors
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "sent an empty message" in page
    assert page.lower().startswith("<!doctype html>")


def run_script(tmp_path: Path, source: str, *more: str) -> tuple[int, str, str, Recording]:
    """Run `source` under the microscope in a process of its own; return status, output, and the recording."""
    script, out = tmp_path / "script.py", tmp_path / "out.json"
    script.write_text(source, encoding="utf-8")
    process = python("-m", "chatstages.microscope", "-o", str(out), str(script), *more)
    output, errors = process.communicate(timeout=PATIENCE * 3)
    return process.returncode, output, errors, load(out)


def test_a_script_runs_unchanged_in_another_process(tmp_path: Path) -> None:
    """It prints what it prints; its recording is written when it has ended."""
    status, output, errors, recording = run_script(tmp_path, programs.GROUP)
    assert (status, output) == (0, "done\n"), errors
    assert str(tmp_path / "out.json") in errors
    assert errors.endswith("Nothing suspicious.\n")
    found = [event.kind for event in recording.events]
    assert (found.count("accept"), found.count("start"), found.count("run")) == (2, 3, 3)
    heard = [thing.received for thing in recording.things.values() if thing.role == "client"]
    assert heard == [6, 6]
    assert {thing.name for thing in recording.things.values() if thing.what == "lock"} == {"lock"}
    assert {Path(event.file).name for event in recording.events} == {"script.py"}


def test_its_exit_status_is_kept_and_its_threads_are_waited_for(tmp_path: Path) -> None:
    """`sys.exit(7)` in the main thread, while another is at work."""
    status, _output, _errors, recording = run_script(tmp_path, programs.STATUS)
    assert status == 7
    assert [event.data for event in recording.events if event.kind == "recv"] == [b"hello"]


def test_an_uncaught_exception_is_shown_as_ever(tmp_path: Path) -> None:
    """The script's frames, none of ours; and the recording is written."""
    status, _output, errors, recording = run_script(tmp_path, programs.FAILING)
    assert status == 1
    assert "ValueError: on purpose" in errors
    assert "chatstages" not in errors
    assert errors.count('File "') == 1
    assert [event.kind for event in recording.events][:1] == ["send"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_told_to_end_leaves_its_recording(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or kill: what it was in the middle of is in there; it dies of the signal, as ever."""
    script, out = tmp_path / "script.py", tmp_path / "out.json"
    script.write_text(programs.WAITING, encoding="utf-8")
    # Where the tests run in the background, a shell has Ctrl-C ignored, and children inherit that.
    heard: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with python("-m", "chatstages.microscope", "-o", str(out), str(script), **heard) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        _output, errors = process.communicate(timeout=PATIENCE * 3)
    assert process.returncode == -number, errors
    events: list[TraceEvent] = load(out).events
    ongoing = [ongoing.kind for ongoing in load(out).ongoing_calls.values()]
    assert "recv" in ongoing or [event.error for event in events if event.kind == "recv"] in (
        [],
        ["KeyboardInterrupt: "],
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "No such file"),
        (["-m", "no_such_module"], "There is no module no_such_module"),
        ([], "say which program to run"),
        (["-o", "/nowhere/out.json", "-m", "this"], "/nowhere/out.json"),
    ],
)
def test_what_cannot_be_run_is_one_clear_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    """No traceback of ours."""
    process = python("-m", "chatstages.microscope", *arguments, cwd=tmp_path)
    _output, errors = process.communicate(timeout=PATIENCE * 3)
    assert process.returncode == (1 if arguments else 2)
    assert words in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_module_runs_too_with_its_arguments(tmp_path: Path) -> None:
    """`-m MODULE ARGUMENTS`, and by default the recording lies in the current folder."""
    (tmp_path / "mine.py").write_text("import sys, socket\nprint(sys.argv[1:])\nsocket.socket().close()\n")
    process = python("-m", "chatstages.microscope", "-m", "mine", "-o", "x", cwd=tmp_path)
    output, errors = process.communicate(timeout=PATIENCE * 3)
    assert output == "['-o', 'x']\n", errors
    assert [event.kind for event in load(tmp_path / "mine.microscope.json").events] == ["close"]
