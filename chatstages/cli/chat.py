"""`chatstages chat N`: talk to the server of a stage."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing, suppress
from types import ModuleType
from typing import Any

from chatstages import load_stage
from chatstages.cli.arguments import add_stage, host_and_port, nickname
from chatstages.cli.errors import Problem, connecting_problem
from chatstages.cli.terminal import open_terminal, say, say_in_rows
from chatstages.i18n import _
from chatstages.runtime import Address, Event, show_address
from chatstages.runtime.options import DEFAULT_PORT

Ask = Callable[[str], str]  # takes a prompt, returns a line; raises EOFError at the end of input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_stage(parser)
    parser.add_argument(
        "address", nargs="?", type=host_and_port, metavar=_("HOST:PORT"), help=_("where the server is")
    )
    parser.add_argument(
        "--name", type=nickname, metavar=_("NICK"), help=_("nickname (stage 5; else you are asked)")
    )


def run(arguments: argparse.Namespace) -> int:
    """Run a client for a person at a terminal, or for piped input."""
    stage = load_stage(arguments.stage)
    host, port = arguments.address or ("127.0.0.1", None)
    address = (host, DEFAULT_PORT + arguments.stage if port is None else port)
    if arguments.name and not stage.NEEDS_NAME:
        raise Problem(_("Only stage 5 knows names: leave out --name."))
    told = False  # that the server has closed the connection

    with open_terminal(erase=stage.ECHOES) as terminal:

        def show(message: object) -> None:
            nonlocal told
            if isinstance(message, Event) and message.kind == "disconnected":
                told = True
                terminal.end()
            try:
                say_in_rows(message)
            except BrokenPipeError:
                terminal.end()

        with suppress(EOFError, KeyboardInterrupt):
            options: dict[str, Any] = {"on_event": show} if stage.ECHOES else {}
            if arguments.name:
                options["name"] = arguments.name
            try:
                client = stage.connect(address, **options)
            except (OSError, UnicodeError) as error:
                command = f"chatstages serve {arguments.stage} --port {address[1]}"
                raise connecting_problem(error, address, command) from None
            with closing(client):
                say(how_to_leave(stage, address))
                if stage.NEEDS_NAME:
                    introduce(client, terminal.ask, show)
                try:
                    converse(client, stage, terminal.ask, show)
                except OSError:
                    if not told:
                        show(Event("disconnected", address))
    return int(told)


def how_to_leave(stage: ModuleType, address: Address) -> str:
    """Return the line that greets a person who has connected."""
    if stage.LEAVE_WORD is None:
        sentence = _("Connected to {where}. One message, and it is over.")
    elif not stage.LEAVE_WORD:
        sentence = _("Connected to {where}. An empty line leaves.")
    else:
        sentence = _("Connected to {where}. A line that says {word} leaves.")
    return sentence.format(where=show_address(address), word=stage.LEAVE_WORD)


def introduce(client: Any, ask: Ask, show: Callable[[object], None]) -> None:
    """Ask for a nickname until there is one, and greet its owner."""
    while not client.name:
        try:
            client.name = ask(_("Nickname: "))
        except ValueError as error:
            show(_("This nickname will not do: {reason}.").format(reason=error))
    show(_("Welcome to the group, {name}!").format(name=client.name))


def converse(client: Any, stage: ModuleType, ask: Ask, show: Callable[[object], None]) -> None:
    """Send line by line, until the person leaves. Raises OSError when the server has disconnected."""
    while True:
        text = ask(_("Message: ") if stage.LEAVE_WORD is None else ">>> ")
        if text == stage.LEAVE_WORD:
            return
        try:
            client.send(text)
        except ValueError as error:
            show(error)
        if stage.LEAVE_WORD is None:
            return
