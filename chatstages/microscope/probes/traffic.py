"""Traffic: every byte that a socket sends or receives, by whatever method."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

from chatstages.microscope.model.recording import TraceKind
from chatstages.microscope.probes.patches import Patches, Wrapper
from chatstages.microscope.probes.recorder import Recorder, TrackedObject
from chatstages.microscope.probes.sockets import Socket, Sockets, ask, show
from chatstages.microscope.probes.subclasses import Makers, quietly

# What a call has received: from its arguments and its result.
RECEIVING: dict[str, Callable[[tuple[Any, ...], Any], Any]] = {
    "recv": lambda args, result: result,
    "recvfrom": lambda args, result: result[0],
    "recvmsg": lambda args, result: result[0],
    "recv_into": lambda args, result: view(args[0])[:result],
    "recvfrom_into": lambda args, result: view(args[0])[: result[0]],
    "recvmsg_into": lambda args, result: b"".join(bytes(part) for part in args[0])[: result[0]],
}
# The place of the flags among the arguments of each.
FLAGS = {"recv": 1, "recvfrom": 1, "recvmsg": 2, "recv_into": 2, "recvfrom_into": 2, "recvmsg_into": 2}
# What a call is to send: from its arguments.
SENDING: dict[str, Callable[[tuple[Any, ...]], memoryview]] = {
    "send": lambda args: view(args[0]),
    "sendto": lambda args: view(args[0]),
    "sendmsg": lambda args: view(b"".join(bytes(part) for part in args[0])),
    "sendall": lambda args: view(args[0]),
}
PROBES = f"{Path(__file__).parent}{os.sep}"
BEGINNING = 64  # bytes that are kept of what a short write has left over


class Traffic:
    """The methods that send and receive."""

    def __init__(self, recorder: Recorder, sockets: Sockets) -> None:
        self._recorder, self._sockets = recorder, sockets

    def makers(self) -> Makers:
        """Return, of each method that this system has, what makes its patched form from the original."""
        found: Makers = {name: self._receiving(name) for name in RECEIVING if hasattr(Socket, name)}
        return found | {name: self._sending(name) for name in SENDING if hasattr(Socket, name)}

    def install(self, patches: Patches) -> None:
        """Patch these methods of all sockets."""
        for name, make in self.makers().items():
            patches.put(Socket, name, make(getattr(Socket, name), False))
        if hasattr(Socket, "_sendfile_use_sendfile"):  # where the system copies a file by itself
            patches.put(Socket, "_sendfile_use_sendfile", self._sending_a_file())

    def _receiving(self, name: str) -> Callable[[Wrapper, bool], Wrapper]:
        taken, flags = RECEIVING[name], FLAGS[name]
        recorder = self._recorder

        def make(original: Wrapper, overrides: bool) -> Wrapper:
            perform = quietly(recorder, original) if overrides else original

            @wraps(original)
            def receive(sock: Socket, *args: Any, **kwargs: Any) -> Any:
                frame = sys._getframe(1)
                tracked = self._sockets.of(sock, frame)
                if tracked is None and overrides_it(sock, name, frame):
                    # An overriding method that has waited since before the recording: record its caller.
                    frame = caller(frame)
                    tracked = self._sockets.of(sock, frame)
                if tracked is None:
                    return original(sock, *args, **kwargs)
                given = args
                if kwargs:  # recv_into(buffer=…, nbytes=…, flags=…)
                    given = (*args, *(kwargs.get(n, 0) for n in ("buffer", "nbytes", "flags")[len(args) :]))
                # To peek takes nothing: it waits for the socket and looks, as a selector does.
                peek = len(given) > flags and isinstance(given[flags], int) and given[flags] & socket.MSG_PEEK
                kind: TraceKind = "select" if peek else "recv"
                recorded = recorder.begin_call(kind, tracked, frame)
                detail = tracked.label if peek else ""
                try:
                    if overrides:
                        recorded.may_block(detail, around=True)
                    elif sock.gettimeout() != 0.0:
                        recorded.may_block(detail)
                    result = perform(sock, *args, **kwargs)
                except BaseException as error:
                    recorded.fail(error, detail=detail)
                    raise
                if peek:
                    recorded.finish(detail=detail, other=tracked.label)
                    return result
                if not tracked.addresses_known:
                    self._sockets.learn_addresses(sock, tracked)
                    tracked.addresses_known = True
                if name.startswith("recvfrom") and isinstance(result, tuple) and result[1]:
                    detail = show(result[1])
                data = anything(taken, given, result) if overrides else bytes(taken(given, result))
                recorded.finish(stream=tracked, data=data, detail=detail)
                return result

            return receive

        return make

    def _sending(self, name: str) -> Callable[[Wrapper, bool], Wrapper]:
        recorder = self._recorder

        def make(original: Wrapper, overrides: bool) -> Wrapper:
            perform = quietly(recorder, original) if overrides else original

            @wraps(original)
            def send(sock: Socket, *args: Any, **kwargs: Any) -> Any:
                frame = sys._getframe(1)
                tracked = self._sockets.of(sock, frame)
                if tracked is None:
                    return original(sock, *args, **kwargs)
                if name == "sendmsg" and args:
                    args = ([*args[0]], *args[1:])  # it may be an iterator, which can be read once
                recorded = recorder.begin_call("send", tracked, frame)
                given = to_send(name, (*args, *kwargs.values()) if kwargs else args)
                try:
                    if overrides:
                        recorded.may_block(size=len(given), around=True)
                    else:  # also where it cannot block: its bytes may arrive before its event is written
                        recorded.may_block(size=len(given))
                    result = perform(sock, *args, **kwargs)
                except BaseException as error:
                    data, detail = handed_over(sock, tracked, given) if name == "sendall" else (b"", "")
                    recorded.fail(error, stream=tracked, data=data, detail=detail)
                    given.release()
                    raise
                if not tracked.addresses_known:
                    self._sockets.learn_addresses(sock, tracked)
                    tracked.addresses_known = True
                detail = show(args[-1]) if name == "sendto" else ""
                size = result if isinstance(result, int) else len(given)
                if size < len(given):
                    detail = f"{size} of {len(given)} bytes"
                rest = bytes(given[size : size + BEGINNING])
                is_whole = bool(args) and isinstance(args[0], bytes) and not rest  # nothing to copy then
                data = args[0] if is_whole else bytes(given[:size])
                recorded.finish(stream=tracked, data=data, detail=detail, rest=rest)
                given.release()  # else a bytearray could not grow
                return result

            return send

        return make

    def _sending_a_file(self) -> Wrapper:
        original = Socket._sendfile_use_sendfile  # type: ignore[attr-defined]

        @wraps(original)
        def sendfile(sock: Socket, file: Any, offset: int = 0, count: int | None = None) -> Any:
            frame = sys._getframe(1)
            tracked = None if self._recorder.is_inside() else self._recorder.find(sock)
            if tracked is None:
                return original(sock, file, offset, count)
            recorded = self._recorder.begin_call("send", tracked, frame)
            recorded.may_block()
            try:
                sent = original(sock, file, offset, count)
            except BaseException as error:
                if isinstance(error, socket._GiveupOnSendfile):  # type: ignore[attr-defined]
                    raise  # then `send` is used for it
                sent = max(0, file.tell() - offset)  # the system has moved the file's position
                recorded.fail(error, stream=tracked, data=part_of(file, offset, sent))
                raise
            recorded.finish(stream=tracked, data=part_of(file, offset, sent))
            return sent

        return sendfile


def overrides_it(sock: Socket, name: str, frame: FrameType) -> bool:
    """Tell whether `frame` runs the method `name` of the class of `sock`, which overrides `socket`'s."""
    method = getattr(type(sock), name)
    original = getattr(method, "__wrapped__", method)
    return getattr(original, "__code__", None) is frame.f_code


def caller(frame: FrameType) -> FrameType:
    """Return the frame that called `frame`, past those of the probes: also an earlier recording's."""
    back = frame.f_back
    while back is not None and back.f_code.co_filename.startswith(PROBES):
        back = back.f_back
    return back or frame


def view(data: Any) -> memoryview:
    """Return the bytes of `data`: bytes, a bytearray, an array, or a str, which a subclass may send."""
    return memoryview(data.encode() if isinstance(data, str) else data).cast("B")


def to_send(name: str, args: tuple[Any, ...]) -> memoryview:
    """Return what the call is to send; nothing where that cannot be sent: the call itself will say so."""
    try:
        return SENDING[name](args)
    except (TypeError, ValueError, IndexError):
        return memoryview(b"")


def anything(taken: Callable[[tuple[Any, ...], Any], Any], given: tuple[Any, ...], result: Any) -> bytes:
    """Return what an overriding method has received; such a method may return whatever it likes."""
    try:
        return bytes(view(taken(given, result)))
    except (TypeError, ValueError, IndexError):
        return b""


def part_of(file: Any, offset: int, size: int) -> bytes:
    """Return a part of a file that has been sent, and leave its position as it is."""
    position = file.tell()
    file.seek(offset)
    data: bytes = file.read(size)
    file.seek(position)
    return data


def handed_over(sock: Socket, tracked: TrackedObject, given: memoryview) -> tuple[bytes, str]:
    """Return the part of `given` that a failed `sendall` has handed to the system, and the event's detail."""
    total = handed_over_in_all(sock)
    size = -1 if total is None else total - tracked.thing.sent
    if not given:
        return b"", ""
    if tracked.from_first_byte and 0 <= size <= len(given):
        return bytes(given[:size]), f"{size} of {len(given)} bytes"
    return b"", f"how many of {len(given)} bytes went out is not known"


def handed_over_in_all(sock: Socket) -> int | None:
    """Return how many bytes the system has taken for `sock` so far; None where it does not tell.

    Linux does (`struct tcp_info`, since 4.19): the bytes that were sent, without retransmissions, and those
    that were not sent yet.
    """
    if not sys.platform.startswith("linux") or sock.fileno() == -1:
        return None
    info = ask(lambda: Socket.getsockopt(sock, socket.IPPROTO_TCP, socket.TCP_INFO, 256))
    if info is None or len(info) < 216:
        return None
    (unsent,) = struct.unpack_from("I", info, 144)
    sent, again = struct.unpack_from("QQ", info, 200)
    return int(sent - again + unsent)
