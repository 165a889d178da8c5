"""Stage 4: a group."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from chatstages import stage4_broadcast as stage
from chatstages.runtime.events import Event
from chatstages.runtime.sockets import StoppableSocket
from chatstages.runtime.waker import StopSignal
from tests.support import (
    STAGES,
    Recorder,
    connected,
    fill,
    kill,
    options,
    raw_client,
    read_until,
    stopped,
)

# What a group promises holds for stage 5 too.
groups = pytest.mark.parametrize("number", [4, 5])


@groups
def test_what_one_says_everybody_receives_the_speaker_too(number: int, told: Recorder) -> None:
    """That is what makes it a group."""
    group = STAGES[number]
    with group.serve(on_event=told) as server, ExitStack() as stack:
        ears = [Recorder() for _ in range(5)]
        clients = [
            stack.enter_context(connected(group, server.address, **options(number, f"人{n}"), on_event=ear))
            for n, ear in enumerate(ears)
        ]
        told.wait("joined", 5)
        clients[2].send("大家好")
        for ear in ears:
            ear.wait_text("received", "大家好")
        assert all("大家好" in "".join(client.received) for client in clients)


@groups
def test_a_leaver_silences_nobody(number: int, told: Recorder, heard: Recorder) -> None:
    """The others go on talking, however the leaver left."""
    group = STAGES[number]
    with group.serve(on_event=told) as server, ExitStack() as stack:
        clients = [
            stack.enter_context(connected(group, server.address, **options(number, f"人{n}"), on_event=heard))
            for n in range(2)
        ]
        told.wait("joined", 2)
        for count, leave in enumerate((socket.socket.close, kill), start=1):
            with raw_client(server.address) as leaver:
                leaver.sendall(b"hi\n")
                told.wait("said", count)
                leave(leaver)
        told.wait("left", 2)
        for client in clients:
            for word in ("one", "two", "three"):
                client.send(f"{word} from {id(client)}")
            heard.wait_text("received", f"three from {id(client)}")
    assert told.of("dropped") == []


@groups
def test_bad_bytes_touch_nobody_else(number: int, told: Recorder, heard: Recorder) -> None:
    """The mistake of one is no reason for the others to fall over."""
    group = STAGES[number]
    with group.serve(on_event=told) as server, raw_client(server.address) as bad:
        with connected(group, server.address, **options(number), on_event=heard) as client:
            told.wait("joined", 2)
            bad.sendall(b"\xff\x1b[2J\n")
            heard.wait_text("received", "\ufffd\ufffd[2J")
            client.send("still here")
            heard.wait_text("received", "still here")


@groups
def test_a_client_leaves_at_once_though_nobody_speaks(number: int, told: Recorder, heard: Recorder) -> None:
    """Closing wakes the thread that waits in recv; leaving is no "the server has gone"."""
    group = STAGES[number]
    with group.serve(on_event=told) as server:
        client = group.connect(server.address, **options(number), on_event=heard)
        told.wait("joined")
        client.close()
        told.wait("left")
    assert heard.events == []


@groups
def test_a_client_leaves_though_the_server_does_not_answer(number: int) -> None:
    """A server that never closes its side holds nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = STAGES[number].connect(server.getsockname(), **options(number))
        conn, _address = server.accept()
        with conn:
            leaving = threading.Thread(target=client.close)
            leaving.start()
            leaving.join(10)
            assert not leaving.is_alive()


@groups
def test_a_client_tells_once_that_the_server_has_gone(number: int, told: Recorder, heard: Recorder) -> None:
    """Its receiving thread ends: b"" is an end, not a message to show for ever."""
    group = STAGES[number]
    with group.serve(on_event=told) as server:
        with connected(group, server.address, **options(number), on_event=heard) as client:
            told.wait("joined")
            server.stop()
            heard.wait("disconnected")
            with pytest.raises(OSError, match=r"descriptor|not a socket"):
                client.send("hello?")
    assert [event.kind for event in heard.events] == ["disconnected"]


@groups
def test_what_is_said_before_leaving_reaches_the_others(number: int, told: Recorder, heard: Recorder) -> None:
    """To close with bytes unread sends a reset, which may destroy what was said: the client reads first."""
    group = STAGES[number]
    with group.serve(on_event=told) as server:
        with connected(group, server.address, **options(number, "听"), on_event=heard):
            told.wait("joined")
            with connected(group, server.address, **options(number, "说")) as leaver:
                for n in range(300):
                    leaver.send(f"<{n}>")
            told.wait("left")
            heard.wait_text("received", "<299>")
    text = "".join(event.text for event in heard.of("received"))
    assert [n for n in range(300) if f"<{n}>" not in text] == []


@groups
def test_stop_ends_a_server_in_the_middle_of_a_stalled_send(number: int, told: Recorder) -> None:
    """Whoever is blocked: here a speaker's words go to members who do not read."""
    server = STAGES[number].serve(on_event=told)
    with ExitStack() as stack:
        members = [stack.enter_context(raw_client(server.address)) for _ in range(6)]
        told.wait("joined", 6)
        ended = threading.Event()

        def talk() -> None:
            try:
                while not ended.is_set():
                    members[0].sendall(b"x" * 4_000 + b"\n")
            except OSError:
                pass  # the server has ended

        talker = threading.Thread(target=talk)
        talker.start()
        told.wait("said", 20)
        assert stopped(server)
        ended.set()
        members[0].close()
        talker.join()


def test_a_member_who_does_not_read_is_cut_off(told: Recorder, heard: Recorder) -> None:
    """It holds up the speaker for SEND_TIMEOUT at most, once, and has left; the others go on."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as slow:
        told.wait("joined")
        with connected(stage, server.address, heard) as client, raw_client(server.address) as loud:
            told.wait("joined", 3)
            loud.setblocking(True)
            reader = threading.Thread(target=lambda: [None for _ in iter(lambda: loud.recv(65_536), b"")])
            reader.start()
            fill(loud, lambda: bool(told.of("dropped")))
            client.send("the end")
            heard.wait_text("received", "the end")
            loud.shutdown(socket.SHUT_WR)
            reader.join()
        told.until(lambda: Event("left", slow.getsockname()) in told.events, "the slow one to leave")
        assert [event.address for event in told.of("dropped")] == [slow.getsockname()]


def test_no_message_is_lost_when_several_speak(told: Recorder, heard: Recorder) -> None:
    """The list of members is copied under the lock, so nobody is skipped while others come and go."""
    with stage.serve(on_event=told) as server, connected(stage, server.address, heard):
        told.wait("joined")
        speakers = [stage.connect(server.address) for _ in range(5)]
        threads = [
            threading.Thread(target=lambda c=c, n=n: [c.send(f"<{n}.{i}>") for i in range(100)])
            for n, c in enumerate(speakers)
        ]
        for thread in threads:
            thread.start()
        for thread, speaker in zip(threads, speakers, strict=True):
            thread.join()
            speaker.close()
        for n in range(5):
            heard.wait_text("received", f"<{n}.99>")
    text = "".join(event.text for event in heard.of("received"))
    assert all(text.count(f"<{n}.{i}>") == 1 for n in range(5) for i in range(100))


def test_raw_clients_hear_what_was_sent_and_nothing_else() -> None:
    """Stage 4 adds no name and no newline."""
    with stage.serve() as server, raw_client(server.address) as sock:
        sock.sendall("你好".encode())
        assert read_until(sock, "好".encode()) == "你好".encode()


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """Give what stops a server, to a test that has no server."""
    made = StopSignal()
    yield made
    made.close()


class Peer:
    """As much of a connection as a broadcast uses: when it is to send, it does what the test wants."""

    def __init__(self, act: Callable[[], object], signal: StopSignal) -> None:
        self.sends = 0
        self._act, self._signal = act, signal

    @property
    def stopped(self) -> bool:
        """Whether the server was stopped."""
        return self._signal.is_set()

    def sendall(self, data: bytes) -> None:
        """Count, and act."""
        self.sends += 1
        self._act()

    def shutdown(self, how: int) -> None:
        """Do nothing."""


def group_of(hook: Recorder, *peers: Peer) -> stage.Group:
    """Return a group whose members are `peers`, at ports from 1 on."""
    group = stage.Group(hook)
    for number, peer in enumerate(peers, start=1):
        group.members[peer] = ("peer", number)  # type: ignore[index]
    return group


def test_that_a_member_was_dropped_is_told_once(told: Recorder, stop: StopSignal) -> None:
    """Though two who speak at the same time both find out."""

    def fail() -> None:
        if slow.sends == 1:
            group.broadcast("what another says meanwhile")
        raise TimeoutError

    slow = Peer(fail, stop)
    group = group_of(told, slow)
    group.broadcast("hello")
    assert slow.sends == 2
    assert [event.address for event in told.events] == [("peer", 1)]


def test_a_broadcast_ends_when_the_server_is_stopped(told: Recorder, stop: StopSignal) -> None:
    """A room full of members who do not read cannot hold up the end, one after the other."""
    first, second = Peer(stop.set, stop), Peer(stop.set, stop)
    group_of(told, first, second).broadcast("hello")
    assert (first.sends, second.sends) == (1, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_who_is_served_no_more_is_no_member(fails: bool, stop: StopSignal) -> None:
    """Whether it has left or its handler has failed: nobody sends to a closed connection."""

    def hook(event: Event) -> None:
        if fails and event.kind == "said":
            raise LookupError

    group, (ours, theirs) = stage.Group(hook), socket.socketpair()
    theirs.sendall(b"hello")
    theirs.close()
    with suppress(LookupError):
        stage.handle(StoppableSocket(fileno=ours.detach(), stop_signal=stop), ("member", 1), group)
    assert group.members == {}
