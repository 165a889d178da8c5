"""Servers inside the kernel: started by a cell, replaced when it is run again, stopped by the last one.

Everything here is called from cells, so from one thread at a time; the hooks are called from the servers'.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see the end of this file
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from chatstages import locale
from chatstages.events import Event
from chatstages.lab.client import WAIT, ChatClient
from chatstages.locale import _
from chatstages.stages import load_stage

_running: dict[str, Callable[[], None]] = {}  # how to stop what cells have started, by its name
_failures: list[threading.ExceptHookArgs] = []  # exceptions that ended a thread


class Server:
    """A stage's server in the kernel, and what it has told."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self._module = load_stage(stage)
        self._changed = threading.Condition()  # Guards _events and _counts.
        self._events: deque[Event] = deque(maxlen=1_000)
        self._counts: Counter[str] = Counter()
        self._server = self._module.serve(on_event=self._on_event)

    def __repr__(self) -> str:
        return _("<server of stage {n}>").format(n=self.stage)

    @property
    def events(self) -> list[Event]:
        """What has happened, oldest first; the last 1,000."""
        with self._changed:
            return list(self._events)

    def wait_for(self, kind: str, count: int = 1, timeout: float = WAIT) -> None:
        """Wait until `count` events of `kind` have happened; raise TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._counts[kind] >= count, timeout):
                reason = _("The server has waited {timeout} s for {count} × {kind}; there is {events}")
                events = [str(event) for event in self._events]
                raise TimeoutError(reason.format(timeout=timeout, count=count, kind=kind, events=events))

    def connect(self, name: str) -> ChatClient:
        """Return a client of this server's stage, connected, and heard by whoever speaks next.

        Raises OSError when the server has ended, TimeoutError when it does not accept the client.
        """
        options = {"name": name} if self.stage == 5 else {}
        with self._changed:
            joined = self._counts["joined"]
        client = ChatClient(name, partial(self._module.connect, self._server.address, **options))
        try:
            self.wait_for("joined", joined + 1)
        except TimeoutError:
            client.leave()
            raise
        return client

    def stop(self) -> None:
        """Stop the server (within 1 s) and give the port back."""
        self._server.stop()

    def _on_event(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._counts[event.kind] += 1
            self._changed.notify_all()


def speak(language: str) -> None:
    """Show everything in `language`, "zh_CN" or "en", from now on."""
    locale.use(language)


def start(stage: int) -> Server:
    """Start the server of `stage` (1 to 5) on a free port; one started before for it is replaced.

    Its clients leave, too. Raises OSError when no port can be had.
    """
    name = f"{stage}"
    for running in [key for key in _running if key == name or key.startswith(f"{name}/")]:
        _running.pop(running)()
    server = Server(stage)
    _running[name] = server.stop
    return server


def join(server: Server, name: str) -> ChatClient:
    """Return a chat client of `server`, connected; one of the same name joined before leaves."""
    key = f"{server.stage}/{name}"
    if key in _running:
        _running.pop(key)()
    client = server.connect(name)
    _running[key] = client.leave
    return client


def finish() -> None:
    """Stop everything that cells have started; raise RuntimeError if an exception has ended a thread.

    Put it into the last cell: without it an exception in a thread goes unnoticed.
    """
    while _running:
        _running.popitem()[1]()
    failures = [f"{failure.thread and failure.thread.name}: {failure.exc_value!r}" for failure in _failures]
    _failures.clear()
    if failures:
        raise RuntimeError(_("A thread has failed: {failures}").format(failures="; ".join(failures)))


def _record(
    previous: Callable[[threading.ExceptHookArgs], object], failure: threading.ExceptHookArgs
) -> None:
    _failures.append(failure)
    previous(failure)


def _stop_with_the_kernel() -> None:
    with suppress(RuntimeError):
        finish()


threading.excepthook = partial(_record, threading.excepthook)
# When the kernel ends, Python first waits for every thread, and calls what `atexit` knows only then: a
# server that nobody has stopped would keep the kernel alive. This list comes before (concurrent.futures,
# whose pool would wait in the same way, is on it too, so it has to be there first).
threading._register_atexit(_stop_with_the_kernel)  # type: ignore[attr-defined]
