"""The room of stage 5 on asyncio: one thread, and a coroutine for each member instead of a thread.

Same wire (`name：text` and a newline), shorter code, the same questions: who is there, what happens when
one leaves, and what when one does not read. `patient=True` shows the trap of this style: to *wait* for each
member in turn (`await writer.drain()`) lets one who does not read hold up all the others.
"""

from __future__ import annotations

import asyncio
import socket

from chatstages.protocol.framing import MAX_LINE
from chatstages.runtime import BackgroundServer, Event, Hook, StoppableSocket, ignore
from chatstages.stage5_pool import ECHOES, LEAVE_WORD, NEEDS_NAME, connect

__all__ = ["ECHOES", "LEAVE_WORD", "NEEDS_NAME", "AsyncioRoom", "connect", "serve"]

SEND_BUFFER = 16 << 10  # bytes that the system takes off our hands for each member
TOO_MUCH = 4 << 20  # bytes that may wait for one member; more, and it is disconnected


class AsyncioRoom:
    """Who is there, and what happens to them."""

    def __init__(self, on_event: Hook, patient: bool) -> None:
        self._on_event = on_event
        self._patient = patient
        self._members: dict[asyncio.StreamWriter, None] = {}  # in the order in which they came

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one member until it leaves."""
        address = writer.get_extra_info("peername")[:2]
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._members[writer] = None
        self._on_event(Event("joined", address))
        try:
            while line := await reader.readline():
                self._on_event(Event("said", address, line.decode(errors="replace")))
                await self.broadcast(line)
        except (OSError, ValueError):  # it was killed, or its line was longer than the limit
            pass
        finally:
            del self._members[writer]
            writer.transport.abort()
            self._on_event(Event("left", address))

    async def broadcast(self, line: bytes) -> None:
        """Send `line` to every member. `write` never waits; what cannot be sent yet is kept."""
        for writer in list(self._members):
            if writer.is_closing():
                continue
            writer.write(line)
            if self._patient:
                await writer.drain()  # until its buffer is nearly empty
            elif writer.transport.get_write_buffer_size() > TOO_MUCH:
                writer.transport.abort()

    async def close(self) -> None:
        """Close every connection, and wait until all have been told."""
        for writer in self._members:
            writer.transport.abort()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


async def run_room(server: StoppableSocket, on_event: Hook, patient: bool) -> None:
    """Serve members until the server is stopped."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(server.stop_signal.fileno(), stopped.set)
    room = AsyncioRoom(on_event, patient)
    async with await asyncio.start_server(room.serve, sock=server, limit=MAX_LINE):
        await stopped.wait()
        await room.close()


def run(server: StoppableSocket, on_event: Hook, patient: bool) -> None:
    """Run the event loop in this thread."""
    # The loop that can wait for our waker on every system.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run_room(server, on_event, patient))


def serve(
    host: str = "127.0.0.1", port: int = 0, on_event: Hook = ignore, patient: bool = False
) -> BackgroundServer:
    """Start the server, as in stage 5. Raises OSError if the port is in use."""
    # asyncio turns off Nagle's waiting (TCP_NODELAY) only where it is told that it is TCP.
    server = StoppableSocket(proto=socket.IPPROTO_TCP)
    server.bind((host, port))
    server.listen()
    server.setblocking(False)
    return BackgroundServer(server, run, on_event, patient)
