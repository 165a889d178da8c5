"""How a server of stage 5 ends, and what a million members leave behind that have come and gone."""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from chatstages import stage5_pool as stage
from chatstages.stage5_pool.room import LOG_SIZE
from tests.support import (
    PATIENCE,
    STAGES,
    Recorder,
    kill,
    line_of,
    python,
    raw_client,
    read_to_end,
    read_until,
)
from tests.support.crowd import Crowd, ServerApart, server_apart
from tests.support.limits import in_a_thread

soak = pytest.mark.soak
resource = pytest.importorskip("resource", reason="counts descriptors as POSIX does")

MEGABYTE = 1_000_000


# Row: stop with 1,000 members.


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=soak)], ids=["", "timed"])
def test_stop_with_1_000_members_sends_or_counts_all_that_was_said(timed: bool, told: Recorder) -> None:
    """900 read, 100 do not: what each got, and what was reported as unsent to it, is all that was said."""
    threads = threading.active_count()
    with stage.serve(on_event=told, workers=2) as server, Crowd(server.address, 1_000, stalled=100) as crowd:
        told.wait("left", crowd.visitors)
        heres = [len(line_of(event).encode()) for event in told.of("said")]  # one as each 200 had come
        crowd.say_to_all(999, "here", range(100, 1_000))
        crowd.socks[999].sendall((b"x" * 4_000 + b"\n") * 100)
        while sum(len(event.text) >= 4_000 for event in told.of("said")) < 100:
            list(crowd.lines(0.01))
        began = time.monotonic()
        with in_a_thread(server.stop):
            while crowd.open > 100:
                list(crowd.lines(PATIENCE))
        took = time.monotonic() - began
        got = [len(read_to_end(sock)) for sock in crowd.socks[:100]] + crowd.got[100:]
        unsent = {event.address: int(event.text.split()[-3]) for event in told.of("dropped")}
        sums = [got[number] + unsent.get(sock.getsockname(), 0) for number, sock in enumerate(crowd.socks)]
    assert threading.active_count() == threads
    said = sum(len(line_of(event).encode()) for event in told.of("said"))
    assert sums == [said - sum(heres[: number // 200]) for number in range(1_000)]
    assert len(unsent) == 100
    if timed:
        print(f"stop with 1,000 members, 100 of them slow: {took:.2f} s")
        assert took < 5


@soak
def test_soak_stop_an_idle_room() -> None:
    """Of 1,000 members: `stop` returns in less than 1 s."""
    with server_apart() as server, Crowd(server.address, 1_000):
        seconds, threads = server.stop()
    print(f"stop with 1,000 idle members: {seconds:.2f} s")
    assert threads == 1
    assert seconds < 1


def test_a_member_who_talks_until_the_end_gets_what_was_counted_as_sent(told: Recorder) -> None:
    """Though the server has not heard it out: to close with bytes unread is a reset, which throws away."""
    with stage.serve(on_event=told, workers=2) as server, Crowd(server.address, 2, stalled=1) as crowd:
        talker, other = crowd.socks
        talker_address = talker.getsockname()
        told.wait("left")  # the visitor for whom the crowd waited
        other.sendall((b"x" * 4_000 + b"\n") * 30)
        told.wait("said", 31)
        talker.sendall((b"y\n") * 30_000)
        told.wait("said", 1_000)
        server.stop()
        got = len(read_to_end(talker))
    said = sum(len(line_of(event).encode()) for event in told.of("said"))
    unsent = [int(event.text.split()[-3]) for event in told.of("dropped") if event.address == talker_address]
    assert got + sum(unsent) == said


# Row: a cell run again, kernel restarted, kernel killed.


@pytest.mark.parametrize("number", STAGES)
def test_the_port_of_a_server_that_was_killed_is_free_again(number: int) -> None:
    """With a member connected; a kernel that dies is a process that is killed."""
    code = (
        f"from {STAGES[number].__name__} import serve; s = serve(); print(s.address[1], flush=True); s.wait()"
    )
    with python("-c", code) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        with raw_client(("127.0.0.1", port)) as sock:
            sock.sendall(b"hello")
            process.kill()
            process.wait(PATIENCE)
            began = time.monotonic()
            with STAGES[number].serve(port=port) as again:
                assert again.address[1] == port
            print(f"stage {number}: free again after {time.monotonic() - began:.3f} s")


# Row: 1,000,000 connect/leave cycles.


def come_and_go(server: ServerApart, cycles: int, watch: Callable[[], object]) -> None:
    """Let `cycles` members come and leave, in all the ways there are, 100 at a time; then `watch()`."""
    chance = random.Random(1)
    for _ in range(cycles // 100):
        with ExitStack() as stack:
            socks = [stack.enter_context(raw_client(server.address)) for _ in range(100)]
            socks[50].sendall(b"in the middle of a li")
            socks[99].sendall(b"Ann: hello\n")  # it has come last: when it is heard, all have been accepted
            read_until(socks[99], b"hello\n")
            chance.shuffle(socks)
            for sock in socks[:50]:
                kill(sock)
        watch()


@pytest.mark.parametrize("cycles", [5_000, pytest.param(0, marks=soak)], ids=["5000", "soak"])
def test_nothing_grows_however_many_come_and_go(cycles: int) -> None:
    """Descriptors and threads are as before, and memory ends where it was at half-time.

    (In `make soak` CHATSTAGES_CYCLES times, by default a million.)
    """
    cycles = cycles or int(os.environ.get("CHATSTAGES_CYCLES", "1000000"))
    memory: list[int] = []
    began = time.monotonic()
    with server_apart() as server:
        with raw_client(server.address) as sock:  # the log is to be full before
            for number in range(LOG_SIZE // 4_000 // 20 + 1):
                sock.sendall((b"x" * 4_000 + b"\n") * 20 + b"%d\n" % number)
                read_until(sock, "：".encode() + b"%d\n" % number)
            files, threads = server.process.num_fds() - 1, server.process.num_threads()
        come_and_go(server, cycles, lambda: memory.append(server.memory()))
        server.wait_for_descriptors(files)
        assert server.process.num_threads() == threads
    half = memory[len(memory) // 2 :]
    slope = statistics.linear_regression(range(len(half)), half).slope * len(half)
    print(f"{cycles:,} came and went in {time.monotonic() - began:.0f} s:", end=" ")
    print(f"memory {slope / 1_000:+.0f} kB over the last half, {memory[-1] / MEGABYTE:.1f} MB at the end")
    assert slope < MEGABYTE
