"""A chat with the `websockets` library, the shortest honest one: what one says, everybody receives.

It compresses nothing, looks at no text, and does not ask members whether they are still there (pings):
that is in its favour.
"""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, broadcast, serve

members: set[ServerConnection] = set()


async def chat(member: ServerConnection) -> None:
    """Serve one member until it leaves."""
    members.add(member)
    try:
        async for message in member:
            broadcast(members, message)
    finally:
        members.discard(member)


async def main() -> None:
    """Serve until killed."""
    async with serve(chat, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(*server.sockets[0].getsockname(), flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
