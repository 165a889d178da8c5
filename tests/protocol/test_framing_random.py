"""Random bytes, cut at random: the same messages, nothing unsafe, no exception (see `fuzz_wire`)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from chatstages.protocol.framing import LineSplitter
from chatstages.text import clean
from tests.protocol import fuzz_framing as fuzz_wire


def examine(count: int, seed: int) -> None:
    """Check `count` random inputs; say which one it was where one fails."""
    chance = random.Random(seed)
    for number in range(count):
        data, cuts = fuzz_wire.random_input(chance)
        try:
            fuzz_wire.check(data, cuts)
        except Exception:
            print(f"seed {seed}, input {number}: check({data!r}, {cuts})")
            raise


@pytest.mark.parametrize(
    ("count", "seed"), [(100_000, 5), pytest.param(1_000_000, None, marks=pytest.mark.soak)], ids=["", "soak"]
)
def test_any_bytes_cut_anywhere_give_the_same_safe_messages(count: int, seed: int | None) -> None:
    """The same inputs in each run; in `make soak` a million others."""
    examine(count, random.randrange(1 << 32) if seed is None else seed)


MISTAKES: dict[str, Callable[..., list[bytes]]] = {
    "cuts at all that Python takes for a line end": lambda self, data: [
        line.encode() for line in data.decode(errors="replace").splitlines()
    ],
    "decodes pieces, not lines": lambda self, data: [clean(data.decode(errors="replace")).encode()],
    "cleans nothing": lambda self, data: data.split(b"\n")[:-1],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(
    mistake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A planted one; and the input is told, so that it can be tried again."""
    monkeypatch.setattr(LineSplitter, "feed", MISTAKES[mistake])
    with pytest.raises((AssertionError, UnicodeDecodeError)):
        examine(1_000, 5)
    assert "seed 5, input" in capsys.readouterr().out
