"""Sockets: making, connecting, accepting and closing them. `traffic` records the bytes that they carry.

The methods of `socket.socket` itself are patched, so those of every socket there is: a socket that was made
before the recording is tracked from its first use in watched code on, and a socket that is made during the
recording is an ordinary one. A subclass that overrides a method is patched as well (`subclasses`). What uses
neither (`os.write` to a descriptor) is not recorded.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import weakref
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

from chatstages.microscope.model.recording import TraceKind
from chatstages.microscope.probes.code_filter import NOWHERE, Location
from chatstages.microscope.probes.patches import Patches, Wrapper, without_our_frame
from chatstages.microscope.probes.recorder import RecordedCall, Recorder, TrackedObject, assigned_name
from chatstages.microscope.probes.subclasses import Makers, quietly

Socket = socket.socket
SHUT = {socket.SHUT_RD: "SHUT_RD", socket.SHUT_WR: "SHUT_WR", socket.SHUT_RDWR: "SHUT_RDWR"}
ACCEPT = Socket.accept.__code__

Detail = Callable[..., str]
Then = Callable[[Socket, TrackedObject], None]


class Sockets:
    """The tracked sockets: by descriptor, and by address, to find the two ends of a connection."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.by_fd: dict[int, TrackedObject] = {}
        self._unpaired: dict[tuple[object, object], TrackedObject] = {}  # by (local, remote) address
        # Sockets that an overriding method has made for itself, by id, while they live: their use is not
        # recorded. The second field: whether the socket was new, rather than made from a descriptor.
        self._hidden: dict[int, tuple[weakref.ref[Socket], bool]] = {}
        self._handed_over: dict[
            int, TrackedObject
        ] = {}  # by descriptor: detached inside an overriding method
        recorder.on_collected = self._collected  # type: ignore[method-assign]

    # --- which sockets are tracked ---

    def made(self, sock: Socket, frame: FrameType, new: bool) -> None:
        """Track `sock`, just made (`new`: not from a descriptor), if watched code is on the stack."""
        if self._recorder.ended or is_pairing(frame):
            return
        location = self._recorder.code_filter.location(frame)
        if location is not None:
            self._track(sock, location, new=new)

    def _track(
        self, sock: Socket, location: Location, role: str = "", which: int = 1, new: bool = False
    ) -> TrackedObject:
        """Track `sock` from now on, the first or the second socket that the line of code makes."""
        tracked = self._handed_over.pop(sock.fileno(), None)
        if tracked is not None:  # the same connection in another object
            self._recorder.replace(tracked, sock)
            return tracked
        name = assigned_name(location, which)
        tracked = self._recorder.track(sock, "socket", location, name, role=role)
        tracked.thing.datagram = sock.type == socket.SOCK_DGRAM
        tracked.from_first_byte = new and not sends_in_its_own_way(type(sock))
        tracked.fd = sock.fileno()
        self.by_fd[tracked.fd] = tracked
        return tracked

    def of(self, sock: Socket, frame: FrameType) -> TrackedObject | None:
        """Return the tracked object of `sock`, which `frame` uses; None where its calls are not recorded."""
        if self._recorder.inside and self._recorder.is_inside():
            return None
        tracked = self._recorder.find(sock)
        if tracked is None and id(sock) not in self._hidden:
            tracked = self._recorder.find_or_track(sock, "socket", frame)
            if tracked is not None:
                self._inspect(sock, tracked)
        return tracked

    def _inspect(self, sock: Socket, tracked: TrackedObject) -> None:
        """Ask the system what a socket is that was made before it was tracked."""
        tracked.fd, tracked.thing.datagram = sock.fileno(), sock.type == socket.SOCK_DGRAM
        self.by_fd[tracked.fd] = tracked
        if ask(lambda: Socket.getsockopt(sock, socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
            tracked.thing.role, tracked.thing.local = "listener", address(ask(sock.getsockname))
        else:
            self.learn_addresses(sock, tracked)

    def learn_addresses(self, sock: Socket, tracked: TrackedObject, role: str = "") -> None:
        """Ask the system for the addresses of `sock`, and pair it with the other end of its connection."""
        thing = tracked.thing
        thing.role = role or thing.role
        thing.local = address(ask(sock.getsockname)) or thing.local
        thing.remote = address(ask(sock.getpeername))
        if not thing.remote or thing.peer:
            return
        tracked.addresses_known = True
        if not thing.local:
            return
        peer = self._unpaired.pop((thing.remote, thing.local), None)
        if peer is not None and not peer.thing.peer:
            pair(tracked, peer)
        else:
            self._unpaired[thing.local, thing.remote] = tracked

    def closed(self, tracked: TrackedObject) -> None:
        """Record that the descriptor of `tracked` is no longer its own."""
        tracked.thing.closed = True
        if self.by_fd.get(tracked.fd) is tracked:
            del self.by_fd[tracked.fd]
        self._unpaired.pop((tracked.thing.local, tracked.thing.remote), None)
        tracked.fd = -1

    def _collected(self, tracked: TrackedObject) -> None:
        if tracked.fd != -1:  # nobody has closed it: Python has just done so
            self.closed(tracked)
            detail = "nobody held it any more"
            RecordedCall(self._recorder, "close", tracked.label, None).finish(detail=detail)

    def _hide(self, sock: Socket, new: bool) -> None:
        """Record no use of `sock`, unless an overriding `accept` or `__init__` hands it out."""
        key = id(sock)
        self._hidden[key] = weakref.ref(sock, lambda _ref: self._hidden.pop(key, None)), new

    def _reveal(self, sock: Socket) -> bool:
        """Hide `sock` no longer; return whether it was new, rather than made from a descriptor."""
        _ref, new = self._hidden.pop(id(sock), (None, False))
        return new

    # --- what is patched ---

    def makers(self) -> Makers:
        """Return, of each method, what makes its patched form from the original."""
        simple: list[tuple[str, TraceKind, Detail, Then]] = [
            ("bind", "bind", show, self._bound),
            ("listen", "listen", lambda *args: " ".join(map(str, args)), self._listening),
            ("connect", "connect", show, self._connected),
            ("shutdown", "shutdown", lambda how: SHUT.get(how, str(how)), nothing),
            ("settimeout", "settimeout", str, nothing),
            ("setblocking", "settimeout", lambda flag: str(None if flag else 0.0), nothing),
        ]
        found: Makers = {name: self._simple(kind, detail, then) for name, kind, detail, then in simple}
        found |= {"accept": self._accepting, "connect_ex": self._trying}
        return found | {"close": self._closing, "detach": self._detaching, "__init__": self._making}

    def install(self, patches: Patches) -> None:
        """Patch the methods of all sockets, and `socketpair`."""
        for name, make in self.makers().items():
            patches.put(Socket, name, make(getattr(Socket, name), False))
        patches.replace(socket, "socketpair", self._pairing())

    def _making(self, original: Wrapper, overrides: bool) -> Wrapper:
        recorder = self._recorder
        perform = quietly(recorder, original) if overrides else original

        @wraps(original)
        def __init__(sock: Socket, *args: Any, **kwargs: Any) -> None:
            is_inside = recorder.is_inside()
            try:
                (original if is_inside else perform)(sock, *args, **kwargs)
            except BaseException as error:
                without_our_frame(error)
                raise
            frame = sys._getframe(1)
            if overrides:
                if not is_inside:
                    self.made(sock, frame, self._reveal(sock))
                return
            taken_over = kwargs.get("fileno", args[3] if len(args) > 3 else None) is not None
            new = not taken_over or frame.f_code is ACCEPT
            if is_inside:
                self._hide(sock, new)
            else:
                self.made(sock, frame, new)

        return __init__

    def _simple(self, kind: TraceKind, detail: Detail, then: Then) -> Callable[[Wrapper, bool], Wrapper]:
        """Return what patches a method that needs nothing but to be recorded; `then` runs after a success."""
        recorder = self._recorder

        def make(original: Wrapper, overrides: bool) -> Wrapper:
            perform = quietly(recorder, original) if overrides else original

            @wraps(original)
            def method(sock: Socket, *args: Any, **kwargs: Any) -> Any:
                frame = sys._getframe(1)
                tracked = self.of(sock, frame)
                if tracked is None or frame.f_code is ACCEPT:
                    return original(sock, *args, **kwargs)
                recorded = recorder.begin_call(kind, tracked, frame)
                try:
                    if overrides or (kind == "connect" and sock.gettimeout() != 0.0):
                        recorded.may_block(told(detail, args), around=overrides)
                    result = perform(sock, *args, **kwargs)
                except BaseException as error:
                    if kind == "connect" and isinstance(error, BlockingIOError):
                        tracked.thing.role = "client"  # its addresses are asked for with its first bytes
                    recorded.fail(error, detail=told(detail, args))
                    raise
                then(sock, tracked)
                recorded.finish(detail=told(detail, args))
                return result

            return method

        return make

    def _bound(self, sock: Socket, tracked: TrackedObject) -> None:
        tracked.thing.local = address(ask(sock.getsockname))

    def _listening(self, sock: Socket, tracked: TrackedObject) -> None:
        tracked.thing.role = "listener"
        self._bound(sock, tracked)

    def _connected(self, sock: Socket, tracked: TrackedObject) -> None:
        self.learn_addresses(sock, tracked, "client")

    def _trying(self, original: Wrapper, overrides: bool) -> Wrapper:
        perform = quietly(self._recorder, original) if overrides else original

        @wraps(original)
        def connect_ex(sock: Socket, *args: Any) -> int:
            frame = sys._getframe(1)
            tracked = self.of(sock, frame)
            if tracked is None:
                return original(sock, *args)  # type: ignore[no-any-return]
            recorded = self._recorder.begin_call("connect", tracked, frame)
            try:
                if overrides or sock.gettimeout() != 0.0:
                    recorded.may_block(told(show, args), around=overrides)
                code: int = perform(sock, *args)
            except BaseException as error:
                recorded.fail(error, detail=told(show, args))
                raise
            tracked.thing.role = "client"
            if code == 0:
                self._connected(sock, tracked)
            error_text = f"{errno.errorcode.get(code, code)}: {os.strerror(code)}" if code else ""
            recorded.finish(detail=told(show, args), error=error_text)
            return code

        return connect_ex

    def _accepting(self, original: Wrapper, overrides: bool) -> Wrapper:
        perform = quietly(self._recorder, original) if overrides else original

        @wraps(original)
        def accept(sock: Socket, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            tracked = self._listener(sock, frame)
            if tracked is None:
                return original(sock, *args, **kwargs)
            recorded = self._recorder.begin_call("accept", tracked, frame)
            try:
                if overrides or sock.gettimeout() != 0.0:
                    recorded.may_block(around=overrides)
                result = perform(sock, *args, **kwargs)
            except BaseException as error:
                recorded.fail(error)
                raise
            if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Socket):
                other = self._accepted(result[0], frame)
                recorded.finish(other=other.label, detail=show(result[1]))
            else:  # an overriding method may return what it likes
                recorded.finish()
            return result

        return accept

    def _accepted(self, conn: Socket, frame: FrameType) -> TrackedObject:
        """Return the tracked object of `conn`, which an `accept` that `frame` has called returned."""
        other = self._recorder.find(conn)
        if other is None:
            location = self._recorder.code_filter.location(frame) or NOWHERE
            self._reveal(conn)
            other = self._track(conn, location, new=True)
        self.learn_addresses(conn, other, "server")
        return other

    def _listener(self, sock: Socket, frame: FrameType) -> TrackedObject | None:
        """Return the tracked object of `sock`, which accepts; other code may do so for watched code."""
        if self._recorder.is_inside():
            return None
        tracked = self._recorder.find(sock)
        wanted = tracked is None and not self._recorder.ended and not is_pairing(frame)
        if wanted and id(sock) not in self._hidden and self._recorder.code_filter.location(frame) is not None:
            tracked = self._recorder.track(sock, "socket", NOWHERE)
            self._inspect(sock, tracked)
        return tracked

    def _closing(self, original: Wrapper, overrides: bool) -> Wrapper:
        perform = quietly(self._recorder, original) if overrides else original

        @wraps(original)
        def close(sock: Socket) -> None:
            frame = sys._getframe(1)
            if self._recorder.is_inside():
                return original(sock)  # type: ignore[no-any-return]
            tracked = self._recorder.find(sock) if sock.fileno() == -1 else self.of(sock, frame)
            if tracked is None or tracked.fd == -1:  # it was closed before: nothing happens
                return original(sock)  # type: ignore[no-any-return]
            recorded = self._recorder.begin_call("close", tracked, frame)
            # The system gives the descriptor to the next socket as soon as it is free.
            self.by_fd.pop(tracked.fd, None)
            try:
                perform(sock)
            except BaseException as error:
                recorded.fail(error)
                raise
            if sock.fileno() == -1:
                self.closed(tracked)
                recorded.finish()
            else:
                self.by_fd[tracked.fd] = tracked
                recorded.finish(detail="stays open: a file made from it is open")
            return None

        return close

    def _detaching(self, original: Wrapper, overrides: bool) -> Wrapper:
        perform = quietly(self._recorder, original) if overrides else original

        @wraps(original)
        def detach(sock: Socket) -> int:
            frame, is_inside = sys._getframe(1), self._recorder.is_inside()
            tracked = self._recorder.find(sock)
            fd: int = (original if is_inside else perform)(sock)
            if tracked is not None and tracked.fd != -1:
                if is_inside:
                    self._handed_over[fd] = tracked
                else:
                    recorded = self._recorder.begin_call("close", tracked, frame)
                    self.closed(tracked)
                    recorded.finish(detail=f"detached: {fd} belongs to somebody else now")
            return fd

        return detach

    def _pairing(self) -> Wrapper:
        original = socket.socketpair

        @wraps(original)
        def socketpair(*args: Any, **kwargs: Any) -> tuple[Socket, Socket]:
            one, two = original(*args, **kwargs)
            frame = sys._getframe(1)
            # Only pairs that watched code makes itself: not the wakers of selectors and of asyncio.
            if (
                not self._recorder.ended
                and not self._recorder.is_inside()
                and self._recorder.code_filter.includes_frame(frame)
            ):
                location = self._recorder.code_filter.location(frame) or NOWHERE
                ends = (
                    self._track(one, location, "pair", new=True),
                    self._track(two, location, "pair", 2, new=True),
                )
                for end in ends:
                    end.addresses_known = True
                pair(*ends)
            return one, two

        return socketpair


def is_pairing(frame: FrameType) -> bool:
    """Tell whether `frame` is inside `socketpair`, which is recorded as one when it is done."""
    code = frame.f_code
    return code.co_filename == socket.__file__ and code.co_name in ("socketpair", "_fallback_socketpair")


def sends_in_its_own_way(cls: type[Socket]) -> bool:
    """Tell whether the system may get other bytes than the caller has given, as with TLS."""
    before = cls.__mro__[: cls.__mro__.index(Socket)]
    return any(name in vars(each) for each in before for name in ("send", "sendall"))


def pair(one: TrackedObject, two: TrackedObject) -> None:
    """Record that the two are the ends of one connection."""
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


def told(detail: Detail, args: tuple[Any, ...]) -> str:
    """Return the detail of a call with `args`; "" where they are wrong: the call itself will say so."""
    try:
        return detail(*args)
    except Exception:
        return ""


def nothing(_sock: Socket, _tracked: TrackedObject) -> None:
    """Do nothing after the call."""
