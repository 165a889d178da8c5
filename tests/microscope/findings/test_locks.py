"""Deadlocks, blocking calls under a lock, locks that guard nothing."""

from __future__ import annotations

import threading

from chatstages.microscope import findings, microscope
from chatstages.microscope.findings import explain
from tests.support.microscope.explained import found_kinds
from tests.support.microscope.recordings import MS, Script, chat, crossed, frozen


def test_who_waits_for_a_thread_that_wants_his_lock() -> None:
    """Both are stuck; here a limit on the time ends it."""
    with microscope() as scope:
        lock = threading.Lock()

        def work() -> None:
            with lock:
                pass

        thread = threading.Thread(target=work)
        with lock:
            thread.start()
            thread.join(0.1)
        thread.join()
    (finding,) = scope.explain()
    assert "main waits in join on thread 1 and holds lock 1" in str(finding)


def test_a_crossed_pair_of_locks() -> None:
    """Is a deadlock: who waits for what, and where."""
    (deadlock,) = findings.deadlocks(crossed())
    assert deadlock.threads == ("thread 2", "thread 3")
    assert deadlock.locks == ("lock 2", "lock 1")
    assert deadlock.places == ("chat.py:21", "chat.py:31")
    assert found_kinds(crossed()) == ["Deadlock"]


def test_a_deadlock_that_a_timeout_has_broken_up() -> None:
    """Is found in the past, too."""
    script = Script()
    one, two = script.thread(), script.thread()
    left, right = script.lock(), script.lock()
    script.take(one, left)
    script.take(two, right)
    began = script.clock
    script.clock += 100_000_000
    script.happen(one, "acquire", right, began, detail="not acquired")
    script.happen(two, "acquire", left, began, detail="not acquired")
    script.give(one, left)
    script.give(two, right)
    assert [set(deadlock.threads) for deadlock in findings.deadlocks(script)] == [{one, two}]


def test_to_wait_for_a_busy_lock_is_no_deadlock() -> None:
    """Nor anything else."""
    script = Script()
    one, two = script.thread(), script.thread()
    lock = script.lock()
    script.take(one, lock)
    began = script.clock
    script.clock += 1_000_000
    script.give(one, lock)
    script.happen(two, "acquire", lock, began)
    script.set_holder(lock, two)
    script.give(two, lock)
    assert not explain(script)


def own_lock(what: str = "lock", **ends: object) -> Script:
    """Write how a thread takes a lock that it has, and what becomes of it."""
    script = Script()
    one, lock = script.thread(), script.new_thing(what, file="chat.py", line=5).label
    script.take(one, lock)
    if not ends:
        script.stuck(one, "acquire", lock, line=21)
        script.clock += 1_000_000_000
        return script
    began = script.clock
    script.clock += 500_000_000
    if ends.pop("given_back", None):
        script.happen("main", "release", lock, script.clear_holder(lock)[1], other=one)
    script.happen(one, "acquire", lock, began, line=21, **ends)
    return script


def test_a_thread_that_waits_for_itself() -> None:
    """For ever, or until its patience ends."""
    for script in (own_lock(), own_lock(detail="not acquired")):
        (finding,) = findings.self_deadlocks(script)
        assert (finding.thread, finding.thing, finding.line) == ("thread 2", "lock 1", 21)
        assert found_kinds(script) == ["SelfDeadlock"]


def test_a_lock_used_as_a_signal_is_no_deadlock() -> None:
    """Another thread gives it back; nor is a semaphore, which may let in several."""
    assert findings.self_deadlocks(own_lock(given_back=True)) == []
    assert findings.self_deadlocks(own_lock("semaphore")) == []


def test_who_sends_with_the_lock_in_hand() -> None:
    """Keeps others waiting; the one to blame is named."""
    (finding,) = findings.blocking_calls_under_lock(frozen())
    assert (finding.thread, finding.lock, finding.waiting) == ("thread 2", "lock 1", ("thread 3",))
    assert (finding.thing, finding.peer, finding.line) == ("socket 5", "socket 4", 22)
    assert "socket 4" in finding.advice
    assert found_kinds(frozen()) == ["BlockingCallUnderLock"]


def test_a_thread_that_waits_only_a_moment_for_the_lock_is_no_victim() -> None:
    """The holder may send for long, if whoever wants the lock comes just before its end."""
    script = Script()
    (one, two), ((_ann, there), _ben) = chat(script)
    lock = script.lock()
    script.take(one, lock)
    began = script.clock
    script.clock += 195 * MS
    late = script.clock
    script.clock += 5 * MS
    script.happen(one, "send", there, began, data=b"x")
    script.give(one, lock)
    script.happen(two, "acquire", lock, late)
    assert findings.blocking_calls_under_lock(script) == []


def own_locks_script(tmp_path: object, overlap: bool) -> Script:
    """Write two handlers that each make a lock, and hold them at the same time or one after the other."""
    file = f"{tmp_path}/handler.py"
    with open(file, "w") as source:
        source.write("def handle():\n    lock = Lock()\n    with lock:\n        ...\n")
    script = Script()
    for thread in (script.thread(), script.thread()):
        lock = script.lock(2, file, thread)
        script.take(thread, lock, line=3, file=file)
        if not overlap:
            script.give(thread, lock)
    if overlap:
        script.clock += 1_000_000
        script.give("thread 2", "lock 1")
        script.give("thread 3", "lock 2")
    return script


def test_a_lock_made_in_each_handler(tmp_path: object) -> None:
    """Two were inside at once."""
    (overlap,) = findings.critical_section_overlaps(own_locks_script(tmp_path, overlap=True))
    assert {overlap.thing, overlap.other_thing} == {"lock 1", "lock 2"}
    assert (overlap.line, overlap.made_at, overlap.nanoseconds) == (3, "handler.py:2", 1_000_000)
    assert "No mutual exclusion at handler.py:3" in str(overlap)


def test_a_lock_made_in_each_handler_is_named_before_it_does_harm(tmp_path: object) -> None:
    """Nobody was inside at the same time: `critical_section_overlaps` is silent, `explain` is not."""
    script = own_locks_script(tmp_path, overlap=False)
    assert findings.critical_section_overlaps(script) == []
    assert found_kinds(script) == ["UnsharedLock"]


def test_a_lock_of_each_object_is_no_mistake(tmp_path: object) -> None:
    """It is made in `__init__`, and guards what the object has."""
    file = f"{tmp_path}/group.py"
    with open(file, "w") as source:
        source.write("class Group:\n    def __init__(self):\n        self.lock = Lock()\n")
    script = Script()
    for thread in (script.thread(), script.thread()):
        script.take(thread, script.lock(3, file))
    assert not explain(script)


def test_a_lock_made_for_each_client_is_no_mistake(tmp_path: object) -> None:
    """By who accepts, say, for whoever is to send: not by the thread that takes it."""
    file = f"{tmp_path}/server.py"
    with open(file, "w") as source:
        source.write("def accept():\n    clients.append((conn, Lock()))\n")
    script = Script()
    for thread in (script.thread(), script.thread()):
        lock = script.lock(2, file)
        script.take(thread, lock)
        script.give(thread, lock)
    assert not explain(script)


def test_locks_that_several_threads_want_are_no_mistake(tmp_path: object) -> None:
    """Though they were made in a function, and each is held by one thread only."""
    script = own_locks_script(tmp_path, overlap=True)
    script.stuck("thread 2", "acquire", "lock 2")
    script.stuck("thread 3", "acquire", "lock 1")
    assert not explain(script)


def test_a_lock_that_died_with_its_holder() -> None:
    """An exception came between acquire and release."""
    script = Script()
    one = script.thread()
    script.take(one, script.lock())
    script.step(one, "run", error="ValueError: no")
    assert found_kinds(script) == ["UnreleasedLock"]
    assert "ValueError: no" in repr(explain(script))
