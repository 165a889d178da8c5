"""A member of stage 5 without a socket: bytes in, lines for the log out."""

from __future__ import annotations

import pytest

from chatstages.protocol.framing import MAX_LINE
from chatstages.stage5_pool.member import Member, foreign_protocol, throttle_time
from chatstages.stage5_pool.room import Room


def member(room: Room | None = None) -> Member:
    """Return a newcomer in a room."""
    return Member("#7", (room or Room()).claim_name)


def feed(who: Member, text: str) -> list[str]:
    """Return what becomes of `text`."""
    return [line.decode() for line in who.feed(text.encode())]


def test_a_line_that_begins_with_the_name_stays_the_same_bytes() -> None:
    """Nothing is copied: what came is what goes into the log."""
    ann = member()
    feed(ann, "Ann：hi\n")
    ((line, sent),) = zip(ann.feed("Ann：大家好\n".encode()), ["Ann：大家好".encode()], strict=True)
    assert line == sent
    assert ann.name == "Ann"


def test_who_gives_no_name_is_a_guest_until_it_does() -> None:
    """The first usable name counts."""
    who = member()
    assert feed(who, "hello\n") == ["#7：hello"]
    assert feed(who, "#3：hello\n") == ["#7：#3：hello"]
    assert feed(who, "Ann：hello\n") == ["Ann：hello"]
    assert feed(who, "Ben：hello\n") == ["Ann：Ben：hello"]


def test_a_name_that_is_taken_gets_a_number_in_front_of_each_line() -> None:
    """However the member writes it."""
    room = Room()
    feed(member(room), "Ann：hi\n")
    second = member(room)
    assert feed(second, "Ann：hi\nAnn：again\nno name\nAnn(2)：hi\n") == [
        "Ann(2)：hi",
        "Ann(2)：again",
        "Ann(2)：no name",
        "Ann(2)：hi",
    ]


def test_nobody_says_nothing() -> None:
    """An empty line is no message, but the end of one that has begun."""
    who = member()
    assert feed(who, "\n\n\n") == []
    assert not who.has_spoken
    assert feed(who, "Ann：") == []
    assert feed(who, "\n") == ["Ann："]


def test_a_raw_client_speaks_when_it_pauses() -> None:
    """Until it sends its first newline."""
    who = member()
    assert feed(who, "Ann：hi") == []
    assert who.waits_for_pause
    assert who.flush() == ["Ann：hi".encode()]
    assert not who.waits_for_pause
    feed(who, "more\nand")
    assert not who.waits_for_pause


def test_too_long_messages_are_counted() -> None:
    """What comes after them is a message."""
    who = member()
    assert who.feed(b"x" * (MAX_LINE + 1) + b"\nshort\n") == ["#7：short".encode()]
    assert who.lines.too_long == 1


@pytest.mark.parametrize(("count", "seconds"), [(0, 0), (1, 0), (2, 0.002), (500, 0.5), (10**9, 1)])
def test_who_says_several_things_at_once_has_to_pause(count: int, seconds: float) -> None:
    """A millisecond for each, and a second at most."""
    assert throttle_time(count) == seconds


@pytest.mark.parametrize(
    ("begin", "protocol"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"POST /send?x=1 HTTP/1.0\r\n", "HTTP"),
        (b"CONNECT a:1 HTTP/1.1", "HTTP"),
        (b"PRI * HTTP/2.0\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"GET / HT", ""),
        (b"GET ready for HTTP/1.1\n", ""),
        (b"Ann\xef\xbc\x9aGET / HTTP/1.1\n", ""),
        (b"", ""),
        (b"\x16", ""),
    ],
)
def test_a_browser_is_told_from_a_chat_client(begin: bytes, protocol: str) -> None:
    """By what it says first."""
    assert foreign_protocol(begin) == protocol
