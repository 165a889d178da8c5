"""Socket options and process limits, on every operating system."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

DEFAULT_PORT = 30_000  # and the stage's number: outside every system's range of ephemeral ports

# A peer that disconnected without FIN is noticed within a minute: 25 + 3 × 10 seconds, and rounding.
KEEP_IDLE, KEEP_INTERVAL, KEEP_PROBES = 25, 10, 3


def reuse_address(server: socket.socket) -> None:
    """Let `server` be bound to a port that a server before it has just left.

    For a minute or so after a connection has ended, its port counts as taken (TIME_WAIT, RFC 9293
    section 3.6.1). SO_REUSEADDR lifts that on POSIX. On Windows the option of that name would let
    another program steal the port while we use it; there the default is right, made exclusive.
    """
    if sys.platform == "win32":
        server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def allow_many_connections() -> None:
    """Let this process have as many files open, sockets too, as the system lets it ask for.

    Many systems begin with 1,024 or 256. On Windows there is no such limit.
    """
    with suppress(ImportError, OSError, ValueError):  # ValueError: macOS says "unlimited", and means less
        import resource

        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_alive(conn: socket.socket) -> None:
    """Notice a peer that disconnected without FIN: a laptop that was closed, a cable that was pulled.

    While nothing is said the system asks for a sign of life (RFC 9293 section 3.8.4): first after
    KEEP_IDLE seconds, then KEEP_PROBES times in all. What has been sent must be confirmed in the same
    time (RFC 5482), where the system has that option. Then `recv` raises OSError.
    """
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_IDLE),
        ("TCP_KEEPALIVE", KEEP_IDLE),  # what macOS calls it
        ("TCP_KEEPINTVL", KEEP_INTERVAL),
        ("TCP_KEEPCNT", KEEP_PROBES),
        ("TCP_USER_TIMEOUT", 1_000 * (KEEP_IDLE + KEEP_INTERVAL * KEEP_PROBES)),  # milliseconds
    ):
        with suppress(AttributeError, OSError):  # not every system has each of them, or lets it be set
            conn.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def free_port() -> int:
    """Return a port of this computer that no program uses now. Any thread may call."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
