"""Subclasses of `socket.socket` are recorded like sockets, whatever their methods do inside."""

from __future__ import annotations

import runpy
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest

from chatstages.microscope import Scope, microscope
from chatstages.microscope.model.recording import TraceEvent
from chatstages.runtime import sockets
from tests.support import PATIENCE
from tests.support.microscope import stoppable
from tests.support.microscope.stoppable import STOPPABLE, StoppableSocket, Stopped

every_form = pytest.mark.parametrize("cls", STOPPABLE)


def listener(cls: type[socket.socket]) -> Any:
    """Return a listening socket of that class."""
    door = cls()
    door.bind(("127.0.0.1", 0))
    door.listen()
    return door


def facts(events: list[TraceEvent]) -> list[tuple[object, ...]]:
    """Return what of the events is the same in every run."""
    return [(e.thread, e.kind, e.thing, e.other, e.data, e.error, e.file, e.line) for e in events]


def until(scope: Scope, kind: str, count: int = 1) -> None:
    """Wait until so many threads are in such a call."""
    while sum(call.kind == kind for call in scope.recording.ongoing_calls.values()) < count:
        pass  # pytest's timeout ends it


def echo(door: socket.socket) -> None:
    """Serve one client."""
    conn, _address = door.accept()
    with conn:
        while data := conn.recv(100):
            conn.sendall(data)


def record_echo(cls: type[socket.socket]) -> Scope:
    """Record an echo server whose sockets are of that class."""
    with microscope() as scope, listener(cls) as door:
        server = threading.Thread(target=echo, args=(door,))
        server.start()
        with socket.create_connection(door.getsockname()) as client:
            until(scope, "recv")
            for text in (b"one", b"two"):
                client.sendall(text)
                assert client.recv(100) == text
            until(scope, "recv")
        server.join(PATIENCE)
    return scope


@every_form
def test_an_echo_server_is_recorded_as_with_plain_sockets(cls: type[StoppableSocket]) -> None:
    """The same events, on the same lines, in the same order on each thread."""
    plain, found = record_echo(socket.socket), record_echo(cls)
    for thread in ("main", "thread 1"):
        assert facts(found.of(thread=thread)) == facts(plain.of(thread=thread))
    assert found.things.keys() == plain.things.keys()


def test_a_subclass_in_an_installed_package_is_recorded_in_the_same_way(tmp_path: Path) -> None:
    """Its own code is not watched; its callers' is."""
    file = tmp_path / "site-packages" / "stoppable.py"
    file.parent.mkdir()
    file.write_text(Path(stoppable.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    installed = runpy.run_path(str(file))
    plain, found = record_echo(socket.socket), record_echo(installed["StoppableSocket"])
    for thread in ("main", "thread 1"):
        assert facts(found.of(thread=thread)) == facts(plain.of(thread=thread))
    assert found.things.keys() == plain.things.keys()


@every_form
def test_the_facts_of_its_sockets_are_those_of_plain_ones(cls: type[StoppableSocket]) -> None:
    """Names, roles, the two ends of the connection, byte counts, and that all are closed."""

    def told(scope: Scope) -> list[tuple[object, ...]]:
        """Return what of each socket is the same in every run."""
        socks = [thing for thing in scope.things.values() if thing.what == "socket"]
        return [(s.label, s.role, s.name, s.peer, s.sent, s.received, s.closed, s.line) for s in socks]

    assert told(record_echo(cls)) == told(record_echo(socket.socket))


@every_form
def test_a_blocked_call_is_shown_as_what_the_caller_called(cls: type[StoppableSocket]) -> None:
    """`accept` and `recv`, at the server's line, and no select; from the beginning of the call on."""
    with microscope() as scope, listener(cls) as door:
        server = threading.Thread(target=echo, args=(door,))
        server.start()
        until(scope, "accept")
        assert "thread 1 (echo): accept socket 1" in scope.board().text
        with socket.create_connection(door.getsockname()) as client:
            until(scope, "recv")
            assert "thread 1 (echo): recv socket 3" in scope.board().text
            call = scope.recording.ongoing_calls["thread 1"]
            client.sendall(b"x")
            client.recv(1)
        server.join(PATIENCE)
    assert (Path(call.file).name, call.function) == ("test_subclasses.py", "echo")
    recv, send = scope.of("recv", thread="thread 1")[0], scope.of("send", thread="main")[0]
    assert recv.began == call.since < send.began


def chat(door: socket.socket, guests: int) -> None:
    """Serve so many clients with a thread for each; what one says, all receive."""
    members: list[socket.socket] = []

    def handle(conn: socket.socket) -> None:
        while data := conn.recv(100):
            for member in members:
                member.sendall(data)

    threads = []
    for _guest in range(guests):
        conn, _address = door.accept()
        members.append(conn)
        threads.append(threading.Thread(target=handle, args=(conn,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for conn in members:
        conn.close()


def record_chat(cls: type[socket.socket]) -> Scope:
    """Record a chat of two clients whose server has sockets of that class."""
    with microscope() as scope, listener(cls) as door:
        server = threading.Thread(target=chat, args=(door, 2))
        server.start()
        ann = socket.create_connection(door.getsockname())
        until(scope, "recv", 1)
        ben = socket.create_connection(door.getsockname())
        until(scope, "recv", 2)
        for number, (speaker, text) in enumerate(((ann, b"hello\n"), (ben, b"good morning\n")), 1):
            speaker.sendall(text)
            for client in (ann, ben):
                assert client.recv(100) == text
            while len(scope.of("send")) < 3 * number:  # else the next may be recorded before the last
                pass  # pytest's timeout ends it
        for client in (ann, ben):
            client.close()
        server.join(PATIENCE)
    return scope


@every_form
def test_a_chat_server_has_the_pictures_and_findings_of_plain_sockets(cls: type[StoppableSocket]) -> None:
    """Who says what to whom, and nothing suspicious."""
    plain, found = record_chat(socket.socket), record_chat(cls)
    for lanes in ("threads", "endpoints"):
        assert said(found, lanes) == said(plain, lanes)
    assert found.wire().text == plain.wire().text
    assert repr(found.explain()) == repr(plain.explain())


def said(scope: Scope, lanes: str) -> list[str]:
    """Return the messages of the sequence; two clients leave in an order that is chance."""
    return [line for line in scope.sequence(lanes=lanes).text.splitlines() if "closes" not in line]


@pytest.mark.parametrize("cls", [socket.socket, *STOPPABLE])
def test_a_recv_under_a_lock_is_found(cls: type[socket.socket]) -> None:
    """Another thread wants the lock while the first waits in `recv`."""
    with microscope() as scope, listener(cls) as door:
        lock = threading.Lock()

        def serve() -> None:
            conn, _address = door.accept()
            with conn, lock:
                conn.recv(1)  # blocks under the lock

        def want() -> None:
            with lock:
                pass

        threads = [threading.Thread(target=target) for target in (serve, want)]
        threads[0].start()
        with socket.create_connection(door.getsockname()) as client:
            until(scope, "recv")
            threads[1].start()
            while "BlockingCallUnderLock" not in [type(finding).__name__ for finding in scope.explain()]:
                pass  # pytest's timeout ends it
            client.sendall(b"x")
            for thread in threads:
                thread.join(PATIENCE)
    (finding,) = scope.explain()
    assert (finding.thread, finding.thing, finding.file) == ("thread 1", "socket 3", __file__)
    assert "thread 1 waits in recv on socket 3" in str(finding)


@pytest.mark.parametrize("cls", [socket.socket, *STOPPABLE])
def test_a_slow_consumer_is_found(cls: type[socket.socket]) -> None:
    """The server's send blocks, because a client reads nothing."""
    with microscope() as scope, listener(cls) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

        def serve() -> None:
            conn, _address = door.accept()
            with conn:
                conn.sendall(b"x" * 3_000_000)

        server = threading.Thread(target=serve)
        server.start()
        with socket.create_connection(door.getsockname()) as client:
            while not (findings := scope.explain()):
                pass  # pytest's timeout ends it
            while client.recv(100_000):
                pass
        server.join(PATIENCE)
    (finding,) = findings
    assert (type(finding).__name__, finding.thing) == ("BlockedThread", "socket 3")


@pytest.mark.parametrize("cls", [socket.socket, *STOPPABLE])
def test_a_busy_loop_is_found(cls: type[socket.socket]) -> None:
    """The server does not look at b""."""
    with microscope() as scope, listener(cls) as door:
        with socket.create_connection(door.getsockname()):
            conn, _address = door.accept()
        with conn:
            for _each in range(9):
                conn.recv(100)
    assert [type(finding).__name__ for finding in scope.explain()] == ["BusyLoop"]


@every_form
def test_stop_is_seen_as_what_the_calls_return(cls: type[StoppableSocket]) -> None:
    """`accept` raises, `recv` returns b"": that is all, and nothing of the waker is recorded."""
    with microscope() as scope, listener(cls) as door:

        def serve() -> None:
            with pytest.raises(Stopped):
                door.accept()

        server = threading.Thread(target=serve)
        server.start()
        until(scope, "accept")
        door.stop()
        server.join(PATIENCE)
    (accept,) = scope.of("accept")
    assert accept.error == "Stopped: "
    assert {event.kind for event in scope.events} == {
        "bind",
        "listen",
        "start",
        "accept",
        "run",
        "wait",
        "close",
    }
    assert [thing.role for thing in scope.things.values() if thing.what == "socket"] == ["listener"]


def test_no_frame_of_the_microscope_is_in_the_traceback_of_an_overriding_method() -> None:
    """Nor of what it calls."""
    with microscope(), StoppableSocket() as sock:
        sock.stop()
        with pytest.raises(Stopped) as caught:
            sock.accept()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [Path(frame.filename).name for frame in frames] == ["test_subclasses.py", "stoppable.py"]


def test_afterwards_the_subclasses_have_their_own_methods() -> None:
    """Every attribute is what it was, by identity; inside, some were not."""

    def attributes() -> list[dict[str, int]]:
        return [{name: id(value) for name, value in vars(cls).items()} for cls in STOPPABLE]

    before = attributes()
    with microscope():
        assert attributes() != before
    assert attributes() == before


def test_a_subclass_that_is_defined_during_the_recording_is_recorded_too() -> None:
    """And is left alone afterwards."""
    with microscope() as scope:

        class Mine(socket.socket):
            def recv(self, size: int, flags: int = 0) -> bytes:
                return super().recv(size, flags) + super().recv(size, flags)

        recv = Mine.recv
        one, two = socket.socketpair()
        with one, Mine(fileno=two.detach()) as mine:
            one.sendall(b"ab")
            assert mine.recv(1) == b"ab"
    assert [event.data for event in scope.of("recv")] == [b"ab"]
    assert Mine.recv is not recv


def test_a_method_of_a_mix_in_class_is_recorded_for_sockets_only() -> None:
    """The class itself may be used for something else."""

    class Twice:
        def recv(self, size: int, flags: int = 0) -> bytes:
            return bytes(size)

    class Mine(Twice, socket.socket):
        pass

    with microscope() as scope, Mine() as mine:
        assert mine.recv(2) == Twice().recv(2) == b"\0\0"
    assert [event.data for event in scope.of("recv")] == [b"\0\0"]
    assert "recv" not in vars(Mine)


def test_a_method_may_return_something_else_than_the_one_that_it_overrides() -> None:
    """What is text is recorded as UTF-8."""

    class TextSocket(socket.socket):
        def recv(self, size: int, flags: int = 0) -> str:  # type: ignore[override]
            return super().recv(size, flags).decode()

        def sendall(self, text: str) -> None:  # type: ignore[override]
            super().sendall(text.encode())

    one, two = (TextSocket(fileno=end.detach()) for end in socket.socketpair())
    with one, two, microscope() as scope:
        one.sendall("你好")
        assert two.recv(100) == "你好"
    assert [(event.kind, event.data.decode()) for event in scope.of(thread="main")] == [
        ("send", "你好"),
        ("recv", "你好"),
    ]


def test_a_recv_that_waits_since_before_the_recording_is_recorded() -> None:
    """Its overriding method is in code that is not watched, and has called nothing of the microscope's."""
    one, two = socket.socketpair()
    with one, sockets.StoppableSocket(two.family, fileno=two.detach()) as mine:

        def receive() -> None:
            mine.recv(100)

        thread = threading.Thread(target=receive)
        thread.start()
        while sys._current_frames()[thread.ident or 0].f_code.co_name != "select":
            pass  # pytest's timeout ends it
        with microscope() as scope:
            one.sendall(b"hello")
            thread.join()
    assert [(event.data, event.function) for event in scope.of("recv")] == [(b"hello", "receive")]


def test_a_lock_that_an_overriding_method_takes_is_seen() -> None:
    """It is no part of the socket; and while it is held, the thread is still in `recv`."""
    with microscope() as scope:
        lock = threading.Lock()

        class Careful(socket.socket):
            def recv(self, size: int, flags: int = 0) -> bytes:
                with lock:
                    pass
                return super().recv(size, flags)

        one, two = socket.socketpair()
        with one, Careful(fileno=two.detach()) as careful:
            reader = threading.Thread(target=careful.recv, args=(1,))
            reader.start()
            until(scope, "recv")
            while not scope.of("release"):
                pass  # pytest's timeout ends it
            until(scope, "recv")
            one.sendall(b"x")
            reader.join(PATIENCE)
    assert [event.kind for event in scope.of(thread="thread 1")] == ["acquire", "release", "recv", "run"]


def test_a_socket_that_takes_over_another_when_it_is_made_stays_the_same() -> None:
    """One socket, which is closed once."""

    class Wrapped(socket.socket):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__(fileno=sock.detach())

    with microscope() as scope:
        one, two = socket.socketpair()
        with one, Wrapped(two) as wrapped:
            one.sendall(b"x")
            wrapped.recv(1)
    found = [(event.kind, event.thing) for event in scope.events]
    assert found == [("send", "socket 1"), ("recv", "socket 2"), ("close", "socket 2"), ("close", "socket 1")]
