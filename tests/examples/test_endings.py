"""Every script ends in one line, and without a traceback, whatever ends it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.examples.program import (
    CLIENTS,
    FOLDERS,
    PAIRS,
    PATIENCE,
    ROOT,
    SERVERS,
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

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX signal or terminal")
every_server = pytest.mark.parametrize(("lang", "script"), [(lang, s) for lang in FOLDERS for s in SERVERS])
every_client = pytest.mark.parametrize(("lang", "script"), [(lang, s) for lang in FOLDERS for s in CLIENTS])
every_pair = pytest.mark.parametrize(("lang", "script", "other"), PAIRS)
LATER = [pair for pair in PAIRS if stage_of(pair[1]) > 1]


def reset(sock: socket.socket) -> None:
    """Close a connection as a killed program's system may: with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def let_in(lang: str, script: str, server: Program, port: int) -> socket.socket:
    """Connect to a server, and let it hear something, so that it is in `recv` (or in `select`) again."""
    sock = connect(port)
    server.wait_for_line(WORDS[lang]["connected"])
    if stage_of(script) > 1:
        sock.sendall(b"hello\n")
        server.wait_for_line("hello") if stage_of(script) < 4 else read_until(sock, b"hello\n")
    return sock


@posix
@every_server
def test_ctrl_c_ends_a_server_that_waits_for_a_client(lang: str, script: str) -> None:
    """It blocks in `accept`, or in `select`."""
    server, _port = start_server(lang, script)
    with server:
        server.interrupt()
        server.ends_cleanly()
        assert server.out.count("\n") == 2
        assert f"\n{WORDS[lang]['stopped']} KeyboardInterrupt" in server.out


@posix
@every_server
def test_ctrl_c_ends_a_server_with_a_client(lang: str, script: str) -> None:
    """It, or one of its threads, blocks in `recv`."""
    server, port = start_server(lang, script)
    with server, let_in(lang, script, server, port):
        server.interrupt()
        server.ends_cleanly()
        assert f"\n{WORDS[lang]['stopped']} KeyboardInterrupt" in server.out


@posix
@every_pair
def test_ctrl_c_ends_a_client(lang: str, script: str, other: str) -> None:
    """It blocks in `input`, from stage 4 on with a thread in `recv`."""
    server, port = start_server(lang, script)
    with server, start(lang, other, port) as client:
        come_in(lang, client, stage_of(other))
        if stage_of(other) >= 4:
            client.type("hello")
            client.wait_for("hello\n")
        client.interrupt()
        client.ends_cleanly()


@posix
@pytest.mark.parametrize("lang", FOLDERS)
def test_ctrl_c_ends_a_client_that_asks_for_a_nickname(lang: str) -> None:
    """Its receiving thread has not begun."""
    server, port = start_server(lang, "stage5_server.py")
    with server, start(lang, "stage5_client.py", port) as client:
        client.wait_for(WORDS[lang]["nickname"])
        client.interrupt()
        client.ends_cleanly()


@every_pair
def test_the_end_of_the_input_ends_a_client(lang: str, script: str, other: str) -> None:
    """At once, and after a message, which arrives."""
    server, port = start_server(lang, script)
    with server:
        if stage_of(script) > 2:  # the others serve one client only
            with start(lang, other, port) as client:
                client.end_input()
                client.ends_cleanly()
        with start(lang, other, port) as client:
            client.type(*(["小明"] if stage_of(other) == 5 else []), "hello")
            client.end_input()
            client.ends_cleanly()
            (server if stage_of(other) < 4 else client).wait_for("hello")
            assert server.err == ""


@every_client
def test_a_client_without_a_server_says_so(lang: str, script: str) -> None:
    """In one line."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        port = unused.getsockname()[1]
        with start(lang, script, port) as client:
            client.wait()
            assert client.out + client.err == WORDS[lang]["no server"].format(port=port)


@pytest.mark.parametrize(("lang", "script", "other"), LATER)
def test_a_client_says_that_the_server_has_ended(lang: str, script: str, other: str) -> None:
    """From stage 4 on by itself, before when it sends; and it ends."""
    server, port = start_server(lang, script)
    with server, start(lang, other, port) as client:
        come_in(lang, client, stage_of(other))
        client.type("hello")
        (server if stage_of(other) < 4 else client).wait_for("hello")
        server.process.kill()
        server.wait()
        if stage_of(other) >= 4:
            client.wait_for(WORDS[lang]["closed"])
            client.type("")
        else:
            # The system takes the first, and gets RST for it; which of the next fails is a matter of time.
            while client.process.poll() is None:
                client.type("is anybody there?")
                with suppress(subprocess.TimeoutExpired):
                    client.process.wait(0.05)
        client.ends_cleanly()
        assert client.out.count(WORDS[lang]["closed"]) == 1


@every_server
def test_a_port_in_use_is_one_clear_line(lang: str, script: str) -> None:
    """With the system's own words for it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with start(lang, script, taken.getsockname()[1]) as server:
            server.ends_cleanly()
            assert server.out.startswith(f"{WORDS[lang]['stopped']} OSError")
            assert server.out.count("\n") == 1


@posix
@every_server
def test_a_server_can_be_restarted_at_once(lang: str, script: str) -> None:
    """On the same port, though a connection that it has closed is in TIME-WAIT."""
    server, port = start_server(lang, script)
    with server, let_in(lang, script, server, port):
        server.interrupt()
        server.ends_cleanly()
    with start(lang, script, port) as again:
        again.wait_for(WORDS[lang]["listening"])


@every_server
def test_a_reset_is_no_traceback(lang: str, script: str) -> None:
    """The client's connection ends with RST."""
    server, port = start_server(lang, script)
    with server:
        reset(let_in(lang, script, server, port))
        ended = "stopped" if stage_of(script) < 3 else "disconnected"
        server.wait_for(WORDS[lang][ended])
        assert server.err == ""


@pytest.mark.parametrize(("lang", "script", "other"), LATER)
def test_a_killed_client_is_no_traceback(lang: str, script: str, other: str) -> None:
    """And the others go on."""
    server, port = start_server(lang, script)
    with server:
        with start(lang, other, port) as client:
            come_in(lang, client, stage_of(other))
            client.type("hello")
            (server if stage_of(other) < 4 else client).wait_for("hello")
        server.wait_for(WORDS[lang]["disconnected" if sys.platform != "win32" else "connected"])
        if stage_of(script) > 2:
            with start(lang, other, port) as client:
                come_in(lang, client, stage_of(other))
                client.type("still here")
                (server if stage_of(other) < 4 else client).wait_for("still here")
        assert server.err == ""


def test_a_client_without_a_port_looks_for_the_stage_s_own() -> None:
    """30000 and the number of the stage, in servers and clients."""
    for folder in FOLDERS.values():
        for script in SERVERS + CLIENTS:
            assert f"else {30_000 + stage_of(script)}" in (folder / script).read_text(encoding="utf-8")


@pytest.mark.parametrize(("lang", "script"), [(lang, s) for lang in FOLDERS for s in SERVERS if "5" in s])
def test_a_member_that_reads_nothing_holds_up_nobody(lang: str, script: str) -> None:
    """And it still gets all, when it reads."""
    line = b"x" * 4_000 + b"\n"
    count = 3_000  # 12 MB: more than the buffers of a connection hold
    server, port = start_server(lang, script)
    with server, connect(port, small) as silent, connect(port) as speaker:
        server.wait_for(WORDS[lang]["connected"], 2)
        for _each in range(count):
            speaker.sendall(line)
            read_until(speaker, b"\n")
        silent_has = sum(len(read_until(silent, b"\n")) for _each in range(1))
        while silent_has < count * len(line):
            silent_has += len(silent.recv(1 << 20))
        assert silent_has == count * len(line)


def small(sock: socket.socket) -> None:
    """Let the system keep little for a socket that does not read."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)


@pytest.mark.parametrize("lang", FOLDERS)
def test_a_line_too_long_is_no_message(lang: str) -> None:
    """Who sends one is disconnected; the others go on."""
    server, port = start_server(lang, "stage5_server.py")
    with server, connect(port) as other:
        server.wait_for(WORDS[lang]["connected"])
        with connect(port) as noisy:
            noisy.sendall(b"x" * 5_000)
            server.wait_for(WORDS[lang]["disconnected"])
        other.sendall("小明：好\n".encode())
        assert read_until(other, b"\n") == "小明：好\n".encode()


@pytest.mark.parametrize(
    ("lang", "script"), [(lang, f"stage{n}_server.py") for lang in FOLDERS for n in (4, 5)]
)
def test_strange_bytes_kill_nobody(lang: str, script: str) -> None:
    """Neither the server nor a client."""
    server, port = start_server(lang, script)
    with server, start(lang, script.replace("server", "client"), port) as client:
        server.wait_for(WORDS[lang]["connected"])
        come_in(lang, client, stage_of(script))
        with connect(port) as stranger:
            stranger.sendall(b"\xff\xfe\x00 \xe4\xbd\n")
            client.wait_for("�")
        client.type("still here")
        client.wait_for("still here\n")
        assert (server.err, client.err) == ("", "")


@posix
@pytest.mark.parametrize("lang", FOLDERS)
def test_a_terminal_shows_prompt_and_messages(lang: str) -> None:
    """What arrives begins a line of its own, and Ctrl-D leaves."""
    import pty

    server, port = start_server(lang, "stage4_server.py")
    ours, theirs = pty.openpty()
    with server:
        command = [sys.executable, str(FOLDERS[lang] / "stage4_client.py"), str(port)]
        client = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT)
        os.close(theirs)
        try:
            seen = read_screen(ours, WORDS[lang]["leave"] + "\r\n")
            os.write(ours, "你好\n".encode())
            seen += read_screen(ours, "】你好" if lang == "zh" else "] 你好")
            os.write(ours, b"\x04")
            assert client.wait(PATIENCE) == 0
            assert f"你好\r\n{WORDS[lang]['group']}你好" in seen
        finally:
            client.kill()
            client.wait()
            os.close(ours)
