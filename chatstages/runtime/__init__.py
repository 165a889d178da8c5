"""What every server here stands on: sockets that can be stopped, background threads, options, events.

- `sockets`: a socket whose blocked `accept` and `recv` any thread can wake
- `background`: a server in a thread of its own
- `waker`: waking a thread that waits in a selector
- `options`: SO_REUSEADDR, keepalive, a free port, the limit of open files
- `events`: telling what happens

It knows no protocol: bytes and messages are in `chatstages.protocol`.
"""

from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Address, Event, EventKind, Hook, ignore, show_address
from chatstages.runtime.options import allow_many_connections, free_port, keep_alive, reuse_address
from chatstages.runtime.sockets import StoppableSocket, Stopped
from chatstages.runtime.waker import StopSignal, Waker

__all__ = [
    "Address",
    "BackgroundServer",
    "Event",
    "EventKind",
    "Hook",
    "StopSignal",
    "StoppableSocket",
    "Stopped",
    "Waker",
    "allow_many_connections",
    "free_port",
    "ignore",
    "keep_alive",
    "reuse_address",
    "show_address",
]
