"""A worker of stage 5 and its members, without a thread: a test takes its turns, one by one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chatstages import stage5_pool as stage
from chatstages.protocol.framing import MAX_LINE
from chatstages.runtime.events import Event, EventKind
from chatstages.runtime.waker import StopSignal
from chatstages.stage5_pool import server as server_module
from chatstages.stage5_pool import worker as stage5_worker
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker
from tests.support import Recorder, raw_client


class Post:
    """A worker, its members, their far ends, and what has happened."""

    def __init__(self) -> None:
        self.room, self.stop, self.events = Room(), StopSignal(), list[Event]()
        self.worker = Worker(self.room, self.stop, self.events.append, [])
        self._socks: list[socket.socket] = []

    def member(self) -> tuple[Connection, socket.socket]:
        """Return a member that has no worker yet, and its far end."""
        ours, far = socket.socketpair()
        self._socks += [ours, far]
        for sock in (ours, far):
            sock.setblocking(False)
        number = len(self._socks) // 2
        return Connection(ours, ("member", number), 0, f"#{number}", self.events.append), far

    def join(self) -> tuple[Connection, socket.socket]:
        """Return a member of the worker, and its far end."""
        member, far = self.member()
        self.worker.assign(member)
        self.turn()
        return member, far

    def turn(self) -> None:
        """Let the worker do what is to be done now."""
        self.worker._turn(0)

    def of(self, kind: EventKind) -> list[str]:
        """Return the texts of the events of one kind."""
        return [event.text for event in self.events if event.kind == kind]

    def log(self) -> bytes:
        """Return what has been said, as far as it is kept."""
        return bytes(self.room.read(self.room.bounds()[0], 1 << 30))

    def close(self) -> None:
        """Give everything back."""
        self.worker.close()
        self.stop.close()
        for sock in self._socks:
            sock.close()


@pytest.fixture
def post() -> Iterator[Post]:
    """Give a worker in an empty room."""
    made = Post()
    yield made
    made.close()


def test_newcomers_beyond_what_a_turn_takes_have_the_next(post: Post) -> None:
    """The worker wakes itself for them: nobody else would."""
    for _ in range(stage5_worker.ARRIVALS + 1):
        post.worker.assign(post.member()[0])
    post.turn()
    assert len(post.of("joined")) == stage5_worker.ARRIVALS
    assert post.worker._selector.select(0)
    post.turn()
    assert len(post.of("joined")) == stage5_worker.ARRIVALS + 1


def test_a_full_batch_is_passed_on_once(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much is said in one turn: all of it is in the log once, and so are the lines that come after."""
    monkeypatch.setattr(stage5_worker, "BATCH", 20)
    far_ends = [post.join()[1] for _ in range(5)]
    for far in far_ends:
        far.send(b"hello hello\n")
    post.turn()
    assert sorted(post.log().splitlines()) == [f"#{n}：hello hello".encode() for n in range(1, 6)]


def test_what_came_before_the_end_is_heard(post: Post) -> None:
    """A worker that finds the server stopped has one more turn."""
    _member, far = post.join()
    far.send(b"bye\n")
    post.stop.set()
    post.worker.run()
    assert post.log() == "#1：bye\n".encode()


def test_nobody_is_heard_while_the_last_lines_are_sent(post: Post) -> None:
    """What they say would never be sent."""
    slow, _far = post.join()
    _member, far = post.join()
    post.room.append([b"x" * 3_999 + b"\n"] * 500)
    far.send(b"the last\n")
    post.turn()
    assert slow.write_blocked
    end = post.room.bounds()[1]
    post.stop.set()
    far.send(b"too late\n")
    post.worker.flush(time.monotonic() + 0.1)
    assert post.room.bounds()[1] == end
    assert post.of("said") == ["the last"]


def test_who_is_cut_off_hears_why_and_then_the_end(post: Post) -> None:
    """At once, though our side of the connection stays open for it to close first."""
    member, far = post.join()
    member.disconnect_slow_consumer(missed=1)
    post.worker._update_interest(member)
    post.turn()
    assert far.recv(1_000).endswith(b"you did not read what was sent.\n")
    assert far.recv(1_000) == b""
    far.send(b"why?\n")
    post.turn()
    assert post.of("left") == []
    far.close()
    post.turn()
    assert post.of("left") == [""]


def test_what_comes_when_one_is_heard_no_more_is_thrown_away_and_counted(post: Post) -> None:
    """It is no message, and it is not lost without a word."""
    member, far = post.join()
    member.shutdown_write()
    post.worker._update_interest(member)
    far.send(b"x" * 99 + b"\n")
    post.turn()
    far.close()
    post.turn()
    assert post.log() == b""
    assert post.of("refused") == ["100 bytes came when it was not heard any more"]
    assert post.of("left") == [""]


def test_who_is_turned_away_reads_why_and_the_end() -> None:
    """Not a reset, which would throw the reason away: what the client has said is read first."""
    events: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as server, raw_client(server.getsockname()) as client:
        conn, address = server.accept()
        client.sendall(b"hello?\n")
        conn.recv(1, socket.MSG_PEEK)  # it has come
        Connection(conn, address, 0, "#1", events.append).reject()
        data = b""
        while more := client.recv(1_000):
            data += more
    assert data == b"* The room is full.\n"
    assert [event.kind for event in events] == ["dropped"]  # it has not joined


def test_refused_messages_slow_their_sender_down(post: Post) -> None:
    """As those that are passed on do: else refusing would be all that the worker does."""
    member, far = post.join()
    far.send(b"x" * (MAX_LINE + 1) + b"\n")
    while not post.of("refused"):
        assert not member.throttled
        post.turn()
    assert member.throttled
    assert member.due


def test_members_are_shared_out_among_the_workers(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly: a newcomer goes to the worker that has fewest."""
    workers: list[Worker] = []

    class Noted(Worker):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            workers.append(self)

    monkeypatch.setattr(server_module, "Worker", Noted)
    with stage.serve(on_event=told, workers=4) as server, ExitStack() as stack:
        for number in range(1, 9):
            stack.enter_context(raw_client(server.address))
            told.wait("joined", number)
        assert [worker.connection_count() for worker in workers] == [2] * 4
