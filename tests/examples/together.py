"""Both ends of a connection in one process: the microscope then sees what was sent, and how it arrived.

python together.py SCENARIO SCRIPT

The script runs unchanged in a thread, with a `print` and an `input` that we can wait on.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LONG = 6_000_000  # bytes: more than the buffers of a connection hold


class Script:
    """An example in a thread of its own."""

    def __init__(self, path: str) -> None:
        self._path, self._changed = Path(path), threading.Condition()  # Guards _printed.
        self._printed = ""
        self.held = threading.Event()  # until it is set, the script waits after it has said "connected"
        self.typed = queue.Queue[str]()
        self.names: dict[str, Any] = {"__name__": "__main__", "print": self._print, "input": self._input}
        self.thread = threading.Thread(target=self._run, daemon=True)  # a server waits in accept for ever

    def begin(self, port: int) -> None:
        """Run it."""
        sys.argv = [str(self._path), str(port)]
        self.thread.start()

    def _run(self) -> None:
        code = compile(self._path.read_text(encoding="utf-8"), str(self._path), "exec")
        with suppress(SystemExit):
            exec(code, self.names)

    def _print(self, *what: object) -> None:
        text = " ".join(map(str, what))
        with self._changed:
            self._printed += f"{text}\n"
            self._changed.notify_all()
        if text.startswith(("Connected", "Welcome", "客户端已连接", "已连接", "欢迎")):
            self.held.wait()

    def _input(self, _prompt: str = "") -> str:
        return self.typed.get()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until it has printed `text`, so many times."""
        with self._changed:
            self._changed.wait_for(lambda: self._printed.count(text) >= times)  # the test's patience ends it


def listening(script: Script) -> int:
    """Start a server script, on a free port; return that."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    script.begin(port)
    script.wait_for(str(port))
    return port


def connected(port: int, keep: int = 0) -> socket.socket:
    """Connect to the script; `keep`: how much the system keeps for us while we do not read."""
    sock = socket.socket()
    if keep:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, keep)
    sock.connect(("127.0.0.1", port))
    return sock


def read(sock: socket.socket, size: int) -> bytes:
    """Receive so many bytes."""
    data = bytearray()
    while len(data) < size and (more := sock.recv(min(size - len(data), 65_535))):
        data += more
    return bytes(data)


def coalesced(script: Script) -> None:
    """Two messages are sent before the server receives."""
    with connected(listening(script)) as sock:
        script.wait_for("127.0.0.1")  # the address of the client
        sock.sendall(b"one")
        sock.sendall(b"two")
        script.held.set()
        read(sock, 6) if "stage4" in sys.argv[0] else script.wait_for("onetwo")


def split(script: Script) -> None:
    """One message is longer than one recv."""
    script.held.set()
    with connected(listening(script)) as sock:
        sock.sendall(b"x" * 100_000 + b"!")
        read(sock, 100_001) if "stage4" in sys.argv[0] else script.wait_for("!")


def client_sends(script: Script) -> None:
    """A client sends two messages before they are received."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        script.begin(server.getsockname()[1])
        conn, _address = server.accept()
        for line in ("one", "two", ""):
            script.typed.put(line)
        with conn:
            script.thread.join()
            assert conn.recv(65_535) == b"onetwo"


def client_receives(script: Script, *sent: bytes, shown: str) -> None:
    """A client finds what was sent before it receives."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        script.begin(server.getsockname()[1])
        conn, _address = server.accept()
        with conn:
            for data in sent:
                conn.sendall(data)
            script.held.set()
            script.wait_for(shown)
        script.typed.put("exit")
        script.thread.join()


def client_coalesced(script: Script) -> None:
    """Two messages for a client."""
    client_receives(script, b"one", b"two", shown="onetwo")


def client_split(script: Script) -> None:
    """A message that is longer than one recv."""
    client_receives(script, b"x" * 100_000 + b"!", shown="!")


def mixed(script: Script) -> None:
    """Two members speak; a third one, who reads late, gets the word of one in the middle of the other's."""
    script.held.set()
    port = listening(script)
    with connected(port) as quick, connected(port) as talker, connected(port, keep=65_536) as slow:
        script.wait_for("127.0.0.1", 3)  # the addresses of the clients
        quick_has, talker_has = Reader(quick), Reader(talker)
        threading.Thread(target=talker.sendall, args=(b"x" * LONG,), daemon=True).start()
        quick_has.wait_for(lambda: quick_has.count > 200_000)  # so the first pieces have been sent to all
        quick.sendall(b"hello")
        quick_has.wait_for(lambda: quick_has.greeted)
        assert b"hello" in read(slow, LONG + 5)
        for reader in (quick_has, talker_has):
            reader.wait_for(lambda reader=reader: reader.count == LONG + 5)  # type: ignore[misc]
        for sock in (quick, talker):
            sock.shutdown(socket.SHUT_RDWR)  # their readers wait on them


def blocked(script: Script) -> None:
    """A member does not read; whoever speaks waits for it."""
    script.held.set()
    port = listening(script)
    with connected(port) as talker, connected(port, keep=4_096):
        script.wait_for("127.0.0.1", 2)
        Reader(talker)
        talker.settimeout(1)  # seconds: for so long the server has then taken nothing
        with suppress(TimeoutError):
            while True:
                talker.sendall(b"x" * 60_000)
        print("done", flush=True)
        raise SystemExit  # while the server's thread is still waiting


class Reader:
    """A thread that reads all that comes, and looks out for “hello”."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._changed = sock, threading.Condition()  # Guards count and greeted.
        self.count, self.greeted = 0, False
        threading.Thread(target=self._read, daemon=True).start()  # nobody joins it: the process ends

    def _read(self) -> None:
        before = b""
        with suppress(OSError):
            while data := self._sock.recv(1 << 20):
                with self._changed:
                    self.count += len(data)
                    self.greeted = self.greeted or b"hello" in before + data
                    self._changed.notify_all()
                before = data[-4:]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds."""
        with self._changed:
            self._changed.wait_for(condition)


def log_grows(script: Script) -> None:
    """What has been sent to everybody is kept."""
    script.held.set()
    with connected(listening(script)) as sock:
        for number in range(1_000):
            sock.sendall(f"Ann：{number}\n".encode())
        read(sock, sum(len(f"Ann：{number}\n".encode()) for number in range(1_000)))
    assert len(script.names["log"]) == 1_000


if __name__ == "__main__":
    scenario, path = sys.argv[1:]
    globals()[scenario](Script(path))
    print("done")
