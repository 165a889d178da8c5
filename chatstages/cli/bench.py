"""`chatstages bench`: compare how fast the stages and other servers are."""

from __future__ import annotations

import argparse
from pathlib import Path

from chatstages.cli.arguments import above_zero, seconds
from chatstages.cli.errors import Problem
from chatstages.i18n import _

INSTALL = "pip install 'chatstages[bench]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "--members",
        type=above_zero,
        default=100,
        metavar="N",
        help=_("members who all speak (default: %(default)s)"),
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=1.0,
        metavar="S",
        help=_("seconds counted in a round (default: %(default)s)"),
    )
    parser.add_argument(
        "--rounds",
        type=above_zero,
        default=3,
        metavar="N",
        help=_("rounds, taken in turn (default: %(default)s)"),
    )
    parser.add_argument("--svg", type=Path, metavar=_("FILE"), help=_("save a picture of the result here"))


def run(arguments: argparse.Namespace) -> int:
    """Compare how fast the stages, and what other servers are here, do the same work."""
    try:
        if arguments.svg:
            arguments.svg.touch()  # to know it before a minute has passed
    except OSError as error:
        raise Problem(f"{arguments.svg}: {error.strerror}") from None
    try:
        # They load rich and psutil: not for the other commands.
        from chatstages.bench.peers import ALL
        from chatstages.bench.terminal import measure_with_progress, show

        comparison = measure_with_progress(arguments.members, ALL, arguments.seconds, arguments.rounds)
    except ImportError:
        raise Problem(_("Measuring needs rich and psutil: {command}").format(command=INSTALL)) from None
    except KeyboardInterrupt:
        return 0
    show(comparison)
    if arguments.svg:
        arguments.svg.write_text(comparison.svg(), encoding="utf-8")
    return 0 if comparison.measured() else 1
