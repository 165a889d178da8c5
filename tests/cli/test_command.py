"""The command, as a person and as another program uses it."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chatstages.cli import serve
from chatstages.cli.errors import connecting_problem, listening_problem
from chatstages.cli.terminal import EventScreen, say_in_rows
from chatstages.runtime import Event
from tests.support import PATIENCE, STAGES, kill, python, read_until

every_stage = pytest.mark.parametrize("stage", STAGES)
windows = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal or signal")


def name_for(stage: int) -> list[str]:
    """Return the option that spares a person the question for a nickname, where there is one."""
    return ["--name", "小明"] if STAGES[stage].NEEDS_NAME else []


def finish(process: subprocess.Popen[str], text: str = "") -> tuple[int, str, str]:
    """Give `process` its input to the end; return its status and what it printed."""
    out, err = process.communicate(text, timeout=PATIENCE)
    return process.returncode, out, err


def run(*arguments: str, text: str = "", lang: str = "en") -> tuple[int, str, str]:
    """Run `chatstages` with `arguments`; return its status and what it printed."""
    return finish(python("-m", "chatstages", *arguments, lang=lang), text)


@contextmanager
def serving(stage: int, *options: str, lang: str = "en") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `chatstages serve` in a process of its own; give the process and its address."""
    process = python("-m", "chatstages", "serve", str(stage), "--port", "0", *options, lang=lang)
    assert process.stdout
    try:
        found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def read_line(process: subprocess.Popen[str], expected: str) -> str:
    """Read lines of `process` until one holds `expected`."""
    assert process.stdout
    for line in process.stdout:
        if expected in line:
            return line
    raise AssertionError(f"{expected!r} was not printed")


@every_stage
def test_piped_input_is_chatted_and_shown_by_the_server(stage: int) -> None:
    """A pipe is a keyboard too: `printf … | chatstages chat`."""
    with serving(stage) as (server, address):
        status, out, err = run("chat", str(stage), address, *name_for(stage), text="你好\n")
        read_line(server, "你好")
        read_line(server, "left")
    assert (status, err) == (0, "")
    assert out.startswith("Connected to ")
    assert out.count("你好") == (1 if stage >= 4 else 0)  # what one says comes back to it


@pytest.mark.parametrize("stage", [4, 5])
def test_exit_leaves_and_is_not_sent(stage: int) -> None:
    """What comes after it is not sent either."""
    with serving(stage) as (server, address):
        status, out, _err = run("chat", str(stage), address, *name_for(stage), text="one\nexit\ntwo\n")
        said = read_line(server, "one")
        assert "left" in read_line(server, "left")
    assert status == 0
    assert "one" in out
    assert "exit" not in said + out.partition("\n")[2]
    assert "two" not in said + out


def test_the_name_is_asked_for_until_there_is_one() -> None:
    """In stage 5 the first lines are the nickname."""
    with serving(5) as (_server, address):
        status, out, _err = run("chat", "5", address, text="\n  \n小明\n你好\n")
    assert status == 0
    assert "小明：你好" in out


def test_a_message_that_is_too_long_is_reported_and_the_next_is_sent() -> None:
    """Nothing said is lost silently."""
    with serving(5) as (_server, address):
        status, out, _err = run("chat", "5", address, "--name", "a", text="x" * 5_000 + "\nshort\n")
    assert status == 0
    assert "at most 4096 bytes" in out
    assert "a：short" in out


@pytest.mark.parametrize("stage", [4, 5])
def test_the_client_says_that_the_server_has_gone_and_ends(stage: int) -> None:
    """In one line, and though its input has not ended."""
    with serving(stage) as (server, address):
        client = python("-m", "chatstages", "chat", str(stage), address, *name_for(stage))
        assert client.stdin
        client.stdin.write("hello\n")
        client.stdin.flush()
        read_line(client, "hello")
        server.send_signal(signal.SIGTERM)
        assert read_line(client, "closed").strip() == f"The server at {address} has closed the connection."
        assert client.wait(PATIENCE) == 1
        assert client.communicate() == ("", "")


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_client_that_only_speaks_says_that_the_server_has_gone(stage: int) -> None:
    """It learns that when it sends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        client = python("-m", "chatstages", "chat", str(stage), address)
        read_line(client, "Connected")
        conn, _address = server.accept()
        kill(conn)
        status, out, err = finish(client, "hello?\n")
    assert (status, err) == (1, "")
    assert out == f"The server at {address} has closed the connection.\n"


def test_the_last_line_of_piped_input_needs_no_newline() -> None:
    """It is sent as the others are."""
    with serving(4) as (_server, address):
        status, out, _err = run("chat", "4", address, text="one\nlast")
    assert status == 0
    assert out.endswith("last\n")


def test_a_character_that_the_pipe_cuts_is_sent_whole() -> None:
    """Input is read in pieces of 64 KiB, which end anywhere: here inside a character."""
    text = "aa" + "汉" * 30_000
    with serving(3) as (server, address):
        run("chat", "3", address, text=f"{text}\n")
        shown = ""
        assert server.stdout
        while " left" not in shown:
            shown += server.stdout.readline()
    assert shown.count("汉") == 30_000
    assert "\ufffd" not in shown


@windows
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@every_stage
def test_ctrl_c_ends_a_server_cleanly(stage: int, number: signal.Signals) -> None:
    """Status 0, no traceback, though a client is connected."""
    with serving(stage) as (server, address):
        host, _colon, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE):
            read_line(server, "joined")
            server.send_signal(number)
            status, out, err = finish(server)
    assert (status, err) == (0, "")
    assert out.endswith("The server has ended.\n")


@windows
def test_a_second_ctrl_c_changes_nothing() -> None:
    """While the server ends, which takes half a second here: a member does not take what was said."""
    with serving(5) as (server, address):
        host, _colon, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as slow:
            slow.sendall((b"x" * 4_000 + b"\n") * 400)
            for _each in range(400):
                read_line(server, "xxx")
            server.send_signal(signal.SIGINT)
            assert server.stdout
            while server.stdout.readline() != "\n":  # the first one has been noticed
                pass
            server.send_signal(signal.SIGINT)
            status, out, err = finish(server)
    assert (status, err) == (0, "")
    assert "bytes unsent" in out
    assert out.endswith("The server has ended.\n")


@pytest.mark.parametrize("stage", [1, 2])
def test_a_server_for_one_client_ends_by_itself(stage: int) -> None:
    """When that client has left."""
    with serving(stage) as (server, address):
        assert run("chat", str(stage), address, text="hi\n")[0] == 0
        status, out, err = finish(server)
    assert (status, err) == (0, "")
    assert "said: hi" in out


@windows
@pytest.mark.parametrize("stage", [4, 5])
def test_a_paused_output_holds_up_nobody(stage: int) -> None:
    """As with Ctrl-S, or `| less`: the members hear each other, and Ctrl-C ends it in one clear line."""
    with serving(stage) as (server, address):
        host, _colon, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as ann:
            ann.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(600):  # of 1,000 bytes: far more than a pipe holds
                ann.sendall(b"%d " % number + b"x" * 1_000 + b"\n")
                read_until(ann, b"\n")
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 1
        assert server.stderr
        assert server.stderr.read() == (
            "The server has ended. The last lines are missing: the output takes no more.\n"
        )


@windows
def test_an_output_that_is_read_again_says_what_it_has_missed() -> None:
    """Also while the server goes on."""
    with serving(5) as (server, address):
        host, _colon, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as ann:
            for _each in range(10):  # more than may wait for the output
                ann.sendall((b"x" * 4_000 + b"\n") * 300 + b"the end\n")
                read_until(ann, b"the end\n")
            read_line(server, "events were missed: nobody took them in time")
            ann.sendall(b"I see you\n")
            read_line(server, "I see you")


@windows
def test_a_reader_who_goes_away_ends_the_server() -> None:
    """As in `chatstages serve 4 | head -1`: no traceback."""
    with serving(4) as (server, address):
        assert server.stdout
        read_line(server, "Ctrl-C")  # the last of its greeting: what it says next is that somebody has joined
        server.stdout.close()
        host, _colon, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE):
            assert server.wait(PATIENCE) == 1
        assert server.stderr
        assert server.stderr.read() == ""
        server.stdout = None


def test_a_port_in_use_is_one_clear_line() -> None:
    """It names the port, and says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = run("serve", "4", "--port", str(port))
    assert (status, out) == (1, "")
    assert err == (
        f"chatstages: Port {port} on 127.0.0.1 is in use. "
        "End what runs there, or choose another with --port.\n"
    )


def test_a_newcomer_gets_the_history_that_the_server_was_asked_for() -> None:
    """The last lines, in a terminal too."""
    with serving(5, "--history", "1") as (process, where):
        run("chat", "5", where, "--name", "早", text="一\n二\nexit\n")
        read_line(process, "): 二")
        client = python("-m", "chatstages", "chat", "5", where, "--name", "晚")
        read_line(client, "早：二")
        status, out, _err = finish(client, "exit\n")
        assert (status, "早：一" in out) == (0, False)


def test_the_log_of_stage_5_says_names() -> None:
    """With the address where it helps: a person is who is speaking, not a port."""
    with serving(5, lang="zh_CN") as (server, address):
        assert run("chat", "5", address, "--name", "小明", text="大家好\nexit\n")[0] == 0
        assert re.match(r"小明（127\.0\.0\.1:\d+）：大家好\n", read_line(server, "大家好"))
        assert read_line(server, "离开") == "小明 已离开\n"


def test_members_can_be_told_who_has_joined_and_left() -> None:
    """In a line that no member could have said."""
    with serving(5, "--announce") as (_server, address):
        ann = python("-m", "chatstages", "chat", "5", address, "--name", "Ann")
        read_line(ann, "Welcome")
        assert run("chat", "5", address, "--name", "Ben", text="hi\nexit\n")[0] == 0
        assert [read_line(ann, "Ben") for _each in range(3)] == [
            "* Ben joined\n",
            "Ben：hi\n",
            "* Ben left\n",
        ]
        finish(ann, "exit\n")


def test_one_connects_before_one_is_asked_for_a_name() -> None:
    """Nobody thinks about a name for a server that is not there; and why a name will not do is said."""
    with serving(5) as (_server, address):
        status, out, err = run("chat", "5", address, text="a：b\n#x\n小明\nhi\nexit\n")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"Connected to {address}. A line that says exit leaves.",
        "This nickname will not do: a nickname has no colon: it ends the name on the wire.",
        "This nickname will not do: a nickname does not begin with * or #.",
        "Welcome to the group, 小明!",
        "小明：hi",
    ]
    assert run("chat", "5", address)[:2] == (1, "")


def test_a_host_alone_stands_for_the_port_of_the_stage() -> None:
    """`chat 4 127.0.0.1` is what people type."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 30_004))  # that nothing listens there
        status, _out, err = run("chat", "4", "127.0.0.2")
    assert status == 1
    assert err.startswith("chatstages: There is no server at 127.0.0.2:30004. Start one: ")


def test_only_stage_5_knows_names() -> None:
    """An option that would do nothing is refused."""
    assert run("chat", "3", "--name", "x")[2] == "chatstages: Only stage 5 knows names: leave out --name.\n"
    assert "leave out --announce" in run("serve", "4", "--announce")[2]


def test_a_server_for_everybody_says_where_others_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.0.0.0 is nobody's address."""
    monkeypatch.setattr(serve, "own_addresses", lambda: ["192.0.2.7", "198.51.100.3"])
    said: list[str] = []
    monkeypatch.setattr(serve, "say", said.append)
    serve.say_where(4, ("0.0.0.0", 30_004))
    assert [line.rpartition(" ")[2] for line in said if "chat 4" in line] == [
        "192.0.2.7:30004",
        "198.51.100.3:30004",
    ]


def test_only_stage_5_has_a_history() -> None:
    """The others say so."""
    status, _out, err = run("serve", "4", "--history", "3")
    assert (status, err) == (1, "chatstages: Only stage 5 remembers what was said: leave out --history.\n")


def test_no_server_there_is_one_clear_line() -> None:
    """It names the address, and how to start one."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        status, _out, err = run("chat", "4", f"127.0.0.1:{port}", text="hi\n")
    assert status == 1
    assert err == (
        f"chatstages: There is no server at 127.0.0.1:{port}. Start one: chatstages serve 4 --port {port}\n"
    )


@pytest.mark.parametrize(
    "arguments", [["chat", "4", "no-such-host.invalid:1"], ["serve", "4", "--host", "a..b"]]
)
def test_a_name_not_found_is_one_clear_line(arguments: list[str]) -> None:
    """For a client and for a server."""
    status, _out, err = run(*arguments)
    assert status == 1
    assert err.count("\n") == 1
    assert arguments[-1].removesuffix(":1") in err


def test_each_kind_of_error_has_a_line_of_its_own() -> None:
    """Those that this machine cannot be made to raise are made by hand."""
    address = ("127.0.0.1", 80)
    assert "administrators" in str(listening_problem(PermissionError(errno.EACCES, "denied"), address))
    assert "no address" in str(listening_problem(OSError(errno.EADDRNOTAVAIL, "no"), address))
    assert "does not answer" in str(connecting_problem(TimeoutError(), address, ""))
    unreachable = connecting_problem(OSError(errno.ENETUNREACH, "unreachable"), address, "")
    assert str(unreachable) == "127.0.0.1:80: unreachable"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["serve", "6"],
        ["serve", "four"],
        ["serve", "4", "--port", "99999"],
        ["serve", "4", "--lang", "fr"],
        ["serve", "4", "--nonsense"],
        ["chat", "4", "127.0.0.1:http"],
        ["chat", "5", "--name", "a：b"],
    ],
)
def test_bad_use_has_status_2_and_no_traceback(arguments: list[str]) -> None:
    """The usage, and a line that says what is wrong."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(("lang", "word"), [("zh_CN", "缺少参数"), ("en", "required")])
def test_the_language_is_chosen_by_the_option_before_the_environment(lang: str, word: str) -> None:
    """Also for what argparse says."""
    other = "en" if lang == "zh_CN" else "zh_CN"
    assert word in run("--lang", lang, "serve", lang=other)[2]
    assert word in run("serve", lang=lang)[2]


def test_doctor_finds_that_the_stages_run_here() -> None:
    """Each line begins with yes or no, and each no has a reason."""
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    findings = out.split("\n\n")[0].splitlines()
    assert len(findings) > 10
    assert all(line[:2] in ("✔ ", "✘ ") for line in findings)
    assert all(": " in line for line in findings if line[0] == "✘")


@windows
@pytest.mark.parametrize("editing", [True, False], ids=["prompt_toolkit", "plain"])
@pytest.mark.parametrize(("lang", "gone"), [("en", "has closed the connection"), ("zh_CN", "已断开连接")])
def test_a_person_at_a_terminal_chats(editing: bool, lang: str, gone: str) -> None:
    """In a pseudo-terminal: typing, hearing others in between, and being told that the server has ended."""
    import pty

    with serving(4) as (server, address):
        ours, theirs = pty.openpty()
        code = "import sys; from chatstages.cli import main; sys.exit(main())"
        if not editing:
            code = "import sys; sys.modules['prompt_toolkit'] = None; " + code
            code = code.replace("None;", "None; import importlib.util as u; u.find_spec = lambda name: None;")
        environment = os.environ | {"CHATSTAGES_LANG": lang, "TERM": "xterm"}
        client = subprocess.Popen(
            [sys.executable, "-c", code, "chat", "4", address],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            screen = Screen(ours)
            screen.wait_for(">>>")
            os.write(ours, "你好\r".encode())
            read_line(server, "said: 你好")
            screen.wait_for("你好")
            os.write(ours, b"half a li")
            assert run("chat", "4", address, text="an interruption\n")[0] == 0
            screen.wait_for("an interruption")
            os.write(ours, b"ne\r")
            read_line(server, "said: half a line")
            server.send_signal(signal.SIGTERM)
            screen.wait_for(gone)
            assert client.wait(PATIENCE) == 1
        finally:
            client.kill()
            client.wait()
            os.close(ours)


class Screen:
    """What a program has written to its terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def wait_for(self, expected: str) -> None:
        """Read until `expected` has been written, beyond what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while expected not in self._seen:
            ready = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"{expected!r} did not appear in {self._seen!r}"
            self._seen += os.read(self._descriptor, 65_536).decode(errors="replace")
            if "\x1b[6n" in self._seen:  # prompt_toolkit asks where the cursor is
                self._seen = self._seen.replace("\x1b[6n", "")
                os.write(self._descriptor, b"\x1b[1;1R")
        self._seen = self._seen.partition(expected)[2]


def test_a_long_line_goes_on_below_and_is_indented(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; in a file or a pipe it is one line."""
    event = Event("said", ("127.0.0.1", 1), "x" * 20, "Ann")
    in_rows = f"Ann (127.0.0.1:1): xxx\n    {'x' * 17}\n"
    for is_terminal, shown in [(True, in_rows), (False, f"{event}\n")]:
        output = io.StringIO()
        monkeypatch.setattr(output, "isatty", lambda answer=is_terminal: answer)
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setenv("COLUMNS", "22")
        EventScreen()(event)
        say_in_rows(event)
        assert output.getvalue() == 2 * shown
