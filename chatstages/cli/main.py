"""The command `chatstages`, which is also `python -m chatstages`.

Exit status: 0 when all went well (leaving with Ctrl-C too), 1 when something outside was wrong (a port in
use, no server there, a server that went away), 2 when the command was used wrongly.
"""

from __future__ import annotations

import argparse
import errno
import gettext
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from chatstages import STAGES, __version__, i18n, load_stage
from chatstages.cli.terminal import open_terminal
from chatstages.i18n import _
from chatstages.protocol.names import check_name
from chatstages.runtime.events import Address, Event, show_address
from chatstages.runtime.options import DEFAULT_PORT, allow_many_connections

INSTALL_LAB = "pip install 'chatstages[lab]'"
INSTALL_BENCH = "pip install 'chatstages[bench]'"


class Problem(Exception):
    """Something a person can put right; the message says how."""


def main(argv: Sequence[str] | None = None, prog: str = "chatstages") -> int:
    """Run the command with `argv` (by default the program's own arguments); return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # in a test, or without a terminal, it may be something simpler
            # Whatever people say must not end a program whose terminal cannot show it.
            stream.reconfigure(errors="replace", line_buffering=True)  # type: ignore[union-attr]
    argv = sys.argv[1:] if argv is None else list(argv)
    speak(argv)
    if argv[:1] == ["microscope"]:  # what stands behind the program's name is the program's own
        from chatstages.microscope.__main__ import main as run_under_the_microscope

        return run_under_the_microscope(argv[1:], f"{prog} microscope")
    parser = make_parser(prog)
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.run is not lab:
        parser.error(_("unrecognized arguments: %s") % " ".join(rest))
    arguments.rest = rest
    try:
        return int(arguments.run(arguments))
    except Problem as problem:
        print(f"{prog}: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read what we print has gone (`chatstages serve 4 | head -1`): there is nobody to tell,
        # and Python must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# --- serve and chat ----------------------------------------------------------------------------------


def serve(arguments: argparse.Namespace) -> int:
    """Run a server until it ends by itself or is told to (Ctrl-C, SIGTERM)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # also where a shell script has them ignored
    port = DEFAULT_PORT + arguments.stage if arguments.port is None else arguments.port
    address = (arguments.host, port)
    options = {}
    if arguments.history is not None:
        if arguments.stage != 5:
            raise Problem(_("Only stage 5 remembers what was said: leave out --history."))
        options["history"] = arguments.history

    def show(event: Event) -> None:
        try:
            say(event)
        except BrokenPipeError:
            unheard.set()  # nobody reads what we say any more

    unheard = threading.Event()

    allow_many_connections()
    try:
        server = load_stage(arguments.stage).serve(*address, on_event=show, **options)
    except (OSError, UnicodeError) as error:
        raise Problem(explain(error, address)) from None
    with server:
        try:
            where = show_address(server.address)
            say(_("The server of stage {n} listens on {where}").format(n=arguments.stage, where=where))
            say(_("Talk to it: {command}").format(command=f"chatstages chat {arguments.stage} {where}"))
            say(_("Ctrl-C ends it."))
            while not unheard.is_set() and not server.wait(0.5):
                pass
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending: a second Ctrl-C changes nothing
            say("")
    say(_("The server has ended."))
    return 0


def chat(arguments: argparse.Namespace) -> int:
    """Run a client for a person at a terminal, or for piped input."""
    address = arguments.address or ("127.0.0.1", DEFAULT_PORT + arguments.stage)
    stage = load_stage(arguments.stage)
    gone = Event("gone", address)
    told = False  # that the server has gone

    with open_terminal(erase=arguments.stage >= 4) as terminal:

        def show(message: Event | str) -> None:
            nonlocal told
            if isinstance(message, Event) and message.kind == "gone":
                told = True
                terminal.end()
            try:
                say(message)
            except BrokenPipeError:
                terminal.end()

        with suppress(EOFError, KeyboardInterrupt):
            options = {}
            if arguments.stage == 5:
                options["name"] = arguments.name or stage.ask_name(terminal.ask)
            try:
                client = stage.connect(address, **options, on_event=show)
            except (OSError, UnicodeError) as error:
                raise Problem(explain(error, address, arguments.stage)) from None
            with client:
                say(how_to_leave(arguments.stage, address))
                try:
                    stage.chat(client, terminal.ask, show)
                except OSError:
                    if not told:
                        show(gone)
    return int(told)


def how_to_leave(stage: int, address: Address) -> str:
    """Return the line that greets a person who has connected."""
    if stage == 1:
        sentence = _("Connected to {where}. One message, and it is over.")
    elif stage <= 3:
        sentence = _("Connected to {where}. An empty line leaves.")
    else:
        sentence = _("Connected to {where}. A line that says exit leaves.")
    return sentence.format(where=show_address(address))


def say(what: object) -> None:
    """Print `what` as one line, in one piece: several threads may speak at the same time."""
    sys.stdout.write(f"{what}\n")


def explain(error: Exception, address: Address, chat_stage: int | None = None) -> str:
    """Return in one line why `address` could not be listened on, or reached, and what to do."""
    host, port = address
    where = show_address(address)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return _("No computer of the name {host} was found. Check the name.").format(host=host)
    code = error.errno if isinstance(error, OSError) else None
    # Windows reports a port that another program holds for itself alone as "access denied" (WSAEACCES).
    if code == errno.EADDRINUSE or (code == errno.EACCES and port >= 1024 and chat_stage is None):
        return _(
            "Port {port} on {host} is in use. End what runs there, or choose another with --port."
        ).format(port=port, host=host)
    if code == errno.EACCES and chat_stage is None:
        return _("Port {port} is for administrators. Choose one from 1024 to 65535 with --port.").format(
            port=port
        )
    if code == errno.EADDRNOTAVAIL and chat_stage is None:
        return _("This computer has no address {host}. Use 127.0.0.1, or 0.0.0.0 for all it has.").format(
            host=host
        )
    if isinstance(error, ConnectionRefusedError):
        return _("There is no server at {where}. Start one: {command}").format(
            where=where, command=f"chatstages serve {chat_stage} --port {port}"
        )
    if isinstance(error, TimeoutError):
        return _("{where} does not answer. Check the address, and that no firewall is in the way.").format(
            where=where
        )
    return f"{where}: {error.strerror or error}" if isinstance(error, OSError) else f"{where}: {error}"


# --- lab, bench and doctor ---------------------------------------------------------------------------


def lab(arguments: argparse.Namespace) -> int:
    """Open JupyterLab at the first notebook, or at that of a stage."""
    from chatstages.lab.launcher import find_notebook, notebooks_to_work_in, open_lab

    try:
        folder = notebooks_to_work_in()
    except OSError as error:
        raise Problem(_("The notebooks cannot be copied here: {error}").format(error=error)) from None
    notebook = find_notebook(folder, i18n.choose(), arguments.stage)
    if notebook is None:
        raise Problem(_("There is no such notebook in {folder}.").format(folder=folder))
    try:
        say(_("Opening {notebook} in JupyterLab. Ctrl-C here ends it.").format(notebook=notebook))
        open_lab(notebook, folder, arguments.rest)
    except ImportError:
        raise Problem(_("JupyterLab is not installed: {command}").format(command=INSTALL_LAB)) from None
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """Compare how fast the stages, and what other servers are here, do the same work."""
    try:
        if arguments.svg:
            arguments.svg.touch()  # to know it before a minute has passed
    except OSError as error:
        raise Problem(f"{arguments.svg}: {error.strerror}") from None
    try:
        from chatstages.bench.peers import ALL
        from chatstages.bench.terminal import measure_with_progress, show

        comparison = measure_with_progress(arguments.members, ALL, arguments.seconds, arguments.rounds)
    except ImportError:
        raise Problem(_("Measuring needs rich and psutil: {command}").format(command=INSTALL_BENCH)) from None
    except KeyboardInterrupt:
        return 0
    show(comparison)
    if arguments.svg:
        arguments.svg.write_text(comparison.svg(), encoding="utf-8")
    return 0 if comparison.measured() else 1


def microscope(_arguments: argparse.Namespace) -> int:
    """Say how it is called: `main` has passed on all that begins with its name."""
    raise Problem(_("Write: {command}").format(command="chatstages microscope [-o FILE] SCRIPT [ARGUMENTS]"))


def doctor(arguments: argparse.Namespace) -> int:
    """Say what this machine and front end can do, each no with its reason."""
    from chatstages.cli.doctor import examine

    able = True
    for finding in examine():
        say(finding)
        able = able and (finding.ok or not finding.needed)
    say("")
    say(_("The stages run here.") if able else _("The stages do not run here."))
    return 0 if able else 1


# --- arguments ---------------------------------------------------------------------------------------


def speak(argv: Sequence[str]) -> None:
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

    def add(name: str, run: object, help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, parents=[shared], help=help_, description=help_, allow_abbrev=False
        )
        command.set_defaults(run=run)
        return command

    stage: dict[str, Any] = {
        "metavar": _("STAGE"),
        "type": int,
        "choices": list(STAGES),
        "help": _("stage, 1 to 5"),
    }

    command = add("serve", serve, _("run the server of a stage"))
    command.add_argument("stage", **stage)
    command.add_argument("--host", default="127.0.0.1", help=_("address to listen on (default: %(default)s)"))
    command.add_argument("--port", type=port_number, help=_("port (default: 30000 + stage; 0: any free one)"))

    command.add_argument(
        "--history",
        type=natural_number,
        metavar=_("LINES"),
        help=_("how many lines a newcomer first gets of what was said before (stage 5; default: 0)"),
    )

    command = add("chat", chat, _("talk to the server of a stage"))
    command.add_argument("stage", **stage)
    command.add_argument(
        "address", nargs="?", type=host_and_port, metavar=_("HOST:PORT"), help=_("where the server is")
    )
    command.add_argument(
        "--name", type=nickname, metavar=_("NICK"), help=_("nickname (stage 5; else you are asked)")
    )

    command = add("lab", lab, _("open the notebooks in JupyterLab"))
    command.add_argument("stage", nargs="?", **stage)
    command.epilog = _("Further options are JupyterLab's, such as --no-browser.")

    command = add("bench", bench, _("compare how fast the stages and other servers are (about a minute)"))
    command.add_argument(
        "--members",
        type=above_zero,
        default=100,
        metavar="N",
        help=_("members who all speak (default: %(default)s)"),
    )
    command.add_argument(
        "--seconds",
        type=seconds,
        default=1.0,
        metavar="S",
        help=_("seconds counted in a round (default: %(default)s)"),
    )
    command.add_argument(
        "--rounds",
        type=above_zero,
        default=3,
        metavar="N",
        help=_("rounds, taken in turn (default: %(default)s)"),
    )
    command.add_argument("--svg", type=Path, metavar=_("FILE"), help=_("save a picture of the result here"))

    add("microscope", microscope, _("run a program, and record what its sockets, threads and locks do"))

    add("doctor", doctor, _("say what this machine and front end can do"))
    return parser


def port_number(text: str) -> int:
    """Return `text` as a port. Raises ArgumentTypeError."""
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(_("{text} is not a port: 0 to 65535").format(text=text))


def natural_number(text: str) -> int:
    """Return `text` as a number that is not negative. Raises ArgumentTypeError."""
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(_("{text} is not a number of lines").format(text=text))


def above_zero(text: str) -> int:
    """Return `text` as a whole number from 1. Raises ArgumentTypeError."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(_("{text} is not a number above 0").format(text=text))


def seconds(text: str) -> float:
    """Return `text` as a time above 0. Raises ArgumentTypeError."""
    with suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(_("{text} is not a number above 0").format(text=text))


def host_and_port(text: str) -> Address:
    """Return `text`, "host:port" or one of the two, as an address. Raises ArgumentTypeError."""
    host, _colon, port = text.rpartition(":")
    return (host or "127.0.0.1", port_number(port))


def nickname(text: str) -> str:
    """Return `text` as a nickname. Raises ArgumentTypeError."""
    name = check_name(text)
    if name is None:
        raise argparse.ArgumentTypeError(_("this cannot be a nickname: {name}").format(name=repr(text)))
    return name
