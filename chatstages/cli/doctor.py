"""`chatstages doctor`: what this machine and front end can do, and what not, with the reason."""

from __future__ import annotations

import argparse
import os
import platform
import re
import socket
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from chatstages.cli.terminal import say
from chatstages.i18n import _, choose
from chatstages.runtime.options import DEFAULT_PORT, reuse_address
from chatstages.runtime.sockets import CONNECT_TIMEOUT

ENOUGH_FILES = 1_024  # descriptors: a class of 300 and what else a process has open
INSTALL = "pip install 'chatstages[{extra}]'"


class Diagnosis(NamedTuple):
    """One thing looked at: whether it is there, and if not, why and what to do.

    `needed` says that the stages do not run without it.
    """

    ok: bool
    what: str
    reason: str
    needed: bool = False

    def __str__(self) -> str:
        sentence = _("✔ {what}") if self.ok else _("✘ {what}: {reason}")
        return sentence.format(what=self.what, reason=self.reason)


def run(arguments: argparse.Namespace) -> int:
    """Print each diagnosis, and whether the stages run here; that is the exit status, too."""
    able = True
    for diagnosis in examine():
        say(in_encoding(str(diagnosis)))
        able = able and (diagnosis.ok or not diagnosis.needed)
    say("")
    say(_("The stages run here.") if able else _("The stages do not run here."))
    return 0 if able else 1


def in_encoding(line: str) -> str:
    """Return `line` with its mark in letters where the terminal cannot show it."""
    try:
        line[:1].encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return {"✔": "[ok]", "✘": "[no]"}.get(line[:1], line[:1]) + line[1:]
    return line


def examine() -> Iterator[Diagnosis]:
    """Yield what is found, one after the other. Nothing outside this machine is asked."""
    yield python()
    yield threads()
    yield sockets()
    yield open_files()
    yield from ports()
    yield encoding()
    yield line_editing()
    yield from lab_packages()
    yield notebooks()
    yield front_end()


def python() -> Diagnosis:
    """Is this Python new enough?"""
    what = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Diagnosis(sys.version_info >= (3, 11), what, _("install Python 3.11 or newer"), needed=True)


def threads() -> Diagnosis:
    """Can a thread be started?"""
    try:
        thread = threading.Thread(target=bool)
        thread.start()
        thread.join()
        ok, reason = True, ""
    except RuntimeError as error:
        ok, reason = False, browser_reason() or str(error)
    return Diagnosis(ok, _("threads"), reason, needed=True)


def sockets() -> Diagnosis:
    """Can a server and a client talk on this machine?"""
    try:
        with socket.socket() as server, socket.socket() as client:
            server.settimeout(CONNECT_TIMEOUT)
            client.settimeout(CONNECT_TIMEOUT)
            server.bind(("127.0.0.1", 0))
            server.listen()
            client.connect(server.getsockname())
            conn, _address = server.accept()
            with conn:
                client.sendall(b"?")
                ok, reason = conn.recv(1) == b"?", ""
    except OSError as error:
        ok, reason = False, browser_reason() or str(error)
    return Diagnosis(ok, _("a connection from this computer to itself (127.0.0.1)"), reason, needed=True)


def browser_reason() -> str:
    """Return why Python inside a browser (Pyodide, JupyterLite) cannot run a server, "" elsewhere."""
    if sys.platform not in ("emscripten", "wasi"):
        return ""
    return _("Python in a browser has neither sockets nor threads; use JupyterLab on a computer, or Binder")


def open_files() -> Diagnosis:
    """How many connections may one process have open?"""
    try:
        import resource
    except ImportError:  # Windows sets no such limit; its select() waits for 512 sockets at most
        return Diagnosis(True, _("512 connections at once"), "")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    ok = limit == resource.RLIM_INFINITY or limit >= ENOUGH_FILES
    reason = _("raise the limit in this terminal: {command}").format(command=f"ulimit -n {ENOUGH_FILES}")
    return Diagnosis(ok, _("{limit} open files at once").format(limit=limit), reason)


def ports() -> Iterator[Diagnosis]:
    """Are the stages' default ports free?"""
    for port in range(DEFAULT_PORT + 1, DEFAULT_PORT + 6):
        with socket.socket() as server:
            reuse_address(server)
            try:
                server.bind(("127.0.0.1", port))
                ok = True
            except OSError:
                ok = False
        reason = _("in use; end what runs there, or choose another with --port")
        yield Diagnosis(ok, _("port {port} is free").format(port=port), reason)


def encoding() -> Diagnosis:
    """Can Chinese be shown here?"""
    name = getattr(sys.stdout, "encoding", None) or "?"
    reason = _("this terminal is set to {name}; set PYTHONUTF8=1").format(name=name)
    return Diagnosis("utf" in name.lower(), _("Chinese and emoji on this terminal"), reason)


def line_editing() -> Diagnosis:
    """Does what others say leave the line being typed alone?"""
    reason = INSTALL.format(extra="terminal")
    return Diagnosis(bool(find_spec("prompt_toolkit")), _("line editing in chatstages chat"), reason)


def lab_packages() -> Iterator[Diagnosis]:
    """Are the packages of the `lab` extra there, and new enough?"""
    try:
        requirements = metadata.requires("chatstages") or []
    except metadata.PackageNotFoundError:
        yield Diagnosis(False, "chatstages", _("not installed, only lying here: pip install -e '.[lab]'"))
        return
    for requirement in requirements:
        match = re.match(r"([\w-]+)>=([\d.]+) *;.*extra == .lab.", requirement)
        if match is None:
            continue
        name, floor = match.groups()
        try:
            version = metadata.version(name)
            ok, reason = (numbers(version) >= numbers(floor), _("older than {floor}").format(floor=floor))
        except metadata.PackageNotFoundError:
            version, ok, reason = "", False, INSTALL.format(extra="lab")
        yield Diagnosis(ok, f"{name} {version}".strip(), reason)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparing."""
    return tuple(map(int, re.findall(r"\d+", version)))


def notebooks() -> Diagnosis:
    """Are the notebooks there?"""
    try:
        # It loads ipywidgets: not for the other commands, and not where it is missing.
        from chatstages.lab.launcher import find_notebook, shipped_notebooks
    except ImportError:
        return Diagnosis(False, _("notebooks"), INSTALL.format(extra="lab"))
    found = find_notebook(shipped_notebooks(), choose())
    return Diagnosis(found is not None, _("notebooks"), _("not found; reinstall chatstages"))


def front_end() -> Diagnosis:
    """Does this front end draw widgets, also what a thread changes in the background?"""
    what = _("live chat clients in this front end")
    if "COLAB_RELEASE_TAG" in os.environ:
        return Diagnosis(False, what, _("Colab does not draw changes made in the background; call refresh()"))
    if browser_reason():
        return Diagnosis(False, what, browser_reason())
    if "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ or "JPY_PARENT_PID" in os.environ:
        return Diagnosis(True, what, "")
    return Diagnosis(False, what, _("this is a terminal; chatstages lab opens JupyterLab"))
