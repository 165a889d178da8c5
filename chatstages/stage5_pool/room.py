"""The room of stage 5: one log of all that was said, and one lock that guards it.

The log is the bytes of every line, one after the other. A offset in it is a number: how many bytes were
said before. What lies behind the offset of a member has been sent to it, what lies ahead has not. The
oldest lines are forgotten, so memory has a limit, however many speak and however slowly others read.
"""

from __future__ import annotations

import itertools
from collections import deque
from threading import Lock

from chatstages.protocol.names import name_key

LOG_SIZE, LOG_LINES = (
    4 << 20,
    65_536,
)  # bytes and lines of conversation that are kept, at most


class Room:
    """The log, and the names in use. Any thread may call; nothing here waits but for the lock."""

    def __init__(self) -> None:
        self._lock = Lock()  # Guards all that follows.
        self._log = bytearray()  # whole lines
        self._starts: deque[int] = deque()  # the offset at which each of them begins
        self._end = 0  # the offset behind the last: how many bytes have ever been said
        self._names: set[str] = set()
        self._numbers = itertools.count(
            10
        )  # to tell apart those who want the same name

    def append(self, lines: list[bytes]) -> None:
        """Add `lines` at the end of the log, and forget the oldest, so that it keeps within its limits."""
        with self._lock:
            for line in lines:
                self._starts.append(self._end)
                self._end += len(line)
            self._log += b"".join(lines)
            while (
                self._end - self._starts[0] > LOG_SIZE or len(self._starts) > LOG_LINES
            ):
                self._starts.popleft()
            del self._log[: len(self._log) - (self._end - self._starts[0])]

    def bounds(self) -> tuple[int, int]:
        """Return the offsets at which the log begins and ends."""
        with self._lock:
            return self._end - len(self._log), self._end

    def read(self, offset: int, limit: int) -> bytearray:
        """Return what lies ahead of `offset`, `limit` bytes at most; nothing if that is forgotten."""
        with self._lock:
            begin = offset - (self._end - len(self._log))
            return self._log[begin : begin + limit] if begin >= 0 else bytearray()

    def offset_for_newcomer(self, history: int) -> int:
        """Return the offset ahead of which lie the last `history` lines; half the log at most.

        Not all of it: a newcomer must not fall off the end before its first turn.
        """
        with self._lock:
            place = self._end
            for start in itertools.islice(
                reversed(self._starts), min(history, LOG_LINES // 2)
            ):
                if self._end - start > LOG_SIZE // 2:
                    break
                place = start
            return place

    def claim_name(self, wanted: str) -> str:
        """Return `wanted`, with a number if somebody has a name that a reader could take for it."""
        key = name_key(wanted)
        with self._lock:
            # After a few tries one that nobody was given yet: the room must not wait while we search.
            ends = itertools.chain(
                [""], map("({})".format, itertools.chain(range(2, 10), self._numbers))
            )
            end = next(end for end in ends if key + name_key(end) not in self._names)
            self._names.add(key + name_key(end))
            return wanted + end

    def release_name(self, name: str) -> None:
        """Let somebody else have `name`."""
        key = name_key(name)
        with self._lock:
            self._names.discard(key)
