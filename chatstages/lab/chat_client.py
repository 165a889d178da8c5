"""A chat client to look at and type in: plain ipywidgets, so it shows wherever Jupyter does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import NoReturn

import ipywidgets

from chatstages.i18n import _
from chatstages.lab.connecting import ClientKind, Connection, peer_has_closed
from chatstages.lab.entry import Entry
from chatstages.lab.painter import painter
from chatstages.lab.widgets import WINDOW, as_html, log_html, title_html, trouble_html
from chatstages.protocol import COLON
from chatstages.runtime.events import Event
from chatstages.runtime.sockets import CONNECT_TIMEOUT

KEPT = 500  # lines that a client keeps; older ones are counted
SHOWN = 200  # lines of them that the page shows
WAIT = 10.0  # seconds that a cell waits at most


class ChatClient(ipywidgets.VBox):  # type: ignore[misc]
    """A client of a stage, with its conversation, a box to type in, and buttons to send and to leave.

    `connect(on_event=…)` returns a client of that `kind`, connected. Its methods may be called from
    any cell; what arrives is shown from the thread that receives it.
    """

    def __init__(self, name: str, kind: ClientKind, connect: Callable[..., Connection]) -> None:
        self.name = name
        self.kind = kind
        self._connect = connect
        # Guards the sending of connection, which is for one thread at a time: a cell may speak while a
        # person types. It is held while `send` blocks, and nothing else waits for it.
        self._sending = threading.Lock()
        # Guards all that follows, and the page's picture of it.
        self._changed = threading.Condition()
        self._lines: deque[str] = deque(maxlen=KEPT)  # as HTML
        self._received: deque[str] = deque(maxlen=KEPT)
        self._sent: deque[str] = deque(maxlen=KEPT)  # what has not come back yet
        self._dropped = 0  # lines that had to make room
        self._forgotten = 0  # characters of _received that had to make room
        self._found: dict[str, int] = {}  # up to where in all that was received a text has been found
        self._unread = 0  # lines of others since this client's person last did something
        self._present = False
        self._trouble = ""  # why the last thing that the person did has failed

        self._title = ipywidgets.HTML()
        self._badge = ipywidgets.Button(
            button_style="info",
            tooltip=_("Mark as read"),
            layout={"width": "auto", "height": "24px", "flex": "0 0 auto"},
        )
        self._log = ipywidgets.HTML()
        self._box = Entry(self._send_text, placeholder=_("Say something …"), tooltip=name)
        self._send_button = ipywidgets.Button(description=_("Send"), layout={"width": "auto"})
        self._leave_button = ipywidgets.Button(layout={"width": "auto"})
        self._badge.on_click(lambda _button: self._read())
        self._send_button.on_click(lambda _button: self._box.take())
        self._leave_button.on_click(lambda _button: self._leave_or_join())
        spread = {"justify_content": "space-between", "min_height": "28px"}
        super().__init__(
            [
                ipywidgets.HBox([self._title, self._badge], layout=spread),
                self._log,
                ipywidgets.HBox([self._box, self._send_button, self._leave_button]),
            ],
            layout=WINDOW,
        )
        self.join()

    def __repr__(self) -> str:
        return _("<chat client {name}>").format(name=self.name)

    # --- what a cell calls ---

    def join(self) -> None:
        """Connect, and leave where this client is connected already. Raises OSError when nobody answers."""
        if self._present:
            self.leave()
        options = {"on_event": self._on_event} if self.kind.receives else {}
        self._present = True  # before it connects: the server may disconnect at once
        try:
            self.connection = self._connect(**options)
        except BaseException:
            self._present = False
            raise
        self.draw()

    def say(self, text: str) -> None:
        """Send `text`. Raises ConnectionError when not connected, ValueError when it is too long.

        Raises TimeoutError when the server takes nothing for CONNECT_TIMEOUT seconds.
        """
        with self._sending:
            if not self._is_connected():
                self._raise_not_connected()
            self._note_sent(text)
            try:
                self.connection.send(text)
            except TimeoutError:
                reason = _("{name} has waited {timeout} s to send: the server takes nothing")
                raise TimeoutError(reason.format(name=self.name, timeout=CONNECT_TIMEOUT)) from None
            except OSError:
                self._raise_not_connected()
        if self.kind.leave_word is None:  # its client sends one message, and leaves
            self.leave()

    def leave(self) -> None:
        """Leave the conversation; `join` comes back to it."""
        self.connection.close()
        self._set_present(False)

    def disconnect(self) -> None:
        """Do what is left to do when the server has ended: close this end, too, and show it."""
        self.connection.close()
        self._show_disconnected()

    @property
    def lines(self) -> list[str]:
        """What has arrived, as it arrived: in stages 1 to 4 a line is what one `recv` has brought."""
        with self._changed:
            return list(self._received)

    def wait_for(self, text: str, timeout: float = WAIT) -> str:
        """Wait until `text` has arrived, and return the line that holds it.

        Once more than when it was last waited for: so a cell that says and waits may be run again, whatever
        a person types meanwhile. A line ends at a newline, or else with what one `recv` has brought.
        Raises TimeoutError after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._find(text) >= 0, timeout):
                reason = _("{name} has waited {timeout} s for {text}; there is {lines}")
                lines = [line[:60] for line in list(self._received)[-5:]]
                raise TimeoutError(
                    reason.format(name=self.name, timeout=timeout, text=repr(text[:60]), lines=lines)
                )
            place = self._find(text)
            self._found[text] = place + len(text)
            return line_at(list(self._received), place - self._forgotten, len(text.rstrip("\n")))

    def _find(self, text: str) -> int:
        """Return where `text` begins, behind the place where it was last found, or -1."""
        start = max(0, self._found.get(text, 0) - self._forgotten)
        place = "".join(self._received).find(text, start)
        return place + self._forgotten if place >= 0 else -1

    def refresh(self) -> None:
        """Draw again, for front ends that do not show what changes in the background."""
        self.draw()

    # --- what happens ---

    def _on_event(self, event: Event) -> None:
        """Take what the stage's client tells, on its receiving thread."""
        if event.kind == "disconnected":
            self._show_disconnected()
            return
        with self._changed:
            if len(self._received) == KEPT:
                self._forgotten += len(self._received[0])
            self._received.append(event.text)
            self._add(as_html(event.text))
            self._unread += not self._is_mine(event.text)
            self._changed.notify_all()
        painter.draw_soon(self)

    def _is_connected(self) -> bool:
        """Tell whether what is said now can arrive, as far as can be known without sending."""
        watched = self.kind.foreign and not self.kind.receives  # nobody else would notice that it has ended
        return self._present and not (watched and peer_has_closed(self.connection.sock))

    def _raise_not_connected(self) -> NoReturn:
        self.disconnect()
        reason = _("{name} is not connected. Connect again with .join(), or click on Join.")
        raise ConnectionError(reason.format(name=self.name)) from None

    def _note_sent(self, text: str) -> None:
        with self._changed:
            self._unread = 0
            if self.kind.receives:
                self._sent.append(text)  # it comes back
            if self.kind.shows_sent:
                self._add(f'<span style="opacity:.7">→ {as_html(text)}</span>')
        painter.draw_soon(self)

    def _is_mine(self, text: str) -> bool:
        if text in self._sent:
            self._sent.remove(text)
            return True
        return self.kind.needs_name and text.startswith(f"{self.name}{COLON}")

    def _add(self, html: str) -> None:
        self._dropped += len(self._lines) == KEPT
        self._lines.append(html)

    def _set_present(self, present: bool) -> None:
        with self._changed:
            self._present = present
            self._sent.clear()
        self.draw()

    def _show_disconnected(self) -> None:
        with self._changed:
            if self._present:
                self._add("<i>" + _("The server has closed the connection.") + "</i>")
        self._set_present(False)

    def draw(self) -> int:
        """Show the newest state. Any thread may call; returns the number of characters sent."""
        with self._changed:  # held to the end, so that no older picture overtakes a newer one
            lines = list(self._lines)[-SHOWN:]
            if hidden := self._dropped + len(self._lines) - len(lines):
                lines.insert(0, "<i>" + _("({n} older lines)").format(n=hidden) + "</i>")
            if self._trouble:
                lines.append(trouble_html(self._trouble))
            self._log.value = log_html(lines, 13)
            state = "" if self._present else _("not connected")
            self._title.value = title_html(self._present, self.name, state)
            self._badge.description = _("{n} new").format(n=self._unread)
            self._badge.layout.visibility = "visible" if self._unread else "hidden"
            self._leave_button.description = _("Leave") if self._present else _("Join")
            self._box.disabled = self._send_button.disabled = not self._present
            return len(self._log.value)

    # --- what a person does ---

    def _send_text(self, text: str) -> None:
        """Send what stood in the box."""
        if text and text == self.kind.leave_word:
            self._leave_or_join()
        elif text and not self._tried(self.say, text):
            self._box.value = text  # nothing typed is lost

    def _leave_or_join(self) -> None:
        self._tried(self.leave if self._present else self.join)

    def _read(self) -> None:
        with self._changed:
            self._unread = 0
        self.draw()

    def _tried(self, action: Callable[..., None], *arguments: str) -> bool:
        """Call `action`; where it fails, say so in the log; return whether it went well."""
        trouble = ""
        try:
            action(*arguments)
        except (OSError, ValueError) as error:
            trouble = str(error)
        with self._changed:
            self._trouble, self._unread = trouble, 0
        self.draw()
        return not trouble


def line_at(pieces: list[str], begin: int, length: int) -> str:
    """Return the line in which `length` characters stand, from the character `begin` of all `pieces` on.

    A line ends at a newline, or at the end of a piece; what was looked for may reach over several pieces.
    """
    text, end = "".join(pieces), begin + length
    ends = list(accumulate(map(len, pieces), initial=0))
    first = max(text.rfind("\n", 0, begin) + 1, *(place for place in ends if place <= begin))
    newline = text.find("\n", end)
    last = min([place for place in (newline, *ends) if place >= end])
    return text[first:last]
