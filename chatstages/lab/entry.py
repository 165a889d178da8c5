"""A line to type in: what stands in it is handed on when Enter is pressed, and the line is empty again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets

ENTER = 0.25  # seconds after Enter within which the page tells what stands in the line, if that is new


class Entry(ipywidgets.Text):  # type: ignore[misc]
    """A line to type in. `on_enter` is called with the text, on a thread of the kernel's choice.

    The page reports Enter first, and then what stands in the line, if it has changed since it last told. It
    also tells when the line loses the focus; only Enter is meant as "send".
    """

    value: str  # what stands in the line

    def __init__(self, on_enter: Callable[[str], object], **options: Any) -> None:
        layout = {"flex": "1 1 0", "width": "auto", "min_width": "6em"}
        super().__init__(continuous_update=False, layout=layout, **options)
        self._call = on_enter
        self._taking = threading.Lock()  # Guards _timer and the text: the page and the timer may both come.
        self._timer: threading.Timer | None = None
        self.on_msg(self._on_key)
        self.observe(self._on_text, "value")

    def take(self) -> None:
        """Hand on what stands in the line, and empty it: as Enter does."""
        with self._taking:
            timer, self._timer = self._timer, None
            text: str = self.value
            self.value = ""
        if timer is not None:
            timer.cancel()
        self._call(text)

    def _on_key(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("event") == "submit" and self._timer is None:
            self._timer = threading.Timer(ENTER, self.take)
            self._timer.start()

    def _on_text(self, _change: object) -> None:
        if self._timer is not None:
            self.take()
