"""Stage 4's example server: what happens to one member is not the others' affair."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from tests.examples.program import FOLDERS, PATIENCE, WORDS, Program, connect, start_server
from tests.examples.test_endings import reset, small
from tests.support import read_until

CHUNK = b"x" * 60_000
MOMENT = 1.0  # seconds without a byte, after which the server counts as stuck; if it is not, nothing fails


def read_for_a_moment(sock: socket.socket, size: int) -> int:
    """Receive so many bytes, or fewer where none come for a while; return how many."""
    count = 0
    sock.settimeout(MOMENT)
    try:
        while count < size and (data := sock.recv(min(size - count, 65_536))):
            count += len(data)
    except TimeoutError:
        pass
    return count


def read_all(sock: socket.socket, size: int) -> None:
    """Receive so many bytes."""
    sock.settimeout(PATIENCE)
    while size and (data := sock.recv(min(size, 65_536))):
        size -= len(data)
    assert size == 0


@pytest.mark.parametrize("lang", FOLDERS)
def test_a_member_that_is_killed_is_not_the_speaker_s_error(lang: str) -> None:
    """Sending to it fails before its own thread has noticed: that one is sending to a member that is slow."""
    server, port = start_server(lang, "stage4_server.py")
    with ExitStack() as stack:
        stack.enter_context(server)
        killed, other, _slow, speaker = join(stack, lang, server, port, (False, False, True, False))
        stuck = False
        while not stuck:
            killed.sendall(CHUNK)
            for sock in (killed, other):
                read_for_a_moment(sock, len(CHUNK))
            stuck = read_for_a_moment(speaker, len(CHUNK)) < len(CHUNK)
        reset(killed)
        speaker.sendall(b"hello")
        other.settimeout(PATIENCE)
        read_until(other, b"hello")


@pytest.mark.parametrize("lang", FOLDERS)
def test_nobody_is_passed_over_when_a_member_leaves(lang: str) -> None:
    """It leaves while a message is on its way to the members behind it in the list."""
    server, port = start_server(lang, "stage4_server.py")
    with ExitStack() as stack:
        stack.enter_context(server)
        leaver, slow, last, speaker = join(stack, lang, server, port, (False, True, False, False))
        sent = received = 0
        while received == sent:
            speaker.sendall(CHUNK)
            sent += len(CHUNK)
            read_for_a_moment(leaver, len(CHUNK))
            received += read_for_a_moment(last, len(CHUNK))
            if received == sent:
                read_for_a_moment(speaker, len(CHUNK))
        leaver.close()
        server.wait_for(WORDS[lang]["disconnected"])
        read_all(slow, sent)
        read_all(last, sent - received)


def join(
    stack: ExitStack, lang: str, server: Program, port: int, slow: Sequence[bool]
) -> list[socket.socket]:
    """Connect several members, one after the other: so they stand in the server's list."""
    members = []
    for number, is_slow in enumerate(slow, 1):
        members.append(stack.enter_context(connect(port, small if is_slow else lambda _sock: None)))
        server.wait_for(WORDS[lang]["connected"], number)
    return members
