"""What a recording shows that is worth a look; nothing where nothing is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatstages import locale
from chatstages.faults import (
    a_pool_for_each,
    a_pool_that_blocks,
    closed_too_early,
    decoded_in_pieces,
    sending_under_the_lock,
    the_speaker_pays,
)
from chatstages.listener import Running
from chatstages.microscope import findings, microscope
from chatstages.microscope.findings import explain
from chatstages.microscope.model.holds import holds
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.streams import Stream, character_splits, deliveries, streams
from chatstages.microscope.pictures import sequence
from tests.scripted import MS, Script, calm, chat, crossed, frozen, merged
from tests.support import PATIENCE, STAGES, Recorder, options


def kinds(recording: Recording) -> list[str]:
    """Return the kinds of what `explain` names, each once, in order."""
    return list(dict.fromkeys(type(finding).__name__ for finding in explain(recording)))


# --- the bytes ---


def test_arrows_follow_the_bytes() -> None:
    """Three sends to one recv, one send to three."""
    (stream,) = streams(merged())
    found = [
        (arrow.data, arrow.send and arrow.send.data, arrow.recv and arrow.recv.data)
        for arrow in deliveries(stream)
    ]
    letters, characters = "大家好".encode(), [b"\xe5\xa4", b"\xa7\xe5", b"\xae\xb6" + "好".encode()]
    assert found == [(text, text, b"abc") for text in (b"a", b"b", b"c")] + [
        (piece, letters, piece) for piece in characters
    ]


def test_what_nobody_fetched_has_an_arrow_to_nobody() -> None:
    """Only the part that is missing."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"hello")
    script.step("main", "recv", there, data=b"he")
    found = [(arrow.data, arrow.recv is None) for arrow in deliveries(streams(script)[0])]
    assert found == [(b"he", False), (b"llo", True)]


@pytest.mark.parametrize("kind", ["send", "recv"])
def test_a_connection_of_which_one_end_was_seen(kind: str) -> None:
    """Has sends without recvs, or the other way round."""
    script = Script()
    sock = script.new_thing("socket", role="client").label
    script.step("main", kind, sock, data=b"hello")  # type: ignore[arg-type]
    (stream,) = streams(script)
    (arrow,) = deliveries(stream)
    assert {stream.sender, stream.receiver} == {sock, ""}
    assert (arrow.send is None, arrow.recv is None) == (kind == "recv", kind == "send")
    assert arrow.data == b"hello"


def test_a_forgotten_send_leaves_a_recv_without_one() -> None:
    """The places of the bytes stay right."""
    script = Script(max_events=3)
    _threads, ((ann, there), _ben) = chat(script)
    for text in (b"one", b"two"):
        script.step("main", "send", ann, data=text)
    script.step("main", "recv", there, data=b"one")
    script.step("main", "recv", there, data=b"two")
    found = [(arrow.data, arrow.send is None, arrow.recv is None) for arrow in deliveries(streams(script)[0])]
    assert found == [(b"two", False, False), (b"one", True, False)]


def test_bytes_that_are_no_characters_are_not_cut() -> None:
    """A picture, say."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"\xff\xe5\x00")
    script.step("main", "recv", there, data=b"\xff\xe5")
    script.step("main", "recv", there, data=b"\x00")
    assert character_splits(streams(script)[0]) == []


@pytest.mark.parametrize(("offset", "characters"), [(2, ["大"]), (9, [])], ids=["next to it", "after a gap"])
def test_a_character_is_put_together_only_from_neighbouring_bytes(offset: int, characters: list[str]) -> None:
    """Bytes between the two pieces that nobody recorded may belong to it."""
    head, rest = (
        TraceEvent(number, number, number, "main", "recv", "socket 1", data=data, offset=at)
        for number, data, at in ((0, b"\xe5\xa4", 0), (1, b"\xa7", offset))
    )
    assert [cut.character for cut in character_splits(Stream("", "socket 1", [], [head, rest]))] == characters


# --- what each function finds ---


def test_nothing_is_suspicious_in_a_calm_conversation() -> None:
    """So nothing is named."""
    explanation = explain(calm())
    assert not explanation
    assert repr(explanation) == "Nothing suspicious."


def test_coalesced_messages() -> None:
    """With the sends and the recv that show it."""
    (finding,) = findings.coalesced_messages(merged())
    assert (finding.sends, len(finding.events)) == (3, 4)
    assert "3 sends arrived coalesced in one recv" in str(finding)
    assert repr([finding]) == f"[<{finding}>]"
    assert (finding.file, finding.line) == ("chat.py", 10)


def test_a_split_message() -> None:
    """With the send and the recvs that show it."""
    (finding,) = findings.split_messages(merged())
    assert (finding.recvs, len(finding.events)) == (3, 4)
    assert "One send arrived split over 3 recvs" in str(finding)


@pytest.mark.parametrize(
    "sends",
    [
        [b"\x00\x00\x00\x05hello", b"\x00\x00\x00\x02hi"],
        [b"\x05\x00hello", b"\x02\x00hi"],
        [b"Ann: ", b"hello", b"\n"],
        [b"one\0", b"two\0"],
        [b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n", b"<p>hello</p>"],
    ],
    ids=["a length of 4 bytes", "a length of 2, the other way round", "a line in pieces", "NUL", "HTTP"],
)
def test_framed_messages_may_be_split_and_coalesced(sends: list[bytes]) -> None:
    """Their receiver reads so much as belongs together: a fact, but no mistake."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for data in sends:
        script.step("main", "send", ann, data=data)
    whole = b"".join(sends)
    for piece in (whole[:5], whole[5:]):
        script.step(one, "recv", there, data=piece)
    assert findings.coalesced_messages(script)
    assert not explain(script)


def test_bytes_that_look_like_a_length_by_chance_are_none() -> None:
    """Every message must have its length before it, to the last byte."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"\x02hi")
    script.step("main", "send", ann, data=b"hello")
    script.step(one, "recv", there, data=b"\x02hihello")
    assert kinds(script) == ["CoalescedMessages"]


def test_whole_lines_may_arrive_coalesced() -> None:
    """It is listed as a fact, but not named: a newline parts them."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for text in (b"a\n", b"b\n"):
        script.step("main", "send", ann, data=text)
    script.step(one, "recv", there, data=b"a\nb\n")
    assert len(findings.coalesced_messages(script)) == 1
    assert not explain(script)


def test_split_characters() -> None:
    """Each with its place in the stream."""
    assert [(split.character, split.offset) for split in findings.split_characters(merged())] == [
        ("大", 3),
        ("家", 6),
    ]
    assert kinds(merged()) == ["SplitCharacter", "CoalescedMessages", "SplitMessage"]


def test_an_empty_send() -> None:
    """It sends nothing, so it ends nothing."""
    script = Script()
    _threads, ((ann, _there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"")
    assert kinds(script) == ["EmptySend"]


def test_a_crossed_pair_of_locks() -> None:
    """Is a deadlock: who waits for what, and where."""
    (deadlock,) = findings.deadlocks(crossed())
    assert deadlock.threads == ("thread 2", "thread 3")
    assert deadlock.locks == ("lock 2", "lock 1")
    assert deadlock.places == ("chat.py:21", "chat.py:31")
    assert kinds(crossed()) == ["Deadlock"]


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
        assert kinds(script) == ["SelfDeadlock"]


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
    assert kinds(frozen()) == ["BlockingCallUnderLock"]


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


def test_a_release_that_failed_has_held_nothing() -> None:
    """A lock that nobody held cannot be given back."""
    script = Script()
    script.step("main", "release", script.lock(), error="RuntimeError: release unlocked lock")
    assert holds(script) == []


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
    assert kinds(script) == ["UnsharedLock"]


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
    assert kinds(script) == ["UnreleasedLock"]
    assert "ValueError: no" in repr(explain(script))


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
    assert kinds(script) == ["BusyLoop"]


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
    assert kinds(script) == ["UncaughtException"]


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
    assert kinds(script) == ["UnhandledSendError"]


def test_a_connection_closed_by_who_accepted_it() -> None:
    """The thread that it was given to finds a closed socket."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    script.step("main", "close", there, line=50)
    script.step(one, "recv", there, error="OSError: [Errno 9] Bad file descriptor")
    script.step(one, "run", error="OSError: [Errno 9] Bad file descriptor")
    (finding,) = findings.uses_after_close(script)
    assert (finding.thread, finding.user, finding.line) == ("main", one, 50)
    assert kinds(script) == ["UseAfterClose"]


def test_an_address_in_use() -> None:
    """Is named, with what helps."""
    script = Script()
    script.step("main", "bind", script.listener(), error="OSError: [Errno 98] Address already in use")
    assert kinds(script) == ["AddressInUse"]
    assert "SO_REUSEADDR" in repr(explain(script))


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


def test_a_pool_whose_workers_wait() -> None:
    """The third client is not heard until a job ends."""
    script = Script()
    pool = script.new_thing("pool", name="handler", file="chat.py", line=40).label
    workers = [script.thread(f"handler_{number}") for number in range(2)]
    listener = script.listener()
    pairs = [script.connect(listener) for _each in range(3)]
    for worker, (_client, server) in zip(workers, pairs, strict=False):
        script.stuck(worker, "recv", server)
    script.step("main", "send", pairs[2][0], data=b"Hello?")
    (finding,) = findings.exhausted_pools(script)
    assert (finding.thing, finding.pool, finding.workers, finding.size) == (pairs[2][1], pool, 2, 6)
    script.clock += 1_000_000
    script.happen(workers[0], "recv", pairs[0][1], 0)
    script.happen(workers[0], "task", pool, 0)
    begun = script.clock
    script.clock += 1_000_000
    script.step(workers[0], "recv", pairs[2][1], data=b"Hello?")
    script.happen(workers[0], "task", pool, begun)
    assert kinds(script) == ["ExhaustedPool"]  # it was heard in the end, too late


def test_a_pool_with_a_free_worker() -> None:
    """Hears the third client as soon as that worker has begun."""
    script = Script()
    pool = script.new_thing("pool", name="handler").label
    one, two = script.thread("handler_0"), script.thread("handler_1")
    listener = script.listener()
    (_ann, ann_there), (ben, ben_there) = script.connect(listener), script.connect(listener)
    script.stuck(one, "recv", ann_there)
    script.step("main", "send", ben, data=b"hi")
    begun = script.clock
    script.step(two, "recv", ben_there, data=b"hi")
    script.happen(two, "task", pool, begun)
    assert not explain(script)


def test_a_pool_for_each_client() -> None:
    """As many pools at work as there are clients."""
    script = Script()
    pools = [script.new_thing("pool", name="handler", file="chat.py", line=40).label for _each in range(3)]
    workers = [script.thread("handler_0") for _each in range(3)]
    listener = script.listener()
    pairs = [script.connect(listener) for _each in range(3)]
    for worker, (_client, server) in zip(workers, pairs, strict=True):
        script.stuck(worker, "recv", server)
    (finding,) = findings.pools_per_client(script)
    assert (finding.pools, finding.line) == (3, 40)
    for worker, pool in zip(workers, pools, strict=True):
        script.happen(worker, "task", pool, 0)
    assert kinds(script) == ["PoolPerClient"]


def test_long_messages_that_are_mixed() -> None:
    """What a lock around each piece does not prevent."""
    script = Script()
    (one, two), ((ann, ann_there), (ben, ben_there)) = chat(script)
    script.step("main", "send", ann, data=b"a" * 40)
    script.step(one, "recv", ann_there, data=b"a" * 20)
    script.step(one, "send", ben_there, data=b"a" * 20, line=22)
    script.step(two, "send", ben_there, data=b"b" * 20)
    script.step(one, "recv", ann_there, data=b"a" * 20)
    script.step(one, "send", ben_there, data=b"a" * 20)
    (finding,) = findings.interleaved_messages(script)
    assert (finding.thread, finding.others, finding.thing, finding.line) == (one, two, ben_there, 22)
    assert ben


def group(size: int) -> tuple[Script, list[str], list[tuple[str, str]]]:
    """Write how a server starts, and so many clients come, each listened to by a thread of its own."""
    script = Script()
    listener = script.listener()
    pairs = [script.connect(listener) for _each in range(size)]
    threads = [script.thread("handle") for _each in pairs]
    for thread, (client, server) in zip(threads, pairs, strict=True):
        script.step("main", "send", client, data=b"!\n")
        script.step(thread, "recv", server, data=b"!\n")
    return script, threads, pairs


def tell(script: Script, thread: str, text: bytes, *socks: str, gone: str = "") -> None:
    """Let `thread` send `text` to each of `socks`; `gone` fails."""
    for sock in socks:
        error = "BrokenPipeError: [Errno 32] Broken pipe" if sock == gone else ""
        script.step(thread, "send", sock, data=b"" if error else text, error=error, line=22)


def test_a_member_who_was_passed_over() -> None:
    """While the loop took another off the list that it walks."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b)) = group(3)
    tell(script, one, b"one\n", a, e, b)
    tell(script, one, b"two\n", a, e, gone=e)
    tell(script, one, b"three\n", a, b)
    (finding,) = findings.skipped_recipients(script)
    assert (finding.thread, finding.thing, finding.leaver, finding.line) == (one, b, e, 22)
    assert "“two⏎”" in str(finding)
    assert kinds(script) == ["SkippedRecipient"]


def test_who_gets_it_later_was_not_passed_over() -> None:
    """CoalescedMessages to the next one, say: a pool sends each what it has not seen."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b)) = group(3)
    tell(script, one, b"one\n", a, e, b)
    tell(script, one, b"two\n", a, e, gone=e)
    tell(script, one, b"two\nthree\n", b)
    tell(script, one, b"three\n", a, b)
    assert findings.skipped_recipients(script) == []


def test_who_gets_nothing_more_is_no_member() -> None:
    """Nor does one miss anything who speaks, where the speaker does not get his own words."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b), (_tom, t)) = group(4)
    tell(script, one, b"one\n", a, e, b, t)
    script.step(one, "recv", a, data=b"two\n")
    tell(script, one, b"two\n", e, t, gone=e)
    script.step(one, "recv", t, data=b"three\n")
    tell(script, one, b"three\n", a, t)
    assert findings.skipped_recipients(script) == []


def test_another_room_is_not_passed_over() -> None:
    """While somebody leaves a room, those in another one miss nothing."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b), (_tom, t)) = group(4)
    tell(script, one, b"one\n", b, t)
    tell(script, one, b"two\n", a, e)
    tell(script, one, b"three\n", a, e, gone=e)
    tell(script, one, b"four\n", b, t)
    assert findings.skipped_recipients(script) == []


def test_a_smaller_round_is_no_mistake_while_nobody_leaves() -> None:
    """A room within the group, say."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b)) = group(3)
    tell(script, one, b"one\n", a, e, b)
    tell(script, one, b"two\n", a, e)
    tell(script, one, b"three\n", a, e, b)
    assert findings.skipped_recipients(script) == []


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
    assert kinds(closing()) == ["ClosedWhileBlocked"]


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


def short(*after: tuple[str, dict[str, object]]) -> Script:
    """Write a send that takes 4 of 10 bytes, and what comes behind it."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    script.step(one, "send", there, data=b"abcd", detail="4 of 10 bytes", rest=b"efghij", line=22)
    for kind, facts in after:
        script.step(one, kind, "" if kind == "select" else there, **facts)  # type: ignore[arg-type]
    return script


@pytest.mark.parametrize(
    "script",
    [short(("send", {"data": b"next\n"}), ("recv", {"data": b"x"})), short(("close", {}))],
    ids=["something else", "the end"],
)
def test_the_rest_of_a_send_that_nobody_sent(script: Script) -> None:
    """Something else comes in its place, or the end."""
    (finding,) = findings.short_writes(script)
    assert (finding.thread, finding.thing, finding.line) == ("thread 2", "socket 3", 22)
    assert "4 of 10 bytes" in str(finding)
    assert kinds(script)[0] == "ShortWrite"


@pytest.mark.parametrize(
    "script",
    [
        short(),
        short(("send", {"data": b"efghij"})),
        short(("send", {"data": b"ef", "rest": b"ghij"}), ("send", {"data": b"ghij more"})),
        short(("select", {}), ("close", {})),
        short(("select", {}), ("send", {"data": b"too slow\n"}), ("close", {})),
    ],
    ids=["yet", "at once", "in pieces", "given up", "with a last word"],
)
def test_the_rest_of_a_send_that_was_kept(script: Script) -> None:
    """It is sent later, or the receiver is given up after a wait."""
    assert findings.short_writes(script) == []


def spoken(first: bytes, second: bytes, stamp: bytes = b"", leaves: bool = False) -> Script:
    """Write what two members say, and how it is passed on to the other, with `stamp` before it."""
    script, (one, two, *_more), ((_ann, a), (_ben, b)) = group(2)
    script.step(one, "recv", a, data=first)
    tell(script, one, stamp + first, b)
    if leaves:
        script.step(one, "recv", a)
    script.step(two, "recv", b, data=second)
    tell(script, two, stamp + second, a)
    return script


def test_a_name_that_two_have_used() -> None:
    """And the server has passed both on."""
    script = spoken("Teacher：no homework\n".encode(), "Teacher：homework\n".encode())
    (finding,) = findings.duplicate_nicknames(script)
    assert (finding.name, finding.thing, finding.other) == ("“Teacher”", "socket 5", "socket 3")
    assert kinds(script) == ["DuplicateNickname"]


def test_words_before_a_colon_are_not_always_a_name() -> None:
    """Who sends JSON has said his name, and what else there is, in quotation marks."""
    script = spoken(b'{"from": "ann"}\n', b'{"from": "ben"}\n')
    assert findings.duplicate_nicknames(script) == []


@pytest.mark.parametrize(
    "script",
    [
        spoken(b"Ann: hi\n", b"Ben: hi\n"),
        spoken(b"Ann: hi\n", b"Ann: hello\n", stamp=b"5: "),
        spoken(b"Ann: hi\n", b"Ann: hello\n", leaves=True),
        spoken(b"Ann: hi\n", b"Ann: hi\n"),
        spoken(b"\xffAnn: hi\n", b"\xffAnn: hello\n"),
    ],
    ids=["two names", "stamped", "free again", "the same words", "no text"],
)
def test_names_that_are_nobody_elses(script: Script) -> None:
    """Whose words were passed on must be certain."""
    assert findings.duplicate_nicknames(script) == []


def test_signs_that_command_a_screen() -> None:
    """They are shown as what they are, not obeyed."""
    script = spoken(b"\x1b[2Jhello\n", b"\xe2\x80\xaeabc\n")
    one, two = findings.terminal_injections(script)
    assert (one.text, two.text) == ("“\\x1b[2Jhello”", "“\\u202eabc”")
    assert kinds(script) == ["TerminalInjection"]
    assert findings.terminal_injections(spoken(b"\x00\x00\x00\x1bhello\n", b"\x07\n")) == []


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
    assert kinds(script) == ["LingeringThread"]


def test_findings_of_one_kind_are_said_once() -> None:
    """With how many there are."""
    assert repr(explain(merged())).count("⚠") == 3
    assert "(And 1 more like it.)" in repr(explain(merged()))


def test_what_is_forgotten_is_said() -> None:
    """A finding may be missing."""
    script = Script(max_events=1)
    chat(script)
    assert "4 older events were dropped." in repr(explain(script))


def test_hostile_text_does_nothing() -> None:
    """It is escaped in HTML, and cannot move a cursor."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for text in (b"<script>", b"\x1b[2J"):
        script.step("main", "send", ann, data=text)
    script.step(one, "recv", there, data=b"<script>\x1b[2J")
    bundle = explain(script)._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"]


def test_the_line_of_code_in_an_explanation_is_escaped(tmp_path: Path) -> None:
    """A program's comment is text, not HTML."""
    (tmp_path / "chat.py").write_text("sock.send(b'')  # <b>nothing</b>\n")
    script = Script()
    _threads, ((ann, _there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"", file=str(tmp_path / "chat.py"), line=1)
    html = explain(script)._repr_mimebundle_()["text/html"]
    assert "# &lt;b&gt;nothing&lt;/b&gt;" in html
    assert "<b>nothing" not in html


def test_every_sentence_can_be_said_in_both_languages() -> None:
    """No name in it is missing from what is filled in."""
    for language in locale.LANGUAGES:
        locale.use(language)
        for script in (merged(), crossed(), frozen()):
            assert repr(explain(script)).startswith("⚠")


# --- what was really seen: the stages, and the classic mistakes ---


@contextmanager
def clients(module: ModuleType, count: int, stage: int = 0) -> Iterator[tuple[Running, Recorder, list[Any]]]:
    """Run a server of `module` with so many clients, each with a recorder as `heard`."""
    told = Recorder()
    with ExitStack() as stack:
        server = stack.enter_context(module.serve(on_event=told))
        found = []
        for number in range(count):
            heard, name = Recorder(), f"member {number}"
            client = module.connect(server.address, on_event=heard, **options(stage, name))
            found.append(stack.enter_context(client))
            client.heard = heard
            told.wait("joined", number + 1)
        yield server, told, found


def workers_wait(recording: Recording, count: int) -> bool:
    """Tell whether so many workers of a pool wait for their clients, each in a job that has begun."""
    things = recording.things
    busy = {
        thread for thread, ongoing in recording.ongoing_calls.items() if ongoing.kind in ("select", "recv")
    }
    return sum(things[thread].name.startswith("handler_") for thread in busy) >= count


@pytest.mark.parametrize("stage", STAGES)
def test_a_calm_stage_is_not_suspicious(stage: int) -> None:
    """Who waits for what he has said has nothing to hear about; the sequence is the same each time."""
    words = set()
    for _round in range(2):
        with microscope() as scope:
            with clients(STAGES[stage], 1 if stage < 3 else 3, stage) as (_server, told, everybody):
                everybody[0].send("你好")
                told.wait_text("said", "你好")
                for client in everybody if stage > 3 else ():
                    client.heard.wait_text("heard", "你好")
        assert repr(explain(scope.recording)) == "Nothing suspicious."
        lines = sequence(scope.recording, lanes="endpoints").text.splitlines()
        words.add("\n".join(line for line in lines if "closes" not in line))
    assert len(words) == 1


def test_decoding_in_pieces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exception that it ends in."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    with microscope() as scope, clients(decoded_in_pieces, 1) as (server, _told, (ann,)):
        ann.send("你好，大家好")
        assert server.wait(PATIENCE)
    assert kinds(scope.recording) == ["UncaughtException"]
    assert "UnicodeDecodeError" in repr(explain(scope.recording))


def test_closing_too_early_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line of the slip."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    with microscope() as scope, clients(closed_too_early, 2):
        pass
    assert kinds(scope.recording) == ["UseAfterClose"]
    assert "the slip: it is not ours any more" in repr(explain(scope.recording))


def test_who_pays_for_a_leaver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line of the slip."""
    monkeypatch.setattr("threading.excepthook", lambda _failure: None)
    with microscope() as scope, clients(the_speaker_pays, 2) as (_server, told, (ann, eve)):
        eve.close()
        told.wait("left")
        ann.send("Where is she?")
        ann.heard.wait("gone")
    assert "UnhandledSendError" in kinds(scope.recording)
    assert "not by the speaker's fault" in repr(explain(scope.recording))


def test_a_pool_for_each_is_named() -> None:
    """While it goes on, and afterwards."""
    with microscope() as scope, clients(a_pool_for_each, 5):
        assert kinds(scope.recording) == ["PoolPerClient"]
    assert kinds(scope.recording) == ["PoolPerClient"]


def test_a_pool_that_blocks_is_named() -> None:
    """While the third is not heard, and afterwards."""
    with microscope() as scope, clients(a_pool_that_blocks, 3) as (_server, _told, (ann, ben, eve)):
        while not workers_wait(scope.recording, 2):
            pass  # pytest's timeout ends it
        eve.send("Hello?")
        ann.send("Welcome!")
        for client in (ann, ben, eve):  # else it may be glued to what comes next
            client.heard.wait_text("heard", "Welcome!")
        assert kinds(scope.recording) == ["ExhaustedPool"]
        ben.close()
        ann.heard.wait_text("heard", "Hello?")
    assert kinds(scope.recording) == ["ExhaustedPool"]


def test_sending_under_the_lock_is_named() -> None:
    """With the peer that does not read."""
    with microscope() as scope, clients(sending_under_the_lock, 2) as (server, told, (ann, ben)):
        with socket.socket() as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sleeper.connect(server.address)
            told.wait("joined", 3)
            ann.send("x" * 200_000)
            ann.heard.wait("heard")
            ben.send("Hello?")
            told.wait_text("said", "Hello?")
            while "BlockingCallUnderLock" not in kinds(scope.recording):  # pytest's timeout ends it
                pass
        ben.heard.wait_text("heard", "Hello?")
    (first, *_more) = findings.blocking_calls_under_lock(scope.recording)
    assert first.kind == "send"
    assert first.peer
