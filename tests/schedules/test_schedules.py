"""Two threads in one room, in every order in which they could take turns.

Hammering with many threads finds a race by luck, or does not: a planted one was found in none of 20 rounds.
frontrun runs the threads itself, one bytecode at a time, and tries the orders that can make a difference as
far as it sees what they touch (it does not look into C code). So each test has its canary, the same with the
lock taken out or two steps exchanged: that it is found shows that such a mistake would be.

    frontrun python -m pytest tests/schedules        (`make schedules`)
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatstages.stage5_pool import room as stage5_room
from chatstages.stage5_pool.connection import Connection
from chatstages.stage5_pool.member import Member
from chatstages.stage5_pool.room import Room
from chatstages.stage5_pool.worker import Worker
from tests.support import ToldAtOnce

frontrun = pytest.importorskip("frontrun", reason="`make schedules` needs frontrun")

OLD, ONE, TWO, THREE = b"old", b"one", b"second", b"3"


class Unlocked(Room):
    """The canary: a room whose lock keeps nobody out."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = contextlib.nullcontext()  # type: ignore[assignment]


class Scene:
    """A room in which something has been said, and what the threads have seen."""

    def __init__(self, room: type[Room]) -> None:
        self.room = room()
        self.room.append([OLD])
        self.seen: list[Any] = []
        self.names: dict[str, str] = {"old": self.room.claim_name("Ann")}


Act = Callable[[Any], object]


def explore(setup: Callable[[], Any], acts: list[Act], holds: Callable[[Any], bool]) -> Any:
    """Let each of `acts` run in a thread of its own, in all orders; see whether in the end `holds`."""
    result = frontrun.explore(
        setup=setup, workers=acts, invariant=holds, preemption_bound=None, detect_io=False
    )
    print(f"{result.num_explored} orders: {result.property_holds}")
    return result


def is_whole(scene: Scene, *said: bytes) -> bool:
    """Whether the log is made of these lines, in any order, and its bookkeeping is right."""
    log = bytes(scene.room._log)
    is_counted = scene.room._end - len(log) == (0 if OLD in said else len(OLD) + 1)
    return is_counted and sorted(log.split(b"\n")) == sorted([*said, b""])


Pair = tuple[list[Act], Callable[[Scene], bool]]


def two_speak() -> Pair:
    """Two say something at once: both lines are there, whole, and where the room believes them to be."""
    acts: list[Act] = [lambda scene: scene.room.append([ONE]), lambda scene: scene.room.append([TWO, THREE])]
    return acts, lambda scene: is_whole(scene, OLD, ONE, TWO, THREE)


def one_joins() -> Pair:
    """A newcomer asks for history while somebody speaks: it begins with a whole line, and ends with one."""

    def join(scene: Scene) -> None:
        place = scene.room.offset_for_newcomer(1)
        scene.seen.append((place, bytes(scene.room.read(place, 100))))

    def holds(scene: Scene) -> bool:
        return scene.seen[0] in ((0, b"old\n"), (0, b"old\none\n"), (4, b"one\n"))

    return [join, lambda scene: scene.room.append([ONE])], holds


def one_reads() -> Pair:
    """A worker reads while the log forgets its oldest line: it gets the right bytes, or none."""

    def read(scene: Scene) -> None:
        start, end = scene.room.bounds()
        read = [scene.room.read(offset, 100) for offset in (0, 4)]
        scene.seen.append((start, end, *read))

    def holds(scene: Scene) -> bool:
        start, end, first, rest = scene.seen[0]
        bounds = (start, end) in ((0, 4), (4, 15))
        return (
            bounds
            and first in (b"", b"old\n")
            and rest in (b"", b"one\nsecond\n")
            and is_whole(scene, ONE, TWO)
        )

    return [read, lambda scene: scene.room.append([ONE, TWO])], holds


def two_take_a_name() -> Pair:
    """Two say at once that they are Bob: one is, the other is Bob(2)."""

    def take(who: str) -> Act:
        return lambda scene: scene.names.update({who: scene.room.claim_name("Bob")})

    return [take("one"), take("two")], lambda scene: sorted(scene.names.values()) == ["Ann", "Bob", "Bob(2)"]


def one_leaves() -> Pair:
    """Ann says her last and leaves while another Ann comes: the name in use is that of who is there."""

    def leave(scene: Scene) -> None:
        scene.room.append([ONE])
        scene.room.release_name(scene.names["old"])

    def come(scene: Scene) -> None:
        scene.names["new"] = scene.room.claim_name("Ann")
        scene.room.append([TWO])

    def holds(scene: Scene) -> bool:
        return scene.room._names == {scene.names["new"].casefold()} and is_whole(scene, OLD, ONE, TWO)

    return [leave, come], holds


PAIRS = [two_speak, one_joins, one_reads, two_take_a_name, one_leaves]


@pytest.fixture(autouse=True)
def _two_lines_for_the_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log forget what is older than two lines, where a test is about forgetting."""
    if "one_reads" in request.node.name:
        monkeypatch.setattr(stage5_room, "LOG_SIZE", 11)
        monkeypatch.setattr(stage5_room, "DROP_SIZE", 3)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_room_holds_in_every_order(pair: Callable[[], Pair]) -> None:
    """With its lock."""
    acts, holds = pair()
    result = explore(lambda: Scene(Room), acts, holds)
    result.assert_holds()
    assert result.num_explored > 1


@pytest.mark.parametrize("pair", PAIRS)
def test_the_canary_is_found(pair: Callable[[], Pair]) -> None:
    """Without the lock there is an order in which it goes wrong; and one in which it goes well."""
    acts, holds = pair()
    result = explore(lambda: Scene(Unlocked), acts, holds)
    assert result.property_holds is False
    scene = Scene(Unlocked)
    for act in acts:
        act(scene)
    assert holds(scene)


class Post:
    """A worker with a member, and what has happened to it; for the threads of a test to act on."""

    def __init__(self) -> None:
        self.room, self.told = Room(), ToldAtOnce()
        self.worker = Worker(self.room, self.told)
        ours, self.far_end = socket.socketpair()
        self.member = Connection(ours, ("member", 0), 0, Member("#1", str))
        for sock in (ours, self.far_end):
            sock.setblocking(False)

    def got(self) -> bytes:
        """Return what has reached the member's far end."""
        try:
            return self.far_end.recv(1_000)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Give everything back."""
        self.worker.close()
        self.far_end.close()
        self.member.sock.close()


@pytest.fixture
def post() -> Iterator[Callable[[], Post]]:
    """Give a function that makes a `Post`; all of them are closed at the end."""
    posts: list[Post] = []

    def make() -> Post:
        posts.append(Post())
        return posts[-1]

    yield make
    for one in posts:
        one.close()


def hear_of(post: Post) -> None:
    """What a worker does in a turn, and in another if it has been woken since."""
    post.worker._turn(0)


def is_up_to_date(post: Post) -> bool:
    """Whether the member has got the line; the worker has a turn more if, and only if, it was woken."""
    if post.worker._selector.select(0):
        post.worker._turn(0)
    return post.got() == b"one\n"


def with_member(make: Callable[[], Post]) -> Callable[[], Post]:
    """Return a function that makes a worker who has its member already."""

    def setup() -> Post:
        post = make()
        post.worker.assign(post.member)
        post.worker._turn(0)
        return post

    return setup


def test_no_line_waits_for_the_next_wake_up(post: Callable[[], Post]) -> None:
    """Another worker appends to the log, which wakes us; whenever it does, the member gets it."""

    def add(post: Post) -> None:
        post.room.append([ONE])

    explore(with_member(post), [add, hear_of], is_up_to_date).assert_holds()


def test_the_canary_who_rings_too_early_is_found(post: Callable[[], Post]) -> None:
    """To wake first and append then leaves a member waiting."""

    def add(post: Post) -> None:
        post.worker._waker.wake()
        post.room.append([ONE], post.worker._waker)

    assert explore(with_member(post), [add, hear_of], is_up_to_date).property_holds is False


def accept(post: Post) -> None:
    """What the accepting thread does with a client that came just before the end."""
    post.worker.assign(post.member)


def end(post: Post) -> None:
    """What happens meanwhile: the server is stopped, and the worker has its last turn."""
    post.worker.stop()
    post.worker.run()


def flush_and_close(post: Post) -> None:
    """What `run_room` does last, when the worker and the accepting thread are through."""
    post.worker.drain(0.0)
    post.worker.flush(0.0)
    for connection in (*post.worker._connections, *post.worker._arrivals):
        connection.close()
    post.worker._tell()


def test_who_comes_while_the_server_stops_is_closed(post: Callable[[], Post]) -> None:
    """In whatever order it is handed over and the worker ends."""

    def holds(post: Post) -> bool:
        flush_and_close(post)
        return post.member.sock.fileno() == -1

    explore(post, [accept, end], holds).assert_holds()


def test_who_leaves_has_joined(post: Callable[[], Post]) -> None:
    """Also when it comes while the server stops."""

    def holds(post: Post) -> bool:
        flush_and_close(post)
        return [event.kind for event in post.told.events] in (["joined", "left"], [])

    explore(post, [accept, end], holds).assert_holds()
