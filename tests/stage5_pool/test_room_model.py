"""The room of stage 5 in any order of events, beside a model so simple that it cannot be wrong.

The model is a list of all lines ever said. Hypothesis joins members, lets them speak, lag, leave and take
names, in any order, and after each step the room must agree with the model. At two levels: the `Room` alone,
and the room with its `Connection`s and a `Worker`'s way of sending, over sockets of which Hypothesis says how
much they take. The log is small here, so that it forgets often.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from chatstages.protocol.names import name_key
from chatstages.runtime import Waker
from chatstages.stage5_pool import room as stage5_room
from chatstages.stage5_pool import worker as stage5_worker
from chatstages.stage5_pool.connection import OPEN, Connection
from chatstages.stage5_pool.member import Member
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker

LOG_SIZE, DROP_SIZE, SEND_SIZE = 60, 20, 16
HISTORY = 8  # lines that a newcomer may want, at most
SIZES: dict[str, Any] = {"LOG_SIZE": LOG_SIZE, "DROP_SIZE": DROP_SIZE}
NAMES = ["小明", "小红", "Ann", "ANN", "Αnn", "A nn", "Bob"]
SPEAKERS = "abc"

lines_said = st.lists(st.tuples(st.sampled_from(SPEAKERS), st.integers(0, 12)), min_size=1, max_size=4)


def new_lines(sizes: list[tuple[str, int]], said: list[bytes]) -> list[bytes]:
    """Make lines that are all different: a speaker, its own number, and some filling."""
    made: list[bytes] = []
    for speaker, size in sizes:
        number = sum(line.startswith(speaker.encode()) for line in said + made)
        made.append(f"{speaker}{number} {'.' * size}\n".encode())
    return made


def without_newlines(lines: list[bytes]) -> list[bytes]:
    """Return `lines` as the room takes them."""
    return [line.removesuffix(b"\n") for line in lines]


class RoomModel(RuleBasedStateMachine):
    """A room, and all that was ever said in it."""

    room_class: type[Room] = Room
    members = Bundle("members")
    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch.multiple(stage5_room, **SIZES))
        self.room = self.room_class()
        self.said: list[bytes] = []
        self.dropped = 0  # of these lines, the log no longer has so many
        self.in_use: set[str] = set()

    def teardown(self) -> None:
        """Give the module its sizes back."""
        self.patches.close()

    def kept(self) -> list[bytes]:
        """Return the lines that the log must hold."""
        return self.said[self.dropped :]

    @rule(sizes=lines_said)
    def append(self, sizes: list[tuple[str, int]]) -> None:
        """Somebody says something; if the log is too long, it is cut down to what must be kept."""
        lines = new_lines(sizes, self.said)
        self.said += lines
        self.room.append(without_newlines(lines))
        if sum(map(len, self.kept())) > LOG_SIZE + DROP_SIZE:
            while sum(map(len, self.kept()[1:])) >= LOG_SIZE:
                self.dropped += 1

    @rule(target=members, history=st.integers(0, HISTORY + 2))
    def join(self, history: int) -> list[int]:
        """Somebody comes, and is to have the last lines: as many as it wants, as fit in half the log."""
        place, total = self.room.offset_for_newcomer(history), sum(map(len, self.said))
        is_whole = sum(map(len, self.kept())) <= LOG_SIZE // 2
        wanted = size = 0
        for line in reversed(self.kept()):
            size += len(line)
            if wanted == history or (size >= LOG_SIZE // 2 and not is_whole):
                break
            wanted += 1
        assert total - place == sum(map(len, self.said[len(self.said) - wanted :]))
        return [place]

    @rule(member=members, size=st.integers(0, SEND_SIZE))
    def read(self, member: list[int], size: int) -> None:
        """A member's socket takes so many bytes of what lies ahead."""
        everything = b"".join(self.said)
        piece = self.room.read(member[0], SEND_SIZE)
        start = len(everything) - sum(map(len, self.kept()))
        if member[0] < start:
            assert piece == b""  # it has fallen off: better nothing than something wrong
        else:
            assert piece == everything[member[0] : member[0] + SEND_SIZE]
            member[0] += min(size, len(piece))

    @rule(member=consumes(members))
    def leave(self, member: list[int]) -> None:
        """A member goes."""

    @rule(target=names, wanted=st.sampled_from(NAMES))
    def claim_name(self, wanted: str) -> str:
        """Somebody says who it is: it gets that name, or one with a number, that nobody could confuse."""
        name = self.room.claim_name(wanted)
        assert name_key(name) not in self.in_use
        assert name == wanted or (name.startswith(f"{wanted}(") and name_key(wanted) in self.in_use)
        self.in_use.add(name_key(name))
        return name

    @rule(name=consumes(names))
    def release_name(self, name: str) -> None:
        """Its owner goes."""
        self.room.release_name(name)
        self.in_use.discard(name_key(name))

    @invariant()
    def the_log_is_the_end_of_what_was_said(self) -> None:
        """Whole lines, in their order, as many as fit; and its two ends are what they should be."""
        kept = b"".join(self.kept())
        total = sum(map(len, self.said))
        assert self.room.bounds() == (total - len(kept), total)
        assert self.room._log == kept


FAREWELL = b"\n* You were disconnected: you did not read what was sent.\n"


class Socket:
    """As much of a socket as a `Connection` uses to send, of which a test says how much it takes."""

    def __init__(self) -> None:
        self.room = 0  # bytes
        self.got = b""

    def send(self, data: bytes) -> int:
        """Take what there is room for."""
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.got += taken
        self.room -= len(taken)
        return len(taken)

    def shutdown(self, _how: int) -> None:
        """Take note of nothing."""


class Guest:
    """A member in a test, and what it must get."""

    def __init__(self, member: Connection, place: int) -> None:
        self.member, self.place = member, place
        self.fallen: bytes | None = None  # what it had got when it fell off the log

    @property
    def sock(self) -> Socket:
        """Its socket."""
        assert isinstance(self.member.sock, Socket)
        return self.member.sock


class Desk(Worker):
    """A worker without a thread, a selector or a waker: what is left is whom it sends what."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._connections, self._behind, self._timed = set(), set(), set()
        self._up_to_date, self._changed = {}, []
        self._offset = room.bounds()[1]

    def _watch(self, connection: Connection) -> None:
        pass

    def join(self, connection: Connection, tell: Any) -> None:
        """Let it serve `connection`."""
        self._connections.add(connection)
        connection.attach(self._changed.append, tell)
        self._flush()
        self._send_rest(connection)
        self._settle()

    def leave(self, connection: Connection) -> None:
        """Let it forget `connection`."""
        for group in (self._connections, self._behind, self._timed):
            group.discard(connection)
        self._up_to_date.pop(connection, None)


class DeliveryModel(RuleBasedStateMachine):
    """The room, its members, and the way in which a worker sends to them."""

    desk_class: type[Desk] = Desk
    member_class: type[Connection] = Connection
    guests = Bundle("guests")

    def __init__(self) -> None:
        super().__init__()
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch.multiple(stage5_room, **SIZES))
        self.patches.enter_context(mock.patch.object(stage5_worker, "SEND_SIZE", SEND_SIZE))
        self.room = Room()
        self.desk = self.desk_class(self.room)
        self.said: list[bytes] = []
        self.told: list[Any] = []
        self.present: list[Guest] = []
        self.numbers = itertools.count()

    def teardown(self) -> None:
        """Let everybody catch up, then give the modules their sizes back."""
        try:
            for guest in self.present:
                self.catch_up(guest)
            self.desk._flush()
            for guest in self.present:
                self.catch_up(guest)
            end = sum(map(len, self.said))
            for guest in self.present:
                if guest.fallen is None:
                    assert len(guest.sock.got) == end - guest.place
                self.check(guest)
        finally:
            self.patches.close()

    def catch_up(self, guest: Guest) -> None:
        """Let `guest` read until it has all."""
        self.check(guest)
        guest.sock.room = 1 << 30
        for _each in range(100):  # more than the log has pieces
            if guest.member.write_blocked:
                self.on_writable(guest, 1 << 30)
        assert not guest.member.write_blocked

    @rule(target=guests, history=st.integers(0, HISTORY), room=st.integers(0, 40))
    def join(self, history: int, room: int) -> Guest:
        """Somebody comes, whose socket takes so many bytes."""
        sock, place = Socket(), self.room.offset_for_newcomer(history)
        sock.room = room
        number = next(self.numbers)
        member = self.member_class(sock, ("guest", number), place, Member(f"#{number}", str))  # type: ignore[arg-type]
        self.desk.join(member, self.told.append)
        guest = Guest(member, place)
        self.present.append(guest)
        return guest

    @rule(sizes=lines_said)
    def append(self, sizes: list[tuple[str, int]]) -> None:
        """Somebody says something, and everybody is sent what lies ahead of it."""
        lines = new_lines(sizes, self.said)
        self.said += lines
        self.room.append(without_newlines(lines))
        self.desk._flush()

    @rule(sizes=lines_said)
    def say_unseen(self, sizes: list[tuple[str, int]]) -> None:
        """Another worker's member says something: of that we are told later."""
        lines = new_lines(sizes, self.said)
        self.said += lines
        self.room.append(without_newlines(lines))

    @rule(guest=guests, room=st.integers(1, 40))
    def on_writable(self, guest: Guest, room: int) -> None:
        """A member has read: its socket takes more, and if it was full, the worker is told."""
        guest.sock.room += room
        if guest.member.write_blocked:
            self.desk._send_rest(guest.member)
            self.desk._flush()  # as at the end of every turn
        self.check(guest)

    @rule(guest=consumes(guests))
    def leave(self, guest: Guest) -> None:
        """A member goes."""
        self.desk.leave(guest.member)
        self.present.remove(guest)

    @invariant()
    def everybody_has_got_a_run_of_what_was_said(self) -> None:
        """From where it joined, with nothing left out, twice or wrong; or it was told that it is cut off."""
        for guest in self.present:
            self.check(guest)

    def check(self, guest: Guest) -> None:
        """Compare what `guest` has got with what was said."""
        stream = b"".join(self.said)[guest.place :]
        told = [event.kind for event in self.told if event.address == guest.member.address][1:]  # "joined"
        if guest.member.state is not OPEN:
            guest.fallen = guest.sock.got if guest.fallen is None else guest.fallen
            assert told == ["dropped"]
            assert stream.startswith(guest.fallen)
            assert FAREWELL.startswith(guest.sock.got[len(guest.fallen) :])
        else:
            assert told == []
            assert stream.startswith(guest.sock.got)
            offset = self.desk._offset if guest.member.offset is None else guest.member.offset
            assert offset == guest.place + len(guest.sock.got)


def examine(machine: type[RuleBasedStateMachine], examples: int, steps: int, **options: Any) -> None:
    """Run `machine` so many times, so many steps each."""
    options.setdefault("phases", [Phase.generate, Phase.shrink])
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,  # how long an example takes is no affair of ours
            database=None,  # nothing is left in the folder
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


@pytest.mark.parametrize("machine", [RoomModel, DeliveryModel])
def test_the_room_does_what_the_model_says(machine: type[RuleBasedStateMachine]) -> None:
    """In 200 orders of events, the same in each run."""
    examine(machine, 200, 30, derandomize=True)


@pytest.mark.soak
@pytest.mark.parametrize("machine", [RoomModel, DeliveryModel])
def test_soak_the_room_does_what_the_model_says(machine: type[RuleBasedStateMachine]) -> None:
    """In 1,000 orders of 50 events, others in each run."""
    examine(machine, 1_000, 50)


# Mistakes that we have planted, to see that they are found.


class OffByOne(Room):
    """Gives from one byte too far on."""

    def read(self, offset: int, limit: int) -> bytes:
        """Return too little."""
        return super().read(offset, limit)[1:] if offset % 7 == 6 else super().read(offset, limit)


class ForgetsANewline(Room):
    """Takes two lines that are said at once for one."""

    def append(self, lines: list[bytes], own: Waker | None = None) -> None:
        """Add them, joined."""
        super().append([b"".join(lines)])


class GivesWhatItHas(Room):
    """Gives who has fallen off the beginning of the log."""

    def read(self, offset: int, limit: int) -> bytes:
        """Return something in any case."""
        return super().read(max(offset, self.bounds()[0]), limit)


class Hoards(Room):
    """Forgets one line too few."""

    def append(self, lines: list[bytes], own: Waker | None = None) -> None:
        """Add them with a larger limit."""
        with mock.patch.object(stage5_room, "DROP_SIZE", DROP_SIZE + 5):
            super().append(lines, own)


class IsGenerous(Room):
    """Gives a newcomer all that is there."""

    def offset_for_newcomer(self, history: int) -> int:
        """Return a place too far back."""
        return self.bounds()[0] if history > HISTORY else super().offset_for_newcomer(history)


class TakesNamesAsWritten(Room):
    """Knows no look-alikes."""

    def claim_name(self, wanted: str) -> str:
        """Return a name that is not the same to the letter."""
        with mock.patch.object(stage5_room, "name_key", str):
            return super().claim_name(wanted)


class KeepsNames(Room):
    """Never gives a name back."""

    def release_name(self, name: str) -> None:
        """Do nothing."""


class TakesAllForSent(Connection):
    """Believes that a socket has taken all that it was given."""

    def fall_behind(self, offset: int) -> None:
        """Advance too far."""
        super().fall_behind(offset + 1)


class ForgetsTheRest(Connection):
    """Does not remember that there is more."""

    def fall_behind(self, offset: int) -> None:
        """Fall behind, and forget that it waits for room."""
        super().fall_behind(offset)
        self.write_blocked = False


class BelievesItIsUpToDate(Connection):
    """Forgets, when it catches up, that the log goes on."""

    def catch_up(self, piece: bytes, more: bool) -> None:
        """Send, and be content."""
        super().catch_up(piece, more=False)


class CutsNobodyOff(Desk):
    """Does not notice that somebody has fallen off."""

    def _disconnect_slow_consumers(self) -> None:
        """Do nothing."""


class ForgetsThatItIsLate(Desk):
    """Takes care of those who are behind, and forgets that it may be late itself."""

    def _check_offset(self) -> None:
        """Go on from where the log begins."""
        self._offset = max(self._offset, self._room.bounds()[0])


class SendsAllTheSame(Desk):
    """Takes everybody to be at the same place."""

    def _send_rest(self, connection: Connection) -> None:
        """Send the last that was said."""
        with mock.patch.object(self._room, "read", return_value=bytes(self._room._log[-SEND_SIZE:])):
            super()._send_rest(connection)


@pytest.mark.parametrize(
    "mistake",
    [OffByOne, ForgetsANewline, GivesWhatItHas, Hoards, IsGenerous, TakesNamesAsWritten, KeepsNames],
)
def test_a_mistake_in_the_room_is_found(mistake: type[Room]) -> None:
    """By the model that the real room agrees with."""
    must_fail(type("Model", (RoomModel,), {"room_class": mistake}))


@pytest.mark.parametrize("mistake", [TakesAllForSent, ForgetsTheRest, BelievesItIsUpToDate])
def test_a_mistake_in_a_member_is_found(mistake: type[Connection]) -> None:
    """Here, too."""
    must_fail(type("Model", (DeliveryModel,), {"member_class": mistake}))


@pytest.mark.parametrize("mistake", [CutsNobodyOff, ForgetsThatItIsLate, SendsAllTheSame])
def test_a_mistake_in_sending_is_found(mistake: type[Desk]) -> None:
    """And here."""
    must_fail(type("Model", (DeliveryModel,), {"desk_class": mistake}))


def must_fail(machine: type[RuleBasedStateMachine]) -> None:
    """See that the model finds something wrong with `machine`."""
    with pytest.raises(AssertionError):
        examine(machine, 200, 30, derandomize=True, phases=[Phase.generate], print_blob=False)
