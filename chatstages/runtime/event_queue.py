"""Telling a hook what happens on a thread of its own: a slow hook holds up nobody.

A terminal that is paused (Ctrl-S, `| less`) takes no more lines, so the thread that prints blocks. If that
were a thread of the server, the whole room would stand still. So the server puts events into a bounded queue,
and another thread takes them out. What finds no room there is counted, and the hook is told how many.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from chatstages.i18n import _, language
from chatstages.runtime.events import Address, Event, Hook, frame, ignore
from chatstages.text import one_line

MAX_WAITING = 8 << 20  # bytes of text that may wait for the hook
EVENT_SIZE = 100  # bytes for which an event counts, besides its text
CLOSE_TIMEOUT = 0.3  # seconds that the hook has at the end for what still waits

Lines = tuple[Address, str, list[bytes]]
"""What one client has said: its address, its nickname, and whole lines as they are sent to everybody.

The text of these events is made on the thread of the hook, so not at all where nobody asks for it."""


class BatchHook(Protocol):
    """A hook that is told much in one call, so that it can print it in one (`as_text`)."""

    def __call__(self, event: Event) -> None:
        """Take one event."""

    def tell_all(self, happened: list[Event | Lines]) -> None:
        """Take all that has happened, the oldest first."""


class EventQueue:
    """A hook for a server, which calls `hook` on a thread of its own, with one event after the other.

    Any thread may call it; it never blocks. What `hook` raises is reported (`threading.excepthook`), and the
    next event is told all the same. Without a hook (`ignore`) it starts no thread, and does nothing.
    """

    def __init__(self, hook: Hook | BatchHook, address: Address) -> None:
        self.is_used = hook is not ignore
        self._hook, self._address = hook, address
        self._changed = threading.Condition()  # Guards all that follows.
        self._waiting: list[Event | Lines] = []
        self._size = 0  # of those that wait, in bytes
        self._missed = 0  # events that found no room
        self._closing = False
        self._is_over = False  # `close` waits no longer: the rest is counted, not told
        self._stopped_by_hook = False
        # A daemon: no system lets us interrupt a hook that is blocked, and the process must end all the same.
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        if self.is_used:
            self._thread.start()

    def __call__(self, event: Event) -> None:
        """Let the hook be told `event`."""
        self.put([event], len(event.text))

    def put(self, happened: list[Event | Lines], size: int = 0) -> None:
        """Let the hook be told all that `happened`; `size`: bytes of text in it."""
        if not self.is_used:
            return
        size += EVENT_SIZE * sum(map(count, happened))
        with self._changed:
            if self._closing or self._size + size > MAX_WAITING:
                self._missed += sum(map(count, happened))
                return
            self._waiting += happened
            self._size += size
            self._changed.notify()

    def note_stop(self) -> None:
        """Take note that the server is stopped: `close` cannot wait for a hook that does so itself."""
        if threading.current_thread() is self._thread:
            self._stopped_by_hook = True

    def close(self) -> None:
        """Tell what still waits, for CLOSE_TIMEOUT seconds at most; count the rest. Any thread may call."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self.is_used and not self._stopped_by_hook and threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT)
            self._is_over = True  # the hook is told how many it misses, if it ever returns

    def _run(self) -> None:
        """Tell the hook what happens, until `close`."""
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._missed or self._closing)
                happened, self._waiting, self._size = self._waiting, [], 0
                ending = self._closing
            self._tell(happened)
            with self._changed:
                missed, self._missed = self._missed, 0
            if missed:
                sentence = _("{count} events were missed: nobody took them in time")
                self._tell([Event("missed", self._address, sentence.format(count=missed))])

    def _tell(self, happened: list[Event | Lines]) -> None:
        """Call the hook with each event, or with all at once if it can take that."""
        tell_all = getattr(self._hook, "tell_all", None)
        if tell_all and not self._is_over:
            self._call(tell_all, happened)
            return
        for event in expand(happened):
            if self._is_over and event.kind != "missed":
                with self._changed:
                    self._missed += 1
            else:
                self._call(self._hook, event)

    def _call(self, hook: Callable[[Any], None], what: object) -> None:
        try:
            hook(what)
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))


def queue_for(hook: Hook | BatchHook, address: Address) -> EventQueue:
    """Return the queue in front of `hook`: itself, if it is one."""
    return hook if isinstance(hook, EventQueue) else EventQueue(hook, address)


def count(happened: Event | Lines) -> int:
    """Return how many events that are."""
    return 1 if isinstance(happened, Event) else len(happened[2])


def expand(happened: Iterable[Event | Lines]) -> Iterator[Event]:
    """Make the events, one for each line."""
    for each in happened:
        if isinstance(each, Event):
            yield each
        else:
            address, name, _lines = each
            for text in texts(each):
                yield Event("said", address, text, name)


def texts(lines: Lines) -> list[str]:
    """Return what was said, without the name and the colon that stand in front of it."""
    begin = len(lines[1]) + 1
    return [line.decode()[begin:] for line in lines[2]]


def as_text(happened: Iterable[Event | Lines]) -> str:
    """Return one line for each event, in the language in use: what `str` says of it, but faster."""
    parts: list[str] = []
    for each in happened:
        if isinstance(each, Event):
            parts.append(f"{each}\n")
        else:
            before, after = frame("said", *each[:2], language())
            parts += [f"{before}{one_line(text)}{after}\n" for text in texts(each)]
    return "".join(parts)
