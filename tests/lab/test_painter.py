"""Bringing the page up to date: as often as it can follow, and no more often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chatstages.lab import painter as painter_module
from chatstages.lab.painter import Painter
from tests.support import Recorder


def test_the_painter_draws_what_has_changed_and_rests() -> None:
    """A thousand changes are few pictures, and the last one shows them all."""
    told, drawn = Recorder(), []

    class Widget:
        changes = 0

        def draw(self) -> int:
            drawn.append(self.changes)
            with told._changed:
                told._changed.notify_all()
            return 10

    widget, painter = Widget(), Painter()
    for _ in range(1_000):
        widget.changes += 1
        painter.draw_soon(widget)
    told.until(lambda: bool(drawn) and drawn[-1] == 1_000, "the last picture")
    assert len(drawn) < 100


def test_the_painter_rests_longer_the_more_it_has_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page takes so many characters a second, all widgets together."""
    pauses: list[float] = []

    class Pause:
        def wait(self, seconds: float) -> None:
            pauses.append(seconds)

    class Widget:
        def draw(self) -> int:
            return painter_module.RATE // 4

    painter = Painter()
    painter._changed = {Widget(): None, Widget(): None}
    monkeypatch.setattr(painter_module, "threading", SimpleNamespace(Event=Pause))
    painter._work()
    assert pauses == [painter_module.PAUSE, 0.5]
