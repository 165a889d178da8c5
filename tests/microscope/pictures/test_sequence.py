"""The sequence: who sent what to whom."""

from __future__ import annotations

from chatstages.microscope.pictures import sequence
from tests.support.microscope.recordings import Script, calm, chat, many_messages, merged


def test_a_sequence_in_words() -> None:
    """Who joined, said what to whom, and left."""
    assert sequence(calm()).text.splitlines() == [
        "main → main: connects",
        "main → main: connects",
        "main → thread 2: “你好”",
        "thread 2 → main: “你好”",
        "thread 2 → main: “你好”",
        "main → thread 3: “你好”",
        "thread 3 → main: “你好”",
        "thread 3 → main: “你好”",
        "main → thread 2: closes",
    ]


def test_what_one_says_to_several_is_one_line() -> None:
    """Their order is not always the same."""
    assert "socket 1 → socket 2, socket 4: “你好”" in sequence(calm(), lanes="endpoints").text


def test_a_sequence_of_endpoints() -> None:
    """All connections of a server share its lane."""
    lines = sequence(merged(), lanes="endpoints").text.splitlines()
    assert lines[2] == "socket 2 → socket 1: “a”  (coalesced)"
    assert lines[-1] == "socket 2 → socket 1: “\\xae\\xb6好”  (split)"


def test_the_order_is_that_of_causes() -> None:
    """Even where the recv was noted before the send that it came from."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    began = script.clock
    script.clock += 1_000_000
    script.happen(one, "recv", there, began, data=b"hi")
    script.happen("main", "send", ann, began, data=b"hi")
    script.step(one, "send", there, data=b"hello")
    script.step("main", "recv", ann, data=b"hello")
    assert sequence(script).text.splitlines()[2:] == ["main → thread 2: “hi”", "thread 2 → main: “hello”"]


def test_exceptions_and_what_nobody_fetched_are_in_the_sequence() -> None:
    """A call that only says "not now" is not."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    script.step(one, "recv", there, error="BlockingIOError: not now")
    script.step("main", "send", ann, data=b"hi")
    script.step(one, "run", error="ValueError: no")
    assert sequence(script).text.splitlines()[2:] == [
        "main → thread 2: “hi”  (not received)",
        "thread 2 ✗ ValueError: no",
    ]
    assert "bad b" in sequence(script).svg


def test_a_pair_of_sockets_is_a_connection_too() -> None:
    """A learner's first experiment may be one byte from one end to the other."""
    script = Script()
    left, right = (script.new_thing("socket", role="pair") for _each in range(2))
    left.peer, right.peer = right.label, left.label
    script.step("main", "send", left.label, data=b"!")
    script.step("main", "recv", right.label, data=b"!")
    script.step("main", "close", left.label)
    assert sequence(script).text.splitlines() == ["main → main: “!”", "main: closes"]


def test_a_sequence_shows_the_newest_rows() -> None:
    """What is left out is the beginning."""
    text = sequence(many_messages(400)).text
    assert "<399>" in text
    assert "<0>" not in text
