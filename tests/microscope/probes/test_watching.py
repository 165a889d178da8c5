"""Everything that is patched is put back, and what is made meanwhile goes on working."""

from __future__ import annotations

import queue
import select
import selectors
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import ModuleType

import pytest

from chatstages import stage4_broadcast
from chatstages.microscope import microscope
from chatstages.microscope.probes import recorder as recorders
from chatstages.microscope.probes import watching
from chatstages.runtime import StoppableSocket
from tests.support import PATIENCE
from tests.support.microscope.sockets import connection, event_kinds, run_thread

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
    """What ``from threading import Lock`` had put into a watched module is patched, and comes back."""
    original = vars(stage4_broadcast)["Lock"]
    with microscope():
        assert vars(stage4_broadcast)["Lock"] is not original
    assert vars(stage4_broadcast)["Lock"] is original


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
        with pytest.raises(RuntimeError, match=r"test_watching.py:\d+"), microscope():
            pass
        socket.socket().close()
    assert event_kinds(scope) == ["close"]


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


class Absent(socket.socket):
    """A socket that comes back from `sendall` long after the bytes have arrived."""

    back: queue.SimpleQueue[None]  # not an Event: that would be recorded, too

    def sendall(self, data: bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        """Send, and come back when something is put into `back`."""
        super().sendall(data, flags)
        self.back.get(timeout=PATIENCE)


def test_a_send_that_is_under_way_at_the_end_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes have arrived: without it they would come from nowhere."""
    Absent.back = queue.SimpleQueue()
    monkeypatch.setattr(time, "sleep", lambda _seconds: Absent.back.put(None))
    with socket.create_server(("127.0.0.1", 0)) as door, Absent() as client:
        client.connect(door.getsockname())
        conn, _address = door.accept()
        with conn, microscope() as scope:
            thread = threading.Thread(target=lambda: client.sendall(b"!"))
            thread.start()
            conn.recv(1)
        thread.join(PATIENCE)
    assert sorted(event_kinds(scope, "send", "recv")) == ["recv", "send"]


def test_a_recv_whose_bytes_have_been_sent_is_recorded() -> None:
    """Though its thread may not have been woken yet when the block ends."""
    with connection() as (client, conn):
        for _each in range(10):
            with microscope() as scope:
                thread = threading.Thread(target=lambda: conn.recv(1))
                thread.start()
                while not scope.recording.ongoing_calls:
                    pass  # pytest's timeout ends it
                client.send(b"!")
            thread.join(PATIENCE)
            assert "main → thread 1: “!”" in scope.sequence().text


def test_a_send_that_is_blocked_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays in the recording as a call that has not ended."""
    monkeypatch.setattr(watching, "SETTLE", 0.01)

    def fill(sock: socket.socket) -> None:
        """Send more than all buffers hold, until the peer is gone."""
        with suppress(OSError):
            sock.sendall(b"x" * 50_000_000)

    with connection() as (client, conn):
        with microscope() as scope:
            thread = threading.Thread(target=fill, args=(client,))
            thread.start()
            while not scope.recording.ongoing_calls:
                pass  # pytest's timeout ends it
        conn.close()
        thread.join(PATIENCE)
    assert [call.kind for call in scope.recording.ongoing_calls.values()] == ["send"]


def test_a_recv_that_has_waited_since_an_earlier_recording_is_recorded() -> None:
    """At the line of the watched code that has called it, as in a cell that is run again."""
    received = queue.SimpleQueue[bytes]()

    def read(conn: StoppableSocket) -> None:
        """Put everything that arrives into the queue."""
        while data := conn.recv(100):
            received.put(data)

    with StoppableSocket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        with socket.create_connection(door.getsockname()) as client:
            conn, _address = door.accept()
            reader = threading.Thread(target=read, args=(conn,))
            reader.start()
            for _each in range(3):
                with microscope() as scope:
                    client.sendall(b"hello")
                    assert received.get(timeout=PATIENCE) == b"hello"
                (recv,) = scope.of("recv")
                assert (recv.data, recv.function) == (b"hello", "read")
        reader.join(PATIENCE)
        conn.close()
