"""Many members at once, in one thread; and a server in a process of its own, whose memory can be measured."""

from __future__ import annotations

import json
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import psutil

from chatstages.runtime.events import Address
from tests.support import PATIENCE, kill, python, raw_client, read_until

# It serves until its input ends, then says how many seconds `stop` took, and what is left behind.
SERVER = """
import json, sys, threading, time
from chatstages import stage5_pool
from chatstages.runtime import options
limit = int(sys.argv[1])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
else:
    options.allow_many_connections()
server = stage5_pool.serve(port=int(sys.argv[2]))
print(json.dumps(server.address), flush=True)
sys.stdin.read()
began = time.monotonic()
server.stop()
print(json.dumps([time.monotonic() - began, threading.active_count()]), flush=True)
"""


@dataclass
class ServerApart:
    """A server of stage 5 in another process."""

    address: Address
    process: psutil.Process
    stop: Callable[[], tuple[float, int]]  # returns the seconds that it took, and the threads that are left

    def memory(self) -> int:
        """Return the bytes of memory that it has (RSS)."""
        return int(self.process.memory_info().rss)

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def wait_for_descriptors(self, count: int) -> None:
        """Wait until it has so many descriptors open."""
        deadline = time.monotonic() + PATIENCE
        while (there := self.process.num_fds()) != count:
            assert time.monotonic() < deadline, f"{there} descriptors, not {count}"
            time.sleep(0.02)  # another program's: there is no event to wait for


@contextmanager
def server_apart(descriptors: int = 0, port: int = 0) -> Iterator[ServerApart]:
    """Run a server of stage 5 in a process of its own, which may open so many files (0: all it can)."""
    with python("-c", SERVER, str(descriptors), str(port)) as process:
        assert process.stdin
        assert process.stdout
        try:
            host, bound = json.loads(process.stdout.readline())

            def stop() -> tuple[float, int]:
                output, errors = process.communicate(timeout=6 * PATIENCE)
                assert errors == ""
                seconds, threads = json.loads(output)
                return seconds, threads

            yield ServerApart((host, bound), psutil.Process(process.pid), stop)
            if process.poll() is None:
                stop()
        finally:
            process.kill()


class Crowd:
    """Members of a room, all served by the calling thread. A stalled one never reads."""

    def __init__(self, address: Address, count: int, stalled: int = 0) -> None:
        self.socks: list[socket.socket] = []
        self.got = [0] * count  # bytes that each has received
        self.lines_of = [0] * count  # lines that each has received
        self.open = count  # how many have not been told of an end
        self.visitors = 0  # how many others came, said "here", and left again
        self._rest = [b""] * count  # the beginning of a line whose end has not come
        self._stack = ExitStack()
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        for number in range(count):
            sock = socket.socket()
            self._stack.callback(sock.close)
            if number < stalled:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            else:
                self._selector.register(sock, selectors.EVENT_READ, number)
            self.socks.append(sock)
            sock.settimeout(PATIENCE)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if number % 200 == 199 or number == count - 1:
                self._wait_for_the_server(address)

    def _wait_for_the_server(self, address: Address) -> None:
        """Wait until the server has accepted all of us: it does so in order."""
        self.visitors += 1
        with raw_client(address) as last:
            last.sendall(b"here\n")
            read_until(last, b"here\n")

    def lines(self, timeout: float) -> Iterator[tuple[int, bytes]]:
        """Receive once from each whom something has reached; yield who, and each line."""
        for key, _events in self._selector.select(timeout):
            number = key.data
            try:
                data = self.socks[number].recv(262_144)
            except ConnectionResetError:
                data = b""
            if not data:
                self._selector.unregister(self.socks[number])
                self.open -= 1
            self.got[number] += len(data)
            *whole, self._rest[number] = (self._rest[number] + data).split(b"\n")
            self.lines_of[number] += len(whole)
            for line in whole:
                yield number, line

    def heard(self, who: int, count: float) -> Callable[[], bool]:
        """Return a function that tells whether `who` has received so many lines since now."""
        enough = self.lines_of[who] + count
        return lambda: self.lines_of[who] > enough

    def kill(self, number: int) -> None:
        """Let one vanish with a reset."""
        self._selector.unregister(self.socks[number])
        kill(self.socks[number])

    def say_to_all(self, speaker: int, text: str, hearers: Sequence[int]) -> None:
        """Let `speaker` say `text`; wait until all `hearers` have heard it."""
        self.socks[speaker].sendall(f"{text}\n".encode())
        missing, deadline = set(hearers), time.monotonic() + 3 * PATIENCE
        while missing:
            assert time.monotonic() < deadline, f"{len(missing)} have not heard {text}"
            missing -= {who for who, line in self.lines(1.0) if line.endswith(text.encode())}

    def talk(self, speakers: Sequence[int], until: Callable[[], bool], size: int = 64) -> list[float]:
        """Let each of `speakers` say a line as soon as it hears its last; return how late each line was.

        In seconds, one for each line and each hearer. It goes on until `until()` holds.
        """
        late: list[float] = []

        def say(who: int) -> None:
            text = b"%d %.6f " % (who, time.perf_counter())
            self.socks[who].sendall(text + b"x" * (size - len(text) - 1) + b"\n")

        for speaker in speakers:
            say(speaker)
        deadline = time.monotonic() + 30 * PATIENCE
        while not until():
            assert time.monotonic() < deadline
            for hearer, line in self.lines(0.1):
                with suppress(ValueError):  # others speak too
                    number, sent, _filling = line.rpartition("：".encode())[2].split(b" ")
                    late.append(time.perf_counter() - float(sent))
                    if hearer == int(number):
                        say(hearer)
        return late

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()


def share(values: Sequence[float], part: float) -> float:
    """Return the value that `part` of `values` do not exceed: the median for 0.5, p99 for 0.99."""
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]


def passed(seconds: float) -> Callable[[], bool]:
    """Return a function that tells whether so much time has passed since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
