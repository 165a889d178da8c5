"""What all five stages share."""

from __future__ import annotations

import ast
import errno
import inspect
import socket
import subprocess
import sys
from difflib import unified_diff
from types import ModuleType

import pytest

from chatstages import stage2_session, stage3_threads, stage4_broadcast
from chatstages.stage1_oneshot import serve as serve_one
from chatstages.stage5_pool import client as stage5_client
from chatstages.text import columns
from tests.support import ROOT, STAGES, Recorder, connected, kill, options, raw_client, read_to_end, stopped

every_stage = pytest.mark.parametrize("stage", STAGES)


@every_stage
def test_a_message_is_shown_with_its_address(stage: int, told: Recorder) -> None:
    """A server tells who joined, what was said, and who left."""
    with STAGES[stage].serve(on_event=told) as server:
        with connected(STAGES[stage], server.address, **options(stage)) as client:
            client.send("你好 👋")
            told.wait_text("said", "你好 👋")
        told.wait("left")
    assert [event.kind for event in told.events] == ["joined", "said", "left"]
    assert len({event.address for event in told.events}) == 1


@every_stage
def test_what_was_said_before_leaving_is_not_lost(stage: int, told: Recorder) -> None:
    """A client that sends and leaves at once is heard to the end."""
    text = "再见" * 500
    with STAGES[stage].serve(on_event=told) as server:
        with connected(STAGES[stage], server.address, **options(stage)) as client:
            client.send(text)
        told.wait_text("said", text)


@every_stage
def test_what_had_arrived_when_the_server_was_stopped_is_told(stage: int, told: Recorder) -> None:
    """Who connects, sends and leaves inside the `with` block is heard, though it ends at once."""
    with STAGES[stage].serve(on_event=told) as server:
        with connected(STAGES[stage], server.address, **options(stage)) as client:
            client.send("hello")
    assert [event.text for event in told.of("said")] == ["hello"]
    assert [event.kind for event in told.events] == ["joined", "said", "left"]


@every_stage
def test_stop_ends_a_server_that_nobody_came_to(stage: int) -> None:
    """The thread that waits in accept is woken."""
    assert stopped(STAGES[stage].serve())


@every_stage
def test_stop_ends_a_server_whose_client_is_silent(stage: int, told: Recorder) -> None:
    """The thread that waits in recv is woken, and the client sees the end."""
    server = STAGES[stage].serve(on_event=told)
    with raw_client(server.address) as sock:
        told.wait("joined")
        assert stopped(server)
        assert read_to_end(sock) == b""


@every_stage
def test_stop_may_be_called_twice(stage: int) -> None:
    """The second call finds nothing to do."""
    server = STAGES[stage].serve()
    server.stop()
    assert stopped(server)


@every_stage
def test_wait_tells_whether_the_server_has_ended(stage: int) -> None:
    """False while it runs, True after."""
    with STAGES[stage].serve() as server:
        assert not server.wait(0)
    assert server.wait()


@every_stage
def test_a_port_is_free_again_at_once(stage: int, told: Recorder) -> None:
    """A server may start where another has just ended, its last connections still in TIME_WAIT."""
    with STAGES[stage].serve(on_event=told) as server, raw_client(server.address) as sock:
        told.wait("joined")
        server.stop()  # the side that closes first is the one that waits
        assert read_to_end(sock) == b""
    with STAGES[stage].serve(port=server.address[1]) as again:
        assert again.address == server.address


@every_stage
def test_a_port_in_use_is_refused(stage: int) -> None:
    """Serving raises OSError, and leaves no socket behind (the fixture looks)."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use") as caught:
            STAGES[stage].serve(port=taken.getsockname()[1])
        assert caught.value.errno == errno.EADDRINUSE


@every_stage
def test_connecting_to_nobody_is_refused(stage: int) -> None:
    """Connecting raises ConnectionRefusedError, and leaves no socket or thread behind."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            STAGES[stage].connect(unused.getsockname(), **options(stage))


@every_stage
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 6])
def test_a_character_cut_by_the_network_is_shown_whole(stage: int, cut: int, told: Recorder) -> None:
    """Wherever the bytes are cut, the text is the same."""
    data = "汉字".encode()
    with STAGES[stage].serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        told.wait("joined")
        sock.sendall(data[:cut])
        if cut % 3 == 0 or (stage > 1 and cut > 3):
            told.wait_text("said", "汉")  # it has been received, so the rest comes in another recv
        if stage > 1 or cut % 3:  # stage 1 has closed by now if all characters are whole
            sock.sendall(data[cut:])
        sock.shutdown(socket.SHUT_WR)
        told.wait("left")
    said = "".join(event.text for event in told.of("said"))
    assert "\ufffd" not in said
    assert said.count("汉") == 1


@every_stage
def test_bytes_that_are_no_text_kill_nobody(stage: int, told: Recorder) -> None:
    """They are shown as U+FFFD, and the server ends as usual."""
    with STAGES[stage].serve(on_event=told) as server:
        with raw_client(server.address) as sock:
            sock.sendall(b"\xff\xfe!")
            told.wait_text("said", "\ufffd\ufffd!")
        told.wait("left")


@every_stage
def test_a_killed_client_has_left(stage: int, told: Recorder) -> None:
    """A reset is a way of leaving."""
    with STAGES[stage].serve(on_event=told) as server:
        with raw_client(server.address) as sock:
            told.wait("joined")
            kill(sock)
            told.wait("left")


@every_stage
def test_control_characters_reach_no_screen(stage: int, told: Recorder) -> None:
    """Escape sequences and bidi overrides come out as U+FFFD."""
    with STAGES[stage].serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.sendall("a\x1b[2Jb\x07\u202ec".encode())
        told.wait_text("said", "a\ufffd[2Jb\ufffd\ufffdc")


@every_stage
def test_an_event_is_one_line(stage: int, told: Recorder) -> None:
    """Nobody can write a line of their own into a server's list."""
    with STAGES[stage].serve(on_event=told) as server, raw_client(server.address) as sock:
        sock.sendall(b"a\n127.0.0.1:1 left\rb\n")
        told.wait_text("said", "left")
    assert not [str(event) for event in told.events if "\n" in str(event) or "\r" in str(event)]


@every_stage
def test_a_stage_imports_no_other_stage_and_nothing_installed(stage: int) -> None:
    """It needs the standard library, and our three small modules."""
    name = STAGES[stage].__name__
    code = f"import sys; before = set(sys.modules); import {name}; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tops = {module.partition(".")[0] for module in loaded.stdout.split()}
    assert tops - set(sys.stdlib_module_names) == {"chatstages"}
    ours = {module for module in loaded.stdout.split() if module.startswith("chatstages.stage")}
    assert {module.partition("_")[0] for module in ours} == {name.partition("_")[0]}


@every_stage
def test_a_stage_does_not_print(stage: int) -> None:
    """What happens is told through the hook; how it is shown is not the stage's affair."""
    tree = ast.parse(inspect.getsource(STAGES[stage]))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@every_stage
def test_the_docstring_says_what_is_new_and_what_is_still_wrong(stage: int) -> None:
    """That is what a learner reads first."""
    text = STAGES[stage].__doc__ or ""
    assert f"Stage {stage}" in text
    assert "**Still wrong:**" in text
    assert stage == 1 or (f"**Unlike stage {stage - 1}:**") in text


MOST_LINES = {1: 60, 2: 75, 3: 90, 4: 150}
LEARNERS_READ = ["stage*.py", "stage5_pool/*.py", "faults/*.py"]


@pytest.mark.parametrize(("stage", "most"), MOST_LINES.items())
def test_a_stage_is_read_in_one_sitting(stage: int, most: int) -> None:
    """Docstrings counted."""
    assert len(inspect.getsource(STAGES[stage]).splitlines()) <= most


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_beginner_meets_at_most_five_names_of_ours(stage: int) -> None:
    """And finds `accept`, `recv` and `sendall` again."""
    text = inspect.getsource(STAGES[stage])
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    ours = [
        alias.name for node in imports if (node.module or "").startswith("chatstages") for alias in node.names
    ]
    assert len(ours) <= 5
    assert all(call in text for call in ("server.bind(", "server.accept()", "conn.recv(65535)", ".sendall("))


@pytest.mark.parametrize("stage", [2, 3, 4])
def test_a_stage_differs_little_from_the_one_before(stage: int) -> None:
    """Behind the docstring: about one idea is new."""
    before, after = (
        inspect.getsource(STAGES[number]).partition('"""\n\n')[2] for number in (stage - 1, stage)
    )
    changed = list(unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    new = [line for line in changed if line.startswith("+") and line.strip("+ ")]
    assert len(new) <= {2: 25, 3: 25, 4: 95}[stage]


@pytest.mark.parametrize("pattern", LEARNERS_READ)
def test_what_learners_read_is_88_columns_wide_at_most(pattern: str) -> None:
    """Wider lines wrap in a notebook; a Chinese character takes two columns."""
    for path in (ROOT / "chatstages").glob(pattern):
        wide = [line for line in path.read_text(encoding="utf-8").splitlines() if columns(line) > 88]
        assert not wide, path


@every_stage
def test_a_stage_states_what_it_can(stage: int) -> None:
    """So nobody needs to ask for its number."""
    module = STAGES[stage]
    takes = {
        name for function in (module.serve, module.connect) for name in inspect.signature(function).parameters
    }
    assert ("name" in takes, "history" in takes) == (module.NEEDS_NAME, module.KEEPS_HISTORY)
    assert module.LEAVE_WORD is None or isinstance(module.LEAVE_WORD, str)


COPIES: list[tuple[ModuleType, ModuleType, list[str]]] = [
    (STAGES[1], stage2_session, ["Client"]),
    (stage2_session, stage3_threads, ["Client", "handle"]),
    (stage4_broadcast, stage5_client, ["Client.close", "Client._receive"]),
]


@pytest.mark.parametrize(("one", "other", "names"), COPIES)
def test_intended_copies_stay_copies(one: ModuleType, other: ModuleType, names: list[str]) -> None:
    """What differs between two stages is the lesson, so what is the same is the same to the letter."""
    for name in names:
        first, *rest = name.split(".")
        sources = []
        for module in (one, other):
            thing = getattr(module, first)
            for part in rest:
                thing = getattr(thing, part)
            sources.append(inspect.getsource(thing))
        assert sources[0] == sources[1], name


def test_the_stages_can_be_served_by_name() -> None:
    """A host name will do as an address, and a name that nobody has is an error."""
    with serve_one("localhost") as server:
        assert server.address[0] == "127.0.0.1"
    with pytest.raises(socket.gaierror):
        serve_one("no-such-host.invalid")


def test_every_module_has_a_reader_in_mind() -> None:
    """Each file of the package begins with a docstring."""
    for path in sorted((ROOT / "chatstages").rglob("*.py")):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
