"""Bringing the page up to date: one thread draws for all widgets, never faster than the page can follow."""

from __future__ import annotations

import threading
from typing import Protocol

PAUSE = 0.05  # seconds between two rounds, at least: 20 pictures a second are as many as one can see
RATE = 1_000_000  # characters of HTML a second that a page takes without becoming slow, all widgets together


class Drawable(Protocol):
    """A widget that can show its newest state."""

    def draw(self) -> int:
        """Show it; return the size of what was sent to the page, in characters."""


class Painter:
    """Draws the widgets that have changed. Any thread may call.

    A widget that changes a thousand times a second is drawn twenty times, with all that has changed in
    between. Forty that do so are drawn less often, for the page has only one pair of hands.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # Guards _changed and _at_work.
        self._changed: dict[Drawable, None] = {}  # in the order in which they changed
        self._at_work = False

    def draw_soon(self, widget: Drawable) -> None:
        """See to it that `widget` is drawn, on another thread, within moments."""
        with self._lock:
            self._changed[widget] = None
            if self._at_work:
                return
            self._at_work = True
        # A daemon: a picture that is not drawn any more must not keep the kernel from ending.
        threading.Thread(target=self._work, name="painter", daemon=True).start()

    def _work(self) -> None:
        pause = threading.Event()  # never set: it is there to wait for
        seconds = PAUSE
        while True:
            pause.wait(seconds)
            with self._lock:
                widgets, self._changed = self._changed, {}
                if not widgets:
                    self._at_work = False
                    return
            seconds = max(PAUSE, sum(widget.draw() for widget in widgets) / RATE)


painter = Painter()
