"""Stage 5: one log, one lock, one pool."""

from __future__ import annotations

import selectors
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from chatstages import stage5_pool as stage
from chatstages.protocol.framing import MAX_LINE
from chatstages.runtime.events import Address, Event
from chatstages.stage5_pool import connection as stage5_connection
from chatstages.stage5_pool import member as stage5_member
from chatstages.stage5_pool import server as server_module
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.server import POOL_SIZE
from chatstages.stage5_pool.worker import Worker
from tests.support import (
    PATIENCE,
    Recorder,
    connected,
    kill,
    line_of,
    overflow,
    python,
    raw_client,
    read_to_end,
    read_until,
    stopped,
)
from tests.support.crowd import Crowd


def test_everybody_sees_the_same_lines_in_the_same_order(told: Recorder) -> None:
    """Eight members speak at once; there is one order, and each one's own lines stand in theirs."""
    with stage.serve(on_event=told) as server, ExitStack() as stack:
        ears = [Recorder() for _ in range(8)]
        members = [
            stack.enter_context(connected(stage, server.address, f"m{n}", ear)) for n, ear in enumerate(ears)
        ]
        told.wait("joined", 8)
        threads = [
            threading.Thread(target=lambda m=member: [m.send(f"{i}") for i in range(100)])
            for member in members
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen = [[event.text for event in ear.wait("received", 800)] for ear in ears]
    assert all(lines == seen[0] for lines in seen)
    for n in range(8):
        assert [line for line in seen[0] if line.startswith(f"m{n}：")] == [f"m{n}：{i}" for i in range(100)]


def test_quick_messages_stay_apart(told: Recorder, heard: Recorder) -> None:
    """A message is a line, however the bytes arrive."""
    with stage.serve() as server, connected(stage, server.address, "小明", heard) as member:
        for n in range(200):
            member.send(f"第{n}句")
        heard.wait("received", 200)
    assert [event.text for event in heard.of("received")] == [f"小明：第{n}句" for n in range(200)]


def test_a_line_goes_over_the_wire_as_name_colon_text() -> None:
    """What is sent is what is received, to the byte."""
    line = "小明：你好\n".encode()
    with stage.serve() as server, raw_client(server.address) as sock:
        sock.sendall(line)
        assert read_until(sock, b"\n") == line


@pytest.mark.parametrize("pieces", [["小明：你好"], ["小明", "：你", "好"]])
def test_a_raw_client_is_heard_after_a_pause(pieces: list[str], heard: Recorder) -> None:
    """The scripts a learner starts with end nothing with a newline."""
    with stage.serve() as server, connected(stage, server.address, "听", heard):
        with raw_client(server.address) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                sock.sendall(piece.encode())
            heard.wait_text("received", "小明：你好")
            sock.sendall("小明：再见".encode())
            heard.wait_text("received", "小明：再见")
    assert [event.text for event in heard.of("received")] == ["小明：你好", "小明：再见"]


def test_what_a_raw_client_said_last_is_heard_though_it_left(heard: Recorder) -> None:
    """The end of the connection ends the message."""
    with stage.serve() as server, connected(stage, server.address, "听", heard):
        with raw_client(server.address) as sock:
            sock.sendall("小明：再见".encode())
        heard.wait_text("received", "小明：再见")


def pass_pauses(address: Address, told: Recorder, count: int) -> None:
    """Let `count` pauses go by: those of a raw client, one after the other, are the clock."""
    said = len(told.of("said"))
    with raw_client(address) as clock:
        for n in range(1, count + 1):
            clock.sendall(f"钟：{n}".encode())
            told.wait("said", said + n)


def test_a_client_that_has_sent_a_newline_is_never_cut(told: Recorder) -> None:
    """Half a line waits for its other half, however long the pause."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.sendall("小明：一\n小明：二".encode())
        told.wait("said", 1)
        pass_pauses(server.address, told, 3)
        sock.sendall("半\n".encode())
        told.wait("said", 5)
    assert [line_of(event) for event in told.of("said") if event.name == "小明"] == [
        "小明：一\n",
        "小明：二半\n",
    ]


def test_nobody_speaks_in_the_name_of_another(heard: Recorder, told: Recorder) -> None:
    """The name in front of a line is the server's word: the first one given, and no two alike."""
    with (
        stage.serve(on_event=told) as server,
        connected(stage, server.address, "Teacher", heard) as teacher,
    ):
        teacher.send("good morning")
        told.wait("said", 1)
        with raw_client(server.address) as sock:
            lines = ["bob：hi", "Teacher：no homework", "hi", "tеасher：no homework"]
            sock.sendall("".join(f"{line}\n" for line in lines).encode())
            told.wait("said", 5)
        with raw_client(server.address) as sock:
            sock.sendall("tеасher：no homework\nＴeacher: none\n".encode())
            heard.wait("received", 7)
    assert [event.text for event in heard.of("received")] == [
        "Teacher：good morning",
        "bob：hi",
        "bob：Teacher：no homework",
        "bob：hi",
        "bob：tеасher：no homework",
        "tеасher(2)：no homework",
        "tеасher(2)：Ｔeacher: none",
    ]


def test_who_gives_no_name_gets_a_number() -> None:
    """And may say later who it is."""
    with stage.serve() as server, raw_client(server.address) as sock:
        sock.sendall("hello\nhttp：//x\n".encode())
        assert read_until(sock, b"x\n").decode() == "#1：hello\nhttp：//x\n"


def test_a_name_is_free_again_when_its_owner_has_left(told: Recorder, heard: Recorder) -> None:
    """Leave and rejoin under the same name."""
    with stage.serve(on_event=told) as server:
        for n in range(1, 4):
            with connected(stage, server.address, "小明", heard) as member:
                member.send(f"{n}")
                heard.wait("received", n)
    assert [event.text for event in heard.of("received")] == ["小明：1", "小明：2", "小明：3"]


def test_a_message_that_is_too_long_is_refused_and_the_sender_told(told: Recorder) -> None:
    """What comes after it is heard."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.sendall(b"x" * (MAX_LINE + 1) + b"\n")
        assert read_until(sock, b"\n").startswith(b"* Too long")
        sock.sendall("小明：short\n".encode())
        assert read_until(sock, b"short\n") == "小明：short\n".encode()
    assert len(told.of("refused")) == 1


def test_a_raw_client_too_is_heard_after_a_message_that_was_too_long(told: Recorder) -> None:
    """For it the too long message ends with the pause."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.sendall(b"x" * (2 * MAX_LINE))
        told.wait("refused")
        pass_pauses(server.address, told, 3)
        sock.sendall("小明：short".encode())
        told.wait_text("said", "short")


def test_a_member_who_does_not_read_harms_nobody_and_is_cut_off(told: Recorder, heard: Recorder) -> None:
    """It is a number that falls behind; when the log has forgotten its place, it is out."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as slow:
        told.wait("joined")
        with connected(stage, server.address, "听", heard) as member:
            told.wait("joined", 2)
            overflow(server.address, told, heard)
            member.send("the end")
            heard.wait_text("received", "听：the end")
        assert [event.address for event in told.of("dropped")] == [slow.getsockname()]


def test_the_pool_is_fixed_however_many_come(told: Recorder) -> None:
    """Forty members, four threads: one that accepts, two workers, and one that tells the hook."""
    before = threading.active_count()
    with stage.serve(on_event=told, workers=2) as server, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(raw_client(server.address))
        told.wait("joined", 40)
        assert threading.active_count() == before + 1 + 2 + 1


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_will_do(workers: int) -> None:
    """Members of different workers hear each other."""
    with stage.serve(workers=workers) as server, ExitStack() as stack:
        ears = [Recorder() for _ in range(5)]
        members = [
            stack.enter_context(connected(stage, server.address, f"m{n}", ear)) for n, ear in enumerate(ears)
        ]
        for n, member in enumerate(members):
            member.send("here")
            for ear in ears[: n + 1]:
                ear.wait_text("received", f"m{n}：here")


def test_a_newcomer_first_gets_the_last_lines(heard: Recorder) -> None:
    """As many as the server was started with; by default none."""
    with stage.serve(history=2) as server, connected(stage, server.address, "早", heard) as early:
        for n in range(5):
            early.send(f"{n}")
        heard.wait("received", 5)
        late = Recorder()
        with connected(stage, server.address, "晚", late) as member:
            member.send("我来了")
            late.wait_text("received", "我来了")
    assert [event.text for event in late.of("received")] == ["早：3", "早：4", "晚：我来了"]


def test_senseless_options_are_refused() -> None:
    """At once, not in a thread."""
    with pytest.raises(ValueError, match="workers=0"):
        stage.serve(workers=0)
    with pytest.raises(ValueError, match="history=-1"):
        stage.serve(history=-1)


def test_who_says_a_great_deal_at_once_is_heard_in_turns_and_completely(
    told: Recorder, heard: Recorder
) -> None:
    """A paste is spread over time, line by line in its order; others come in between."""
    lines = [f"{n}：{'x' * 200}" for n in range(500)]
    with stage.serve() as server, connected(stage, server.address, "贴", heard) as pasting:
        with connected(stage, server.address, "人", told) as other:
            pasting.send("\n".join(lines))
            heard.wait("received", 1)
            other.send("me too")
            texts = [event.text for event in heard.wait("received", 501)]
    assert texts.index("人：me too") < 500
    assert [text for text in texts if text.startswith("贴")] == [f"贴：{line}" for line in lines]


def test_what_was_said_in_one_go_is_heard_though_its_speaker_has_gone(told: Recorder) -> None:
    """Listening in turns loses nothing, also when the connection was reset in between."""
    lines = "".join(f"{n}：{'x' * 200}\n" for n in range(300))
    with stage.serve(on_event=told) as server:
        with raw_client(server.address) as sock:
            sock.sendall(lines.encode())
            sock.shutdown(socket.SHUT_WR)
        told.wait("said", 300)
        told.wait("left")


def test_a_member_who_is_cut_off_is_told_why(told: Recorder) -> None:
    """The last line, once it reads again; then the end, not a reset."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as slow:
        told.wait("joined")
        overflow(server.address, told)
        data = read_to_end(slow)
    assert data.endswith(b"\n* You were disconnected: you did not read what was sent.\n")
    assert told.of("dropped")[0].address == told.of("joined")[0].address
    assert "bytes unsent" in told.of("dropped")[0].text


def test_a_member_who_is_cut_off_and_stays_deaf_is_closed(
    told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time to hear why is limited."""
    monkeypatch.setattr(stage5_connection, "NOTICE_TIMEOUT", 0.05)
    with stage.serve(on_event=told) as server, raw_client(server.address) as slow:
        told.wait("joined")
        overflow(server.address, told)
        told.until(lambda: Event("left", slow.getsockname()) in told.events, "the slow one to leave")


def test_what_was_said_is_sent_before_the_server_stops(told: Recorder) -> None:
    """To members of every worker, though more was waiting than their buffers hold."""
    text = "x" * 4_000
    with stage.serve(on_event=told, workers=2) as server, ExitStack() as stack:
        ears = [stack.enter_context(raw_client(server.address)) for _ in range(4)]
        speaker = stack.enter_context(raw_client(server.address))
        told.wait("joined", 5)
        readers = stack.enter_context(ThreadPoolExecutor())
        heard = [readers.submit(read_to_end, ear) for ear in (*ears, speaker)]
        speaker.sendall(f"{text}\n".encode() * 100)
        told.wait("said", 100)
        server.stop()
        assert [data.result().count(b"x\n") for data in heard] == [100] * 5
    assert told.of("dropped") == []


def test_what_could_not_be_sent_before_the_server_stops_is_counted(told: Recorder) -> None:
    """A member who does not read does not hold up the end, and is named."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as slow:
        with raw_client(server.address) as loud:
            told.wait("joined", 2)
            loud.sendall((b"x" * 4_000 + b"\n") * 900)  # more than the buffers take, less than the log
            loud.shutdown(socket.SHUT_WR)
            told.wait("said", 900)
            assert stopped(server)
            got = len(read_to_end(slow))
    reason = next(event.text for event in told.of("dropped") if event.address == told.events[0].address)
    said = sum(len(line_of(event).encode()) for event in told.of("said"))
    assert reason == f"the server was stopped, {said - got} bytes unsent"


def test_what_one_worker_heard_last_reaches_the_members_of_the_other(told: Recorder) -> None:
    """The end comes when all have heard out, not when the first has."""
    for _ in range(20):
        with stage.serve(on_event=told, workers=4) as server, ExitStack() as stack:
            members = [stack.enter_context(raw_client(server.address)) for _ in range(8)]
            told.wait("joined", 8)
            said = len(told.of("said"))
            for member in members:
                member.sendall("小明：再见\n".encode())
            server.stop()
            heard = {read_to_end(member).count("再见".encode()) for member in members}
        assert heard == {len(told.of("said")) - said}
        told.clear()


def test_the_sockets_of_members_are_prepared(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short lines go at once, buffers are bounded, and who has vanished is noticed."""
    conns: list[socket.socket] = []
    assign = Worker.assign
    monkeypatch.setattr(
        Worker,
        "assign",
        lambda *who: conns.append(who[1].sock) or assign(*who),  # type: ignore[func-returns-value]
    )
    with stage.serve(on_event=told) as server, raw_client(server.address):
        told.wait("joined")
        conn = conns[0]
        assert not conn.getblocking()
        assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert conn.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert conn.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * stage5_connection.SEND_BUFFER
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 55_000  # milliseconds
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 25  # seconds


def test_a_worker_that_fails_takes_the_server_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a room that receives nothing would be worse; and the error is told, not kept in a Future."""
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))

    def fail(_room: Room, lines: list[bytes], own: object) -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr(Room, "append", fail)
    with stage.serve(workers=2) as server, raw_client(server.address) as sock:
        sock.sendall(b"hello\n")
        assert server.wait(PATIENCE)
        assert read_to_end(sock) == b""
    assert [str(error) for error in reported] == ["no such thing"]


def test_it_serves_on_though_the_main_thread_has_ended() -> None:
    """As the other stages do: a process whose main thread is at its end starts no more threads."""
    program = """
import concurrent.futures.thread, threading, time
from chatstages.stage5_pool import connect, serve
server = serve(on_event=lambda event: print(event.kind, event.text, flush=True))
client = connect(server.address, "Ann")
def talk():
    while not concurrent.futures.thread._shutdown:  # from then on it starts none
        time.sleep(0.01)
    client.send("still here")
    client.close()
    server.stop()
    print("ended", server.wait(0), flush=True)
threading.Thread(target=talk).start()
"""
    out, err = python("-c", program).communicate(timeout=PATIENCE)
    assert (out.splitlines(), err) == (["joined ", "said still here", "left ", "ended True"], "")


def test_a_full_room_says_so(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system's selector takes few sockets, nobody finds out by silence."""
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    with stage.serve(on_event=told) as server, ExitStack() as stack:
        for _ in range(2 * POOL_SIZE):
            stack.enter_context(raw_client(server.address))
        with raw_client(server.address) as late:
            assert read_to_end(late) == b"* The room is full.\n"
        assert [event.text for event in told.wait("dropped")] == ["the room is full"]
        stack.close()
        told.wait("left", 2 * POOL_SIZE)
        with raw_client(server.address) as sock:
            sock.sendall("小明：有人吗\n".encode())
            read_until(sock, "有人吗\n".encode())


def test_it_works_with_the_selector_of_windows(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is select(), and fussy about what it is given."""
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    with stage.serve(on_event=told) as server, ExitStack() as stack:
        sock = stack.enter_context(raw_client(server.address))
        slow = stack.enter_context(raw_client(server.address))
        told.wait("joined", 2)
        overflow(server.address, told)
        assert read_to_end(slow).endswith(b"what was sent.\n")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.stop()
        read_to_end(sock)


def test_a_burst_of_many_throws_nobody_out(told: Recorder) -> None:
    """What the room says at once is more than the log keeps; who reads gets all of it."""
    with stage.serve(on_event=told) as server, ExitStack() as stack:
        listener = stack.enter_context(raw_client(server.address))
        loud = [stack.enter_context(raw_client(server.address)) for _ in range(30)]
        told.wait("joined", 31)
        readers = stack.enter_context(ThreadPoolExecutor(31))
        heard = [readers.submit(read_to_end, sock) for sock in (listener, *loud)]
        for sock in loud:
            sock.sendall(b"a\n" * 3_000)
            sock.shutdown(socket.SHUT_WR)
        told.wait("left", 30)
        server.stop()
        assert heard[0].result().count("：a\n".encode()) == 30 * 3_000
    assert told.of("dropped") == []


def test_what_a_member_misses_that_leaves_while_it_is_behind_is_counted(told: Recorder) -> None:
    """It says that it will speak no more (FIN), with much of the log still ahead of it."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as slow:
        told.wait("joined")
        with raw_client(server.address) as loud:
            loud.sendall((b"x" * 4_000 + b"\n") * 900)
            told.wait("said", 900)
            slow.shutdown(socket.SHUT_WR)
            missed = told.wait("dropped")[0]
            got = len(read_to_end(slow))
            told.until(lambda: Event("left", slow.getsockname()) in told.events, "it to leave")
    said = sum(len(line_of(event).encode()) for event in told.of("said"))
    assert missed.address == told.of("joined")[0].address
    assert 0 < int(missed.text.split()[3]) <= said - got


def test_half_a_line_of_one_who_was_killed_is_not_passed_on(told: Recorder) -> None:
    """`Ben：I owe you 10` may have been going to be 1000."""
    with stage.serve(on_event=told) as server, raw_client(server.address) as ben:
        ben.sendall("Ben：hi\nBen：I owe you 10".encode())
        read_until(ben, b"hi\n")
        kill(ben)
        told.wait("left")
    assert [line_of(event) for event in told.of("said")] == ["Ben：hi\n"]


def test_one_who_said_much_and_left_is_let_go_soon(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not heard for a while, but not for long: the dead must not keep what the living need."""
    monkeypatch.setattr(stage5_member, "MAX_THROTTLE", 0.01)
    monkeypatch.setattr(stage5_member, "LINES_PER_SECOND", 0.01)  # without the limit it would take days
    with stage.serve(on_event=told) as server:
        with raw_client(server.address) as sock:
            sock.sendall(b"\n" * 5_000)
        told.wait("left")


def test_a_paused_hook_holds_up_nobody(told: Recorder) -> None:
    """As when the terminal of the server is paused: the room goes on, and the hook learns what it missed."""
    released = threading.Event()

    def hook(event: Event) -> None:
        released.wait(PATIENCE)
        told(event)

    with stage.serve(on_event=hook) as server, Crowd(server.address, 3) as crowd:
        try:
            for number in range(3_000):
                crowd.socks[number % 3].sendall(b"%d %s\n" % (number, b"x" * 3_000))
                if number % 50 == 0:
                    crowd.say_to_all(0, f"still here {number}", range(3))
            crowd.say_to_all(1, "the end", range(3))
        finally:
            released.set()
        told.wait("missed")
    missed = sum(int(event.text.split()[0]) for event in told.of("missed"))
    everything = 3_000 + 60 + 1 + 1 + 2 * 4  # what was said, by a visitor too, and four who came and left
    assert len(told.events) - len(told.of("missed")) + missed == everything


def test_a_burst_right_before_the_end_is_passed_on(told: Recorder) -> None:
    """Nobody is throttled any more: what had reached the server is sent to everybody."""
    for _each in range(5):
        told.clear()
        with stage.serve(on_event=told, workers=2) as server, ExitStack() as stack:
            ear = stack.enter_context(raw_client(server.address))
            loud = [stack.enter_context(raw_client(server.address)) for _ in range(3)]
            told.wait("joined", 4)
            for sock in loud:
                sock.sendall(b"hello\n" * 500)
            server.stop()
            data = read_to_end(ear)
        assert data.count(b"hello\n") == 1_500
        assert len(told.of("said")) == 1_500
        assert told.of("refused") == told.of("dropped") == []


def test_who_connects_and_speaks_right_before_the_end_is_heard(told: Recorder, heard: Recorder) -> None:
    """Accepted or not: it had reached the server."""
    for number in range(1, 21):
        with stage.serve(on_event=told) as server:
            with raw_client(server.address) as sock:
                sock.sendall(b"hello\n")
                server.stop()
        assert len(told.of("said")) == number


HELLO = {
    "HTTP": b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": bytes.fromhex("16030100") + b"\xc8\x01\n\x00\n" + b"\x00" * 200,
}


@pytest.mark.parametrize("protocol", HELLO)
@pytest.mark.parametrize("in_pieces", [False, True], ids=["", "in_pieces"])
def test_a_browser_is_told_that_this_is_a_chat(
    protocol: str, in_pieces: bool, told: Recorder, heard: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, then it is disconnected; the room sees nothing of it."""
    monkeypatch.setattr(stage5_connection, "RAW_PAUSE", PATIENCE)  # however slow this machine is
    with stage.serve(on_event=told, announces=True) as server:
        with connected(stage, server.address, "Ann", heard) as ann:
            with raw_client(server.address) as browser:
                browser.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                size = 1 if in_pieces else 1_000
                for begin in range(0, 20 if in_pieces else 1_000, size):
                    browser.sendall(HELLO[protocol][begin : begin + size])
                answer = read_to_end(browser).decode()
            ann.send("hello")
            heard.wait_text("received", "Ann：hello")
            told.wait("left")
    line = f"* This is a chat: connect with a chat client, not with {protocol}.\n"
    header = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    assert answer == (header if protocol == "HTTP" else "") + line
    assert [event.text for event in heard.of("received")] == ["* Ann joined", "Ann：hello"]
    assert [event.text for event in told.of("dropped")] == [f"it speaks {protocol}, and this is a chat"]


def test_no_character_carries_marks_without_end(heard: Recorder) -> None:
    """They would cover the lines above and below it."""
    with stage.serve() as server, connected(stage, server.address, "听", heard):
        with raw_client(server.address) as sock:
            sock.sendall(f"Ann：Z{chr(0x301) * 1_000}a\nAnn：นี่\n".encode())
            heard.wait("received", 2)
    assert [event.text for event in heard.of("received")] == [f"Ann：Z{chr(0x301) * 5}a", "Ann：นี่"]
