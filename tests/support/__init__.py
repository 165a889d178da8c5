"""What many tests need."""

from tests.support.events import PATIENCE, Recorder, ToldAtOnce, line_of, listening, wait_until
from tests.support.processes import ROOT, python
from tests.support.sockets import (
    fill,
    kill,
    overflow,
    raw_client,
    read_to_end,
    read_until,
    wait_until_listening,
)
from tests.support.stages import STAGES, connected, options, stopped

__all__ = [
    "PATIENCE",
    "ROOT",
    "STAGES",
    "Recorder",
    "ToldAtOnce",
    "connected",
    "fill",
    "kill",
    "line_of",
    "listening",
    "options",
    "overflow",
    "python",
    "raw_client",
    "read_to_end",
    "read_until",
    "stopped",
    "wait_until",
    "wait_until_listening",
]
