"""A server in a thread of its own, which any thread can stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from chatstages.runtime.event_queue import BatchHook, queue_for
from chatstages.runtime.events import Address, Hook
from chatstages.runtime.sockets import StoppableSocket, Stopped

STOP_TIMEOUT = 10.0  # seconds that `stop` waits at most; all threads should have ended long before


class BackgroundServer:
    """A running server: a thread that calls ``run(sock, on_event, *args)``, and then closes `sock`.

    What `run` tells is passed on to `on_event` by another thread (`EventQueue`), so that a slow hook holds up
    nobody. It ends when `run` returns or lets Stopped through. Leaving the `with` block stops it; forgotten,
    it keeps the process alive. `address` is where it listens: host and port.
    """

    def __init__(
        self, sock: StoppableSocket, run: Callable[..., None], on_event: Hook | BatchHook, *args: object
    ) -> None:
        self.address: Address = sock.getsockname()[:2]
        self._sock = sock
        self._ended = threading.Event()
        name = f"port {self.address[1]}"
        try:
            self._events = queue_for(on_event, self.address)
            self._thread = threading.Thread(target=self._run, args=(run, *args), name=name)
            try:
                self._thread.start()
            except BaseException:
                self._events.close()
                raise
        except BaseException:  # the system gives no more threads
            sock.close()
            raise

    def _run(self, run: Callable[..., None], *args: object) -> None:
        try:
            with self._sock, suppress(Stopped):
                run(self._sock, self._events, *args)
        finally:
            self._events.close()
            self._ended.set()

    def stop(self) -> None:
        """Stop it, whoever is blocked, and return when all its threads have ended (within 1 s).

        Any thread may call it, also a second time. So may an `on_event` hook; of what happens while it waits
        there, it is told afterwards.
        """
        self._events.note_stop()
        self._sock.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, `timeout` seconds at most; return whether it has."""
        # Not `join` before it has ended: up to Python 3.12, a Ctrl-C in there marks the thread as ended.
        # And not without a limit: on Windows a Ctrl-C would not reach us.
        while not self._ended.wait(0.5 if timeout is None else timeout):
            if timeout is not None:
                return False
        if threading.current_thread() is not self._thread:
            self._thread.join()
        return True

    def __enter__(self) -> BackgroundServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
