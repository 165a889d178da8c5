"""A bad network of our own: a proxy that stands between clients and a server, and does harm.

A client connects to `proxy.address` instead of the server's:

    with FaultProxy(server.address, pieces=1) as proxy, raw_client(proxy.address) as sock: ...

All of it are real sockets on 127.0.0.1. One thread serves all connections, and ends with the `with` block.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field

from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Address, Hook, ignore
from chatstages.runtime.sockets import StoppableSocket
from chatstages.runtime.waker import Waker

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


@dataclass(eq=False)
class Way:
    """One direction of one connection, and the bytes that are under way in it."""

    source: socket.socket
    sink: socket.socket
    upward: bool  # from the client to the server
    under_way: bytearray = field(default_factory=bytearray)
    due: float = 0.0  # when the next of them may go
    passed: int = 0  # how many have gone
    ended: bool = False  # the source has said its last
    cut: bool = False  # what comes is thrown away


class FaultProxy:
    """Passes on to `server` what its clients send, and back what it answers, badly.

    `delay`: seconds by which each piece is late. `slow`: bytes a second. `pieces`: bytes sent at a time.
    `cut_after`: when the client has sent so many bytes, both sides see the end (FIN), and `reset_after`: a
    reset (RST). `black_hole()`: connections are accepted and stay open, and nothing more is passed on.
    """

    def __init__(
        self,
        server: Address,
        delay: float = 0.0,
        slow: float = 0.0,
        pieces: int = 65_536,
        cut_after: int | None = None,
        reset_after: int | None = None,
    ) -> None:
        self._server, self._delay, self._slow = server, delay, slow
        self._pieces = 1 if slow else pieces
        self._limit = cut_after if reset_after is None else reset_after
        self._reset = reset_after is not None
        self._swallows = False
        self._ways: list[Way] = []  # belongs to the thread
        self._waker = Waker()
        listener = StoppableSocket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self._running = BackgroundServer(listener, self._run, ignore)
        self.address = self._running.address

    def black_hole(self) -> None:
        """From now on pass nothing on, in either direction. Any thread may call."""
        self._swallows = True
        self._waker.wake()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._running.stop()
        self._waker.close()

    def _run(self, listener: StoppableSocket, on_event: Hook) -> None:
        try:
            while not listener.stopped:
                self._turn(listener)
        finally:
            for way in self._ways:
                way.source.close()

    def _turn(self, listener: StoppableSocket) -> None:
        ways = [] if self._swallows else self._ways
        waits = [way.due for way in ways if way.under_way]
        with selectors.DefaultSelector() as selector:
            for thing in (listener, listener.stop_signal, self._waker):
                selector.register(thing, selectors.EVENT_READ)
            for way in ways:
                if not way.under_way and not way.ended:  # else its source has to wait
                    selector.register(way.source, selectors.EVENT_READ, way)
            ready = selector.select(max(0.0, min(waits) - time.monotonic()) if waits else None)
        self._waker.drain()
        for key, _events in ready:
            if key.fileobj is listener:
                self._accept(listener)
            elif key.data in self._ways and not self._swallows:
                self._take(key.data)
        for way in [way for way in ways if way.under_way and way.due <= time.monotonic()]:
            if way in self._ways and not self._swallows:
                self._give(way)

    def _accept(self, listener: StoppableSocket) -> None:
        client = listener.accept()[0]
        server = socket.create_connection(self._server)
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways = [*self._ways, Way(client, server, upward=True), Way(server, client, upward=False)]

    def _take(self, way: Way) -> None:
        """Receive what has come; pass on an end when all before it has gone (`_turn` sees to that)."""
        data = b""
        with suppress(OSError):  # a reset is passed on as an end
            data = way.source.recv(65_536)
        if data and not way.cut:
            way.under_way += data
            way.due = time.monotonic() + self._delay
        elif not data:
            way.ended = True
            with suppress(OSError):
                way.sink.shutdown(socket.SHUT_WR)
            if all(other.ended for other in self._both(way)):
                self._close(way)

    def _give(self, way: Way) -> None:
        """Send as much of what is under way as goes at a time."""
        limit = self._limit if way.upward and self._limit is not None else 1 << 62
        try:
            sent = way.sink.send(way.under_way[: min(self._pieces, limit - way.passed)])
        except BlockingIOError:
            sent = 0
        except OSError:  # it has gone, and so says its end, too
            way.cut, sent = True, len(way.under_way)
        del way.under_way[:sent]
        way.passed += sent
        way.due = time.monotonic() + (sent / self._slow if self._slow else 0 if sent else 0.001)
        if way.passed == limit and self._reset:
            for sock in (way.source, way.sink):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._close(way)
        elif way.passed == limit:
            for one in self._both(way):
                one.cut = True
                one.under_way.clear()
                with suppress(OSError):
                    one.sink.shutdown(socket.SHUT_WR)

    def _both(self, way: Way) -> list[Way]:
        return [other for other in self._ways if other.source in (way.source, way.sink)]

    def _close(self, way: Way) -> None:
        self._ways = [other for other in self._ways if other not in self._both(way)]
        way.source.close()
        way.sink.close()
