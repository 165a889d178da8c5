"""The load in Python, for where no C compiler is: as `sources/load.c`, without the mode `paced`.

It needs much more of the processor than the one in C, and on a small machine it takes that from the servers.

    python -m chatstages.bench.slow_load mode=closed port=30005 members=10 …
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from contextlib import ExitStack
from typing import Any

import psutil

SIZE = 64  # bytes of a payload
READ_SIZE = 1 << 18  # bytes asked of one recv
BATCH = 64  # members that join at once: fewer than any server's queue of connections holds
TIMEOUT = 10.0  # seconds that a connection, or its sign of being served, may take
MARKER, PROBE = b"|", b"-----"
WHOLE = re.compile(rb"\|([-\d]{5}),[^|]{56}\.")


class Member:
    """A connection, and what it has heard and said."""

    def __init__(self, number: int, options: dict[str, str], stack: ExitStack) -> None:
        self.number = b"%05d" % number
        self.heard = self.damaged = self.sent = 0
        self.joined = False
        self.open = True
        self._rest = b""  # the beginning of a payload whose end has not come yet
        before, after, hello, sign = (
            bytes.fromhex(options[name]).replace(b"@@@@@", self.number)
            for name in ("before", "after", "hello", "joined")
        )
        self._before, self._after = before, after
        address = ("127.0.0.1", int(options["port"]))
        self.sock = stack.enter_context(socket.create_connection(address, TIMEOUT))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(hello)
        said = b""
        while sign not in said:
            said += self._receive()
            if not self.open:
                raise ConnectionError("joining: the server has closed the connection")

    def speak(self, number: bytes) -> None:
        """Send a message in the name of `number`: the member's own, or PROBE."""
        payload = MARKER + number + b",%016x," % time.monotonic_ns()
        try:
            self.sock.sendall(self._before + payload.ljust(SIZE - 1, b"x") + b"." + self._after)
            self.sent += number != PROBE
        except OSError:
            self.open = False

    def hear(self) -> int:
        """Receive once; return how many messages of its own have come back."""
        data = self._rest + self._receive()
        last = data.rfind(MARKER)
        is_cut = last >= 0 and len(data) - last < SIZE
        data, self._rest = (data[:last], data[last:]) if is_cut else (data, b"")
        speakers = WHOLE.findall(data)
        probes = speakers.count(PROBE)
        self.joined = self.joined or probes > 0
        self.heard += len(speakers) - probes
        self.damaged += data.count(MARKER) - len(speakers)
        return speakers.count(self.number)

    def _receive(self) -> bytes:
        try:
            data = self.sock.recv(READ_SIZE)
        except OSError:
            data = b""
        self.open = bool(data)
        return data


class Load:
    """All the members."""

    def __init__(self, options: dict[str, str], stack: ExitStack) -> None:
        self._options, self._stack = options, stack
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._server = [psutil.Process(int(pid)) for pid in options["pids"].split(",")]
        self.members: list[Member] = []
        self.speaking = False

    def join(self, with_echo: bool) -> None:
        """Let everybody join: all have heard a message of the first one."""
        for number in range(int(self._options["members"])):
            member = Member(number, self._options, self._stack)
            self.members.append(member)
            self._selector.register(member.sock, selectors.EVENT_READ, member)
            if with_echo and (len(self.members) % BATCH == 0 or number + 1 == int(self._options["members"])):
                delay = 0.002
                while not all(member.joined or not member.open for member in self.members):
                    self.members[0].speak(PROBE)
                    self.turn(delay)
                    delay = min(2 * delay, 0.5)

    def turn(self, seconds: float) -> bool:
        """Take what comes, for `seconds` at most; return whether anything came."""
        came = False
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (ready := self._selector.select(left)):
            came = True
            for key, _events in ready:
                member = key.data
                if member.hear() and self.speaking:
                    member.speak(member.number)
                if not member.open:
                    self._selector.unregister(member.sock)
            if not self.speaking:
                break
        return came

    def mark(self) -> list[float]:
        """Return deliveries, messages, time, and processor time of the server and of ourselves, so far."""
        cpu = sum(sum(process.cpu_times()[:2]) for process in self._server)
        heard, sent = (sum(getattr(m, what) for m in self.members) for what in ("heard", "sent"))
        return [heard, sent, time.monotonic(), cpu, time.process_time()]

    def converse(self) -> dict[str, Any]:
        """Let each speak again when its last message has come back."""
        self.join(with_echo=True)
        self.speaking = True
        for member in self.members[: int(self._options["speakers"])]:
            member.speak(member.number)
        self.turn(float(self._options["warmup"]))
        begin = self.mark()
        self.turn(float(self._options["seconds"]))
        end = self.mark()
        self.speaking = False
        limit = time.monotonic() + float(self._options["drain"])
        while (missing := self.missing()) and (came := self.turn(0.5)) and time.monotonic() < limit:
            pass
        return self.report(begin, end, missing, drained=not missing or not came)

    def missing(self) -> int:
        """Return how many deliveries are still to come."""
        here = [member for member in self.members if member.open]
        return sum(m.sent for m in self.members) * len(here) - sum(m.heard for m in here)

    def pour(self) -> dict[str, Any]:
        """Let each send as fast as the server takes it; then say "no more", and wait until it closes."""
        self.join(with_echo=False)
        begin = self.mark()
        end = time.monotonic() + float(self._options["seconds"])
        while time.monotonic() < end:
            for member in self.members:
                member.speak(member.number)
        for member in self.members:
            member.sock.shutdown(socket.SHUT_WR)
        for member in self.members:
            while member.open:
                member.hear()
            member.heard, member.open = member.sent, True  # it was the server that heard
        return self.report(begin, self.mark(), missing=0, drained=True)

    def report(self, begin: list[float], end: list[float], missing: int, drained: bool) -> dict[str, Any]:
        """Return the result, with the names of `chatstages.bench.load.Figures`."""
        names = ("deliveries", "messages", "seconds", "server_cpu", "own_cpu")
        counted = {name: after - before for name, before, after in zip(names, begin, end, strict=True)}
        lost = sum(not member.open for member in self.members)
        damaged = sum(member.damaged for member in self.members)
        rest = {"lost": lost, "damaged": damaged, "stalled": 0, "missing": missing, "drained": drained}
        return counted | {"p50": 0.0, "p99": 0.0} | rest


def main() -> None:
    """Put the load on a server; print the result."""
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with ExitStack() as stack:
        load = Load(options, stack)
        print(json.dumps(load.pour() if options["mode"] == "pour" else load.converse()))


if __name__ == "__main__":
    main()
