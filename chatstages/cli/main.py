"""The command: which parts it has, in which language it speaks, how it ends.

Exit status: 0 when all went well (leaving with Ctrl-C too), 1 when something outside was wrong (a port in
use, no server there, a server that went away), 2 when the command was used wrongly.
"""

from __future__ import annotations

import argparse
import gettext
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType

from chatstages import __version__, i18n
from chatstages.cli import bench, chat, doctor, lab, microscope, serve
from chatstages.cli.errors import Problem
from chatstages.i18n import _


def main(argv: Sequence[str] | None = None, prog: str = "chatstages") -> int:
    """Run the command with `argv` (by default the program's own arguments); return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # in a test, or without a terminal, it may be something simpler
            # Whatever people say must not end a program whose terminal cannot show it.
            stream.reconfigure(errors="replace", line_buffering=True)  # type: ignore[union-attr]
    argv = sys.argv[1:] if argv is None else list(argv)
    choose_language(argv)
    try:
        if argv[:1] == ["microscope"]:  # what stands behind the program's name is the program's own
            return microscope.run(argv[1:], f"{prog} microscope")
        arguments = parse(argv, prog)
        return int(arguments.run(arguments))
    except Problem as problem:
        print(f"{prog}: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read what we print has gone (`chatstages serve 4 | head -1`): there is nobody to tell,
        # and Python must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def choose_language(argv: Sequence[str]) -> None:
    """Choose the language before the first word is said: argparse's own words are part of it."""
    early = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    early.add_argument("--lang")
    wanted = None
    with suppress(argparse.ArgumentError):
        wanted = early.parse_known_args(argv)[0].lang
    language = i18n.use(wanted)
    # argparse speaks through the process's own catalogue; so do programs that we start.
    os.environ["LANGUAGE"] = os.environ["CHATSTAGES_LANG"] = language
    gettext.bindtextdomain("argparse", str(i18n.CATALOGUES))
    gettext.textdomain("argparse")


def parse(argv: Sequence[str], prog: str) -> argparse.Namespace:
    """Return what `argv` asks for; what is meant for JupyterLab is in `rest`."""
    parser = make_parser(prog)
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.run is not lab.run:
        parser.error(_("unrecognized arguments: %s") % " ".join(rest))
    arguments.rest = rest
    return arguments


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of all the commands."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--lang",
        default=argparse.SUPPRESS,
        choices=i18n.LANGUAGES,
        help=_("language on screen (else CHATSTAGES_LANG, else the locale's)"),
    )
    parser = argparse.ArgumentParser(
        prog=prog,
        description=_("A group chat in five stages: serve one, and chat."),
        parents=[shared],
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"chatstages {__version__}",
        help=_("show the version and exit"),
    )
    commands = parser.add_subparsers(required=True, metavar=_("COMMAND"))

    def add(name: str, part: ModuleType, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, parents=[shared], help=summary, description=summary, allow_abbrev=False
        )
        command.set_defaults(run=part.run)
        if hasattr(part, "add_arguments"):
            part.add_arguments(command)
        return command

    add("serve", serve, _("run the server of a stage"))
    add("chat", chat, _("talk to the server of a stage"))
    add("lab", lab, _("open the notebooks in JupyterLab"))
    add("bench", bench, _("compare how fast the stages and other servers are (about a minute)"))
    add("microscope", microscope, _("run a program, and record what its sockets, threads and locks do"))
    add("doctor", doctor, _("say what this machine and front end can do"))
    return parser
