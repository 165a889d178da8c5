"""The microscope in a notebook: a board that shows the present, and a recording to step through."""

from __future__ import annotations

import threading
from collections.abc import Callable

import ipywidgets

from chatstages.i18n import _
from chatstages.lab.painter import PAUSE, painter
from chatstages.lab.widgets import FONT, as_html
from chatstages.microscope.model.naming import named
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.snapshot import History
from chatstages.microscope.pictures.board import board, show
from chatstages.microscope.pictures.page import choose_steps, tell
from chatstages.microscope.pictures.sequence import sequence
from chatstages.microscope.pictures.style import Picture
from chatstages.microscope.pictures.timeline import timeline
from chatstages.microscope.pictures.wire import wire

STEP = 600  # ms between two steps while it plays


class Board(ipywidgets.VBox):  # type: ignore[misc]
    """What every thread is doing now, who holds and who waits for each lock, what is under way.

    It follows the recording until `stop` is called; any thread may call that. It may also be used in a
    `with` block.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._drawing = threading.Lock()  # Guards the page's picture, so that no older one overtakes a newer.
        self._ended = threading.Event()
        self._html = ipywidgets.HTML()
        super().__init__([self._html])
        self.draw()
        # A daemon: a board that nobody has stopped must not keep the kernel from ending.
        self._thread = threading.Thread(target=self._follow, name="board", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return board(self._recording).text

    def stop(self) -> None:
        """Follow the recording no longer; the last picture stays."""
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self.draw()

    def draw(self) -> int:
        """Show the newest state. Any thread may call; returns the number of characters sent."""
        with self._drawing:
            html = shown(board(self._recording))
            if html == self._html.value:
                return 0
            self._html.value = html
            return len(html)

    def refresh(self) -> None:
        """Draw again, for front ends that do not show what changes in the background."""
        self.draw()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _follow(self) -> None:
        """Ask for a new picture as often as the painter may want one: nobody tells us of every change."""
        while not self._ended.wait(PAUSE):
            painter.draw_soon(self)


class Player(ipywidgets.VBox):  # type: ignore[misc]
    """A recording to step through: a slider, a button that plays it, and all pictures moving together."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording = named(recording)
        self._steps = choose_steps(recording)
        self._past = History(recording)
        self._said = ipywidgets.HTML()
        self._tabs = ipywidgets.Tab([ipywidgets.HTML() for _each in range(4)])
        self._pictures: dict[str, Callable[[TraceEvent], Picture]] = self._make_pictures()
        for number, title in enumerate(self._pictures):
            self._tabs.set_title(number, title)
        last = max(len(self._steps) - 1, 0)
        self.slider = ipywidgets.IntSlider(
            0, 0, last, description=_("Step"), layout={"flex": "1 1 auto", "width": "auto"}
        )
        play = ipywidgets.Play(min=0, max=last, interval=STEP)
        ipywidgets.jslink((play, "value"), (self.slider, "value"))
        self.slider.observe(lambda _change: self.draw(), "value")
        self._tabs.observe(lambda _change: self.draw(), "selected_index")
        super().__init__([ipywidgets.HBox([play, self.slider]), self._said, self._tabs])
        self._tabs.selected_index = 0
        self.draw()

    def __repr__(self) -> str:
        return _("<{count} steps to play>").format(count=len(self._steps))

    def draw(self) -> None:
        """Show the step at which the slider stands: what it was, and the picture that is open."""
        if not self._steps:
            self._said.value = shown(board(self._recording))
            return
        step = self._steps[self.slider.value]
        self._said.value = f'<div style="{FONT}">{as_html(tell(step))}</div>'
        number = self._tabs.selected_index or 0
        picture = list(self._pictures.values())[number](step)
        self._tabs.children[number].value = shown(picture)

    def _make_pictures(self) -> dict[str, Callable[[TraceEvent], Picture]]:
        """Return what draws each picture as it was at a step."""
        said, data, bars = sequence(self._recording), wire(self._recording), timeline(self._recording)
        return {
            _("Sequence"): lambda step: said.at(step.number),
            _("Timeline"): lambda step: bars.at_time(step.ended),
            _("Board"): lambda step: show(self._recording, self._past.at(step.number)),
            _("Wire"): lambda step: data.at(step.number),
        }


def player(recording: Recording) -> Player:
    """Return a recording to step through, all pictures moving together.

    Where a front end shows no widgets, `chatstages.microscope.pictures.save_page` writes the same to a file.
    """
    return Player(recording)


def shown(picture: Picture) -> str:
    """Return a picture for a widget."""
    html: str = picture._repr_mimebundle_()["text/html"]
    return html
