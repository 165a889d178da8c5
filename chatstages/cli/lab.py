"""`chatstages lab`: open the notebooks in JupyterLab."""

from __future__ import annotations

import argparse

from chatstages.cli.arguments import add_stage, port_number
from chatstages.cli.errors import Problem
from chatstages.cli.terminal import say
from chatstages.i18n import _, choose

INSTALL = "pip install 'chatstages[lab]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_stage(parser, nargs="?")
    parser.add_argument("--port", type=port_number, help=_("port on which JupyterLab is to listen"))
    parser.epilog = _("Further options are JupyterLab's. Write a value behind “=”: --ip=0.0.0.0")


def run(arguments: argparse.Namespace) -> int:
    """Open JupyterLab at the first notebook, or at that of a stage."""
    try:
        # It loads ipywidgets: not for the other commands.
        from chatstages.lab.launcher import find_notebook, notebooks_to_work_in, open_lab
    except ImportError:
        raise Problem(_("JupyterLab is not installed: {command}").format(command=INSTALL)) from None

    try:
        folder = notebooks_to_work_in()
    except OSError as error:
        raise Problem(_("The notebooks cannot be copied here: {error}").format(error=error)) from None
    notebook = find_notebook(folder, choose(), arguments.stage)
    if notebook is None:
        raise Problem(_("There is no such notebook in {folder}.").format(folder=folder))
    options = [] if arguments.port is None else [f"--port={arguments.port}"]
    try:
        say(_("Opening {notebook} in JupyterLab. Ctrl-C here ends it.").format(notebook=notebook))
        open_lab(notebook, folder, [*options, *arguments.rest])
    except ImportError:
        raise Problem(_("JupyterLab is not installed: {command}").format(command=INSTALL)) from None
    return 0
