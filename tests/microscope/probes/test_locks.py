"""Locks are recorded, and stay locks."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatstages.microscope import microscope
from tests.support import PATIENCE
from tests.support.microscope.sockets import event_kinds, run_thread


def take_and_give_back(lock: Any) -> None:
    """Take `lock` once."""
    with lock:
        pass


class Interrupted:
    """A lock that is taken; a Ctrl-C comes while somebody waits for it."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait in vain."""
        if blocking:
            raise KeyboardInterrupt
        return False


def test_a_ctrl_c_while_waiting_for_a_lock_leaves_it_to_its_owner() -> None:
    """KeyboardInterrupt goes through; nobody seems to have the lock, or to wait for it, who does not."""
    with microscope() as scope:
        guard: Any = threading.Lock()
        guard.acquire()
        real, guard._real = guard._real, Interrupted()
        with pytest.raises(KeyboardInterrupt):
            guard.acquire()
        guard._real = real
        assert scope.recording.holders.keys() == {"lock 1"}
        guard.release()
    assert [event.error for event in scope.of("acquire")] == ["", "KeyboardInterrupt: "]
    assert not scope.recording.holders
    assert not scope.recording.ongoing_calls


def test_a_lock_is_still_a_lock() -> None:
    """Whoever asks what it is, or holds it wrongly, sees no difference."""
    real = threading.Lock()
    with microscope():
        lock = threading.Lock()
        assert isinstance(lock, type(real))
        assert isinstance(real, threading.Lock)
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()
        with pytest.raises(ValueError, match="can't specify a timeout"):
            lock.acquire(False, 1)
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            threading.RLock().release()
        assert repr(lock).startswith("<unlocked _thread.lock")


def test_locks_of_the_standard_library_are_not_seen() -> None:
    """Those inside a queue, an event, a thread, a pool's future are not the learner's."""
    with microscope() as scope:
        channel: queue.Queue[int] = queue.Queue()
        channel.put(1)
        assert channel.get() == 1
        threading.Event().set()
        run_thread(int)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
    assert not scope.of("acquire")
    assert not scope.of("release")
    assert not [thing for thing in scope.things.values() if thing.what in ("lock", "condition")]


def test_a_lock_is_waited_for_taken_held_and_given_back() -> None:
    """`acquire` lasts as long as the wait, `release` as long as the holding; the present is known."""
    with microscope() as scope:
        guard = threading.Lock()
        with guard:
            thread = threading.Thread(target=take_and_give_back, args=(guard,))
            thread.start()
            while not (waiting := [d for d in scope.recording.ongoing_calls.values() if d.kind == "acquire"]):
                pass
            holders = scope.recording.holders
        thread.join(PATIENCE)
    label = waiting[0].thing
    assert scope.things[label].name == "guard"
    assert holders[label][0] == "main"
    first, second = scope.of("release", label)[:2]
    waited = next(event for event in scope.of("acquire", label) if event.thread != "main")
    assert waited.began < first.ended <= second.began
    assert waited.ended >= first.ended


def test_an_rlock_counts_once_and_a_lock_not_had_says_so() -> None:
    """Only the outermost level of an RLock is an event."""
    with microscope() as scope:
        again, guard = threading.RLock(), threading.Lock()
        with again, again:
            pass
        with guard:
            assert not guard.acquire(False)
    assert event_kinds(scope) == ["acquire", "release", "acquire", "acquire", "release"]
    assert [event.detail for event in scope.of("acquire")] == ["", "", "not acquired"]
