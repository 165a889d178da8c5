"""Conditions, events, semaphores, barriers, queues and futures are recorded."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from chatstages.microscope import microscope
from tests.support import PATIENCE
from tests.support.microscope.sockets import event_kinds


@pytest.mark.parametrize("own", [True, False])
def test_a_condition_is_waited_for_and_notified(own: bool) -> None:
    """The lock is given back while the wait lasts, and taken again."""
    with microscope() as scope:
        condition = threading.Condition(None if own else threading.Lock())
        happened: list[int] = []

        def wait() -> None:
            with condition:
                while not happened:
                    condition.wait(PATIENCE)

        thread = threading.Thread(target=wait)
        thread.start()
        while "wait" not in [ongoing.kind for ongoing in scope.recording.ongoing_calls.values()]:
            pass
        with condition:
            happened.append(1)
            condition.notify_all()
        thread.join(PATIENCE)
    waiter = next(event.thread for event in scope.of("wait") if event.thread != "main")
    assert [e.kind for e in scope.of(thread=waiter)] == [
        "acquire",
        "release",
        "acquire",
        "wait",
        "release",
        "run",
    ]
    assert [e.kind for e in scope.of(thread="main") if e.kind == "notify"] == ["notify"]
    assert not scope.recording.holders


def test_semaphores_and_events() -> None:
    """Who gets in, for how long, who is kept out; what is set and waited for."""
    with microscope() as scope:
        door, flag = threading.BoundedSemaphore(1), threading.Event()
        with door:
            assert not door.acquire(blocking=False)
        with pytest.raises(ValueError, match="released too many times"):
            door.release()
        assert not flag.wait(0)
        flag.set()
        assert flag.wait()
    assert event_kinds(scope) == ["acquire", "acquire", "release", "release", "wait", "notify", "wait"]
    assert scope.events[3].error.startswith("ValueError")
    assert [event.detail for event in scope.of("wait")] == ["timed out", ""]


def test_who_waits_for_a_queue_a_barrier_or_a_future_is_seen() -> None:
    """And nothing of the locks inside them."""
    with microscope() as scope:
        letters: queue.Queue[str] = queue.Queue(1)
        meeting = threading.Barrier(2)

        def write() -> str:
            meeting.wait()
            letters.put("hello")
            return letters.get()

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(write)
            meeting.wait()
            assert answer.result() == "hello"
        with suppress(queue.Empty):
            letters.get(block=False)
    found = {(event.thing, event.detail, event.error) for event in scope.of("wait") if event.detail != "join"}
    assert found == {
        ("barrier 1", "", ""),
        ("queue 1", "put", ""),
        ("queue 1", "get", ""),
        ("queue 1", "get", "Empty: "),
        ("future 1", "result", ""),
    }
    assert scope.things["queue 1"].name == "letters"
    assert not scope.explain()


def test_a_thread_that_waits_for_a_queue_is_shown_so() -> None:
    """On the board; what others do in the meantime does not hide it."""
    with microscope() as scope:
        letters: queue.Queue[int] = queue.Queue()
        reader = threading.Thread(target=letters.get)
        reader.start()
        while "get queue 1" not in scope.board().text:
            pass  # pytest's timeout ends it
        letters.put(1)
        reader.join()
