"""`chatstages serve N`: run the server of a stage."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

from chatstages import load_stage
from chatstages.cli.arguments import add_stage, natural_number, port_number
from chatstages.cli.errors import Problem, listening_problem
from chatstages.cli.terminal import EventScreen, complain, say
from chatstages.i18n import _
from chatstages.runtime import Address, allow_many_connections, show_address
from chatstages.runtime.options import DEFAULT_PORT

ANYWHERE = "0.0.0.0"  # listening on this means: on all addresses of this computer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_stage(parser)
    parser.add_argument("--host", default="127.0.0.1", help=_("address to listen on (default: %(default)s)"))
    parser.add_argument("--port", type=port_number, help=_("port (default: 30000 + stage; 0: any free one)"))
    parser.add_argument(
        "--history",
        type=natural_number,
        metavar=_("LINES"),
        help=_("how many lines a newcomer first gets of what was said before (stage 5; default: 0)"),
    )
    parser.add_argument(
        "--announce",
        action="store_true",
        help=_("tell the members in a line who has joined or left (stage 5)"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Run a server until it ends by itself or is told to (Ctrl-C, SIGTERM)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # also where a shell script has them ignored
    port = DEFAULT_PORT + arguments.stage if arguments.port is None else arguments.port
    address = (arguments.host, port)
    stage = load_stage(arguments.stage)
    options = stage_options(stage, arguments)
    screen = EventScreen()
    allow_many_connections()
    try:
        server = stage.serve(*address, on_event=screen, **options)
    except (OSError, UnicodeError) as error:
        raise listening_problem(error, address) from None
    with server:
        try:
            say_where(arguments.stage, server.address)
            sys.stdout.flush()
            while not screen.closed.is_set() and not server.wait(0.5):
                pass
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # it is ending: a second Ctrl-C changes nothing
            screen.say("")
    if not screen.say(_("The server has ended.")):
        complain(_("The server has ended. The last lines are missing: the output takes no more."))
        return 1
    return int(screen.closed.is_set())


def stage_options(stage: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what only some stages can do. Raises Problem where this one cannot."""
    options: dict[str, Any] = {}
    if arguments.history is not None:
        if not stage.KEEPS_HISTORY:
            raise Problem(_("Only stage 5 remembers what was said: leave out --history."))
        options["history"] = arguments.history
    if arguments.announce:
        if not stage.NEEDS_NAME:
            raise Problem(_("Only stage 5 knows names: leave out --announce."))
        options["announces"] = True
    return options


def say_where(stage: int, address: Address) -> None:
    """Print where the server listens, and how to talk to it; from another computer, too."""
    say(_("The server of stage {n} listens on {where}").format(n=stage, where=show_address(address)))
    hosts = own_addresses() if address[0] == ANYWHERE else []
    for host in hosts or ["127.0.0.1" if address[0] == ANYWHERE else address[0]]:
        where = show_address((host, address[1]))
        say(_("Talk to it: {command}").format(command=f"chatstages chat {stage} {where}"))
    if address[0] == ANYWHERE and not hosts:
        say(_("This computer is in no network: others cannot reach it."))
    say(_("Ctrl-C ends it."))


def own_addresses() -> list[str]:
    """Return this computer's addresses in its networks, the one that most others reach first."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
        # To connect UDP sends nothing: the system only chooses the address from which it would send.
        sock.connect(("192.0.2.1", 9))  # an address that belongs to nobody (RFC 5737)
        found.append(sock.getsockname()[0])
    with suppress(OSError):
        found += socket.gethostbyname_ex(socket.gethostname())[2]
    return [host for host in dict.fromkeys(found) if not host.startswith(("127.", "0."))]
