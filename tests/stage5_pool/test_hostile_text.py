"""What somebody may write to do harm to a screen: escapes, bidi controls, HTML, in text and in a name."""

from __future__ import annotations

import io
import socket
import unicodedata

import pytest

from tests.support import (
    PATIENCE,
    STAGES,
    Recorder,
    connected,
    options,
    python,
    raw_client,
    read_to_end,
)
from tests.support.corpus import CORPUS

soak = pytest.mark.soak
resource = pytest.importorskip("resource", reason="counts descriptors as POSIX does")

MEGABYTE = 1_000_000


def is_harmless(shown: str) -> bool:
    """Whether nothing in `shown` is a control (C0, C1) or separates lines or turns the direction of writing.

    By Unicode's own properties, not by our pattern; but for the tab and the newline.
    """
    turns = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return not any(
        unicodedata.category(character) in ("Cc", "Zl", "Zp")
        or unicodedata.bidirectional(character) in turns
        or character in "\u200e\u200f\u061c"
        for character in set(shown) - set("\t\n")
    )


# Row: escapes, CR, bidi overrides, zero-width, HTML, in text and name.

HOSTILE = [f"{item}：{item}" for item in CORPUS]


@pytest.mark.parametrize("number", [4, 5])
def test_what_the_hostile_write_is_harmless_in_a_log_and_for_a_hearer(number: int, told: Recorder) -> None:
    """As their name and as their words: cleaned at the server, or else at the display."""
    heard = Recorder()
    with STAGES[number].serve(on_event=told) as server:
        with connected(STAGES[number], server.address, **options(number), on_event=heard):
            for count, words in enumerate(HOSTILE, 1):
                with raw_client(server.address) as sock:
                    sock.sendall(words.encode() + b"\n")
                    sock.shutdown(socket.SHUT_WR)
                    read_to_end(sock)
                told.wait("left", count)
            last = "the last"
            with raw_client(server.address) as sock:
                sock.sendall(last.encode() + b"\n")
                heard.wait_text("received", last)
    shown = "".join(map(str, told.events + heard.events))
    assert len(told.of("said")) > len(HOSTILE)
    assert is_harmless(shown)


def test_what_a_hostile_server_sends_is_harmless_in_a_terminal() -> None:
    """It is cleaned again at the display."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with python("-m", "chatstages", "chat", "5", address, "--name", "Ann") as process:
            conn = server.accept()[0]
            with conn:
                conn.sendall("".join(f"{words}\n" for words in [*HOSTILE, "the last"]).encode())
            assert isinstance(process.stdout, io.TextIOWrapper)
            shown = process.stdout.buffer.read().decode()  # as it is, its carriage returns, too
    assert "the last" in shown
    assert "<script>" in shown
    assert is_harmless(shown)


def test_what_the_hostile_write_is_harmless_in_the_servers_terminal() -> None:
    """The log of `chatstages serve`."""
    with python("-m", "chatstages", "serve", "5", "--port", "0") as process:
        assert isinstance(process.stdout, io.TextIOWrapper)
        port = int(process.stdout.buffer.readline().rpartition(b"127.0.0.1:")[2].split()[0].strip(b".,"))
        for words in [*HOSTILE, "the last"]:
            with raw_client(("127.0.0.1", port)) as sock:
                sock.sendall(words.encode() + b"\n")
                sock.shutdown(socket.SHUT_WR)
                read_to_end(sock)
        shown = ""
        while "the last" not in shown:
            shown += process.stdout.buffer.readline().decode()
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert "<script>" in shown
    assert is_harmless(shown)
