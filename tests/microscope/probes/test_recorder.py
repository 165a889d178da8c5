"""Every call is recorded once, at the right line, and changes nothing for the code that makes it."""

from __future__ import annotations

import socket
import threading
import traceback
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chatstages.microscope import microscope
from chatstages.microscope.probes import recorder as recorders
from chatstages.microscope.probes.recorder import describe_error
from tests.support import PATIENCE
from tests.support.microscope.sockets import connection


def line_of(text: str) -> int:
    """Return the line of this file that has `text` and a mark in it."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}"))


def test_exceptions_and_their_tracebacks_are_the_same() -> None:
    """No frame of ours stands in a traceback."""
    with microscope() as scope, socket.socket() as sock:
        sock.setblocking(False)
        for call in (lambda: sock.recv(1), lambda: sock.accept(), lambda: sock.bind(5), lambda: sock.recv()):  # type: ignore[arg-type, call-arg]
            with pytest.raises((OSError, TypeError)) as caught:
                call()
            frames = traceback.extract_tb(caught.value.__traceback__)
            assert {Path(frame.filename).name for frame in frames} <= {Path(__file__).name, "socket.py"}
    assert [event.error.partition(":")[0] for event in scope.events if event.error] == [
        "OSError",
        "OSError",
        "TypeError",
        "TypeError",
    ]


class Unspeakable(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("on purpose")


def test_an_error_that_cannot_be_told_is_named_by_its_class() -> None:
    """A mistake in the learner's own class goes no further."""
    assert describe_error(Unspeakable()) == "Unspeakable: "


def test_no_event_is_lost_when_eight_threads_are_busy() -> None:
    """Every send, recv, acquire and release is there, exactly once, and numbered without a gap."""
    rounds = 300

    def work(lock: Any) -> None:
        one, two = socket.socketpair()
        with one, two:
            for _round in range(rounds):
                with lock:
                    one.send(b"x")
                two.recv(1)

    with microscope() as scope:
        lock = threading.Lock()
        threads = [threading.Thread(target=work, args=(lock,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    for kind in ("send", "recv", "acquire", "release"):
        assert len(scope.of(kind)) == 8 * rounds
    assert [event.number for event in scope.events] == list(range(len(scope.events)))
    holds = sorted((event.began, event.ended) for event in scope.of("release"))
    assert all(one[1] <= two[0] for one, two in pairwise(holds))
    assert not scope.recording.holders


def test_a_finalizer_and_a_signal_handler_may_come_in_between() -> None:
    """What happens while its thread is writing something down is written down behind it: no deadlock."""
    one, two = socket.socketpair()
    with one, two, microscope() as scope:
        one.send(b"first")
        recorder = recorders.current()
        assert recorder is not None
        add = recorder.recording.add

        def interrupted(*facts: Any) -> None:
            recorder.recording.add = add  # type: ignore[method-assign]
            one.send(b"!")  # as if a handler ran in the midst of it
            add(*facts)

        recorder.recording.add = interrupted  # type: ignore[method-assign, assignment]
        one.send(b"second")
    assert [event.data for event in scope.of("send")] == [b"first", b"second", b"!"]


def test_the_line_of_the_caller_is_the_learners() -> None:
    """File, line and function, also when the call goes through the standard library or this package."""
    with microscope() as scope, connection() as (client, conn):
        with client.makefile("wb") as file:
            file.write(b"hello\n")
            file.flush()  # sent here
        conn.recv(10)  # received here
    (send,), (recv,) = scope.of("send"), scope.of("recv")
    assert (send.file, send.line) == (__file__, line_of("sent here"))
    assert (recv.line, recv.function) == (
        line_of("received here"),
        "test_the_line_of_the_caller_is_the_learners",
    )
