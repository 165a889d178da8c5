"""What `wire` must do with any bytes whatever; and atheris, which looks for bytes with which it does not.

    python -m tests.protocol.fuzz_framing -runs=1000000        (`make fuzz`; the options are libFuzzer's)

An input is what a connection brings, and where the network has cut it.
"""

from __future__ import annotations

import random
import sys

from chatstages.protocol.framing import Decoder, LineSplitter
from chatstages.text import UNSAFE

LIMIT = 6  # bytes of a message: so small that random ones often exceed it

# Of these are the random inputs: what is special to wire, what is cut and broken UTF-8, what is neither.
PIECES = [b"\n", b"\r", b"\x1b", b"\xff", b"\xe6", b"\xb1", b"\x89", b"a", b"\xc2", b"\x85", b"\xf0\x9f"]
PIECES += [
    "e\u0301\u0302\u0303\u0304\u0305\u0306\u0307".encode(),
    "\u200d\u0301".encode(),
    "：".encode(),
    "\u202e".encode(),
    "\u2028".encode(),
    b"bcdefgh",
    b"\r\n",
    b"\x00",
    b"\xed\xa0\x80",
]


def random_input(chance: random.Random) -> tuple[bytes, list[int]]:
    """Return bytes, and the offsets at which they are cut."""
    data = b"".join(chance.choices(PIECES, k=int(chance.random() * 8)))
    return data, sorted(int(chance.random() * (len(data) + 1)) for _ in range(1 + int(chance.random() * 2)))


def check(data: bytes, cuts: list[int]) -> None:
    """Raise AssertionError where `data`, cut at `cuts`, is not treated as it should be."""
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    pieces = [piece for piece in pieces if piece]  # no piece is empty: that is what the end looks like
    check_lines(data, pieces)
    whole, decoder = Decoder(), Decoder()
    text = "".join([decoder.decode(piece) for piece in pieces]) + decoder.decode(b"")
    assert text == (whole.decode(data) if data else "") + whole.decode(b"")
    assert not UNSAFE.search(text)


def check_lines(data: bytes, pieces: list[bytes]) -> None:
    """See that `LineSplitter` gives the same messages for all ways to cut, and keeps no more than it may."""
    whole, lines = LineSplitter(LIMIT), LineSplitter(LIMIT)
    messages: list[bytes] = []
    for piece in pieces:
        messages += lines.feed(piece)
        assert len(lines._rest) <= LIMIT + 1  # and a carriage return, which does not count
    assert messages == whole.feed(data)
    assert lines.too_long == whole.too_long
    assert lines.raw == whole.raw == (b"\n" not in data)
    assert lines.waiting == whole.waiting
    ended = sum(map(bool, data.split(b"\n")[:-1]))  # lines that are not empty
    assert len(messages) + lines.too_long == ended + lines._skipping
    messages += lines.flush(final=True)
    assert not lines.waiting
    shown = b"".join(messages).decode()
    assert "\n" not in shown
    assert not UNSAFE.search(shown)


def main() -> int:
    """Let atheris look."""
    try:
        import atheris
    except ImportError:
        print("atheris is not here; where it can be had (Linux, Python up to 3.13): pip install -e '.[fuzz]'")
        return 0
    atheris.instrument_func(LineSplitter.feed)
    atheris.instrument_func(LineSplitter.flush)
    atheris.instrument_func(Decoder.decode)

    def one(data: bytes) -> None:
        """Take two of the bytes for the places of the cuts."""
        text = data[2:]
        check(text, sorted(min(cut, len(text)) for cut in data[:2]))

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
