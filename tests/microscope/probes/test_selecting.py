"""Waiting for several sockets is recorded, with their labels."""

from __future__ import annotations

import os
import select
import selectors
import socket

import pytest

from chatstages import stage4_broadcast
from chatstages.microscope import microscope
from tests.support import PATIENCE, connected


def test_a_stage_that_waits_is_seen_to_accept_and_to_receive() -> None:
    """Its socket waits in a selector; that is its own affair, as the system's is in a plain one."""
    with microscope() as scope, stage4_broadcast.serve() as server:
        with connected(stage4_broadcast, server.address):
            pass
    assert not scope.of("select")
    assert {event.kind for event in scope.events} >= {"accept", "recv"}


def test_select_select_names_the_sockets() -> None:
    """Also where a name was taken out of the module."""
    with microscope() as scope:
        one, two = socket.socketpair()
        with one, two:
            one.send(b"x")
            assert select.select([one, two], [], [], PATIENCE)[0] == [two]
    (event,) = scope.of("select")
    assert (event.detail, event.other) == ("socket 1, socket 2", "socket 2")


@pytest.mark.parametrize("name", ["poll", "epoll"])
def test_a_poll_object_names_the_sockets(name: str) -> None:
    """As a selector does, which is made of one, and counted once."""
    if not hasattr(select, name):
        pytest.skip("this system has none")
    with microscope() as scope:
        one, two = socket.socketpair()
        poll = getattr(select, name)()
        with one, two:
            poll.register(one, select.POLLIN)
            poll.register(two.fileno(), select.POLLIN)
            assert poll.poll(0) == []
            one.send(b"x")
            assert poll.poll(PATIENCE) == [(two.fileno(), select.POLLIN)]
            poll.unregister(one)
            poll.modify(two, select.POLLOUT)
            assert poll.poll(timeout=-1) if name == "epoll" else poll.poll(-1)
            if name == "epoll":
                assert isinstance(poll, select.epoll)
                with select.epoll.fromfd(os.dup(poll.fileno())) as other:
                    assert isinstance(other, select.epoll)
                assert not poll.closed
                with poll as same:
                    assert same is poll
                assert poll.closed
    found = [(event.detail, event.other) for event in scope.of("select")]
    both = "socket 1, socket 2"
    assert found == [(both, ""), (both, "socket 2"), ("socket 2", "socket 2")]
    assert type(getattr(select, name)()).__module__ == "select"


@pytest.mark.parametrize("kind", [selectors.DefaultSelector, selectors.SelectSelector])
def test_a_selector_names_the_sockets_it_waits_for_now(kind: type[selectors.BaseSelector]) -> None:
    """One event for one call, with those that are registered by then."""
    with microscope() as scope:
        one, two = socket.socketpair()
        with one, two, kind() as selector:
            selector.register(one, selectors.EVENT_READ)
            selector.select(0)
            selector.register(two.fileno(), selectors.EVENT_READ)
            one.send(b"x")
            selector.select(PATIENCE)
            selector.unregister(one)
            selector.select(PATIENCE)
    found = [(event.detail, event.other) for event in scope.of("select")]
    assert found == [
        ("socket 1", ""),
        ("socket 1, socket 2", "socket 2"),
        ("socket 2", "socket 2"),
    ]
