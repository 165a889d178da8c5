"""Connecting a chat client: the kind of client, the address, and why no server is reached."""

from __future__ import annotations

import selectors
import socket
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from chatstages.i18n import _
from chatstages.runtime.events import Address, show_address


class Connection(Protocol):
    """The client of a stage."""

    sock: socket.socket

    def send(self, text: str) -> None:
        """Send `text`."""

    def close(self) -> None:
        """Leave."""


class ClientKind(NamedTuple):
    """What the client of a module can do."""

    receives: bool  # it has a thread that receives, and calls `on_event`
    needs_name: bool  # it sends a nickname
    leave_word: str | None  # what a person types to leave; None: it sends one message, and leaves
    foreign: bool  # its server was not started here: nobody knows whether that sends back what one says

    @property
    def shows_sent(self) -> bool:
        """Whether the window shows what is sent, because it may not come back."""
        return self.foreign or not self.receives


def client_kind(module: ModuleType, foreign: bool = False) -> ClientKind:
    """Return what `module` states of its client; what it does not state, its client cannot do."""
    return ClientKind(
        receives=getattr(module, "ECHOES", False),
        needs_name=getattr(module, "NEEDS_NAME", False),
        leave_word=getattr(module, "LEAVE_WORD", ""),
        foreign=foreign,
    )


def read_address(where: str | Address) -> Address:
    """Return "host:port", or "port" on this computer, as host and port. Raises ValueError."""
    parts = where if isinstance(where, tuple) else str(where).rpartition(":")
    host, port = parts[0], str(parts[-1])
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65_535):
        reason = _("{address} is no address: write host:port, for example 127.0.0.1:31004")
        raise ValueError(reason.format(address=where))
    return host or "127.0.0.1", int(port)


def connect(module: ModuleType, address: Address, name: str, **options: Any) -> Connection:
    """Return the client of `module`, connected.

    Raises OSError, which says what to do, or ValueError, which says why `name` cannot be a nickname.
    """
    if client_kind(module).needs_name:
        options["name"] = name
    where = show_address(address)
    try:
        client: Connection = module.connect(address, **options)
    except ConnectionRefusedError:
        reason = _("No server listens at {where} (connection refused). Start it first.")
        raise ConnectionRefusedError(reason.format(where=where)) from None
    except TimeoutError:
        reason = _("{where} does not answer. Check the address, and that no firewall is in the way.")
        raise TimeoutError(reason.format(where=where)) from None
    except (socket.gaierror, UnicodeError):
        reason = _("No computer of the name {host} was found. Check the name.")
        raise OSError(reason.format(host=address[0])) from None
    return client


def peer_has_closed(sock: socket.socket) -> bool:
    """Tell whether the peer has closed `sock`, without waiting. No other thread may receive on it."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            return bool(selector.select(0)) and not sock.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):  # ValueError: it is closed at this end
        return True
