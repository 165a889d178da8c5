"""Waiting for what happens: a recorder of events, and the limit on all waiting."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from chatstages.protocol import COLON
from chatstages.runtime.event_queue import EventQueue, Lines, expand
from chatstages.runtime.events import Event, EventKind, ignore

# Seconds after which something that should have happened counts as missing. Nothing waits so long when
# all is well; a slow machine sets a larger factor.
PATIENCE = 10.0 * float(os.environ.get("CHATSTAGES_PATIENCE", "1"))


class Recorder:
    """An `on_event` hook that keeps the events, and on which a test can wait."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._counts: Counter[EventKind] = Counter()  # so that a wait need not look through all of them
        self._changed = threading.Condition()  # Guards events and _counts.

    def __call__(self, event: Event) -> None:
        """Keep `event`."""
        with self._changed:
            self.events.append(event)
            self._counts[event.kind] += 1
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all events."""
        with self._changed:
            self.events.clear()
            self._counts.clear()

    def of(self, kind: EventKind) -> list[Event]:
        """Return the events of one kind so far."""
        with self._changed:
            return [event for event in self.events if event.kind == kind]

    def wait(self, kind: EventKind, count: int = 1) -> list[Event]:
        """Wait for `count` events of `kind`, and return all there are."""
        self.until(lambda: self._counts[kind] >= count, f"{count} × {kind}")
        return self.of(kind)

    def wait_text(self, kind: EventKind, text: str) -> None:
        """Wait until the texts of `kind`, joined (they may come in pieces), hold `text`."""
        self.until(lambda: text in "".join(e.text for e in self.events if e.kind == kind), f"{kind} {text!r}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition()` holds."""
        with self._changed:
            happened = self._changed.wait_for(condition, PATIENCE)
            assert happened, f"waited {PATIENCE} s for {what}; there was {self.events[-20:]}"


class ToldAtOnce(EventQueue):
    """An event queue without a thread: its hook keeps the events, and has them before `put` returns."""

    def __init__(self) -> None:
        super().__init__(ignore, ("", 0))
        self.is_used = True
        self.events: list[Event] = []

    def put(self, happened: list[Event | Lines], size: int = 0) -> None:
        """Keep what `happened`."""
        self.events += expand(happened)


def line_of(event: Event) -> str:
    """Return the line that stage 5 has passed on for an event "said"."""
    return f"{event.name}{COLON}{event.text}\n"


def listening(stage: Any, heard: Recorder) -> dict[str, Any]:
    """Return the argument with which a client of `stage` tells `heard` what happens, if it receives."""
    return {"on_event": heard} if stage.ECHOES else {}


def wait_until(condition: Callable[[], bool], *widgets: Any) -> None:
    """Wait until `condition()` holds; look again whenever one of `widgets` changes."""
    changed = threading.Event()
    for widget in widgets:
        widget.observe(lambda _change: changed.set())
    while not condition():
        assert changed.wait(PATIENCE), [widget.value for widget in widgets]
        changed.clear()
