"""Coalesced, split, interleaved and empty messages; short writes."""

from __future__ import annotations

import socket

import pytest

from chatstages.microscope import findings, microscope
from chatstages.microscope.findings import explain
from tests.support.microscope.explained import found_kinds
from tests.support.microscope.recordings import Script, chat, merged


def test_an_empty_datagram_is_something() -> None:
    """Not the end of a stream, and not nothing."""
    with microscope() as scope:
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            one.bind(("127.0.0.1", 0))
            for _each in range(9):
                two.sendto(b"", one.getsockname())
                assert one.recv(10) == b""
    assert not scope.explain()


def test_coalesced_messages() -> None:
    """With the sends and the recv that show it."""
    (finding,) = findings.coalesced_messages(merged())
    assert (finding.sends, len(finding.events)) == (3, 4)
    assert "3 sends arrived coalesced in one recv" in str(finding)
    assert repr([finding]) == f"[<{finding}>]"
    assert (finding.file, finding.line) == ("chat.py", 10)


def test_a_split_message() -> None:
    """With the send and the recvs that show it."""
    (finding,) = findings.split_messages(merged())
    assert (finding.recvs, len(finding.events)) == (3, 4)
    assert "One send arrived split over 3 recvs" in str(finding)


@pytest.mark.parametrize(
    "sends",
    [
        [b"\x00\x00\x00\x05hello", b"\x00\x00\x00\x02hi"],
        [b"\x05\x00hello", b"\x02\x00hi"],
        [b"Ann: ", b"hello", b"\n"],
        [b"one\0", b"two\0"],
        [b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n", b"<p>hello</p>"],
    ],
    ids=["a length of 4 bytes", "a length of 2, the other way round", "a line in pieces", "NUL", "HTTP"],
)
def test_framed_messages_may_be_split_and_coalesced(sends: list[bytes]) -> None:
    """Their receiver reads so much as belongs together: a fact, but no mistake."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for data in sends:
        script.step("main", "send", ann, data=data)
    whole = b"".join(sends)
    for piece in (whole[:5], whole[5:]):
        script.step(one, "recv", there, data=piece)
    assert findings.coalesced_messages(script)
    assert not explain(script)


def test_bytes_that_look_like_a_length_by_chance_are_none() -> None:
    """Every message must have its length before it, to the last byte."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"\x02hi")
    script.step("main", "send", ann, data=b"hello")
    script.step(one, "recv", there, data=b"\x02hihello")
    assert found_kinds(script) == ["CoalescedMessages"]


def test_whole_lines_may_arrive_coalesced() -> None:
    """It is listed as a fact, but not named: a newline parts them."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    for text in (b"a\n", b"b\n"):
        script.step("main", "send", ann, data=text)
    script.step(one, "recv", there, data=b"a\nb\n")
    assert len(findings.coalesced_messages(script)) == 1
    assert not explain(script)


def test_split_characters() -> None:
    """Each with its place in the stream."""
    assert [(split.character, split.offset) for split in findings.split_characters(merged())] == [
        ("大", 3),
        ("家", 6),
    ]
    assert found_kinds(merged()) == ["SplitCharacter", "CoalescedMessages", "SplitMessage"]


def test_an_empty_send() -> None:
    """It sends nothing, so it ends nothing."""
    script = Script()
    _threads, ((ann, _there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"")
    assert found_kinds(script) == ["EmptySend"]


def test_long_messages_that_are_mixed() -> None:
    """What a lock around each piece does not prevent."""
    script = Script()
    (one, two), ((ann, ann_there), (ben, ben_there)) = chat(script)
    script.step("main", "send", ann, data=b"a" * 40)
    script.step(one, "recv", ann_there, data=b"a" * 20)
    script.step(one, "send", ben_there, data=b"a" * 20, line=22)
    script.step(two, "send", ben_there, data=b"b" * 20)
    script.step(one, "recv", ann_there, data=b"a" * 20)
    script.step(one, "send", ben_there, data=b"a" * 20)
    (finding,) = findings.interleaved_messages(script)
    assert (finding.thread, finding.others, finding.thing, finding.line) == (one, two, ben_there, 22)
    assert ben


def short(*after: tuple[str, dict[str, object]]) -> Script:
    """Write a send that takes 4 of 10 bytes, and what comes behind it."""
    script = Script()
    (one, _two), ((_ann, there), _ben) = chat(script)
    script.step(one, "send", there, data=b"abcd", detail="4 of 10 bytes", rest=b"efghij", line=22)
    for kind, facts in after:
        script.step(one, kind, "" if kind == "select" else there, **facts)  # type: ignore[arg-type]
    return script


@pytest.mark.parametrize(
    "script",
    [short(("send", {"data": b"next\n"}), ("recv", {"data": b"x"})), short(("close", {}))],
    ids=["something else", "the end"],
)
def test_the_rest_of_a_send_that_nobody_sent(script: Script) -> None:
    """Something else comes in its place, or the end."""
    (finding,) = findings.short_writes(script)
    assert (finding.thread, finding.thing, finding.line) == ("thread 2", "socket 3", 22)
    assert "4 of 10 bytes" in str(finding)
    assert found_kinds(script)[0] == "ShortWrite"


@pytest.mark.parametrize(
    "script",
    [
        short(),
        short(("send", {"data": b"efghij"})),
        short(("send", {"data": b"ef", "rest": b"ghij"}), ("send", {"data": b"ghij more"})),
        short(("select", {}), ("close", {})),
        short(("select", {}), ("send", {"data": b"too slow\n"}), ("close", {})),
    ],
    ids=["yet", "at once", "in pieces", "given up", "with a last word"],
)
def test_the_rest_of_a_send_that_was_kept(script: Script) -> None:
    """It is sent later, or the receiver is given up after a wait."""
    assert findings.short_writes(script) == []
