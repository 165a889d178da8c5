"""A chat client to look at and type in: plain ipywidgets, so it shows wherever Jupyter does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from html import escape
from typing import Any, Protocol

import ipywidgets

from chatstages.events import Event
from chatstages.locale import _

KEPT = 500  # lines that a client shows; older ones are counted
REDRAW = 0.05  # seconds between two updates of the page, at least
WAIT = 10.0  # seconds that a cell waits at most
ENTER = 0.25  # seconds after Enter within which the page tells what stands in the box, if that is new

LOG = (
    '<div role="log" style="height:13em;overflow-y:auto;display:flex;flex-direction:column-reverse;'
    "padding:4px 8px;border:1px solid var(--jp-border-color1,#bbb);border-radius:4px;line-height:1.5;"
    'font-size:var(--jp-content-font-size1,14px);overflow-wrap:anywhere"><div>{lines}</div></div>'
)
TITLE = (
    '<div style="font-weight:600;font-size:var(--jp-content-font-size1,14px)">'
    '<span style="color:{colour}">{dot}</span> {name} <span style="font-weight:400">{state}</span></div>'
)


class Connection(Protocol):
    """The client of a stage."""

    def send(self, text: str) -> None:
        """Send `text`."""

    def close(self) -> None:
        """Leave."""


class ChatClient(ipywidgets.VBox):  # type: ignore[misc]
    """A client of a stage, with its conversation, a box to type in, and buttons to send and to leave.

    `connect(on_event=…)` returns the stage's client, connected. Its methods may be called from
    any cell; what arrives is shown from the thread that receives it.
    """

    def __init__(self, name: str, connect: Callable[..., Connection]) -> None:
        self.name = name
        self._connect = connect
        self._changed = threading.Condition()  # Guards _shown, _dropped, _present and the page's refresh.
        self._shown: deque[str] = deque(maxlen=KEPT)
        self._dropped = 0  # lines that had to make room
        self._present = False
        self._refresh_due: threading.Timer | None = None

        self._title = ipywidgets.HTML()
        self._log = ipywidgets.HTML()
        self._box = ipywidgets.Text(
            placeholder=_("Say something …"),
            continuous_update=False,
            layout={"flex": "1 1 0", "width": "auto"},
        )
        self._send_button = ipywidgets.Button(description=_("Send"), layout={"width": "auto"})
        self._leave_button = ipywidgets.Button(layout={"width": "auto"})
        # The page reports Enter first, and then what stands in the box, if it has changed since it last told.
        # It also tells when the box loses the focus; only Enter is meant as "send".
        self._enter: threading.Timer | None = None
        self._box.on_msg(self._on_key)
        self._box.observe(self._on_text, "value")
        self._send_button.on_click(lambda _button: self._send_box())
        self._leave_button.on_click(lambda _button: self._leave_or_join())
        buttons = ipywidgets.HBox([self._box, self._send_button, self._leave_button])
        super().__init__(
            [self._title, self._log, buttons],
            layout={"flex": "1 1 18em", "min_width": "18em", "margin": "4px"},
        )
        self.join()

    def __repr__(self) -> str:
        return _("<chat client {name}>").format(name=self.name)

    # --- what a cell calls ---

    def join(self) -> None:
        """Connect, if this client is not connected. Raises OSError when the server does not answer."""
        if not self._present:
            self._client = self._connect(on_event=self._on_event)
            self._set_present(True)

    def say(self, text: str) -> None:
        """Send `text`. Raises OSError when the server has gone, ValueError when it is too long."""
        self._client.send(text)

    def leave(self) -> None:
        """Leave the conversation; `join` comes back to it."""
        self._client.close()
        self._set_present(False)

    @property
    def lines(self) -> list[str]:
        """What has arrived, as it arrived: in stages 1 to 4 a line is what one `recv` has brought."""
        with self._changed:
            return list(self._shown)

    def wait_for(self, text: str, timeout: float = WAIT) -> None:
        """Wait until `text` has arrived; raise TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: text in "".join(self._shown), timeout):
                reason = _("{name} has waited {timeout} s for {text}; there is {lines}")
                raise TimeoutError(
                    reason.format(name=self.name, timeout=timeout, text=repr(text), lines=list(self._shown))
                )

    def refresh(self) -> None:
        """Draw again, for front ends that do not show what changes in the background."""
        with self._changed:
            self._draw()

    # --- what happens ---

    def _on_event(self, event: Event) -> None:
        """Take what the stage's client tells, on its receiving thread."""
        if event.kind == "gone":
            self._set_present(False)
            return
        with self._changed:
            self._dropped += len(self._shown) == KEPT
            self._shown.append(event.text)
            self._changed.notify_all()
            if self._refresh_due is None:
                # Many lines a second are one update: the page need not draw faster than one can see.
                self._refresh_due = threading.Timer(REDRAW, self._refresh_now)
                self._refresh_due.start()

    def _refresh_now(self) -> None:
        with self._changed:
            self._refresh_due = None
            self._draw()

    def _set_present(self, present: bool) -> None:
        with self._changed:
            self._present = present
            self._draw()

    def _draw(self) -> None:
        """Bring the page up to date. The lock is held, so that no older picture overtakes a newer one."""
        lines = [escape(line).replace("\n", "<br>") for line in self._shown]
        if self._dropped:
            lines.insert(0, "<i>" + _("({n} older lines)").format(n=self._dropped) + "</i>")
        self._log.value = LOG.format(lines="<br>".join(lines))
        self._title.value = TITLE.format(
            name=escape(self.name),
            colour="#2e9e4f" if self._present else "#999",
            dot="●" if self._present else "○",
            state="" if self._present else _("not connected"),
        )
        self._leave_button.description = _("Leave") if self._present else _("Join")
        self._box.disabled = self._send_button.disabled = not self._present

    def _on_key(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("event") == "submit" and self._enter is None:
            self._enter = threading.Timer(ENTER, self._send_box)
            self._enter.start()

    def _on_text(self, _change: object) -> None:
        if self._enter is not None:
            self._send_box()

    def _send_box(self) -> None:
        """Send what stands in the box, and empty it."""
        enter, self._enter = self._enter, None
        if enter is not None:
            enter.cancel()
        text, self._box.value = self._box.value, ""
        if text and not self._tried(self.say, text):
            self._box.value = text  # nothing typed is lost

    def _leave_or_join(self) -> None:
        if self._present:
            self.leave()
        else:
            self._tried(self.join)

    def _tried(self, action: Callable[..., None], *arguments: str) -> bool:
        """Call `action`; where it fails, say so in the box, and return False."""
        try:
            action(*arguments)
        except (OSError, ValueError) as error:
            self._box.placeholder = str(error)
            return False
        self._box.placeholder = _("Say something …")
        return True


def row(*clients: ipywidgets.Widget) -> ipywidgets.Widget:
    """Lay out `clients` side by side, on as many lines as they need."""
    return Row(clients)


class Row(ipywidgets.HBox):  # type: ignore[misc]
    """Widgets side by side, wrapped where the page ends."""

    def __init__(self, widgets: tuple[ipywidgets.Widget, ...]) -> None:
        super().__init__(widgets, layout={"flex_flow": "row wrap"})

    def __repr__(self) -> str:
        return "  ".join(map(repr, self.children))
