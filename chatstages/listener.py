"""Stopping a blocked call, and taking an address again, on every operating system.

A thread that sits in `accept()` or `recv()` cannot be told anything: it wakes when a client comes or
bytes arrive, and not before. Closing the socket from another thread wakes it on some systems, leaves
it asleep on others, and on Linux keeps the port taken while it sleeps. What holds everywhere is to wait
for *two* things at once, the socket and a wake-up call, and to make the blocking call only when it will
not block. `Stop` does that; the stages say `stop.readable(conn)` and then `conn.recv(…)`.
"""

from __future__ import annotations

import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from chatstages.events import Address

DEFAULT_PORT = 30_000  # and the stage's number: outside every system's range of ephemeral ports
TIMEOUT = 10.0  # seconds for which a client tries to connect, or to send
STOP_TIMEOUT = 10.0  # seconds that `stop` waits at most; all threads should have ended long before

# A far end that has vanished is noticed within a minute: 25 + 3 × 10 seconds, and the system's own rounding.
KEEP_IDLE, KEEP_INTERVAL, KEEP_PROBES = 25, 10, 3

# poll() takes any descriptor and makes none of its own; Windows has select() alone.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


@contextmanager
def closed_on_error(sock: socket.socket) -> Iterator[socket.socket]:
    """Close `sock` if the block fails; leave it open if all goes well."""
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


def reuse_address(server: socket.socket) -> None:
    """Let `server` be bound to a port that a server before it has just left.

    For a minute or so after a connection has ended, its port counts as taken (TIME_WAIT, RFC 9293
    section 3.6.1). SO_REUSEADDR lifts that on POSIX. On Windows the option of that name would let
    another program steal the port while we use it; there the default is right, made exclusive.
    """
    if sys.platform == "win32":
        server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def allow_many_connections() -> None:
    """Let this process have as many files open, sockets too, as the system lets it ask for.

    Many systems begin with 1,024 or 256. On Windows there is no such limit.
    """
    with suppress(ImportError, OSError, ValueError):  # ValueError: macOS says "unlimited", and means less
        import resource

        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_alive(conn: socket.socket) -> None:
    """Notice a far end that has vanished without a word: a laptop that was closed, a cable that was pulled.

    While nothing is said the system asks for a sign of life (RFC 9293 section 3.8.4): first after
    KEEP_IDLE seconds, then KEEP_PROBES times in all. What has been sent must be confirmed in the same
    time (RFC 5482), where the system has that option. Then `recv` raises OSError.
    """
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_IDLE),
        ("TCP_KEEPALIVE", KEEP_IDLE),  # what macOS calls it
        ("TCP_KEEPINTVL", KEEP_INTERVAL),
        ("TCP_KEEPCNT", KEEP_PROBES),
        ("TCP_USER_TIMEOUT", 1_000 * (KEEP_IDLE + KEEP_INTERVAL * KEEP_PROBES)),  # milliseconds
    ):
        with suppress(AttributeError, OSError):  # not every system has each of them, or lets it be set
            conn.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Bell:
    """Wakes a thread that waits in a selector: something a selector can wait for, and any thread can ring."""

    def __init__(self) -> None:
        # Guards _rope: a ring must not go to a descriptor that `close` has given back to the system.
        self._lock = threading.Lock()
        self._inside, self._rope = socket.socketpair()
        self._inside.setblocking(False)
        self._rope.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when the bell has been rung."""
        return self._inside.fileno()

    def ring(self) -> None:
        """Wake who waits; it stays rung until it is silenced. Any thread may call."""
        with self._lock, suppress(OSError):  # it is full of rings already, or nobody waits any more
            self._rope.send(b"!")

    def silence(self) -> None:
        """Be ready for the next ring."""
        with suppress(BlockingIOError):
            self._inside.recv(4096)

    def close(self) -> None:
        """Give the two descriptors back."""
        with self._lock:
            self._rope.close()
            self._inside.close()


class Stop(Bell):
    """A bell that is rung once, stays rung, and wakes every thread that waits for a socket.

    Any thread may `set` it or wait for it; `close` is for the thread that has seen all the others end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False

    def set(self) -> None:
        """Wake everybody."""
        self._is_set = True
        self.ring()

    def is_set(self) -> bool:
        """Tell whether `set` has been called."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Sleep `timeout` seconds at most; return True, at once, when `set` has been called."""
        self._wait_for(self, timeout=timeout)
        return self.is_set()

    def readable(self, sock: socket.socket, timeout: float | None = None) -> bool:
        """Wait until a recv (or an accept) on `sock` would not block; return whether it is so.

        False means that `set` has been called, or that `timeout` seconds have passed.
        """
        return sock in self._wait_for(sock, self, timeout=timeout) and not self.is_set()

    def accept(self, server: socket.socket) -> tuple[socket.socket, Address] | None:
        """Accept the next client of `server`; return None when `set` has been called.

        A client that went away before it was accepted is passed over. When the process may open no
        more files (EMFILE), trying at once again would fail 190,000 times a second: it waits 10 ms,
        then longer, up to 1 s, until one is free.
        """
        delay = 0.01
        server.settimeout(0.5)  # the client that woke us may have gone again: do not wait long for another
        while self.readable(server):
            try:
                conn, address = server.accept()
            except (ConnectionError, TimeoutError):
                continue
            except OSError:
                self.wait(delay)
                delay = min(2 * delay, 1.0)
            else:
                return conn, address[:2]
        return None

    def _wait_for(self, *things: socket.socket | Bell, timeout: float | None) -> list[object]:
        with _Selector() as selector:
            for thing in things:
                selector.register(thing, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(timeout)]


class Running:
    """A server at work: `run(sock, stop)` in a thread of its own, which then closes `sock`.

    It ends when `run` returns; `run` is to return when `stop` is set. Leaving the `with` block stops
    it. `address` is where it listens: host and port. (The receiving side of a client is one too.)
    """

    def __init__(self, sock: socket.socket, run: Callable[[socket.socket, Stop], None]) -> None:
        self.address: Address = sock.getsockname()[:2]
        self._stop = Stop()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(sock, run), name=f"port {self.address[1]}")
        self._thread.start()

    def _run(self, sock: socket.socket, run: Callable[[socket.socket, Stop], None]) -> None:
        try:
            with sock:
                run(sock, self._stop)
        finally:
            self._stop.set()
            self._stop.close()
            self._ended.set()

    def stop(self) -> None:
        """Stop it, whoever is blocked, and return when all its threads have ended (within 1 s).

        Any thread may call it, also a second time. An `on_event` hook should not: it runs on a thread that
        cannot end while the hook waits for that. Then it waits STOP_TIMEOUT seconds in vain, or not at all.
        """
        self._stop.set()
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

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
