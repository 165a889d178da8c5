"""Watching sockets: the methods of `socket.socket` itself are replaced, so those of every socket there is.

So a socket that was made before the recording is watched, too, from the moment on when code of interest uses
it, and one that was made inside is an ordinary socket, before, while and after. What goes past these methods
(`os.write` to a descriptor, what TLS does inside) is not seen.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

from chatstages.microscope.model.recording import Kind
from chatstages.microscope.probes.code_filter import NOWHERE, Place
from chatstages.microscope.probes.patches import Patches, Wrapper
from chatstages.microscope.probes.recorder import Recorder, Seen, Step, variable

Socket = socket.socket
SHUT = {socket.SHUT_RD: "SHUT_RD", socket.SHUT_WR: "SHUT_WR", socket.SHUT_RDWR: "SHUT_RDWR"}
ACCEPT = Socket.accept.__code__


class Sockets:
    """The sockets that are watched: by descriptor, and by address, to find the two ends of a connection."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.by_fd: dict[int, Seen] = {}
        self._waiting: dict[tuple[object, object], Seen] = {}  # ends whose other end has not been seen yet
        recorder.vanished = self._vanished  # type: ignore[method-assign]

    # --- which sockets ---

    def made(self, sock: Socket, frame: FrameType, new: bool) -> None:
        """Watch `sock`, which has just been made, if any code of interest has a part in that."""
        if self._recorder.over or is_pairing(frame):
            return
        place = self._recorder.interest.place(frame)
        if place is not None:
            self._see(sock, place).whole = new

    def _see(self, sock: Socket, place: Place, role: str = "", which: int = 1) -> Seen:
        """Watch `sock` from now on, the first or the second that the line at `place` makes."""
        seen = self._recorder.see(sock, "socket", place, variable(place, which), role=role)
        seen.thing.datagram = sock.type == socket.SOCK_DGRAM
        seen.fd = sock.fileno()
        self.by_fd[seen.fd] = seen
        return seen

    def of(self, sock: Socket, frame: FrameType) -> Seen | None:
        """Return what is known of `sock`, which `frame` uses; None if it is not watched."""
        seen = self._recorder.known(sock)
        if seen is None:
            seen = self._recorder.used(sock, "socket", frame)
            if seen is not None:
                self._adopt(sock, seen)
        return seen

    def _adopt(self, sock: Socket, seen: Seen) -> None:
        """Take note of what a socket is that was not seen being made."""
        seen.fd, seen.thing.datagram = sock.fileno(), sock.type == socket.SOCK_DGRAM
        self.by_fd[seen.fd] = seen
        if ask(lambda: Socket.getsockopt(sock, socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
            seen.thing.role, seen.thing.local = "listener", address(ask(sock.getsockname))
        else:
            self.meet(sock, seen)

    def meet(self, sock: Socket, seen: Seen, role: str = "") -> None:
        """Take note of the addresses of `sock`, and of the other end of its connection."""
        thing = seen.thing
        thing.role = role or thing.role
        thing.local = address(ask(sock.getsockname)) or thing.local
        thing.remote = address(ask(sock.getpeername))
        if not thing.remote or thing.peer:
            return
        seen.known = True
        if not thing.local:
            return
        peer = self._waiting.pop((thing.remote, thing.local), None)
        if peer is not None and not peer.thing.peer:
            connect(seen, peer)
        else:
            self._waiting[thing.local, thing.remote] = seen

    def closed(self, seen: Seen) -> None:
        """Take note that the descriptor of `seen` is no longer its own."""
        seen.thing.closed = True
        if self.by_fd.get(seen.fd) is seen:
            del self.by_fd[seen.fd]
        self._waiting.pop((seen.thing.local, seen.thing.remote), None)
        seen.fd = -1

    def _vanished(self, seen: Seen) -> None:
        if seen.fd != -1:  # nobody has closed it: the system has just been told by Python
            self.closed(seen)
            Step(self._recorder, "close", seen.label, None).done(detail="nobody held it any more")

    # --- what is put in the place of their methods ---

    def watch(self, patches: Patches) -> None:
        """Replace the methods of all sockets."""
        simple: list[tuple[str, Kind, Callable[..., str], Callable[..., None]]] = [
            ("bind", "bind", show, self._bound),
            ("listen", "listen", lambda *args: " ".join(map(str, args)), self._listening),
            ("connect", "connect", show, self._connected),
            ("shutdown", "shutdown", lambda how: SHUT.get(how, str(how)), nothing),
            ("settimeout", "settimeout", str, nothing),
            ("setblocking", "settimeout", lambda flag: str(None if flag else 0.0), nothing),
        ]
        for name, kind, detail, then in simple:
            patches.put(Socket, name, self._simple(name, kind, detail, then))
        patches.put(Socket, "__init__", self._making())
        patches.put(Socket, "accept", self._accepting())
        patches.put(Socket, "connect_ex", self._trying())
        patches.put(Socket, "close", self._closing())
        patches.put(Socket, "detach", self._detaching())
        patches.replace(socket, "socketpair", self._pairing())

    def _making(self) -> Wrapper:
        original = Socket.__init__

        @wraps(original)
        def __init__(sock: Socket, *args: Any, **kwargs: Any) -> None:
            original(sock, *args, **kwargs)
            frame = sys._getframe(1)
            taken_over = kwargs.get("fileno", args[3] if len(args) > 3 else None) is not None
            self.made(sock, frame, not taken_over or frame.f_code is ACCEPT)

        return __init__

    def _simple(
        self, name: str, kind: Kind, detail: Callable[..., str], then: Callable[[Socket, Seen], None]
    ) -> Wrapper:
        original = getattr(Socket, name)

        @wraps(original)
        def call(sock: Socket, *args: Any) -> Any:
            frame = sys._getframe(1)
            seen = self.of(sock, frame)
            if seen is None or frame.f_code is ACCEPT:
                return original(sock, *args)
            step = self._recorder.step(kind, seen, frame)
            try:
                if kind == "connect" and sock.gettimeout() != 0.0:
                    step.waits(told(detail, args))
                result = original(sock, *args)
            except BaseException as error:
                if kind == "connect" and isinstance(error, BlockingIOError):
                    seen.thing.role = "client"  # it will be: `meet` is called with the first bytes
                step.failed(error, detail=told(detail, args))
                raise
            then(sock, seen)
            step.done(detail=told(detail, args))
            return result

        return call

    def _bound(self, sock: Socket, seen: Seen) -> None:
        seen.thing.local = address(ask(sock.getsockname))

    def _listening(self, sock: Socket, seen: Seen) -> None:
        seen.thing.role = "listener"
        self._bound(sock, seen)

    def _connected(self, sock: Socket, seen: Seen) -> None:
        self.meet(sock, seen, "client")

    def _trying(self) -> Wrapper:
        original = Socket.connect_ex

        @wraps(original)
        def connect_ex(sock: Socket, *args: Any) -> int:
            frame = sys._getframe(1)
            seen = self.of(sock, frame)
            if seen is None:
                return original(sock, *args)
            step = self._recorder.step("connect", seen, frame)
            try:
                if sock.gettimeout() != 0.0:
                    step.waits(told(show, args))
                code = original(sock, *args)
            except BaseException as error:
                step.failed(error, detail=told(show, args))
                raise
            seen.thing.role = "client"
            if code == 0:
                self._connected(sock, seen)
            error_text = f"{errno.errorcode.get(code, code)}: {os.strerror(code)}" if code else ""
            step.done(detail=show(*args), error=error_text)
            return code

        return connect_ex

    def _accepting(self) -> Wrapper:
        original = Socket.accept

        @wraps(original)
        def accept(sock: Socket) -> tuple[Socket, Any]:
            frame = sys._getframe(1)
            seen = self._listener(sock, frame)
            if seen is None:
                return original(sock)
            step = self._recorder.step("accept", seen, frame)
            try:
                if sock.gettimeout() != 0.0:
                    step.waits()
                conn, where = original(sock)
            except BaseException as error:
                step.failed(error)
                raise
            other = self._recorder.known(conn) or self._see(conn, NOWHERE)
            self.meet(conn, other, "server")
            step.done(other=other.label, detail=show(where))
            return conn, where

        return accept

    def _listener(self, sock: Socket, frame: FrameType) -> Seen | None:
        """Return what is known of `sock`, which accepts; also when our machinery does it for a stage."""
        seen = self._recorder.known(sock)
        wanted = seen is None and not self._recorder.over and not is_pairing(frame)
        if wanted and self._recorder.interest.place(frame) is not None:
            seen = self._recorder.see(sock, "socket", NOWHERE)
            self._adopt(sock, seen)
        return seen

    def _closing(self) -> Wrapper:
        original = Socket.close

        @wraps(original)
        def close(sock: Socket) -> None:
            frame = sys._getframe(1)
            seen = self._recorder.known(sock) if sock.fileno() == -1 else self.of(sock, frame)
            if seen is None or seen.fd == -1:  # it was closed before: nothing happens
                return original(sock)
            step = self._recorder.step("close", seen, frame)
            # The system gives the number to the next socket as soon as it is free.
            self.by_fd.pop(seen.fd, None)
            try:
                original(sock)
            except BaseException as error:
                step.failed(error)
                raise
            if sock.fileno() == -1:
                self.closed(seen)
                step.done()
            else:
                self.by_fd[seen.fd] = seen
                step.done(detail="stays open: a file made from it is open")
            return None

        return close

    def _detaching(self) -> Wrapper:
        original = Socket.detach

        @wraps(original)
        def detach(sock: Socket) -> int:
            frame = sys._getframe(1)
            seen = self._recorder.known(sock)
            fd = original(sock)
            if seen is not None and seen.fd != -1:
                step = self._recorder.step("close", seen, frame)
                self.closed(seen)
                step.done(detail=f"detached: {fd} belongs to somebody else now")
            return fd

        return detach

    def _pairing(self) -> Wrapper:
        original = socket.socketpair

        @wraps(original)
        def socketpair(*args: Any, **kwargs: Any) -> tuple[Socket, Socket]:
            one, two = original(*args, **kwargs)
            frame = sys._getframe(1)
            # Not what wakes a selector, ours or asyncio's: only pairs that code of interest makes itself.
            if not self._recorder.over and self._recorder.interest.in_frame(frame):
                place = self._recorder.interest.place(frame) or NOWHERE
                ends = self._see(one, place, "pair"), self._see(two, place, "pair", 2)
                for end in ends:
                    end.known = end.whole = True
                connect(*ends)
            return one, two

        return socketpair


def is_pairing(frame: FrameType) -> bool:
    """Tell whether `frame` makes a pair of sockets: that is one thing, and seen when it is done."""
    code = frame.f_code
    return code.co_filename == socket.__file__ and code.co_name in ("socketpair", "_fallback_socketpair")


def connect(one: Seen, two: Seen) -> None:
    """Take note that the two are the ends of one connection."""
    one.thing.peer, two.thing.peer = two.label, one.label


def ask(question: Callable[[], Any]) -> Any:
    """Return the answer of the system, or None: the socket may be closed, or not connected."""
    try:
        return question()
    except OSError:
        return None


def address(found: Any) -> Any:
    """Return an address in the form in which both ends have it: an IPv4 one behind IPv6 as IPv4."""
    if isinstance(found, tuple) and len(found) >= 2:
        return (str(found[0]).removeprefix("::ffff:"), found[1])
    return os.fsdecode(found) if isinstance(found, bytes) else found or None


def show(where: Any, *_others: Any) -> str:
    """Return an address as people write it."""
    where = address(where)
    return f"{where[0]}:{where[1]}" if isinstance(where, tuple) else str(where)


def told(detail: Callable[..., str], args: tuple[Any, ...]) -> str:
    """Return what there is to say about `args`, which may be wrong ones."""
    try:
        return detail(*args)
    except Exception:
        return ""


def nothing(_sock: Socket, _seen: Seen) -> None:
    """There is nothing more to do."""
