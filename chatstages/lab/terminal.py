"""A script that runs in a process of its own, in a window that stands for a terminal.

What the script prints is shown; what is typed into the window's line is what its `input` returns. The script
is run as it is, by the same Python: `python -u SCRIPT ARGUMENTS`, in the notebook's folder.
"""

from __future__ import annotations

import codecs
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import ipywidgets

from chatstages.i18n import _
from chatstages.lab.chat_client import WAIT
from chatstages.lab.entry import Entry
from chatstages.lab.painter import painter
from chatstages.lab.widgets import BORDER, FONT, WINDOW, as_html, title_html

KEPT = 50_000  # characters of what was shown
REST_OF_LINE = 0.2  # seconds in which the rest of a line arrives: `print` writes it in pieces
GRACE = 2.0  # seconds that a script has to end after Ctrl-C

# In a group of its own, a script is not ended by ■ (interrupt the kernel). Ctrl-Break reaches a script on
# Windows also while it waits in `accept`; Ctrl-C does not.
APART: dict[str, Any] = {"start_new_session": True}
CTRL_C = signal.SIGINT
if sys.platform == "win32":
    APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    CTRL_C = signal.CTRL_BREAK_EVENT


class Terminal(ipywidgets.VBox):  # type: ignore[misc]
    """A script in a process: what it shows, a line to type in, and a button for Ctrl-C or to run it again.

    Its methods may be called from any cell; what the script prints is taken by a thread.
    """

    def __init__(self, name: str, script: str, *arguments: object) -> None:
        self.name = name
        self._command = [script, *map(str, arguments)]
        self._changed = threading.Condition()  # Guards all that follows, and the page's picture of it.
        self._text = ""
        self._forgotten = 0  # characters that had to make room
        self._found: dict[str, int] = {}  # up to where in all that was shown a text has been found
        self._begin = 0  # where in all that was shown this run begins
        self._reading = False  # whether more may still be shown
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

        self._title = ipywidgets.HTML()
        self._screen = ipywidgets.HTML()
        self._line = Entry(self._type_or_tell, placeholder=_("Type here, then Enter …"), tooltip=name)
        self._button = ipywidgets.Button(layout={"width": "auto"})
        self._button.on_click(lambda _button: self.interrupt() if self.running else self.start())
        super().__init__(
            [self._title, self._screen, ipywidgets.HBox([self._line, self._button])],
            layout=WINDOW,
        )
        self.start()

    def __repr__(self) -> str:
        return _("<terminal {name}>").format(name=self.name)

    # --- what a cell calls ---

    @property
    def running(self) -> bool:
        """Whether the script runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def text(self) -> str:
        """What the window shows: what the script has printed, and what was typed."""
        with self._changed:
            return self._text

    def start(self) -> None:
        """Run the script, from its beginning. Raises FileNotFoundError where there is none."""
        if not Path(self._command[0]).is_file():
            reason = _("There is no {script} here. Run the cell that writes it (%%writefile) first.")
            raise FileNotFoundError(reason.format(script=self._command[0]))
        self.end()
        self._show(f"$ python {' '.join(self._command)}\n")
        process = subprocess.Popen(
            [sys.executable, "-u", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=os.environ | {"PYTHONUTF8": "1"},
            **APART,
        )
        with self._changed:
            self._process, self._reading = process, True
            self._begin = self._forgotten + len(self._text)
        self._reader = threading.Thread(target=self._read, args=(process,), name=f"terminal {self.name}")
        self._reader.start()

    def type(self, line: str = "") -> None:
        """Type `line`, and press Enter. Raises BrokenPipeError when the script has ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        if self._reading:
            self._show(f"{line}\n")
        try:
            self._process.stdin.write(f"{line}\n".encode())
        except (OSError, ValueError):  # ValueError: the reading thread has closed it
            reason = _("{name}: the script has ended. Run it again with .start(), or click on Run again.")
            raise BrokenPipeError(reason.format(name=self.name)) from None

    def wait_for(self, text: str, timeout: float = WAIT) -> str:
        """Wait until this run has shown `text`, once more than when it was last waited for.

        Returns the line in which it stands. Raises TimeoutError after `timeout` seconds, or at once where
        the script has ended without it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._find(text) >= 0 or not self._reading, timeout)
            place = self._find(text)
            if place < 0:
                reason = (
                    _("{name} has waited {timeout} s for {text}; it shows:\n{shown}")
                    if self._reading
                    else _("{name}: the script has ended, and has not shown {text}; it shows:\n{shown}")
                )
                shown = self._text[-1000:]
                raise TimeoutError(
                    reason.format(name=self.name, text=repr(text), timeout=timeout, shown=shown)
                )
            self._found[text] = place + len(text)
            self._changed.wait_for(lambda: self._line_at(place)[1], REST_OF_LINE)
            return self._line_at(place)[0]

    def interrupt(self) -> None:
        """Press Ctrl-C (on Windows Ctrl-Break)."""
        if self._process is not None and self.running:
            self._show("^C\n")
            self._process.send_signal(CTRL_C)

    def end(self) -> None:
        """End the script, by Ctrl-C, or by force where that does not help within two seconds."""
        if self._process is None or self._reader is None:
            return
        self.interrupt()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()

    def refresh(self) -> None:
        """Draw again, for front ends that do not show what changes in the background."""
        self.draw()

    # --- what happens ---

    def _find(self, text: str) -> int:
        """Return where `text` begins, behind the place where it was last found, or -1."""
        start = max(0, max(self._begin, self._found.get(text, 0)) - self._forgotten)
        place = self._text.find(text, start)
        return place + self._forgotten if place >= 0 else -1

    def _line_at(self, place: int) -> tuple[str, bool]:
        """Return the line that `place` is in, and whether it is complete."""
        at = max(0, place - self._forgotten)
        begin, end = self._text.rfind("\n", 0, at) + 1, self._text.find("\n", at)
        return (self._text[begin:], False) if end < 0 else (self._text[begin:end], True)

    def _show(self, text: str) -> None:
        with self._changed:
            shown = self._text + text
            self._text = shown[-KEPT:]
            self._forgotten += len(shown) - len(self._text)
            self._changed.notify_all()
        painter.draw_soon(self)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Show what the script prints, until it has ended."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        assert process.stdout is not None
        assert process.stdin is not None
        with process.stdout, process.stdin:
            while data := os.read(process.stdout.fileno(), 65535):
                self._show(decoder.decode(data).replace("\r\n", "\n"))
        process.wait()
        with self._changed:
            self._reading = False
            self._changed.notify_all()
        painter.draw_soon(self)

    def draw(self) -> int:
        """Show the newest state. Any thread may call; returns the number of characters sent."""
        with self._changed:  # held to the end, so that no older picture overtakes a newer one
            running = self.running
            state = "" if running else self._how_it_ended()
            self._title.value = title_html(running, self.name, state)
            self._screen.value = screen_html(self._text)
            self._button.description = _("Ctrl-C") if running else _("Run again")
            self._line.disabled = not running
            return len(self._screen.value)

    def _how_it_ended(self) -> str:
        """Return "ended", with the exit status where the script itself says that it has failed."""
        status = 0 if self._process is None else self._process.returncode
        return _("ended, exit status {n}").format(n=status) if status > 0 else _("ended")

    def _type_or_tell(self, line: str) -> None:
        """Type what a person has typed; where the script has ended meanwhile, the window says so."""
        try:
            self.type(line)
        except OSError:
            self.draw()


def screen_html(text: str) -> str:
    """Return `text` as a terminal shows it, with its newest lines at the bottom."""
    return (
        '<div role="log" tabindex="0" style="height:12em;overflow-y:auto;display:flex;'
        f"flex-direction:column-reverse;padding:4px 8px;{BORDER};{FONT};line-height:1.4;"
        "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);"
        f'white-space:pre-wrap;overflow-wrap:anywhere"><div>{as_html(text)}</div></div>'
    )
