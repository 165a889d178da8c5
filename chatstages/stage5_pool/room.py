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
from threading import Lock

from chatstages.protocol import name_key
from chatstages.runtime import Waker

LOG_SIZE = 4 << 20  # bytes that are kept, at least, of what was said
DROP_SIZE = 1 << 20  # bytes that are dropped at once: one by one would be slow


class Room:
    """The log, and the names in use. Any thread may call; only the lock blocks."""

    def __init__(self) -> None:
        self._lock = Lock()  # Guards all that follows.
        self._log = bytearray()  # whole lines
        self._end = 0  # the offset after the last: all bytes that were ever said
        self._wakers: list[Waker] = []  # of those who want to know that it has grown
        self._names: set[str] = set()
        self._numbers = itertools.count(10)  # for those who want a name that is taken

    def append(self, lines: list[bytes], own: Waker | None = None) -> None:
        """Append `lines`, and wake all subscribers but `own`."""
        data = b"\n".join(lines) + b"\n"
        with self._lock:
            self._log += data
            self._end += len(data)
            if len(self._log) > LOG_SIZE + DROP_SIZE:
                # A line that stands across the limit is kept whole.
                del self._log[
                    : self._log.rfind(b"\n", 0, len(self._log) - LOG_SIZE) + 1
                ]
            wakers = [waker for waker in self._wakers if waker is not own]
        for waker in wakers:
            waker.wake()

    def subscribe(self, waker: Waker) -> None:
        """Wake `waker` from now on whenever the log has grown."""
        with self._lock:
            self._wakers.append(waker)

    def bounds(self) -> tuple[int, int]:
        """Return the offsets at which the log begins and ends."""
        with self._lock:
            return self._end - len(self._log), self._end

    def read(self, offset: int, limit: int) -> bytes:
        """Return what stands after `offset`, `limit` bytes at most.

        Nothing, if the log no longer holds what begins there.
        """
        with self._lock:
            begin = offset - (self._end - len(self._log))
            return bytes(self._log[begin : begin + limit]) if begin >= 0 else b""

    def offset_for_newcomer(self, history: int) -> int:
        """Return the offset after which stand the last `history` lines.

        Half the log at most: a newcomer must not fall off it before its first turn.
        """
        with self._lock:
            end, size = self._end, LOG_SIZE // 2 if history else 0
            is_whole = len(self._log) <= size
            last = bytes(self._log[-size:]) if size else b""
        # What stands before the first newline may be half a line: that is left out.
        lines = (b"\n" * is_whole + last).rsplit(b"\n", history + 1)[1:-1]
        return end - sum(len(line) + 1 for line in lines)

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
