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
from chatstages.stage5_pool import server as server_module
from chatstages.stage5_pool import worker as stage5_worker
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.member import Member
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker
from tests.support import PATIENCE, Recorder, ToldAtOnce, kill, raw_client


class Post:
    """A worker, its members, their far ends, and what has happened."""

    def __init__(self) -> None:
        self.room, self.told = Room(), ToldAtOnce()
        self.events = self.told.events
        self.worker = Worker(self.room, self.told)
        self._socks: list[socket.socket] = []

    def member(self) -> tuple[Connection, socket.socket]:
        """Return a member that has no worker yet, and its far end."""
        ours, far = socket.socketpair()
        self._socks += [ours, far]
        for sock in (ours, far):
            sock.setblocking(False)
        number = len(self._socks) // 2
        member = Member(f"#{number}", self.room.claim_name)
        return Connection(ours, ("member", number), self.room.bounds()[1], member), far

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


def test_a_newcomer_from_ahead_of_the_worker_gets_what_comes_next(post: Post) -> None:
    """Another worker has appended since, and our newcomer begins after that."""
    post.join()
    post.room.append([b"before it came"])
    member, far = post.join()
    assert member.offset is None
    post.room.append([b"after"])
    post.turn()
    assert far.recv(1_000) == b"after\n"


@pytest.mark.parametrize("limit", ["BATCH", "BATCH_LINES"])
def test_a_full_batch_is_passed_on_once(limit: str, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much is said in one turn: all of it is in the log once, and so are the lines that come after."""
    monkeypatch.setattr(stage5_worker, limit, 1)
    monkeypatch.setattr(stage5_worker, "SAFE_LINES", 2)
    far_ends = [post.join()[1] for _ in range(5)]
    for far in far_ends:
        far.send(b"hello hello\n")
    post.turn()
    lines = sorted(f"#{n}：hello hello".encode() for n in range(1, 6))
    assert sorted(post.log().splitlines()) == lines
    assert [sorted(far.recv(1_000).splitlines()) for far in far_ends] == [lines] * 5


def test_what_came_before_the_end_is_received_whole_and_passed_on(post: Post) -> None:
    """A burst of more than a throttled member may send, and of others what has no newline yet."""
    _ears, ears_far = post.join()
    member, far = post.join()
    far.send(b"line\n" * 10)
    post.turn()
    assert member.throttled
    far.send(b"line\n" * 500)
    _raw, raw_far = post.join()
    raw_far.send(b"bye")
    post.worker.stop()
    post.worker.run()
    post.worker.drain(time.monotonic() + PATIENCE)
    post.worker.flush(time.monotonic() + PATIENCE)
    lines = post.log().decode().splitlines()
    assert sorted(set(lines)) == ["#2：line", "#3：bye"]
    assert len(lines) == 511
    assert ears_far.recv(1 << 20) == post.log()
    assert post.of("refused") == []


def test_who_goes_on_and_on_does_not_hold_up_the_end(post: Post) -> None:
    """What has not been received when the time is over is counted."""
    _member, far = post.join()
    far.send(b"x" * 99 + b"\n")
    post.worker.stop()
    post.worker.drain(0.0)  # the time is over at once: there is one turn
    far.send(b"y" * 99 + b"\n")
    post.worker.flush(0.0)
    post.worker.close()
    assert post.log() == b"#1\xef\xbc\x9a" + b"x" * 99 + b"\n"
    assert post.of("refused") == ["100 bytes came when it was not heard any more"]


def test_nobody_is_heard_while_the_last_lines_are_sent(post: Post) -> None:
    """What they say would never be sent."""
    slow, _far = post.join()
    _member, far = post.join()
    post.room.append([b"x" * 3_999] * 500)
    far.send(b"the last\n")
    post.turn()
    assert slow.write_blocked
    post.worker.stop()
    post.worker.drain(time.monotonic() + 0.1)
    end = post.room.bounds()[1]
    far.send(b"too late\n")
    post.worker.flush(time.monotonic() + 0.1)
    assert post.room.bounds()[1] == end
    assert post.of("said") == ["the last"]


def test_who_is_cut_off_hears_why_and_then_the_end(post: Post) -> None:
    """At once, though our side of the connection stays open for it to close first."""
    member, far = post.join()
    member.disconnect_slow_consumer(missed=1)
    post.turn()
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
    far.send(b"x" * 99 + b"\n")
    post.turn()
    far.close()
    post.turn()
    assert post.log() == b""
    assert post.of("refused") == ["100 bytes came when it was not heard any more"]
    assert post.of("left") == [""]


def test_who_sends_more_than_one_recv_takes_is_slowed_down(post: Post) -> None:
    """However few lines that are; and however few of the lines are messages."""
    for data in (b"x" * 3_000 + b"\n" + b"y" * 3_000, b"\n" * 3_000, b"a" + b"\r\n" * 500):
        member, far = post.join()
        far.send(data)
        post.turn()
        post.turn()
        assert member.throttled


def test_a_raw_client_is_heard_though_it_was_throttled(post: Post) -> None:
    """Its message that was too long ends with a pause, as any of its messages."""
    member, far = post.join()
    far.send(b"x" * 5_000)
    for _each in range(5):
        post.turn()
    assert post.of("refused")
    while member.due:
        member.due = 1e-9  # its time has come
        post.turn()
    far.send(b"hello")
    post.turn()
    member.due = 1e-9
    post.turn()
    assert post.of("said") == ["hello"]


def test_half_a_line_of_one_whom_a_send_found_killed_is_no_message(post: Post) -> None:
    """The error that says so is reported once: here to `send`, and `recv` then returns b""."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, raw_client(listener.getsockname()) as peer:
        sock, address = listener.accept()
        connection = Connection(sock, address, None, Member("#9", str))
        assert connection.prepare()
        post.worker.assign(connection)
        post.turn()
        peer.sendall("Ben：hi\n".encode() * 3 + "Ben：I owe you 10".encode())
        sock.recv(1, socket.MSG_PEEK)
        post.turn()
        assert connection.throttled
        kill(peer)
        for _each in range(2):
            post.room.append([b"x"], post.worker._waker)
            post.worker._flush()
        connection.due = 1e-9
        while not post.of("left"):
            post.turn()
    assert post.of("said") == ["hi"] * 3


def test_what_one_misses_that_is_killed_while_it_is_behind_is_counted(post: Post) -> None:
    """As of one that leaves."""
    member, far = post.join()
    post.room.append([b"x" * 999] * 1_000)
    post.turn()
    assert member.write_blocked
    far.close()
    while not post.of("left"):
        post.turn()
    assert len(post.of("dropped")) == 1


def test_who_has_come_too_late_to_be_heard_is_counted(post: Post) -> None:
    """Nobody vanishes without an event."""
    late, far = post.member()
    post.worker.stop()
    post.worker.drain(0.0)
    post.worker.assign(late)
    far.send(b"hello\n")
    post.worker.flush(0.0)
    post.worker.close()
    assert [event.kind for event in post.events] == ["joined", "refused", "left"]


def test_a_name_is_given_again_after_all_have_been_told_that_it_is_free(post: Post) -> None:
    """Who reads "joined" and "left" would get it wrong otherwise."""
    worker = Worker(post.room, post.told, announces=True)
    member, far = post.member()
    worker.assign(member)
    far.send("Ann：hi\n".encode())
    worker._turn(0)
    worker._turn(0)
    logs: list[bytes] = []
    release = post.room.release_name
    post.room.release_name = lambda name: logs.append(post.log()) or release(name)  # type: ignore[method-assign,func-returns-value]
    far.close()
    worker._turn(0)
    worker.close()
    assert logs[0].endswith(b"* Ann left\n")


def test_one_that_has_left_has_no_timer_any_more(post: Post) -> None:
    """Not even in the turn in which it leaves: what has begun and is no message would become one."""
    member, far = post.join()
    far.send(b"never to be seen")
    post.turn()
    assert member.due
    member.disconnect_slow_consumer(missed=1)
    post.turn()
    far.close()
    post.turn()
    post.turn()
    assert post.of("left") == [""]
    assert post.log() == b""


def test_one_that_was_killed_is_sent_no_more_but_received_to_its_end(post: Post) -> None:
    """To send to it raises; it leaves when `recv` has brought the end, without a busy loop before."""
    member, far = post.join()
    far.send(b"x\n" * 10)
    post.turn()
    assert member.throttled
    far.close()
    post.room.append([b"to nobody"], post.worker._waker)
    post.worker._flush()
    assert not member.takes_log
    assert post.worker._selector.select(0) == []
    assert post.of("left") == []
    member.due = 1e-9
    post.turn()
    post.turn()
    assert post.of("left") == [""]
    assert post.of("dropped") == []


def test_who_is_turned_away_reads_why_and_the_end() -> None:
    """Not a reset, which would throw the reason away: what the client has said is read first."""
    events: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as server, raw_client(server.getsockname()) as client:
        conn, address = server.accept()
        client.sendall(b"hello?\n")
        conn.recv(1, socket.MSG_PEEK)  # it has come
        Connection(conn, address, 0, Member("#1", str)).reject(events.append)
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
