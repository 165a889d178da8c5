"""The room of stage 5: an append-only log of all that was said, and one lock.

The log is the bytes of every line, one after the other. An **offset** in it is a
number: how many bytes were said before it. To a member with that offset, all that
stands before it in the log has been sent, and nothing that stands after it. The oldest
lines are dropped, so memory is bounded, however many speak and however slowly others
read.

    dropped | Ann：hi⏎ Ben：hello⏎ | Eve：good morning⏎ |
            ^ start                 ^ a member's offset ^ end
"""

from __future__ import annotations

import itertools
from collections import deque
from threading import Lock

from chatstages.protocol import name_key

LOG_SIZE, LOG_LINES = 4 << 20, 65_536  # bytes and lines that are kept, at most


class Room:
    """The log, and the names in use. Any thread may call; only the lock blocks."""

    def __init__(self) -> None:
        self._lock = Lock()  # Guards all that follows.
        self._log = bytearray()  # whole lines
        self._starts: deque[int] = deque()  # the offset at which each of them begins
        self._end = 0  # the offset after the last: all bytes that were ever said
        self._names: set[str] = set()
        self._numbers = itertools.count(10)  # for those who want a name that is taken

    def append(self, lines: list[bytes]) -> None:
        """Append `lines` to the log, and drop the oldest to keep within its limits."""
        with self._lock:
            for line in lines:
                self._starts.append(self._end)
                self._end += len(line)
            self._log += b"".join(lines)
            start = self._starts[0]
            while self._end - start > LOG_SIZE or len(self._starts) > LOG_LINES:
                self._starts.popleft()
                start = self._starts[0]
            del self._log[: len(self._log) - (self._end - start)]

    def bounds(self) -> tuple[int, int]:
        """Return the offsets at which the log begins and ends."""
        with self._lock:
            return self._end - len(self._log), self._end

    def read(self, offset: int, limit: int) -> bytearray:
        """Return what stands after `offset`, `limit` bytes at most.

        Nothing, if the log no longer holds what begins there.
        """
        with self._lock:
            begin = offset - (self._end - len(self._log))
            return self._log[begin : begin + limit] if begin >= 0 else bytearray()

    def offset_for_newcomer(self, history: int) -> int:
        """Return the offset after which stand the last `history` lines.

        Half the log at most: a newcomer must not fall off it before its first turn.
        """
        most = min(history, LOG_LINES // 2)
        with self._lock:
            offset = self._end
            for start in itertools.islice(reversed(self._starts), most):
                if self._end - start > LOG_SIZE // 2:
                    break
                offset = start
            return offset

    def claim_name(self, wanted: str) -> str:
        """Return `wanted`, with a number behind it if readers could confuse it."""
        key = name_key(wanted)
        with self._lock:
            suffix = ""
            # After a few tries a number that nobody was given yet: nobody must wait
            # for the lock while we search.
            for number in itertools.chain(range(2, 10), self._numbers):
                if key + name_key(suffix) not in self._names:
                    break
                suffix = f"({number})"
            self._names.add(key + name_key(suffix))
            return wanted + suffix

    def release_name(self, name: str) -> None:
        """Let another member have `name`."""
        key = name_key(name)
        with self._lock:
            self._names.discard(key)
