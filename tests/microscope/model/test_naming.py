"""What threads are called where they are shown."""

from __future__ import annotations

import threading
from pathlib import Path

from chatstages.microscope import Scope, microscope
from chatstages.microscope.model.naming import name_client, named, thread_names
from chatstages.microscope.pictures import board, sequence, timeline
from tests.support.microscope.recordings import Script, chat, group
from tests.support.microscope.sockets import connection

CELL = "/tmp/ipykernel_1/2.py"


def known_chat() -> Script:
    """Write a conversation in which it is known who the first client is."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    script.clients = {("127.0.0.1", 5): "Ann"}
    script.things[ann].local = script.things[there].remote = ("127.0.0.1", 5)
    receiver = script.thread("_receive")
    script.step("main", "send", ann, data=b"hi")
    script.step(one, "recv", there, data=b"hi")
    script.step(one, "send", there, data=b"hello")
    script.step(receiver, "recv", ann, data=b"hello")
    return script


def test_lanes_are_called_what_they_are() -> None:
    """In every picture, and in the same order in every run."""
    script = known_chat()
    assert sequence(script).text.splitlines()[2:] == [
        "main → server, for Ann: “hi”",
        "server, for Ann → Ann, receiving: “hello”",
    ]
    for draw in (timeline, board):
        lines = [line.strip().partition(": ")[0] for line in draw(script).text.splitlines()]
        assert lines.index("main") < lines.index("server, for Ann") < lines.index("Ann, receiving")


def test_a_thread_may_serve_many() -> None:
    """Its name stays short."""
    script, (one, *_others), pairs = group(5)
    script.clients = {("127.0.0.1", number): f"client {number}" for number in range(5)}
    for number, (_client, server) in enumerate(pairs):
        script.things[server].remote = ("127.0.0.1", number)
        script.step(one, "recv", server, data=b"!\n")
    assert thread_names(script)[one] == "server, for client 0, client 1, client 2, …"


def test_the_thread_of_a_cell_is_the_notebook() -> None:
    """In a script it is called main, as ever."""
    script = Script()
    assert thread_names(script) == {}
    script.things["main"].file = CELL
    script.step("main", "wait", script.lock())
    assert timeline(script).text == "this notebook: wait lock 1"


def test_a_name_that_the_program_has_given_is_kept() -> None:
    """And one that Python has made up is not."""
    with microscope() as scope:
        for name in ("worker-a", None, "twin", "twin"):
            thread = threading.Thread(target=int, name=name)
            thread.start()
            thread.join()
    names = thread_names(scope.recording)
    assert names == {"thread 1": "worker-a", "thread 3": "twin (thread 3)", "thread 4": "twin (thread 4)"}
    assert scope.of("run", thread="worker-a") == scope.of("run", thread="thread 1") != []


def test_a_recording_in_which_nothing_is_known_is_shown_as_it_is() -> None:
    """It is not copied."""
    script = Script()
    chat(script)
    assert named(script) is script
    known = named(known_chat())
    assert named(known) is known


def test_names_are_saved(tmp_path: Path) -> None:
    """With those of the clients in the recording, and no others."""
    with microscope() as scope, connection() as (client, conn):
        name_client(client.getsockname(), "Ann")
        name_client(("127.0.0.1", 0), "Nobody")
        reader = threading.Thread(target=conn.recv, args=(1,))
        reader.start()
        client.send(b"!")
        reader.join()
    scope.save(tmp_path / "x.json")
    loaded = Scope.load(tmp_path / "x.json")
    assert list(loaded.recording.clients.values()) == ["Ann"]
    assert loaded.sequence().text == scope.sequence().text
    assert "main → server, for Ann: “!”" in loaded.sequence().text
