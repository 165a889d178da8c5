"""What provokes the faults that the examples admit.

Each function plays one, and returns what the microscope names: nothing where it was not asked.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from chatstages.microscope import Scope
from tests.examples.program import (
    FOLDERS,
    PATIENCE,
    WORDS,
    Program,
    come_in,
    connect,
    read_screen,
    stage_of,
    start,
    start_server,
)
from tests.support import read_until

TOGETHER = Path(__file__).with_name("together.py")


def microscope(recording: Path) -> list[str | Path]:
    """Return what comes before a script, to run it under the microscope."""
    return ["-m", "chatstages", "microscope", "-o", recording]


def findings(recording: Path) -> set[str]:
    """Return what the microscope names in a recording."""
    return {type(finding).__name__ for finding in Scope.load(recording).explain()}


class Watched(NamedTuple):
    """A server under the microscope."""

    program: Program
    port: int
    stage: int
    recording: Path

    def findings(self) -> set[str]:
        """Let it end, and return what is named."""
        if self.stage > 2:  # the others end by themselves
            self.program.process.send_signal(signal.SIGTERM)
            assert self.program.wait() == -signal.SIGTERM, self.program.err
        else:
            assert self.program.wait() == 0, self.program.err
        assert "Traceback" not in self.program.err
        return findings(self.recording)


@contextmanager
def watched(lang: str, script: str, folder: Path) -> Iterator[Watched]:
    """Run an example server under the microscope."""
    recording = folder / "seen.json"
    program, port = start_server(lang, script, *microscope(recording))
    with program:
        yield Watched(program, port, stage_of(script), recording)


# --- the faults that the microscope names ------------------------------------------------------------

Provoke = Callable[[str, str, Path], set[str]]


def together(scenario: str) -> Provoke:
    """Return what plays a scenario of `together.py`, where both ends are seen."""

    def provoke(lang: str, script: str, folder: Path) -> set[str]:
        recording = folder / "seen.json"
        command = [*microscope(recording), TOGETHER, scenario]
        with Program(*command, FOLDERS[lang] / script) as program:
            program.wait_for("done")
            assert program.wait() == 0, program.err
            return findings(recording)

    return provoke


def half_character(lang: str, script: str, folder: Path) -> set[str]:
    """Send a character in two pieces, the second when the first has been shown."""
    with watched(lang, script, folder) as server, connect(server.port) as sock:
        sock.sendall("好".encode()[:2])
        server.program.wait_for("�")
        sock.sendall("好".encode()[2:])
        server.program.wait_for("�", 2)
        sock.close()
        server.program.wait_for(WORDS[lang]["disconnected"])
        return server.findings()


def half_character_for_a_client(lang: str, script: str, folder: Path) -> set[str]:
    """The same, for a client."""
    recording = folder / "seen.json"
    before = microscope(recording)
    server, port = start_server(lang, script.replace("client", "server"))
    with server, Program(*before, FOLDERS[lang] / script, str(port)) as client:
        client.wait_for("exit")
        with connect(port) as sock:
            for times, half in enumerate(["好".encode()[:2], "好".encode()[2:]], 1):
                sock.sendall(half)
                client.wait_for("�", times)
        client.type("exit")
        client.wait()
        return findings(recording)


def an_empty_message(lang: str, script: str, folder: Path) -> set[str]:
    """Type nothing: the server receives nothing."""
    recording = folder / "seen.json"
    before = microscope(recording)
    server, port = start_server(lang, script.replace("client", "server"))
    with server, Program(*before, FOLDERS[lang] / script, str(port)) as client:
        client.type("")
        client.wait()
        server.ends_cleanly()
        assert server.out.rstrip().endswith(("Message:", "收到消息："))
        return findings(recording)


def two_of_one_name(lang: str, script: str, folder: Path) -> set[str]:
    """Speak under the name of another member."""
    with (
        watched(lang, script, folder) as server,
        connect(server.port) as one,
        connect(server.port) as two,
    ):
        server.program.wait_for(WORDS[lang]["connected"], 2)
        for speaker, line in ((one, "老师：今天没有作业\n"), (two, "老师：今天放假\n")):
            speaker.sendall(line.encode())
            for sock in (one, two):
                read_until(sock, line.encode())
        one.close()
        server.program.wait_for(WORDS[lang]["disconnected"])  # so it has come back from its last send
        return server.findings()


def screen_command(lang: str, script: str, folder: Path) -> set[str]:
    """Send what clears a terminal."""
    with (
        watched(lang, script, folder) as server,
        connect(server.port) as one,
        connect(server.port) as two,
    ):
        server.program.wait_for(WORDS[lang]["connected"], 2)
        one.sendall("小明：\x1b[2J\n".encode())
        for sock in (one, two):
            read_until(sock, b"\x1b[2J\n")
        one.close()
        server.program.wait_for(WORDS[lang]["disconnected"])  # so it has come back from its last send
        return server.findings()


# --- those that show in what the script does ---------------------------------------------------------


def only_one_message(lang: str, script: str, _folder: Path) -> set[str]:
    """Both end, though a second message is there."""
    server, port = start_server(lang, script.replace("client", "server"))
    with server, start(lang, script.replace("server", "client"), port) as client:
        client.type("first", "second")
        client.ends_cleanly()
        server.ends_cleanly()
        assert "first" in server.out
        assert "second" not in server.out
    return set()


def only_the_first_part(lang: str, script: str, _folder: Path) -> set[str]:
    """Of a long message the rest is lost."""
    server, port = start_server(lang, script)
    with server, connect(port) as sock:
        sock.sendall(b"x" * 100_000)
        server.ends_cleanly()
        assert 0 < server.out.count("x") <= 65_535
    return set()


def half_a_character(lang: str, script: str, _folder: Path) -> set[str]:
    """What has arrived of it is shown as U+FFFD."""
    server, port = start_server(lang, script)
    with server, connect(port) as sock:
        sock.sendall("好".encode()[:2])
        server.ends_cleanly()
        assert server.out.count("�") == 1
    return set()


def a_second_client(lang: str, script: str, _folder: Path) -> set[str]:
    """It may connect and send; nobody receives."""
    server, port = start_server(lang, script)
    with server, connect(port) as first, connect(port) as second:
        second.sendall(b"hello")
        first.sendall(b"first")
        server.wait_for("first")
        first.close()
        server.ends_cleanly()
        assert "hello" not in server.out
    return set()


def notices_late(lang: str, script: str, _folder: Path) -> set[str]:
    """The server has ended; the client goes on asking, and even the next send succeeds."""
    server, port = start_server(lang, script.replace("client", "server"))
    with server, start(lang, script, port) as client:
        client.type("one")
        server.wait_for("one")
        server.process.kill()
        server.wait()
        client.wait_for(WORDS[lang]["prompt"], 2)
        client.type("two")
        client.wait_for(WORDS[lang]["prompt"], 3)
        assert WORDS[lang]["closed"] not in client.out
    return set()


def nothing_for_the_others(lang: str, script: str, _folder: Path) -> set[str]:
    """What one sends, the other does not receive."""
    server, port = start_server(lang, script)
    with server, connect(port) as one, connect(port) as two:
        one.sendall(b"hello")
        server.wait_for("hello")
        one.close()
        two.shutdown(socket.SHUT_WR)
        assert two.recv(1) == b""
    return set()


def a_thread_for_each(lang: str, script: str, folder: Path) -> set[str]:
    """Fifty clients are fifty threads; that alone is no finding."""
    with watched(lang, script, folder) as server:
        clients = [connect(server.port) for _each in range(50)]
        server.program.wait_for(WORDS[lang]["connected"], 50)
        for client in clients:
            client.close()
        server.program.wait_for(WORDS[lang]["disconnected"], 50)
        named = server.findings()
        things = Scope.load(server.recording).things.values()
        assert sum(thing.what == "thread" for thing in things) == 50 + 1
        return named


def no_nickname(lang: str, script: str, _folder: Path) -> set[str]:
    """What arrives is the message and nothing else."""
    server, port = start_server(lang, script)
    with server, connect(port) as one, connect(port) as two:
        server.wait_for(WORDS[lang]["connected"], 2)
        one.sendall(b"hello")
        one.shutdown(socket.SHUT_WR)
        server.wait_for(WORDS[lang]["disconnected"])
        assert read_until(two, b"hello") == b"hello"
    return set()


def shown_as_it_is(lang: str, script: str, _folder: Path) -> set[str]:
    """What clears a terminal reaches it."""
    server, port = start_server(lang, script.replace("client", "server"))
    with server, start(lang, script, port) as client, connect(port) as sock:
        come_in(lang, client, stage_of(script))
        server.wait_for(WORDS[lang]["connected"], 2)
        sock.sendall("小明：\x1b[2J\n".encode())
        client.wait_for("\x1b[2J")
    return set()


def in_the_middle_of_a_line(lang: str, script: str, _folder: Path) -> set[str]:
    """In a terminal, what arrives stands behind what has been typed."""
    if sys.platform == "win32":
        return set()
    import pty

    server, port = start_server(lang, script.replace("client", "server"))
    ours, theirs = pty.openpty()
    with server, connect(port) as sock:
        command = [sys.executable, str(FOLDERS[lang] / script), str(port)]
        client = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        try:
            if stage_of(script) == 5:
                read_screen(ours, WORDS[lang]["nickname"])
                os.write(ours, "小明\n".encode())
            else:
                read_screen(ours, WORDS[lang]["leave"] + "\r\n")
            server.wait_for(WORDS[lang]["connected"], times=2)  # both are members now
            os.write(ours, b"half")
            assert read_screen(ours, "half").endswith("half")
            sock.sendall("小红：你好\n".encode())
            before = WORDS[lang]["group"] if stage_of(script) == 4 else ""
            assert read_screen(ours, "你好").startswith(f"{before}小红：你好")
        finally:
            client.kill()
            client.wait(PATIENCE)
            os.close(ours)
    return set()


def no_newline(lang: str, script: str, _folder: Path) -> set[str]:
    """What ends with none is not passed on."""
    server, port = start_server(lang, script)
    with server, connect(port) as one, connect(port) as two:
        server.wait_for(WORDS[lang]["connected"], 2)
        one.sendall("小明：你好".encode())
        one.close()
        server.wait_for(WORDS[lang]["disconnected"])
        two.sendall(b"end\n")
        assert read_until(two, b"\n") == b"end\n"
    return set()


def a_name_in_use(lang: str, script: str, _folder: Path) -> set[str]:
    """A second client takes the name of the first."""
    server, port = start_server(lang, script.replace("client", "server"))
    with server, start(lang, script, port) as one, start(lang, script, port) as two:
        for client, text in ((one, "first"), (two, "second")):
            client.type("小明", text)
            client.wait_for(f"小明：{text}\n")
    return set()
