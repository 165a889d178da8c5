"""The stages by number."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

STAGES = {
    1: "stage1_oneshot",
    2: "stage2_session",
    3: "stage3_threads",
    4: "stage4_broadcast",
    5: "stage5_pool",
}


def load_stage(number: int) -> ModuleType:
    """Return the module of stage `number`, 1 to 5."""
    return import_module(f"chatstages.{STAGES[number]}")
