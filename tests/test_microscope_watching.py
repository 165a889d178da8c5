"""The microscope: what is recorded, that it is true, and that nothing is left of it afterwards."""

from __future__ import annotations

import json
import os
import queue
import re
import select
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatstages import stage4_broadcast
from chatstages.lab import asyncio_room
from chatstages.microscope import Scope, load, microscope
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.trace import perfetto_events
from chatstages.microscope.probes import recorder as recorders
from chatstages.microscope.probes.code_filter import is_included
from chatstages.microscope.probes.recorder import describe_error
from tests import microscope_scripts
from tests.scripted import Script
from tests.support import PATIENCE, STAGES, Recorder, kill, options, python, read_until

LINUX = sys.platform.startswith("linux")
CLASSES = [
    socket.socket,
    threading.Thread,
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.BoundedSemaphore,
    ThreadPoolExecutor,
    selectors.SelectSelector,
    selectors.DefaultSelector,
]


def in_place() -> dict[str, int]:
    """Return the identity of everything that the microscope might replace."""
    found = {f"{cls.__name__}.{name}": id(value) for cls in CLASSES for name, value in vars(cls).items()}
    for module in (socket, threading, select, selectors, stage4_broadcast, sys.modules[__name__]):
        found |= {f"{module.__name__}.{name}": id(value) for name, value in list(vars(module).items())}
    return found


@contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            conn, _address = server.accept()
            with conn:
                yield client, conn


def kinds(scope: Scope, *wanted: str) -> list[str]:
    """Return the kinds of the events, in order; only those wanted, if any are named."""
    return [event.kind for event in scope.events if not wanted or event.kind in wanted]


def line_of(text: str) -> int:
    """Return the line of this file that has `text` and a mark in it."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}"))


def kernel_totals(sock: socket.socket) -> tuple[int, int]:
    """Return the bytes that the kernel says were sent and received (`struct tcp_info`)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < 216:
        pytest.skip("this kernel does not tell")
    (received,) = struct.unpack_from("Q", info, 128)
    (unsent,) = struct.unpack_from("I", info, 144)
    sent, again = struct.unpack_from("QQ", info, 200)
    return sent - again + unsent, received


def run_thread(target: Callable[..., object], *args: object) -> None:
    """Run `target` in a thread, to its end."""
    thread = threading.Thread(target=target, args=args)
    thread.start()
    thread.join(PATIENCE)


def take_and_give_back(lock: Any) -> None:
    """Take `lock` once."""
    with lock:
        pass


# --- everything is put back --------------------------------------------------------------------------


def test_afterwards_everything_is_as_before() -> None:
    """Every name is what it was, by identity; inside, some were not."""
    before = in_place()
    with microscope():
        assert in_place() != before
    assert in_place() == before
    assert recorders.current() is None


def test_an_exception_in_the_block_puts_everything_back_too() -> None:
    """It goes through, and nothing stays."""
    before = in_place()
    with pytest.raises(ZeroDivisionError), microscope():
        _ = 1 / 0
    assert in_place() == before


def test_names_taken_out_of_their_modules_are_replaced_and_put_back() -> None:
    """What ``from threading import Lock`` had put into a module of interest is watched, and comes back."""
    original = vars(stage4_broadcast)["Lock"]
    with microscope():
        assert vars(stage4_broadcast)["Lock"] is not original
    assert vars(stage4_broadcast)["Lock"] is original


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_left_alone(tmp_path: Path) -> None:
    """It waits for no lock that a thread of its parent had, and leaves no recording."""
    status, _output, errors, recording = run_script(tmp_path, microscope_scripts.FORKING)
    assert status == 0, errors
    assert errors.count("The recording is in") == 1
    assert not [event for event in recording.events if event.data == b"hello"]


def test_an_exception_of_the_main_thread_is_named(tmp_path: Path) -> None:
    """Without our own frames in the traceback, also when it was the command that ran the script."""
    (tmp_path / "script.py").write_text(microscope_scripts.FAILING)
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


def test_a_module_that_takes_them_inside_gets_them_back_as_they_were() -> None:
    """An import in the block leaves nothing of ours in the module."""
    module = ModuleType("taken_inside")
    sys.modules["taken_inside"] = module
    try:
        with microscope(module):
            exec("from threading import Lock, RLock\nfrom select import select", vars(module))
            assert vars(module)["Lock"] is threading.Lock
        assert vars(module)["Lock"] is threading.Lock
        assert vars(module)["RLock"] is threading.RLock
        assert vars(module)["select"] is select.select
    finally:
        del sys.modules["taken_inside"]


def test_what_others_have_put_there_since_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who replaces a method inside keeps his."""

    def mine(sock: socket.socket, how: int) -> None:
        """Do nothing."""

    with microscope():
        monkeypatch.setattr(socket.socket, "shutdown", mine)
    assert vars(socket.socket)["shutdown"] is mine
    monkeypatch.undo()
    vars_now = vars(socket.socket).get("shutdown")
    if vars_now is not None:  # monkeypatch has put back what it found: ours
        del socket.socket.shutdown


def test_objects_made_inside_go_on_working() -> None:
    """Sockets, locks, conditions, events, threads: all as if nothing had been."""
    with microscope() as scope:
        one, two = socket.socketpair()
        lock, rlock, event = threading.Lock(), threading.RLock(), threading.Event()
        condition, own = threading.Condition(), threading.Condition(lock)
        semaphore = threading.BoundedSemaphore(1)
        lock.acquire()
    count = len(scope.events)
    with one, two:
        one.sendall(b"hello")
        assert two.recv(5) == b"hello"
    assert lock.locked()
    lock.release()
    with rlock, rlock, condition, own, semaphore:
        assert not condition.wait(0)
    run_thread(event.set)
    assert event.wait(PATIENCE)
    assert type(one) is socket.socket
    assert len(scope.events) == count


def test_a_second_microscope_is_refused_and_the_first_goes_on() -> None:
    """There is one at a time; the message says where the other was put in place."""
    with microscope() as scope:
        with pytest.raises(RuntimeError, match=r"test_microscope_watching.py:\d+"), microscope():
            pass
        socket.socket().close()
    assert kinds(scope) == ["close"]


def test_another_thread_may_end_it() -> None:
    """The thread that ends it need not be the one that has begun it."""
    before = in_place()
    stack = ExitStack()
    stack.enter_context(microscope())
    run_thread(stack.close)
    assert in_place() == before


def test_threads_that_outlive_it_are_not_disturbed() -> None:
    """One that waits while the recording ends gets what it waits for; that is in no recording any more."""
    got: list[bytes] = []
    one, two = socket.socketpair()
    with one, two:
        with microscope() as scope:
            ready = threading.Event()

            def receive() -> None:
                ready.set()
                got.append(two.recv(5))

            thread = threading.Thread(target=receive)
            thread.start()
            ready.wait()
        one.send(b"hello")
        thread.join(PATIENCE)
    assert got == [b"hello"]
    assert not scope.of("recv")


# --- what the code does is not changed ---------------------------------------------------------------


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


class Unspeakable(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("on purpose")


def test_an_error_that_cannot_be_told_is_named_by_its_class() -> None:
    """A mistake in the learner's own class goes no further."""
    assert describe_error(Unspeakable()) == "Unspeakable: "


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


def test_ordinary_sockets_are_watched_from_their_first_use_on() -> None:
    """A connection that was made before is seen, as are its two ends."""
    with connection() as (client, conn):
        client.send(b"before")
        with microscope() as scope:
            client.send(b"after")
            read_until(conn, b"after")
            things = scope.things
    assert kinds(scope) == ["send", "recv"]
    sender = things[scope.of("send")[0].thing]
    assert sender.sent == 5
    assert sender.peer == scope.of("recv")[0].thing


# --- truth -------------------------------------------------------------------------------------------


def test_both_ends_of_a_connection_are_paired() -> None:
    """Whoever connected, and who was accepted; and the two of a socketpair."""
    with microscope() as scope:
        with connection():
            pass
        one, two = socket.socketpair()
        one.close()
        two.close()
    listener, client, server, left, right = (t for t in scope.things.values() if t.what == "socket")
    assert [t.role for t in (listener, client, server, left, right)] == [
        "listener", "client", "server", "pair", "pair",
    ]  # fmt: skip
    assert (client.peer, server.peer) == (server.label, client.label)
    assert (left.peer, right.peer) == (right.label, left.label)
    assert (client.local, client.remote) == (server.remote, server.local)
    assert (left.name, right.name) == ("one", "two")


@pytest.mark.skipif(not LINUX, reason="asks the kernel for struct tcp_info")
def test_totals_are_what_the_kernel_says() -> None:
    """However the bytes are sent and received, to the byte."""
    with microscope() as scope, connection() as (client, conn), open(__file__, "rb") as file:
        size, end = os.path.getsize(__file__), bytes(range(250, 256))  # which is in no file of text
        reader = threading.Thread(target=read_until, args=(conn, end))
        reader.start()
        client.sendall(memoryview(b"x" * 1_000_000))
        client.sendmsg([b"one", bytearray(b"two")])
        client.sendfile(file)
        client.send(end[:3])
        with client.makefile("wb") as stream:
            stream.write(end[3:])
        reader.join(PATIENCE)
        conn.sendall(b"y" * 100)
        client.recv(10, socket.MSG_PEEK)
        assert client.recv_into(bytearray(40)) == 40
        assert len(client.recvmsg(60)[0]) == 60
        ends = {thing.role: thing for thing in scope.things.values()}
        assert kernel_totals(client) == (ends["client"].sent, ends["client"].received)
        assert kernel_totals(conn) == (ends["server"].sent, ends["server"].received)
    assert ends["client"].sent == ends["server"].received == 1_000_000 + 6 + size + 6
    for label, kind in ((ends["client"].label, "send"), (ends["server"].label, "recv")):
        place = 0
        for event in scope.of(kind, label):  # type: ignore[arg-type]
            assert event.offset == place
            place += len(event.data)


@pytest.mark.skipif(not LINUX, reason="asks the kernel for struct tcp_info")
def test_a_sendall_that_fails_midway_is_counted_as_far_as_it_went() -> None:
    """The kernel tells how many bytes it has taken."""
    with microscope() as scope, connection() as (client, conn):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sendall(b"x" * 50_000_000)
        assert scope.of("send")[0].detail.endswith(" of 50000000 bytes")
        assert scope.things[scope.of("send")[0].thing].sent == kernel_totals(client)[0]
        kill(conn)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_totals_are_what_strace_sees(tmp_path: Path) -> None:
    """A script under both: each socket has sent and received what its system calls say."""
    script, log, out = tmp_path / "traffic.py", tmp_path / "strace.log", tmp_path / "out.json"
    script.write_text(microscope_scripts.TRAFFIC, encoding="utf-8")
    command = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(log), sys.executable]
    command += ["-m", "chatstages.microscope", "-o", str(out), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    if "ptrace" in done.stderr or not log.exists():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    seen = {"send": 0, "recv": 0}
    # A call during which another thread calls is on two lines; the second has the result:
    # "… <unfinished ...>" and "<... recvfrom resumed> … = 5".
    for line in log.read_text().splitlines():
        call = re.search(r"(send|recv)(?:to|from|msg)\b.*= (\d+)$", line)
        if call and "MSG_PEEK" not in line:
            seen[call[1]] += int(call[2])
    things = [thing for thing in load(out).things.values() if thing.what == "socket"]
    assert sum(thing.sent for thing in things) == seen["send"] == 300_028
    assert sum(thing.received for thing in things) == seen["recv"] == 300_028


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


def test_the_oldest_events_are_dropped_and_counted() -> None:
    """Memory is bounded: by events, and by bytes."""
    one, two = socket.socketpair()
    with one, two:
        with microscope(max_events=10) as few:
            for _ in range(50):
                one.send(b"x")
                two.recv(1)
        with microscope(max_bytes=2_500) as light:
            for _ in range(5):
                one.send(b"x" * 1_000)
                two.recv(1_000)
    assert (len(few.events), few.dropped) == (10, 90)
    assert few.events[-1].number == 99
    assert (len(light.events), light.dropped) == (2, 8)
    assert light.things[light.events[-1].thing].received == 5_000


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


# --- what is seen ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", STAGES)
def test_a_conversation_in_every_stage(number: int, told: Recorder) -> None:
    """Bind, listen, connect, accept, send, recv, close: with the lines of the stage."""
    stage = STAGES[number]
    with microscope() as scope, stage.serve(on_event=told) as server:
        with stage.connect(server.address, **options(number)) as client:
            told.wait("joined")
            client.send("你好")
            told.wait_text("said", "你好")
        told.wait("left")
    (connect,) = scope.of("connect")
    (accept,) = scope.of("accept")
    path = kinds(scope, "bind", "listen")
    assert path == ["bind", "listen"]
    assert accept.other == scope.things[connect.thing].peer
    said = b"".join(event.data for event in scope.of("recv", accept.other))
    assert "你好" in said.decode()
    assert all("stage" in Path(e.file).name for e in scope.events if e.kind in ("bind", "accept", "recv"))
    assert all(scope.things[label].closed for label in (accept.thing, connect.thing, accept.other))
    assert not [thing for thing in scope.things.values() if thing.role == "pair"]  # the bells
    order = [
        e.kind for e in scope.events if accept.other in (e.thing, e.other) or e.kind in ("bind", "listen")
    ]
    wanted = iter(order)
    assert all(kind in wanted for kind in ("bind", "listen", "accept", "recv", "close")), order


def test_a_stage_that_waits_is_seen_to_select() -> None:
    """What a thread waits for is named, before and after."""
    with microscope() as scope, stage4_broadcast.serve() as server:
        with stage4_broadcast.connect(server.address):
            pass
    listener = next(thing.label for thing in scope.things.values() if thing.role == "listener")
    assert [event for event in scope.of("select") if event.detail == event.other == listener]


def test_the_room_on_asyncio_is_seen_too(told: Recorder) -> None:
    """Its sockets are non-blocking, its loop waits in a selector: all as ever."""
    with microscope() as scope, asyncio_room.serve(on_event=told) as server:
        with asyncio_room.connect(server.address, "小明") as client:
            client.send("hi")
            told.wait("said")
        told.wait("left")
    assert {"accept", "recv", "send", "select"} <= set(kinds(scope))


def test_the_line_of_the_caller_is_the_learners() -> None:
    """File, line and function, also when the call goes through the standard library or our machinery."""
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


def test_what_is_of_interest_by_default() -> None:
    """The learner's own code and the lessons; not the standard library, what pip has installed, or us."""
    package = Path(stage4_broadcast.__file__).parent
    for name in ("stage1_oneshot.py", "faults/closed_too_early.py", "lab/asyncio_room.py"):
        assert is_included(str(package / name))
    assert is_included(__file__)
    for file in (
        package / "listener.py",
        package / "lab/rig.py",
        Path(socket.__file__),
        Path(pytest.__file__),
    ):
        assert not is_included(str(file))
    assert not is_included("<frozen runpy>")


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


def test_a_module_given_by_name_is_of_interest() -> None:
    """`microscope(queue)` looks into the queue, too."""
    with microscope(queue) as scope:
        channel: queue.Queue[int] = queue.Queue()
        channel.put(1)
    assert "lock" in {thing.what for thing in scope.things.values()}
    assert scope.of("acquire")[0].file == queue.__file__


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
    assert kinds(scope) == ["acquire", "release", "acquire", "acquire", "release"]
    assert [event.detail for event in scope.of("acquire")] == ["", "", "not acquired"]


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
    assert kinds(scope) == ["acquire", "acquire", "release", "release", "wait", "notify", "wait"]
    assert scope.events[3].error.startswith("ValueError")
    assert [event.detail for event in scope.of("wait")] == ["timed out", ""]


def test_an_exception_in_a_thread_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the `run` event, and goes where it always goes, without a frame of ours."""
    seen: list[list[str]] = []
    monkeypatch.setattr(
        threading,
        "excepthook",
        lambda args: seen.append([f.name for f in traceback.extract_tb(args.exc_traceback)]),
    )

    def failing() -> None:
        raise ValueError("on purpose")

    with microscope() as scope:
        run_thread(failing)
    (run,) = scope.of("run")
    assert run.error == "ValueError: on purpose"
    assert run.function == "failing"
    assert seen == [["_bootstrap_inner", "run", "failing"]]
    assert scope.things[run.thread].name == "failing"


def test_a_subclass_with_a_run_of_its_own_is_seen_too() -> None:
    """Its `run` is called as ever; afterwards the thread has no attribute more than before."""

    class Mine(threading.Thread):
        def run(self) -> None:
            self.attributes = set(vars(self))

    with microscope() as scope:
        thread = Mine()
        before = set(vars(thread))
        thread.start()
        thread.join(PATIENCE)
    assert thread.attributes <= before
    assert len(scope.of("run")) == 1
    assert scope.of("start")[0].other == scope.of("run")[0].thread


def test_a_job_of_a_pool_is_seen() -> None:
    """Which worker did it, for which pool, and what became of it."""

    def job(number: int) -> float:
        return 1 / number

    with microscope() as scope, ThreadPoolExecutor(1, "crew") as pool:
        assert pool.submit(job, 2).result() == 0.5
        assert isinstance(pool.submit(job, 0).exception(), ZeroDivisionError)
    good, bad = scope.of("task")
    assert (good.thread, good.thing, good.error) == ("thread 1", "pool 1", "")
    assert bad.error == "ZeroDivisionError: division by zero"
    assert scope.things["pool 1"].name == "crew"


def test_a_file_made_from_a_socket_keeps_it_open() -> None:
    """`close` says so; the real end is one more event."""
    with microscope() as scope:
        one, two = socket.socketpair()
        file = one.makefile("rb")
        one.close()
        assert not scope.things["socket 1"].closed
        file.close()
        assert scope.things["socket 1"].closed
        two.close()
    assert [event.detail != "" for event in scope.of("close", "socket 1")] == [True, False]


def test_a_socket_that_nobody_closes_is_seen_to_vanish() -> None:
    """Python closes it when nobody holds it any more."""
    with microscope() as scope:
        with suppress(pytest.PytestUnraisableExceptionWarning), pytest.warns(ResourceWarning):
            socket.socket()
    assert scope.of("close")[0].detail == "nobody held it any more"


def test_select_select_names_the_sockets() -> None:
    """Also where a name was taken out of the module."""
    with microscope() as scope:
        one, two = socket.socketpair()
        with one, two:
            one.send(b"x")
            assert select.select([one, two], [], [], PATIENCE)[0] == [two]
    (event,) = scope.of("select")
    assert (event.detail, event.other) == ("socket 1, socket 2", "socket 2")


@pytest.mark.parametrize("name", ["poll", "epoll"])
def test_a_poll_object_names_the_sockets(name: str) -> None:
    """As a selector does, which is made of one, and counted once."""
    if not hasattr(select, name):
        pytest.skip("this system has none")
    with microscope() as scope:
        one, two = socket.socketpair()
        poll = getattr(select, name)()
        with one, two:
            poll.register(one, select.POLLIN)
            poll.register(two.fileno(), select.POLLIN)
            assert poll.poll(0) == []
            one.send(b"x")
            assert poll.poll(PATIENCE) == [(two.fileno(), select.POLLIN)]
            poll.unregister(one)
            poll.modify(two, select.POLLOUT)
            assert poll.poll(timeout=-1) if name == "epoll" else poll.poll(-1)
            if name == "epoll":
                assert isinstance(poll, select.epoll)
                with select.epoll.fromfd(os.dup(poll.fileno())) as other:
                    assert isinstance(other, select.epoll)
                assert not poll.closed
                with poll as same:
                    assert same is poll
                assert poll.closed
    found = [(event.detail, event.other) for event in scope.of("select")]
    both = "socket 1, socket 2"
    assert found == [(both, ""), (both, "socket 2"), ("socket 2", "socket 2")]
    assert type(getattr(select, name)()).__module__ == "select"


@pytest.mark.parametrize("kind", [selectors.DefaultSelector, selectors.SelectSelector])
def test_a_selector_names_the_sockets_it_waits_for_now(kind: type[selectors.BaseSelector]) -> None:
    """One event for one call, with those that are registered by then."""
    with microscope() as scope:
        one, two = socket.socketpair()
        with one, two, kind() as selector:
            selector.register(one, selectors.EVENT_READ)
            selector.select(0)
            selector.register(two.fileno(), selectors.EVENT_READ)
            one.send(b"x")
            selector.select(PATIENCE)
            selector.unregister(one)
            selector.select(PATIENCE)
    found = [(event.detail, event.other) for event in scope.of("select")]
    assert found == [
        ("socket 1", ""),
        ("socket 1, socket 2", "socket 2"),
        ("socket 2", "socket 2"),
    ]


def test_a_connection_that_is_made_without_waiting_has_both_its_ends() -> None:
    """`connect` on a socket that does not block ends at once; who the other end is shows later."""
    with microscope() as scope, socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(server.getsockname())
        conn, _address = server.accept()
        with conn:
            client.send(b"hello")
            conn.recv(5)
    ends = {thing.role: thing for thing in scope.things.values() if thing.what == "socket"}
    assert ends["client"].peer == ends["server"].label


def test_datagrams() -> None:
    """No connection, but every byte."""
    with microscope() as scope, socket.socket(type=socket.SOCK_DGRAM) as one:
        with socket.socket(type=socket.SOCK_DGRAM) as two:
            one.bind(("127.0.0.1", 0))
            two.sendto(b"hello", one.getsockname())
            assert one.recvfrom(10)[0] == b"hello"
    assert [event.data for event in scope.events if event.data] == [b"hello", b"hello"]


# --- saving and loading ------------------------------------------------------------------------------


def everything(recording: Recording) -> list[Any]:
    """Return all that others may ask of a recording."""
    return [recording.events, recording.things, recording.ongoing_calls, recording.holders, recording.dropped]


def test_a_recording_that_is_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    """Events, things, the present at its end, what was dropped: all of it."""
    with microscope(max_events=20) as scope, stage4_broadcast.serve() as server:
        held = threading.Lock()
        held.acquire()
        with stage4_broadcast.connect(server.address) as client:
            client.send("\udcff\x00汉")
        with connection() as (one, two):
            one.send(bytes(range(256)))
            two.recv(1_000)
    scope.save(tmp_path / "x.json")
    loaded = Scope.load(tmp_path / "x.json")
    assert everything(loaded.recording) == everything(scope.recording)
    assert loaded.recording.now() == scope.recording.now()
    assert repr(loaded) == repr(scope)
    assert loaded.dropped > 0


def test_a_saved_recording_is_a_trace_that_perfetto_reads(tmp_path: Path) -> None:
    """Slices with times in microseconds, which nest well; names of the tracks."""
    with microscope() as scope, connection() as (client, conn):
        guard = threading.Lock()
        with guard:
            client.send(b"hello")
            conn.recv(5)
        run_thread(int)
    scope.save(tmp_path / "x.json")
    whole = json.loads((tmp_path / "x.json").read_text())
    assert list(whole) == ["traceEvents", "displayTimeUnit", "chatstages"]
    events = whole["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "s", "f"}
    tracks = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name"}
    assert set(tracks) == {"main", "thread 1 (int)", "lock 1 (guard)"}
    recv = next(e for e in events if e["name"].startswith("recv"))
    assert recv["args"]["data"] == "hello"
    assert next(e["tid"] for e in events if e["name"] == "held by main") == tracks["lock 1 (guard)"]
    slices = [(e["tid"], e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X"]
    for (track, begin, end), (other, start, stop) in combinations(slices, 2):
        inside = begin <= start < stop <= end or start <= begin < end <= stop
        assert track != other or inside or end <= start or stop <= begin


def test_the_track_of_a_lock_names_its_holder() -> None:
    """Also where another thread has given it back."""
    script = Script()
    one, two, lock = script.thread(), script.thread(), script.lock()
    script.take(one, lock)
    script.step(two, "release", lock, other=one)
    assert f"held by {one}" in [event["name"] for event in perfetto_events(script)]


def test_arrows_lead_to_what_has_begun_later(tmp_path: Path) -> None:
    """Else Perfetto turns them round; and a recv that waits has begun before the send."""
    with microscope() as scope, connection() as (client, conn):
        reader = threading.Thread(target=lambda: conn.recv(5))
        reader.start()
        while not any(ongoing.kind == "recv" for ongoing in scope.recording.ongoing_calls.values()):
            pass  # pytest's timeout ends it
        client.send(b"hello")
        reader.join()
    scope.save(tmp_path / "x.json")
    events = json.loads((tmp_path / "x.json").read_text())["traceEvents"]
    (start,), (end,) = ([e for e in events if e["ph"] == phase] for phase in "sf")
    send, recv = (next(e for e in events if e["name"].startswith(kind)) for kind in ("send", "recv"))
    (come,) = (e for e in events if e["ph"] == "X" and e["name"] == "bytes")
    assert (start["tid"], start["ts"]) == (send["tid"], send["ts"])
    assert (end["tid"], end["ts"]) == (come["tid"], come["ts"])
    assert recv["ts"] < send["ts"] < come["ts"] < come["ts"] + come["dur"] < recv["ts"] + recv["dur"]


@pytest.mark.parametrize("text", ["{}", "[]", '{"chatstages": 5}', "no json"])
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    """With ValueError, whatever is wrong with it."""
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        load(tmp_path / "x.json")


# --- what is made of locks ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("asks", [True, False])
def test_an_exception_of_a_job_is_lost_where_nobody_asks_for_it(asks: bool) -> None:
    """With `result`, or `exception`, it is no secret."""
    with microscope() as scope, ThreadPoolExecutor(1) as pool:
        job = pool.submit(lambda: 1 / 0)
        if asks:
            assert isinstance(job.exception(), ZeroDivisionError)
    assert len(scope.explain()) == (0 if asks else 1)


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


def test_an_empty_datagram_is_something() -> None:
    """Not the end of a stream, and not nothing."""
    with microscope() as scope:
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            one.bind(("127.0.0.1", 0))
            for _each in range(9):
                two.sendto(b"", one.getsockname())
                assert one.recv(10) == b""
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


# --- another process ---------------------------------------------------------------------------------


def run_script(tmp_path: Path, source: str, *more: str) -> tuple[int, str, str, Recording]:
    """Run `source` under the microscope in a process of its own; return status, output, and the recording."""
    script, out = tmp_path / "script.py", tmp_path / "out.json"
    script.write_text(source, encoding="utf-8")
    process = python("-m", "chatstages.microscope", "-o", str(out), str(script), *more)
    output, errors = process.communicate(timeout=PATIENCE * 3)
    return process.returncode, output, errors, load(out)


def test_a_script_runs_unchanged_in_another_process(tmp_path: Path) -> None:
    """It prints what it prints; its recording is written when it has ended."""
    status, output, errors, recording = run_script(tmp_path, microscope_scripts.GROUP)
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
    status, _output, _errors, recording = run_script(tmp_path, microscope_scripts.STATUS)
    assert status == 7
    assert [event.data for event in recording.events if event.kind == "recv"] == [b"hello"]


def test_an_uncaught_exception_is_shown_as_ever(tmp_path: Path) -> None:
    """The script's frames, none of ours; and the recording is written."""
    status, _output, errors, recording = run_script(tmp_path, microscope_scripts.FAILING)
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
    script.write_text(microscope_scripts.WAITING, encoding="utf-8")
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


# --- notebooks ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # what IPython's history and its own threads warn of
def test_the_cell_magic_leaves_the_scope_behind(tmp_path: Path) -> None:
    """`%%microscope` runs the cell, shows its last value, and leaves `scope`, or the name that was given."""
    source = f"import os; os.environ['IPYTHONDIR'] = {str(tmp_path)!r}"
    source += """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import chatstages.lab.microscope
shell.run_cell("from threading import Lock")
first = shell.run_cell("%%microscope\\nlock = Lock()\\nwith lock: pass\\n6 * 7")
assert not first.error_in_exec, first
print([(e.kind, e.line) for e in shell.user_ns["scope"].events], shell.user_ns["_"])
second = shell.run_cell("%%microscope mine\\nimport socket\\nsocket.socket().close()\\n1 / 0")
for wrong in ("%%microscope 5\\n1", "%%microscope\\nawait print(2)"):
    print(type(shell.run_cell(wrong).error_in_exec).__name__)
print(type(second.error_in_exec).__name__, [e.kind for e in shell.user_ns["mine"].events])
"""
    process = python("-c", source)
    output, errors = process.communicate(timeout=PATIENCE * 3)
    assert "[('acquire', 3), ('release', 3)] 42" in output, output + errors
    assert "ZeroDivisionError ['close']" in output
    assert output.count("UsageError\n") == 2
    assert "with microscope() as scope:" in output + errors


def test_the_core_loads_nothing_of_jupyter() -> None:
    """It needs nothing but Python."""
    code = (
        "import sys, chatstages.microscope; print([m for m in sys.modules if 'IPy' in m or 'jupyter' in m])"
    )
    output, errors = python("-c", code).communicate(timeout=PATIENCE * 3)
    assert output == "[]\n", errors
