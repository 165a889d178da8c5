"""The servers that are compared: how each is started, and what its protocol looks like."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.runtime import free_port
from chatstages.stage5_pool.server import POOL_SIZE

TIMEOUT = 10.0  # seconds that a server may take until it listens
SOURCES = Path(__file__).parent / "sources"  # what is compiled or started, and not imported

# Without a hook: telling what happens is no part of what is compared.
OURS = """
import {module} as module
with module.serve({options}) as server:
    print(*server.address, flush=True)
    server.wait()
"""
INSTALL_PEERS = "pip install 'chatstages[peers]'"
SIZE = 64  # bytes of a payload


class Missing(Exception):
    """A server cannot run here; the message says what would change that."""


class Failed(Exception):
    """A server or the load did not do what it should have; the message says what was seen."""


class Speech(NamedTuple):
    """What a member says: templates for the load, in which @@@@@ becomes the member's number."""

    before: bytes  # in front of the payload of a message
    after: bytes = b""
    hello: bytes = b""  # sent first
    joined: bytes = b""  # what the server answers, as a sign that the member is served


class Peer(NamedTuple):
    """A server that can be compared.

    `{port}` in its command becomes a free port; else `ready` finds the one that it has chosen.
    """

    name: str
    command: list[str]
    speech: Speech
    only_hears: bool = False  # it passes nothing on
    ready: str = r"127\.0\.0\.1 (\d+)"  # what it prints when it listens: a pattern, with the port


RAW = Speech(b"")
LINE = Speech("m@@@@@：".encode(), b"\n")
REDIS = Speech(
    b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$%d\r\n" % SIZE,
    b"\r\n",
    hello=b"HELLO 3\r\nSUBSCRIBE room\r\n",  # RESP3: the same connection may publish
    joined=b"$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n",
)
NATS = Speech(
    b"PUB room %d\r\n" % SIZE,
    b"\r\n",
    hello=b'CONNECT {"verbose":false,"echo":true}\r\nSUB room 1\r\nPING\r\n',
    joined=b"PONG\r\n",
)
WEBSOCKET = Speech(
    bytes([0x81, 0x80 | SIZE, 0, 0, 0, 0]),  # a text, whole, its mask four zeros (RFC 6455 section 5.2)
    hello=b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    joined=b"\r\n\r\n",
)


def ours(module: str, **options: int) -> list[str]:
    """Return the command that runs the server of `module`."""
    given = ", ".join(f"{name}={value}" for name, value in options.items())
    return [sys.executable, "-c", OURS.format(module=module, options=given)]


def stage3(_folder: Path) -> Peer:
    """A thread for each member, and it only hears."""
    return Peer(_("stage {n}").format(n=3), ours("chatstages.stage3_threads"), RAW, only_hears=True)


def stage4(_folder: Path) -> Peer:
    """A thread for each member, and a send to each for each piece that arrives."""
    return Peer(_("stage {n}").format(n=4), ours("chatstages.stage4_broadcast"), RAW)


def stage5(_folder: Path) -> Peer:
    """One log, one lock, one pool."""
    return Peer(_("stage {n}").format(n=5), ours("chatstages.stage5_pool"), LINE)


def command(_folder: Path) -> Peer:
    """Stage 5 as a person runs it: it tells every line, here in a file."""
    arguments = ["-m", "chatstages", "serve", "5", "--port", "0"]
    return Peer("chatstages serve 5", [sys.executable, *arguments], LINE, ready=r"127\.0\.0\.1:(\d+)")


def stage5_with(workers: int, _folder: Path) -> Peer:
    """The same with so many threads in the pool."""
    name = _("stage {n}, {workers} workers").format(n=5, workers=workers)
    return Peer(name, ours("chatstages.stage5_pool", workers=workers), LINE)


def asyncio_room(_folder: Path) -> Peer:
    """The room of stage 5 in coroutines."""
    return Peer("asyncio", ours("chatstages.bench.asyncio_room"), LINE)


def least_python(_folder: Path) -> Peer:
    """The least Python that passes lines on: one selector, bound `recv` and `send`, no names, no checks."""
    return Peer(_("least Python"), [sys.executable, str(SOURCES / "least_python.py")], LINE)


def c_server(folder: Path) -> Peer:
    """The limit: stage 5's algorithm in C, with as many threads. Raises Missing."""
    return Peer("C", [str(compiled("epoll_server", folder)), str(POOL_SIZE)], LINE)


def c_server_2(folder: Path) -> Peer:
    """The same with two threads, which in C can work at the same moment. Raises Missing."""
    return Peer(_("C, 2 threads"), [str(compiled("epoll_server", folder)), "2"], LINE)


def websockets(_folder: Path) -> Peer:
    """The library's own `broadcast`. Raises Missing."""
    if find_spec("websockets") is None:
        raise Missing(INSTALL_PEERS)
    return Peer("websockets", [sys.executable, str(SOURCES / "websockets_server.py")], WEBSOCKET)


def redis(_folder: Path) -> Peer:
    """Redis pub/sub, with nothing written to disk. Raises Missing."""
    program = found("redis-server", "apt install redis-server")
    options = [
        "--bind",
        "127.0.0.1",
        "--port",
        "{port}",
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxclients",
        "20000",
    ]
    return Peer("Redis", [program, *options], REDIS, ready="Ready to accept connections")


def nats(_folder: Path) -> Peer:
    """NATS core, which keeps nothing. Raises Missing."""
    program = found("nats-server", INSTALL_PEERS)
    pattern = r"(?s)client connections on 127\.0\.0\.1:(\d+).*Server is ready"
    return Peer("NATS", [program, "-a", "127.0.0.1", "-p", "-1"], NATS, ready=pattern)


ALL = {
    "stage 3": stage3,
    "stage 4": stage4,
    "stage 5": stage5,
    "chatstages serve 5": command,
    "asyncio": asyncio_room,
    "least Python": least_python,
    "C": c_server,
    "C, 2 threads": c_server_2,
    "Redis": redis,
    "NATS": nats,
    "websockets": websockets,
}
LARGER_POOLS = {f"stage 5, {n} workers": partial(stage5_with, n) for n in (2, 4)}


def found(program: str, how: str) -> str:
    """Return where `program` is: beside this Python, or on the path. Raises Missing, with `how` to get it."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    path = shutil.which(program, path=places)
    if path is None:
        raise Missing(how)
    return path


def compiled(name: str, folder: Path) -> Path:
    """Compile `name`.c into `folder`, unless it is there; return the program. Raises Missing."""
    if sys.platform != "linux":
        raise Missing(_("it needs Linux (epoll)"))
    program = folder / name
    if not program.exists():
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if compiler is None:
            raise Missing("apt install gcc libc6-dev")
        source = SOURCES / f"{name}.c"
        command = [compiler, "-O2", "-pthread", "-o", str(program), str(source)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip() or str(error)).splitlines()[0]
            raise Missing(_("the C compiler says: {reason}").format(reason=reason)) from None
    return program


@contextmanager
def running(peer: Peer) -> Iterator[tuple[int, int]]:
    """Run the server of `peer` in a process of its own; yield its process id and its port. Raises Failed."""
    port = free_port()
    command = [argument.replace("{port}", str(port)) for argument in peer.command]
    # What it says goes into a file: a pipe that nobody empties would hold it up when it is full.
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "output").open("wb") as output:
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                match = wait_for(peer, process, Path(output.name))
                yield process.pid, int(match[1]) if match.re.groups else port
            finally:
                process.kill()


def wait_for(peer: Peer, process: subprocess.Popen[bytes], output: Path) -> re.Match[str]:
    """Wait until the server says that it listens; return what matches `peer.ready`. Raises Failed."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        ended = process.poll() is not None
        said = output.read_text(encoding="utf-8", errors="replace")
        if match := re.search(peer.ready, said):
            return match
        if ended or time.monotonic() > deadline:
            last = (said.strip().splitlines() or [""])[-1]
            raise Failed(_("the server does not start: {reason}").format(reason=last))
        time.sleep(0.005)  # another program's file: there is no event to wait for
