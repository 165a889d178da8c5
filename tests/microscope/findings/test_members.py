"""Skipped recipients, nicknames used twice, terminal injection."""

from __future__ import annotations

import pytest

from chatstages.microscope import findings
from tests.support.microscope.explained import found_kinds
from tests.support.microscope.recordings import Script, group


def tell(script: Script, thread: str, text: bytes, *socks: str, gone: str = "") -> None:
    """Let `thread` send `text` to each of `socks`; `gone` fails."""
    for sock in socks:
        error = "BrokenPipeError: [Errno 32] Broken pipe" if sock == gone else ""
        script.step(thread, "send", sock, data=b"" if error else text, error=error, line=22)


def test_a_member_who_was_passed_over() -> None:
    """While the loop took another off the list that it walks."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b)) = group(3)
    tell(script, one, b"one\n", a, e, b)
    tell(script, one, b"two\n", a, e, gone=e)
    tell(script, one, b"three\n", a, b)
    (finding,) = findings.skipped_recipients(script)
    assert (finding.thread, finding.thing, finding.leaver, finding.line) == (one, b, e, 22)
    assert "“two⏎”" in str(finding)
    assert found_kinds(script) == ["SkippedRecipient"]


def test_who_gets_it_later_was_not_passed_over() -> None:
    """CoalescedMessages to the next one, say: a pool sends each what it has not seen."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b)) = group(3)
    tell(script, one, b"one\n", a, e, b)
    tell(script, one, b"two\n", a, e, gone=e)
    tell(script, one, b"two\nthree\n", b)
    tell(script, one, b"three\n", a, b)
    assert findings.skipped_recipients(script) == []


def test_who_gets_nothing_more_is_no_member() -> None:
    """Nor does one miss anything who speaks, where the speaker does not get his own words."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b), (_tom, t)) = group(4)
    tell(script, one, b"one\n", a, e, b, t)
    script.step(one, "recv", a, data=b"two\n")
    tell(script, one, b"two\n", e, t, gone=e)
    script.step(one, "recv", t, data=b"three\n")
    tell(script, one, b"three\n", a, t)
    assert findings.skipped_recipients(script) == []


def test_another_room_is_not_passed_over() -> None:
    """While somebody leaves a room, those in another one miss nothing."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b), (_tom, t)) = group(4)
    tell(script, one, b"one\n", b, t)
    tell(script, one, b"two\n", a, e)
    tell(script, one, b"three\n", a, e, gone=e)
    tell(script, one, b"four\n", b, t)
    assert findings.skipped_recipients(script) == []


def test_a_smaller_round_is_no_mistake_while_nobody_leaves() -> None:
    """A room within the group, say."""
    script, (one, *_more), ((_ann, a), (_eve, e), (_ben, b)) = group(3)
    tell(script, one, b"one\n", a, e, b)
    tell(script, one, b"two\n", a, e)
    tell(script, one, b"three\n", a, e, b)
    assert findings.skipped_recipients(script) == []


def spoken(first: bytes, second: bytes, stamp: bytes = b"", leaves: bool = False) -> Script:
    """Write what two members say, and how it is passed on to the other, with `stamp` before it."""
    script, (one, two, *_more), ((_ann, a), (_ben, b)) = group(2)
    script.step(one, "recv", a, data=first)
    tell(script, one, stamp + first, b)
    if leaves:
        script.step(one, "recv", a)
    script.step(two, "recv", b, data=second)
    tell(script, two, stamp + second, a)
    return script


def test_a_name_that_two_have_used() -> None:
    """And the server has passed both on."""
    script = spoken("Teacher：no homework\n".encode(), "Teacher：homework\n".encode())
    (finding,) = findings.duplicate_nicknames(script)
    assert (finding.name, finding.thing, finding.other) == ("“Teacher”", "socket 5", "socket 3")
    assert found_kinds(script) == ["DuplicateNickname"]


def test_words_before_a_colon_are_not_always_a_name() -> None:
    """Who sends JSON has said his name, and what else there is, in quotation marks."""
    script = spoken(b'{"from": "ann"}\n', b'{"from": "ben"}\n')
    assert findings.duplicate_nicknames(script) == []


@pytest.mark.parametrize(
    "script",
    [
        spoken(b"Ann: hi\n", b"Ben: hi\n"),
        spoken(b"Ann: hi\n", b"Ann: hello\n", stamp=b"5: "),
        spoken(b"Ann: hi\n", b"Ann: hello\n", leaves=True),
        spoken(b"Ann: hi\n", b"Ann: hi\n"),
        spoken(b"\xffAnn: hi\n", b"\xffAnn: hello\n"),
    ],
    ids=["two names", "stamped", "free again", "the same words", "no text"],
)
def test_names_that_are_nobody_elses(script: Script) -> None:
    """Whose words were passed on must be certain."""
    assert findings.duplicate_nicknames(script) == []


def test_signs_that_command_a_screen() -> None:
    """They are shown as what they are, not obeyed."""
    script = spoken(b"\x1b[2Jhello\n", b"\xe2\x80\xaeabc\n")
    one, two = findings.terminal_injections(script)
    assert (one.text, two.text) == ("“\\x1b[2Jhello”", "“\\u202eabc”")
    assert found_kinds(script) == ["TerminalInjection"]
    assert findings.terminal_injections(spoken(b"\x00\x00\x00\x1bhello\n", b"\x07\n")) == []
