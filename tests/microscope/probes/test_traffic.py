"""The bytes that are recorded are those that the system has sent and received."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chatstages.microscope import load, microscope
from tests.support import PATIENCE, kill, read_until
from tests.support.microscope import programs
from tests.support.microscope.sockets import connection

LINUX = sys.platform.startswith("linux")


def kernel_totals(sock: socket.socket) -> tuple[int, int]:
    """Return the bytes that the kernel says were sent and received (`struct tcp_info`)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < 216:
        pytest.skip("this kernel does not tell")
    (received,) = struct.unpack_from("Q", info, 128)
    (unsent,) = struct.unpack_from("I", info, 144)
    sent, again = struct.unpack_from("QQ", info, 200)
    return sent - again + unsent, received


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
    script.write_text(programs.TRAFFIC, encoding="utf-8")
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


def test_datagrams() -> None:
    """No connection, but every byte."""
    with microscope() as scope, socket.socket(type=socket.SOCK_DGRAM) as one:
        with socket.socket(type=socket.SOCK_DGRAM) as two:
            one.bind(("127.0.0.1", 0))
            two.sendto(b"hello", one.getsockname())
            assert one.recvfrom(10)[0] == b"hello"
    assert [event.data for event in scope.events if event.data] == [b"hello", b"hello"]
