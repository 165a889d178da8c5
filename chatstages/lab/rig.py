"""Servers inside the kernel: started by a cell, replaced when it is run again, stopped by the last one.

Everything here is called from cells, so from one thread at a time.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see the end of this file
import socket
import threading
import traceback
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from chatstages import i18n, load_stage
from chatstages.i18n import _
from chatstages.lab.chat_client import WAIT, ChatClient
from chatstages.lab.chat_server import ChatServer
from chatstages.lab.connecting import client_kind, connect, read_address
from chatstages.lab.terminal import Terminal
from chatstages.microscope.model.naming import forget_client, name_client
from chatstages.runtime.events import Address, show_address
from chatstages.runtime.sockets import CONNECT_TIMEOUT

_running: dict[str, Callable[[], object]] = {}  # how to stop what cells have started, by its name
_started: set[str] = set()  # what has ever been started
_failed = threading.Condition()  # Guards _failures.
_failures: list[threading.ExceptHookArgs] = []  # exceptions that ended a thread


def speak(language: str) -> None:
    """Show everything in `language`, "zh_CN" or "en", from now on."""
    i18n.use(language)


def start(what: int | ModuleType, **options: Any) -> ChatServer:
    """Start the server of a stage (1 to 5), or of a module such as those in `chatstages.faults`.

    It listens on a free port. One that was started before is replaced, and its clients leave.
    `options` go to the module's `serve`. Raises OSError when no port can be had.
    """
    module = load_stage(what) if isinstance(what, int) else what
    label = _("stage {n}").format(n=what) if isinstance(what, int) else module.__name__.rpartition(".")[2]
    _stop(module.__name__)
    server = ChatServer(module, label, options)
    _running[module.__name__] = server.stop
    _started.add(module.__name__)
    return server


def join(server: ChatServer | str | Address, name: str, stage: int | None = None) -> ChatClient:
    """Return a chat client, connected; one of the same name and server joined before leaves.

    `server` is one that was started here, or the address of any other: "127.0.0.1:31004". There the client
    is that of `stage`: by default 4, which sends plain text, and shows what arrives and what it has sent.
    Raises ConnectionRefusedError when no server listens there, ValueError when that is no address.
    """
    if isinstance(server, ChatServer) and stage is None:
        key, join_it = f"{server.module.__name__}/{name}", partial(server.connect, name)
    else:
        address = server.address if isinstance(server, ChatServer) else read_address(server)
        key, join_it = f"{show_address(address)}/{name}", partial(_join_address, address, name, stage or 4)
    _stop(key)
    client = join_it()
    _running[key] = client.leave
    return client


def terminal(name: str, script: str, *arguments: object) -> Terminal:
    """Run `script` with `arguments` in a process of its own, in a window called `name`.

    The window of the same name that was opened before is closed, and its script ended. Raises
    FileNotFoundError where there is no such script.
    """
    key = f"terminal {name}"
    _stop(key)
    window = Terminal(name, script, *arguments)
    _running[key] = window.end
    _started.add(key)
    return window


def _join_address(address: Address, name: str, stage: int) -> ChatClient:
    module = load_stage(stage)
    return ChatClient(name, client_kind(module, foreign=True), partial(connect, module, address, name))


def silent_reader(server: ChatServer, name: str = "silent_reader") -> socket.socket:
    """Return a bare connection to `server` that takes in next to nothing, because nobody reads it.

    Its receive buffer is as small as the system allows, so that it is soon full.
    """
    key = f"{server.module.__name__}/{name}"
    _stop(key)
    sock = socket.socket()
    sock.settimeout(CONNECT_TIMEOUT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.connect(server.address)
    name_client(sock.getsockname()[:2], name)
    _running[key] = partial(_close_reader, sock, sock.getsockname()[:2])
    return sock


def _close_reader(sock: socket.socket, address: Address) -> None:
    forget_client(address)
    sock.close()


def _stop(name: str) -> None:
    """Stop what runs under `name`, and what hangs on it, newest first."""
    for key in reversed([key for key in _running if key == name or key.startswith(f"{name}/")]):
        _running.pop(key)()


def attempt(action: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Call `action`, and print what came of it: the error, or that there was none.

    What it has started, if that worked, is stopped by `finish`.
    """
    try:
        result = action(*arguments, **options)
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        print(f"{type(error).__name__}: {reason}")
        return
    print(_("It works: no error."))
    if end := getattr(result, "stop", getattr(result, "close", None)):
        _running[f"attempt {id(result)}"] = end


def failures(count: int = 0, timeout: float = WAIT) -> list[str]:
    """Return the exceptions that have ended a thread since this was last asked, and forget them.

    Waits until there are `count`; raises TimeoutError after `timeout` seconds.
    """
    with _failed:
        if not _failed.wait_for(lambda: len(_failures) >= count, timeout):
            raise TimeoutError(_("No thread has failed within {timeout} s").format(timeout=timeout))
        failed = [traceback.format_exception_only(failure.exc_value)[0].strip() for failure in _failures]
        _failures.clear()
        return failed


def finish() -> None:
    """Stop everything that cells have started, and print that all is well.

    Raises RuntimeError if an exception has ended a thread. Put it into the last cell: without it an
    exception in a thread goes unnoticed.
    """
    _stop_all()
    if failed := failures():
        raise RuntimeError(_("A thread has failed: {failures}").format(failures="; ".join(failed)))
    # No numbers: the line is the same however often which cells were run, so it can be compared.
    print(_("✔ Everything is stopped, and no thread has failed."))
    if _started:
        print(_("To chat again, run the cells again, from the one with start(…) on."))


def _stop_all() -> None:
    while _running:
        _running.popitem()[1]()


def _record(
    previous: Callable[[threading.ExceptHookArgs], object], failure: threading.ExceptHookArgs
) -> None:
    with _failed:
        _failures.append(failure)
        _failed.notify_all()
    frames = (frame for frame, _line in traceback.walk_tb(failure.exc_traceback))
    if not any(frame.f_globals.get("__name__", "").startswith("chatstages.") for frame in frames):
        previous(failure)  # the learner's own thread: its error is wanted at once, not at the end


threading.excepthook = partial(_record, threading.excepthook)
# When the kernel ends, Python first waits for every thread, and calls what `atexit` knows only then: a
# server that nobody has stopped would keep the kernel alive. This list comes before (concurrent.futures,
# whose pool would wait in the same way, is on it too, so it has to be there first).
threading._register_atexit(_stop_all)  # type: ignore[attr-defined]
