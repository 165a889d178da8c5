"""What several commands take: a stage, a port, an address, a number."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from chatstages import STAGES
from chatstages.i18n import _
from chatstages.protocol import check_name


def add_stage(parser: argparse.ArgumentParser, **options: Any) -> None:
    """Let `parser` take the number of a stage."""
    parser.add_argument(
        "stage", metavar=_("STAGE"), type=int, choices=list(STAGES), help=_("stage, 1 to 5"), **options
    )


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
    """Return `text` as a time above 0, in seconds. Raises ArgumentTypeError."""
    with suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(_("{text} is not a number above 0").format(text=text))


def host_and_port(text: str) -> tuple[str, int | None]:
    """Return "host:port", "host" or "port" as the two; no port is None. Raises ArgumentTypeError."""
    host, colon, port = text.rpartition(":")
    if colon or text.isdecimal():
        return host or "127.0.0.1", port_number(port)
    return text, None


def nickname(text: str) -> str:
    """Return `text` as a nickname. Raises ArgumentTypeError, which says why it cannot be one."""
    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
