"""What many tests need: a recorder of events, raw clients, and limits on waiting."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from chatstages import stage1_oneshot, stage2_session, stage3_threads, stage4_broadcast, stage5_pool
from chatstages.protocol import COLON
from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Address, Event, EventKind

ROOT = Path(__file__).parent.parent
STAGES = {1: stage1_oneshot, 2: stage2_session, 3: stage3_threads, 4: stage4_broadcast, 5: stage5_pool}

# Seconds after which something that should have happened counts as missing. Nothing waits so long when
# all is well; a slow machine sets a larger factor.
PATIENCE = 10.0 * float(os.environ.get("CHATSTAGES_PATIENCE", "1"))


class Recorder:
    """An `on_event` hook that keeps the events, and on which a test can wait."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._counts: Counter[EventKind] = Counter()  # so that a wait need not look through all of them
        self._changed = threading.Condition()  # Guards events and _counts.

    def __call__(self, event: Event) -> None:
        """Keep `event`."""
        with self._changed:
            self.events.append(event)
            self._counts[event.kind] += 1
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all events."""
        with self._changed:
            self.events.clear()
            self._counts.clear()

    def of(self, kind: EventKind) -> list[Event]:
        """Return the events of one kind so far."""
        with self._changed:
            return [event for event in self.events if event.kind == kind]

    def wait(self, kind: EventKind, count: int = 1) -> list[Event]:
        """Wait for `count` events of `kind`, and return all there are."""
        self.until(lambda: self._counts[kind] >= count, f"{count} × {kind}")
        return self.of(kind)

    def wait_text(self, kind: EventKind, text: str) -> None:
        """Wait until the texts of `kind`, joined (they may come in pieces), hold `text`."""
        self.until(lambda: text in "".join(e.text for e in self.events if e.kind == kind), f"{kind} {text!r}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition()` holds."""
        with self._changed:
            happened = self._changed.wait_for(condition, PATIENCE)
            assert happened, f"waited {PATIENCE} s for {what}; there was {self.events[-20:]}"


def options(stage: int, name: str = "小明") -> dict[str, str]:
    """Return the extra arguments of the stage's `connect`: stage 5 wants a name."""
    return {"name": name} if stage == 5 else {}


def line_of(event: Event) -> str:
    """Return the line that stage 5 has passed on for an event "said"."""
    return f"{event.name}{COLON}{event.text}\n"


def connected(stage: Any, *arguments: Any, **options: Any) -> closing[Any]:
    """Connect a client of `stage`; leaving the block closes it."""
    return closing(stage.connect(*arguments, **options))


def listening(stage: Any, heard: Recorder) -> dict[str, Any]:
    """Return the argument with which a client of `stage` tells `heard` what happens, if it receives."""
    return {"on_event": heard} if stage.ECHOES else {}


@contextmanager
def raw_client(address: Address) -> Iterator[socket.socket]:
    """Connect with a bare socket, as netcat or the first scripts of a learner do."""
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        yield sock


def read_until(sock: socket.socket, expected: bytes) -> bytes:
    """Receive until `expected` is among what has come; return all that has."""
    data = b""
    while expected not in data:
        more = sock.recv(65_536)
        assert more, f"the connection ended after {data!r}"
        data += more
    return data


def read_to_end(sock: socket.socket) -> bytes:
    """Receive until the other side closes; a reset counts as closing."""
    data = b""
    try:
        while more := sock.recv(65_536):
            data += more
    except ConnectionResetError:
        pass
    return data


def kill(sock: socket.socket) -> None:
    """Close `sock` as the system does for a program that was killed with bytes unread: with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def wait_until(condition: Callable[[], bool], *widgets: Any) -> None:
    """Wait until `condition()` holds; look again whenever one of `widgets` changes."""
    changed = threading.Event()
    for widget in widgets:
        widget.observe(lambda _change: changed.set())
    while not condition():
        assert changed.wait(PATIENCE), [widget.value for widget in widgets]
        changed.clear()


def fill(sock: socket.socket, until: Callable[[], bool], chunk: bytes = b"x" * 60_000 + b"\n") -> None:
    """Send `chunk` again and again until `until()` holds."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, "waited in vain while sending"
        sock.sendall(chunk)


def overflow(address: Address, told: Recorder, *ears: Recorder) -> None:
    """Say so much in stage 5 that whoever does not read is cut off.

    Not faster than one reads it oneself, and than `ears` hear it, so that nobody else falls behind.
    """
    with raw_client(address) as loud:
        while not told.of("dropped"):  # pytest's timeout ends it
            loud.sendall((b"x" * 4_000 + b"\n") * 16 + b"over\n")
            read_until(loud, b"over\n")
            for ear in ears:
                ear.wait("received", len(told.of("said")))


def python(*arguments: str, lang: str = "en", **kwargs: object) -> subprocess.Popen[str]:
    """Start Python with `arguments`, its three streams in pipes."""
    environment = os.environ | {"CHATSTAGES_LANG": lang, "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
        **kwargs,
    )


def wait_until_listening(address: Address) -> None:
    """Try to connect until a program that has announced `address` does listen there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(address, timeout=PATIENCE).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at {address}"
            time.sleep(0.02)  # another program's port: there is no event to wait for


def stopped(server: BackgroundServer) -> bool:
    """Stop `server` from another thread; return whether it has ended."""
    thread = threading.Thread(target=server.stop)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive() and server.wait(0)
