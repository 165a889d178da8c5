"""Watching what sockets carry: every byte that is sent and received, by whatever method."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from chatstages.microscope.model.recording import Kind
from chatstages.microscope.probes.patches import Patches, Wrapper
from chatstages.microscope.probes.recorder import Recorder, Seen
from chatstages.microscope.probes.sockets import Socket, Sockets, ask, show

# What a call has received: from its arguments and its result.
RECEIVING: dict[str, Callable[[tuple[Any, ...], Any], Any]] = {
    "recv": lambda args, result: result,
    "recvfrom": lambda args, result: result[0],
    "recvmsg": lambda args, result: result[0],
    "recv_into": lambda args, result: head(args[0], result),
    "recvfrom_into": lambda args, result: head(args[0], result[0]),
    "recvmsg_into": lambda args, result: b"".join(bytes(part) for part in args[0])[: result[0]],
}
BEGINNING = 64  # bytes that are kept of what a send has left over
FLAGS = {"recv": 1, "recvfrom": 1, "recvmsg": 2, "recv_into": 2, "recvfrom_into": 2, "recvmsg_into": 2}
# What a call was given to send.
SENDING: dict[str, Callable[[tuple[Any, ...]], memoryview]] = {
    "send": lambda args: view(args[0]),
    "sendto": lambda args: view(args[0]),
    "sendmsg": lambda args: view(b"".join(bytes(part) for part in args[0])),
    "sendall": lambda args: view(args[0]),
}


class Traffic:
    """The methods that send and receive."""

    def __init__(self, recorder: Recorder, sockets: Sockets) -> None:
        self._recorder, self._sockets = recorder, sockets

    def watch(self, patches: Patches) -> None:
        """Replace these methods of all sockets."""
        for name in RECEIVING:
            if hasattr(Socket, name):  # not every system has recvmsg and sendmsg
                patches.put(Socket, name, self._receiving(name))
        for name in SENDING:
            if hasattr(Socket, name):
                patches.put(Socket, name, self._sending(name))
        if hasattr(Socket, "_sendfile_use_sendfile"):  # where the system copies a file without our seeing it
            patches.put(Socket, "_sendfile_use_sendfile", self._sending_a_file())

    def _receiving(self, name: str) -> Wrapper:
        original, taken, flags = getattr(Socket, name), RECEIVING[name], FLAGS[name]
        recorder = self._recorder

        @wraps(original)
        def receive(sock: Socket, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            seen = self._sockets.of(sock, frame)
            if seen is None:
                return original(sock, *args, **kwargs)
            given = args
            if kwargs:  # recv_into(buffer=…, nbytes=…, flags=…)
                given = (*args, *(kwargs.get(n, 0) for n in ("buffer", "nbytes", "flags")[len(args) :]))
            # To peek takes nothing: it waits for the socket and looks, as a selector does.
            peek = len(given) > flags and isinstance(given[flags], int) and given[flags] & socket.MSG_PEEK
            kind: Kind = "select" if peek else "recv"
            step = recorder.step(kind, seen, frame)
            detail = seen.label if peek else ""
            try:
                if sock.gettimeout() != 0.0:
                    step.waits(detail)
                result = original(sock, *args, **kwargs)
            except BaseException as error:
                step.failed(error, detail=detail)
                raise
            if peek:
                step.done(detail=detail, other=seen.label)
                return result
            if not seen.known:
                self._sockets.meet(sock, seen)
                seen.known = True
            if name.startswith("recvfrom") and result[1]:
                detail = show(result[1])
            step.done(stream=seen, data=bytes(taken(given, result)), detail=detail)
            return result

        return receive

    def _sending(self, name: str) -> Wrapper:
        original = getattr(Socket, name)
        recorder = self._recorder

        @wraps(original)
        def send(sock: Socket, *args: Any) -> Any:
            frame = sys._getframe(1)
            seen = self._sockets.of(sock, frame)
            if seen is None:
                return original(sock, *args)
            if name == "sendmsg" and args:
                args = ([*args[0]], *args[1:])  # it may be an iterator, which can be read once
            step, given = recorder.step("send", seen, frame), to_send(name, args)
            try:
                if sock.gettimeout() != 0.0:
                    step.waits(size=len(given))
                result = original(sock, *args)
            except BaseException as error:
                data, detail = gone_out(sock, seen, given) if name == "sendall" and args else (b"", "")
                step.failed(error, stream=seen, data=data, detail=detail)
                given.release()
                raise
            if not seen.known:
                self._sockets.meet(sock, seen)
                seen.known = True
            detail = show(args[-1]) if name == "sendto" else ""
            size = len(given) if result is None else result
            if size < len(given):
                detail = f"{size} of {len(given)} bytes"
            rest = bytes(given[size : size + BEGINNING])
            is_whole = isinstance(args[0], bytes) and not rest  # then there is nothing to copy
            data = args[0] if is_whole else bytes(given[:size])
            step.done(stream=seen, data=data, detail=detail, rest=rest)
            given.release()  # else a bytearray could not grow
            return result

        return send

    def _sending_a_file(self) -> Wrapper:
        original = Socket._sendfile_use_sendfile  # type: ignore[attr-defined]

        @wraps(original)
        def sendfile(sock: Socket, file: Any, offset: int = 0, count: int | None = None) -> Any:
            frame = sys._getframe(1)
            seen = self._recorder.known(sock)
            if seen is None:
                return original(sock, file, offset, count)
            step = self._recorder.step("send", seen, frame)
            step.waits()
            try:
                sent = original(sock, file, offset, count)
            except BaseException as error:
                if isinstance(error, socket._GiveupOnSendfile):  # type: ignore[attr-defined]
                    raise  # then it is done with `send`
                sent = max(0, file.tell() - offset)  # it leaves the file where it has come to
                step.failed(error, stream=seen, data=part_of(file, offset, sent))
                raise
            step.done(stream=seen, data=part_of(file, offset, sent))
            return sent

        return sendfile


def view(data: Any) -> memoryview:
    """Return what the system gets to see of `data`: bytes, a bytearray, an array."""
    return memoryview(data).cast("B")


def to_send(name: str, args: tuple[Any, ...]) -> memoryview:
    """Return what the call was given to send; nothing where that cannot be sent: the call will say so."""
    try:
        return SENDING[name](args)
    except (TypeError, ValueError, IndexError):
        return memoryview(b"")


def head(data: Any, size: int) -> bytes:
    """Return the first `size` bytes of `data`."""
    return bytes(view(data)[:size])


def part_of(file: Any, offset: int, size: int) -> bytes:
    """Return a part of a file that has been sent, and leave its position alone."""
    place = file.tell()
    file.seek(offset)
    data: bytes = file.read(size)
    file.seek(place)
    return data


def gone_out(sock: Socket, seen: Seen, given: memoryview) -> tuple[bytes, str]:
    """Return what of `given` a `sendall` that has failed has handed to the system, and what to say of it."""
    total = handed_over(sock)
    size = -1 if total is None else total - seen.thing.sent
    if not given:
        return b"", ""
    if seen.whole and 0 <= size <= len(given):
        return bytes(given[:size]), f"{size} of {len(given)} bytes"
    return b"", f"how many of {len(given)} bytes went out is not known"


def handed_over(sock: Socket) -> int | None:
    """Return how many bytes have been handed to the system for `sock`; None where it does not tell.

    Linux does (`struct tcp_info`, since 4.19): what has been sent, without what was sent again, and what
    has not been sent yet.
    """
    if not sys.platform.startswith("linux") or sock.fileno() == -1:
        return None
    info = ask(lambda: Socket.getsockopt(sock, socket.IPPROTO_TCP, socket.TCP_INFO, 256))
    if info is None or len(info) < 216:
        return None
    (unsent,) = struct.unpack_from("I", info, 144)
    sent, again = struct.unpack_from("QQ", info, 200)
    return int(sent - again + unsent)
