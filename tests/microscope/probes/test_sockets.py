"""Sockets are recorded from their making to their with both ends of each connection."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from chatstages.bench import asyncio_room
from chatstages.microscope import microscope
from tests.support import STAGES, Recorder, connected, options, read_until
from tests.support.microscope.sockets import connection, event_kinds


def test_ordinary_sockets_are_watched_from_their_first_use_on() -> None:
    """A connection that was made before is seen, as are its two ends."""
    with connection() as (client, conn):
        client.send(b"before")
        with microscope() as scope:
            client.send(b"after")
            read_until(conn, b"after")
            things = scope.things
    assert event_kinds(scope) == ["send", "recv"]
    sender = things[scope.of("send")[0].thing]
    assert sender.sent == 5
    assert sender.peer == scope.of("recv")[0].thing


def test_both_ends_of_a_connection_are_paired() -> None:
    """Whoever connected, and who was accepted; and the two of a socketpair."""
    with microscope() as scope:
        with connection():
            pass
        one, two = socket.socketpair()
        one.close()
        two.close()
    listener, client, server, left, right = (t for t in scope.things.values() if t.what == "socket")
    assert [t.role for t in (listener, client, server, left, right)] == [
        "listener", "client", "server", "pair", "pair",
    ]  # fmt: skip
    assert (client.peer, server.peer) == (server.label, client.label)
    assert (left.peer, right.peer) == (right.label, left.label)
    assert (client.local, client.remote) == (server.remote, server.local)
    assert (left.name, right.name) == ("one", "two")


@pytest.mark.parametrize("number", STAGES)
def test_a_conversation_in_every_stage(number: int, told: Recorder) -> None:
    """Bind, listen, connect, accept, send, recv, close: with the lines of the stage."""
    stage = STAGES[number]
    with microscope() as scope, stage.serve(on_event=told) as server:
        with connected(stage, server.address, **options(number)) as client:
            told.wait("joined")
            client.send("你好")
            told.wait_text("said", "你好")
        told.wait("left")
    (connect,) = scope.of("connect")
    accept = scope.of("accept")[0]  # the last one ends when the server is stopped
    path = event_kinds(scope, "bind", "listen")
    assert path == ["bind", "listen"]
    assert accept.other == scope.things[connect.thing].peer
    said = b"".join(event.data for event in scope.of("recv", accept.other))
    assert "你好" in said.decode()
    assert all("stage" in e.file for e in scope.events if e.kind in ("bind", "accept", "recv"))
    assert all(scope.things[label].closed for label in (accept.thing, connect.thing, accept.other))
    assert not [thing for thing in scope.things.values() if thing.role == "pair"]  # the wakers
    order = [
        e.kind for e in scope.events if accept.other in (e.thing, e.other) or e.kind in ("bind", "listen")
    ]
    wanted = iter(order)
    assert all(kind in wanted for kind in ("bind", "listen", "accept", "recv", "close")), order


def test_the_room_on_asyncio_is_seen_too(told: Recorder) -> None:
    """Its sockets are non-blocking, its loop waits in a selector: all as ever."""
    with microscope() as scope, asyncio_room.serve(on_event=told) as server:
        with connected(asyncio_room, server.address, "小明") as client:
            client.send("hi")
            told.wait("said")
        told.wait("left")
    assert {"accept", "recv", "send", "select"} <= set(event_kinds(scope))


def test_a_file_made_from_a_socket_keeps_it_open() -> None:
    """`close` says so; the real end is one more event."""
    with microscope() as scope:
        one, two = socket.socketpair()
        file = one.makefile("rb")
        one.close()
        assert not scope.things["socket 1"].closed
        file.close()
        assert scope.things["socket 1"].closed
        two.close()
    assert [event.detail != "" for event in scope.of("close", "socket 1")] == [True, False]


def test_a_socket_that_nobody_closes_is_seen_to_vanish() -> None:
    """Python closes it when nobody holds it any more."""
    with microscope() as scope:
        with suppress(pytest.PytestUnraisableExceptionWarning), pytest.warns(ResourceWarning):
            socket.socket()
    assert scope.of("close")[0].detail == "nobody held it any more"


def test_a_connection_that_is_made_without_waiting_has_both_its_ends() -> None:
    """`connect` on a socket that does not block ends at once; who the other end is shows later."""
    with microscope() as scope, socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(server.getsockname())
        conn, _address = server.accept()
        with conn:
            client.send(b"hello")
            conn.recv(5)
    ends = {thing.role: thing for thing in scope.things.values() if thing.what == "socket"}
    assert ends["client"].peer == ends["server"].label
