"""Findings about a group chat: a skipped recipient, a nickname used twice, terminal injection."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.wording import quote
from chatstages.microscope.model.holds import FOREVER
from chatstages.microscope.model.recording import Recording, TraceEvent

# A line of a chat: a nickname, a colon of either width, and the message.
SPOKEN = re.compile(r"(?m)^([^\s:：{}\[\]<>\"'][^\n:：{}\[\]<>\"']{0,31})[:：].*$")
# Escape sequences (ECMA-48) and bidi controls (Unicode TR 9), with the characters that follow.
COMMAND = re.compile("(?:\x1b[\\[\\]PX^_c]|[\u202a-\u202e\u2066-\u2069]).{0,16}")


class Broadcast:
    """The same bytes, sent by one thread to several sockets, one after the other."""

    def __init__(self, source: str) -> None:
        self.source = source  # the socket from which the thread had received before
        self.sends: list[TraceEvent] = []  # also the failed ones
        self.members = set[str]()  # the sockets to which it was sent
        self.data = b""  # what was sent

    def goes_on(self, send: TraceEvent) -> bool:
        """Tell whether `send` belongs to this broadcast."""
        return send.thing not in self.members and (not send.data or self.data in (b"", send.data))

    def add(self, send: TraceEvent) -> None:
        """Add `send` to this broadcast."""
        self.sends.append(send)
        self.members.add(send.thing)
        self.data = self.data or send.data


def broadcasts(recording: Recording) -> list[Broadcast]:
    """Return the broadcasts of a server, in the order of their first sends."""
    found, current, sources = list[Broadcast](), dict[str, Broadcast](), dict[str, str]()
    things = recording.things
    for event in recording.events:
        if event.kind == "recv":
            current.pop(event.thread, None)
            sources[event.thread] = event.thing
        elif event.kind == "send" and things[event.thing].role == "server":
            mine = current.get(event.thread)
            if mine is None or not mine.goes_on(event):
                mine = current[event.thread] = Broadcast(sources.get(event.thread, ""))
                found.append(mine)
            mine.add(event)
    return [each for each in found if len(each.sends) > 1 and each.data]


@dataclass(frozen=True, repr=False)
class SkippedRecipient(Finding):
    """A member that a broadcast has skipped, because the list of members was changed meanwhile."""

    leaver: str
    text: str

    def __str__(self) -> str:
        sentence = _(
            "{thing} did not get {text}, which {thread} sent to the others: the list of members "
            "was changed during the loop, when {leaver} was removed"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "When an element is removed from a list during a loop over it, those behind it move "
            "up, and the loop skips one. Iterate over a copy, made under the lock that guards the "
            "list."
        )


def skipped_recipients(recording: Recording) -> list[SkippedRecipient]:
    """Return every member that a broadcast has skipped while another member left.

    Who is a member is told by the messages: it gets a later one, and got one before, or was listened to.
    """
    told, found = broadcasts(recording), list[SkippedRecipient]()
    begun, left = first_recvs(recording), ends(recording)
    gone = {event.thing: event.ended for event in reversed(left)}
    got = [(send.thing, number) for number, each in enumerate(told) for send in each.sends if send.data]
    first_told, last_told = dict(reversed(got)), dict(got)
    streams = all_sent(recording)
    for number, this in enumerate(told):
        first, last = this.sends[0], this.sends[-1]
        leavers = [event.thing for event in left if first.began <= event.ended <= last.ended]
        for member in first_told if leavers else ():
            was_there = first_told[member] < number or begun.get(member, last.ended) < first.began
            stays = last_told[member] > number and gone.get(member, FOREVER) > last.ended
            if not (was_there and stays) or member in this.members or member == this.source:
                continue
            if all(line in streams[member] for line in this.data.splitlines(keepends=True)):
                continue
            together = this.members | {member}  # else they may belong to another group
            if any(together <= each.members for each in told):
                numbers = tuple(send.number for send in this.sends)
                where = (first.thread, member, first.file, first.line)
                found.append(SkippedRecipient(numbers, *where, leavers[0], quote(this.data)))
    return found


def first_recvs(recording: Recording) -> dict[str, int]:
    """Return the time of the first recv on each socket (nanoseconds)."""
    times: dict[str, int] = {}
    for event in recording.events:
        if event.kind == "recv":
            times[event.thing] = min(times.get(event.thing, event.began), event.began)
    for ongoing in recording.ongoing_calls.values():
        if ongoing.kind == "recv":
            times.setdefault(ongoing.thing, ongoing.since)
    return times


def ends(recording: Recording) -> list[TraceEvent]:
    """Return the events that show that a member has left: a failed send to it, or its close."""
    return [e for e in recording.events if e.kind == "close" or (e.kind == "send" and e.error)]


def all_sent(recording: Recording) -> dict[str, bytes]:
    """Return all bytes that were sent on each socket."""
    pieces = defaultdict[str, list[bytes]](list)
    for event in recording.events:
        if event.kind == "send":
            pieces[event.thing].append(event.data)
    return {sock: b"".join(data) for sock, data in pieces.items()}


class Forwarded(NamedTuple):
    """A text that came from one member, and that the server has forwarded to another unchanged."""

    recv: TraceEvent
    send: TraceEvent


def forwarded(recording: Recording, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Forwarded]]:
    """Yield each match of `pattern` in a text that the server has forwarded, with the two events.

    Bytes that are no text are left out, since no program shows them on a screen.
    """
    things, came, doubtful = recording.things, dict[str, TraceEvent](), set[str]()
    for event in recording.events:
        if event.kind not in ("send", "recv") or not event.data or things[event.thing].role != "server":
            continue
        for match in matches(event.data, pattern):
            text = match[0]
            if event.kind == "recv":
                first = came.setdefault(text, event)
                doubtful |= {text} if first.thing != event.thing else set()  # which of the two was forwarded?
            elif text in came and text not in doubtful and came[text].thing != event.thing:
                yield match, Forwarded(came[text], event)


def matches(data: bytes, pattern: re.Pattern[str]) -> Iterable[re.Match[str]]:
    """Return the matches of `pattern` in `data`; none where that is not UTF-8."""
    try:
        return pattern.finditer(data.decode())
    except UnicodeDecodeError:
        return ()


@dataclass(frozen=True, repr=False)
class DuplicateNickname(Finding):
    """A nickname that two members used while both were connected."""

    other: str
    name: str

    def __str__(self) -> str:
        sentence = _("{thing} and {other} both use the nickname {name}, and the server forwards it")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "The client writes the nickname itself, so anybody can impersonate the teacher. Let "
            "the server put the nickname before each message, and give each nickname to one "
            "member only."
        )


def duplicate_nicknames(recording: Recording) -> list[DuplicateNickname]:
    """Return every nickname that a second member used while the first was still connected."""
    owners, found = dict[str, str](), dict[str, DuplicateNickname]()
    left = {e.thing: e.ended for e in reversed(recording.events) if is_end(e)}
    for line, (recv, send) in forwarded(recording, SPOKEN):
        name, owner = line[1], owners.get(line[1], recv.thing)
        if owner != recv.thing and left.get(owner, FOREVER) > recv.ended:
            where = (send.thread, recv.thing, send.file, send.line)
            found.setdefault(name, DuplicateNickname((recv.number, send.number), *where, owner, quote(name)))
        owners[name] = recv.thing
    return list(found.values())


def is_end(event: TraceEvent) -> bool:
    """Tell whether `event` shows the end of a connection: a close at either end."""
    return event.kind == "close" or (event.kind == "recv" and not event.data)


@dataclass(frozen=True, repr=False)
class TerminalInjection(Finding):
    """Escape sequences or bidi controls that the server has forwarded from one member to the others."""

    text: str

    def __str__(self) -> str:
        sentence = _(
            "{thing} sends control characters that act on the others' terminals, and the server "
            "forwards them unchanged: {text}"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and the fix."""
        return _(
            "Escape sequences can clear a terminal, and bidi controls reverse the direction of "
            "text. Replace both at the server, in messages and in nicknames, and again before "
            "anything is shown."
        )


def terminal_injections(recording: Recording) -> list[TerminalInjection]:
    """Return the first message of each member with such characters that was forwarded."""
    found: dict[str, TerminalInjection] = {}
    for command, (recv, send) in forwarded(recording, COMMAND):
        where = (send.thread, recv.thing, send.file, send.line)
        text = quote(printable(command[0]))
        found.setdefault(recv.thing, TerminalInjection((recv.number, send.number), *where, text))
    return list(found.values())


def printable(text: str) -> str:
    """Return `text` with its control characters as Python escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
