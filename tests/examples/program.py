"""A script in a process of its own: type to it, wait for what it prints, end it."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from chatstages.runtime import free_port

ROOT = Path(__file__).parents[2]
FOLDERS = {"en": ROOT / "examples", "zh": ROOT / "examples" / "zh"}
SERVERS = [
    "stage1_server.py",
    "stage2_server.py",
    "stage2_server_functions.py",
    "stage3_server.py",
    "stage4_server.py",
    "stage5_server.py",
]
CLIENTS = [name.replace("server", "client") for name in SERVERS]
PAIRS = [(lang, server, client) for lang in FOLDERS for server, client in zip(SERVERS, CLIENTS, strict=True)]

# What the scripts print, by language.
WORDS = {
    "en": {
        "listening": "Listening on port",
        "connected": "Connected:",
        "disconnected": "Disconnected:",
        "stopped": "Stopped:",
        "closed": "The server has closed the connection.",
        "no server": "No server is listening on port {port}. Start the server first.\n",
        "prompt": "Message",
        "nickname": "Nickname: ",
        "group": "[group] ",
        "leave": "exit leaves.",
    },
    "zh": {
        "listening": "服务端已启动，端口",
        "connected": "客户端已连接：",
        "disconnected": "客户端已断开：",
        "stopped": "服务端已停止：",
        "closed": "服务端已断开连接",
        "no server": "连接失败：端口 {port} 上没有服务端，请先启动服务端。\n",
        "prompt": "请输入消息",
        "nickname": "请输入昵称：",
        "group": "【群聊】",
        "leave": "输入 exit 退出。",
    },
}

# Seconds after which something that should have happened counts as missing.
PATIENCE = 20.0 * float(os.environ.get("CHATSTAGES_PATIENCE", "1"))


def stage_of(script: str) -> int:
    """Return the stage to which a script belongs."""
    return int(script.removeprefix("stage")[0])


class Program:
    """Python with some arguments. Leaving the `with` block kills it, should it still run."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        environment = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "CHATSTAGES_LANG": "en"}
        self._changed = threading.Condition()  # Guards _printed.
        self._printed = {"out": "", "err": ""}
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            cwd=cwd or ROOT,
        )
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self._stdin = self.process.stdin
        pipes = {"out": self.process.stdout, "err": self.process.stderr}
        self._readers = [threading.Thread(target=self._read, args=pipe) for pipe in pipes.items()]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        data = b""
        with pipe:
            while more := os.read(pipe.fileno(), 65_536):
                data += more
                with self._changed:
                    self._printed[name] = data.decode(errors="replace").replace("\r\n", "\n")
                    self._changed.notify_all()

    @property
    def out(self) -> str:
        """What it has printed so far."""
        with self._changed:
            return self._printed["out"]

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        with self._changed:
            return self._printed["err"]

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until it has printed `text`, so many times in all."""

        def is_there() -> bool:
            return self._printed["out"].count(text) >= times or not any(r.is_alive() for r in self._readers)

        with self._changed:
            self._changed.wait_for(is_there, PATIENCE)
            found = self._printed["out"].count(text)
        assert found >= times, f"{text!r} is missing in {self.out!r}, {self.err!r}"

    def wait_for_line(self, text: str) -> None:
        """Wait until it has printed `text`, and the end of that line, too."""
        self.wait_for(text)
        self.wait_for("\n", self.out.partition(text)[0].count("\n") + 1)

    def type(self, *lines: str) -> None:
        """Give it lines as if they were typed."""
        with suppress(OSError):  # it has ended: what it printed tells
            self._stdin.write("".join(f"{line}\n" for line in lines).encode())
            self._stdin.flush()

    def end_input(self) -> None:
        """Let its input be at its end."""
        with suppress(OSError):
            self._stdin.close()

    def interrupt(self) -> None:
        """Press Ctrl-C, until it has ended.

        One that comes in the moment before a call blocks, Python notices only when the call is over.
        """
        while self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE / 10)

    def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        status = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    def ends_cleanly(self) -> None:
        """Wait until it has ended, and see that it did so with nothing on standard error."""
        assert (self.wait(), self.err) == (0, "")

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.process.kill()
        self.end_input()
        self.wait()


def start(lang: str, script: str, port: int) -> Program:
    """Start one of the examples."""
    return Program(FOLDERS[lang] / script, str(port))


def start_server(lang: str, script: str, *before: str | Path) -> tuple[Program, int]:
    """Start an example server, and wait until it listens; return it with its port.

    `before` is what comes before the script: nothing, or what runs it under the microscope. Where another
    program has taken the free port meanwhile, another one is tried.
    """
    for _attempt in range(5):
        port = free_port()
        server = Program(*before, FOLDERS[lang] / script, str(port))
        try:
            server.wait_for_line(str(port))
            return server, port
        except AssertionError:
            if "in use" not in server.out:
                server.__exit__()
                raise
            server.__exit__()
    raise AssertionError("no port was free")


def start_stage(stage: int) -> tuple[Program, int]:
    """Start the package's server of a stage; return it with its port."""
    server = Program("-m", "chatstages", "serve", str(stage), "--port", "0")
    try:
        server.wait_for_line("127.0.0.1")
        found = re.search(r"127\.0\.0\.1:(\d+)", server.out)
        assert found, server.out
    except AssertionError:
        server.__exit__()
        raise
    return server, int(found[1])


def chat(stage: int, port: int, name: str = "Ann") -> Program:
    """Start the package's client of a stage."""
    options = ["--name", name] if stage == 5 else []
    return Program("-m", "chatstages", "chat", str(stage), f"127.0.0.1:{port}", *options)


def connect(port: int, prepare: Callable[[socket.socket], None] = lambda _sock: None) -> socket.socket:
    """Connect a bare socket, as netcat would; `prepare` may set options before."""
    sock = socket.socket()
    sock.settimeout(PATIENCE)
    prepare(sock)
    sock.connect(("127.0.0.1", port))
    return sock


def come_in(lang: str, client: Program, stage: int, name: str = "小明") -> None:
    """Wait until an example client has connected; give it a nickname where it asks for one."""
    if stage == 5:
        client.wait_for(WORDS[lang]["nickname"])
        client.type(name)
    elif stage == 4:
        client.wait_for("exit")
    else:
        client.wait_for(WORDS[lang]["prompt"])


def read_screen(terminal: int, expected: str) -> str:
    """Read what a program writes to its terminal, until `expected` is there."""
    seen = b""
    while expected.encode() not in seen:
        assert select.select([terminal], [], [], PATIENCE)[0], seen
        seen += os.read(terminal, 65_536)
    return seen.decode(errors="replace")
