"""The terminal: asking for a line while others speak.

With prompt_toolkit (the `terminal` extra) and a real terminal on both sides, the line being typed can be
edited and stays whole when something arrives above it. Otherwise, and with piped input, lines are read as
they come.
"""

from __future__ import annotations

import codecs
import io
import os
import queue
import shutil
import sys
import threading
from contextlib import AbstractContextManager, ExitStack, suppress
from importlib.util import find_spec

from chatstages.runtime import Event
from chatstages.runtime.event_queue import Lines, as_text
from chatstages.text import wrapped

SAY_TIMEOUT = 0.3  # seconds that the output has for a line of ours
CHECK = 0.2  # seconds between two looks at whether the conversation is over


def say(what: object) -> None:
    """Print `what` as one line, in one piece: several threads may speak at the same time."""
    sys.stdout.write(f"{what}\n")


def say_in_rows(what: object) -> None:
    """Print `what`, a line, as `in_rows`."""
    say(in_rows(str(what)))


def in_rows(text: str) -> str:
    """Return lines for standard output: on a terminal, what fits into no row goes on below, indented."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join([wrapped(line, width) for line in text.split("\n")])


class EventScreen:
    """Prints events: a hook for a server (`event_queue.BatchHook`), and for one thread at a time.

    `closed` is set when nobody reads what it prints any more. Where the output is paused, it blocks for ever.
    """

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._printing = threading.Lock()  # Guards standard output: who holds it may be blocked in there.

    def __call__(self, event: Event) -> None:
        """Print one event."""
        self.tell_all([event])

    def tell_all(self, happened: list[Event | Lines]) -> None:
        """Print all that has happened, in one piece."""
        self._print(in_rows(as_text(happened)))

    def _print(self, text: str) -> None:
        try:
            with self._printing:
                write_unbuffered(text)
        except BrokenPipeError:
            self.closed.set()

    def say(self, line: str) -> bool:
        """Print `line`, also while the events are blocked; return whether the output took it in time.

        Any thread may call.
        """
        printer = threading.Thread(target=self._print, args=(f"{line}\n",), daemon=True)
        printer.start()
        printer.join(SAY_TIMEOUT)
        return not printer.is_alive()


def complain(sentence: str) -> None:
    """Print `sentence` on standard error, unless that takes nothing, either: it may be the same terminal."""
    data = f"{sentence}\n".encode(sys.stderr.encoding, "replace")
    printer = threading.Thread(target=os.write, args=(2, data), daemon=True)
    printer.start()
    printer.join(SAY_TIMEOUT)


def write_unbuffered(text: str) -> None:
    """Write `text` to standard output, past its buffer.

    A thread that is blocked in a buffered write holds the buffer's lock, and Python could not end.
    """
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if raw is None:  # no file, but what a test or a notebook has put there
        sys.stdout.write(text)
        return
    data = memoryview(text.encode(sys.stdout.encoding, "replace"))
    while data:
        data = data[raw.write(data) or 0 :]


def open_terminal(erase: bool) -> PlainTerminal | EditingTerminal:
    """Return the best there is; `erase` removes a line from the screen once it has been typed."""
    if sys.stdin and sys.stdin.isatty() and sys.stdout.isatty() and find_spec("prompt_toolkit"):
        return EditingTerminal(erase)
    return PlainTerminal()


class PlainTerminal(AbstractContextManager["PlainTerminal"]):
    """Lines from standard input, whatever it is: a keyboard, a pipe, a file. One thread may ask."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=1_000)
        self._ended = threading.Event()
        # A daemon, because no system lets us interrupt a read from the keyboard: when the conversation
        # is over, this thread is left sitting in it.
        threading.Thread(target=self._read, name="keyboard", daemon=True).start()

    def ask(self, prompt: str) -> str:
        """Return the next line, without its newline. Raises EOFError at the end of input or after `end`."""
        if sys.stdin and sys.stdin.isatty():
            print(prompt, end="", flush=True)
        while not self._ended.is_set():
            with suppress(queue.Empty):
                line = self._lines.get(timeout=CHECK)  # with a limit: Windows brings Ctrl-C only then
                if line is None:
                    self.end()
                    break
                return line
        raise EOFError

    def end(self) -> None:
        """Let `ask` wait no longer, now and from now on. Any thread may call."""
        self._ended.set()

    def _read(self) -> None:
        with suppress(OSError, AttributeError):  # a keyboard that is gone, or was never there, is at its end
            # The raw file: a thread left inside a buffered read would hold the buffer's lock, and Python
            # could not end.
            keyboard: io.RawIOBase = getattr(sys.stdin.buffer, "raw")  # noqa: B009 - the type does not say it
            decoder = codecs.getincrementaldecoder(sys.stdin.encoding)("replace")
            rest = ""
            while data := keyboard.read(65_536):
                *lines, rest = (rest + decoder.decode(data)).split("\n")
                for line in lines:
                    self._lines.put(line.removesuffix("\r"))
            if rest:
                self._lines.put(rest)
        self._lines.put(None)

    def __exit__(self, *exc_info: object) -> None:
        self.end()


class EditingTerminal(AbstractContextManager["EditingTerminal"]):
    """A line that can be edited, and that what arrives does not garble. One thread may ask."""

    def __init__(self, erase: bool) -> None:
        # An extra, and slow to load: only for who chats at a terminal.
        from prompt_toolkit import PromptSession
        from prompt_toolkit.patch_stdout import patch_stdout

        # What you say comes back from the group (`erase`): it need not stand there twice.
        self._session: PromptSession[str] = PromptSession(erase_when_done=erase)
        self._ended = threading.Event()
        self._stack = ExitStack()
        self._stack.enter_context(patch_stdout())

    def ask(self, prompt: str) -> str:
        """Return the next line. Raises EOFError at the end of input or after `end`."""
        line = self._session.prompt(prompt, pre_run=self._leave_if_ended)
        if self._ended.is_set():
            raise EOFError
        return line

    def end(self) -> None:
        """Let `ask` wait no longer, now and from now on. Any thread may call."""
        self._ended.set()
        loop = self._session.app.loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(self._leave_if_ended)

    def _leave_if_ended(self) -> None:
        app = self._session.app
        if self._ended.is_set() and app.future is not None and not app.is_done:
            app.exit(result="")

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()
