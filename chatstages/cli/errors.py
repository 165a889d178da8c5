"""What goes wrong outside of the program, in one line that says what to do."""

from __future__ import annotations

import errno
import socket

from chatstages.i18n import _
from chatstages.runtime import Address, show_address


class Problem(Exception):
    """Something that a person can put right; the message says how. The command ends with status 1."""


def listening_problem(error: Exception, address: Address) -> Problem:
    """Return why a server cannot listen on `address`, and what to do."""
    host, port = address
    code = error.errno if isinstance(error, OSError) else None
    # Windows reports a port that another program holds for itself alone as "access denied" (WSAEACCES).
    if code == errno.EADDRINUSE or (code == errno.EACCES and port >= 1024):
        sentence = _("Port {port} on {host} is in use. End what runs there, or choose another with --port.")
    elif code == errno.EACCES:
        sentence = _("Port {port} is for administrators. Choose one from 1024 to 65535 with --port.")
    elif code == errno.EADDRNOTAVAIL:
        sentence = _("This computer has no address {host}. Use 127.0.0.1, or 0.0.0.0 for all it has.")
    else:
        return Problem(network_reason(error, address))
    return Problem(sentence.format(host=host, port=port))


def connecting_problem(error: Exception, address: Address, command: str) -> Problem:
    """Return why nobody answers at `address`, and what to do; `command` would start a server there."""
    where = show_address(address)
    if isinstance(error, ConnectionRefusedError):
        sentence = _("There is no server at {where}. Start one: {command}")
    elif isinstance(error, TimeoutError):
        sentence = _("{where} does not answer. Check the address, and that no firewall is in the way.")
    else:
        return Problem(network_reason(error, address))
    return Problem(sentence.format(where=where, command=command))


def network_reason(error: Exception, address: Address) -> str:
    """Return what the system says of `address`."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return _("No computer of the name {host} was found. Check the name.").format(host=address[0])
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{show_address(address)}: {reason or error}"
