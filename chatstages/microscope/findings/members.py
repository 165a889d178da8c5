"""Findings about a group: a member passed over, a name that two have used, signs that command a screen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chatstages.locale import _
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.wording import quote
from chatstages.microscope.model.holds import FOREVER
from chatstages.microscope.model.recording import Recording, TraceEvent

# A line as chats write it: a name, a colon of either width, and the message.
SPOKEN = re.compile(r"(?m)^([^\s:：{}\[\]<>\"'][^\n:：{}\[\]<>\"']{0,31})[:：].*$")
# What commands a terminal, or turns the direction of text round (ECMA-48; Unicode TR 9), and what follows.
COMMAND = re.compile("(?:\x1b[\\[\\]PX^_c]|[\u202a-\u202e\u2066-\u2069]).{0,16}")


class Round:
    """The same bytes, sent by one thread to one socket after the other."""

    def __init__(self, source: str) -> None:
        self.source = source  # the socket from which the thread had received something before
        self.sends: list[TraceEvent] = []  # those that have failed, too
        self.members = set[str]()  # the sockets that were to get it
        self.data = b""  # what was sent

    def goes_on(self, send: TraceEvent) -> bool:
        """Tell whether `send` is a part of it."""
        return send.thing not in self.members and (not send.data or self.data in (b"", send.data))

    def add(self, send: TraceEvent) -> None:
        """Take `send` as a part of it."""
        self.sends.append(send)
        self.members.add(send.thing)
        self.data = self.data or send.data


def rounds(recording: Recording) -> list[Round]:
    """Return what a server has sent to several, one after the other, in the order in which that began."""
    found, current, sources = list[Round](), dict[str, Round](), dict[str, str]()
    things = recording.things
    for event in recording.events:
        if event.kind == "recv":
            current.pop(event.thread, None)
            sources[event.thread] = event.thing
        elif event.kind == "send" and things[event.thing].role == "server":
            mine = current.get(event.thread)
            if mine is None or not mine.goes_on(event):
                mine = current[event.thread] = Round(sources.get(event.thread, ""))
                found.append(mine)
            mine.add(event)
    return [each for each in found if len(each.sends) > 1 and each.data]


@dataclass(frozen=True, repr=False)
class SkippedRecipient(Finding):
    """A member that was passed over while a message was sent to all, because somebody left meanwhile."""

    leaver: str
    text: str

    def __str__(self) -> str:
        sentence = _(
            "{thing} did not get {text}, which {thread} sent to the others, while {leaver} went off the list"
        )
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "A list from which something is taken while a loop walks it moves up, and the loop passes one "
            "over. Walk a copy, made under the lock that guards the list."
        )


def skipped_recipients(recording: Recording) -> list[SkippedRecipient]:
    """Return every member that was passed over while somebody else left.

    Who is a member is told by the messages: it gets a later one, and got one before, or was listened to.
    """
    told, found = rounds(recording), list[SkippedRecipient]()
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
            together = this.members | {member}  # if they never were, that was a group of others
            if any(together <= each.members for each in told):
                numbers = tuple(send.number for send in this.sends)
                where = (first.thread, member, first.file, first.line)
                found.append(SkippedRecipient(numbers, *where, leavers[0], quote(this.data)))
    return found


def first_recvs(recording: Recording) -> dict[str, int]:
    """Return when each socket was first listened to."""
    times: dict[str, int] = {}
    for event in recording.events:
        if event.kind == "recv":
            times[event.thing] = min(times.get(event.thing, event.began), event.began)
    for ongoing in recording.ongoing_calls.values():
        if ongoing.kind == "recv":
            times.setdefault(ongoing.thing, ongoing.since)
    return times


def ends(recording: Recording) -> list[TraceEvent]:
    """Return where it was seen that a member has left: a send to it failed, or it was closed."""
    return [e for e in recording.events if e.kind == "close" or (e.kind == "send" and e.error)]


def all_sent(recording: Recording) -> dict[str, bytes]:
    """Return all that was sent on each socket."""
    pieces = defaultdict[str, list[bytes]](list)
    for event in recording.events:
        if event.kind == "send":
            pieces[event.thing].append(event.data)
    return {sock: b"".join(data) for sock, data in pieces.items()}


class Passed(NamedTuple):
    """Something that came from one member, and that the server has passed on to another as it was."""

    recv: TraceEvent
    send: TraceEvent


def passed_on(recording: Recording, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Passed]]:
    """Yield whatever matches `pattern` in what one member has sent and another has got, with both events.

    What is no text is left out: nobody shows it on a screen.
    """
    things, came, doubtful = recording.things, dict[str, TraceEvent](), set[str]()
    for event in recording.events:
        if event.kind not in ("send", "recv") or not event.data or things[event.thing].role != "server":
            continue
        for match in matches(event.data, pattern):
            text = match[0]
            if event.kind == "recv":
                first = came.setdefault(text, event)
                doubtful |= {text} if first.thing != event.thing else set()  # whose was passed on?
            elif text in came and text not in doubtful and came[text].thing != event.thing:
                yield match, Passed(came[text], event)


def matches(data: bytes, pattern: re.Pattern[str]) -> Iterable[re.Match[str]]:
    """Return what matches `pattern` in `data`, which may be no text."""
    try:
        return pattern.finditer(data.decode())
    except UnicodeDecodeError:
        return ()


@dataclass(frozen=True, repr=False)
class DuplicateNickname(Finding):
    """A name under which two members have spoken, while both were there."""

    other: str
    name: str

    def __str__(self) -> str:
        sentence = _("{thing} and {other} both speak as {name}, and the server passes it on")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "The name is whatever the client writes: so anybody can speak as the teacher. Let the server put "
            "the name before the message, and give each name to one member only."
        )


def duplicate_nicknames(recording: Recording) -> list[DuplicateNickname]:
    """Return every name under which a second member has spoken while the first was there still."""
    owners, found = dict[str, str](), dict[str, DuplicateNickname]()
    left = {e.thing: e.ended for e in reversed(recording.events) if is_end(e)}
    for line, (recv, send) in passed_on(recording, SPOKEN):
        name, owner = line[1], owners.get(line[1], recv.thing)
        if owner != recv.thing and left.get(owner, FOREVER) > recv.ended:
            where = (send.thread, recv.thing, send.file, send.line)
            found.setdefault(name, DuplicateNickname((recv.number, send.number), *where, owner, quote(name)))
        owners[name] = recv.thing
    return list(found.values())


def is_end(event: TraceEvent) -> bool:
    """Tell whether `event` shows that a connection has ended: it was closed, or the other side has."""
    return event.kind == "close" or (event.kind == "recv" and not event.data)


@dataclass(frozen=True, repr=False)
class TerminalInjection(Finding):
    """Signs that command a screen, passed on from one member to the others."""

    text: str

    def __str__(self) -> str:
        sentence = _("{thing} sends what commands the others' screens, and it is passed on as it is: {text}")
        return sentence.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to look at, and what mends it."""
        return _(
            "Control characters can clear a terminal, and turn text round. Replace them before anything is "
            "shown, and at the server, too: in messages and in names."
        )


def terminal_injections(recording: Recording) -> list[TerminalInjection]:
    """Return, of each member, the first message with such signs that was passed on."""
    found: dict[str, TerminalInjection] = {}
    for command, (recv, send) in passed_on(recording, COMMAND):
        where = (send.thread, recv.thing, send.file, send.line)
        text = quote(printable(command[0]))
        found.setdefault(recv.thing, TerminalInjection((recv.number, send.number), *where, text))
    return list(found.values())


def printable(text: str) -> str:
    """Return `text` with its control characters written out, as Python writes them."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
