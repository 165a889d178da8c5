"""The five stages, and their clients."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

from chatstages import stage1_oneshot, stage2_session, stage3_threads, stage4_broadcast, stage5_pool
from chatstages.runtime.background import BackgroundServer
from tests.support.events import PATIENCE

STAGES = {1: stage1_oneshot, 2: stage2_session, 3: stage3_threads, 4: stage4_broadcast, 5: stage5_pool}


def options(stage: int, name: str = "小明") -> dict[str, str]:
    """Return the extra arguments of the stage's `connect`: stage 5 wants a name."""
    return {"name": name} if stage == 5 else {}


def connected(stage: Any, *arguments: Any, **options: Any) -> closing[Any]:
    """Connect a client of `stage`; leaving the block closes it."""
    return closing(stage.connect(*arguments, **options))


def stopped(server: BackgroundServer) -> bool:
    """Stop `server` from another thread; return whether it has ended."""
    thread = threading.Thread(target=server.stop)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive() and server.wait(0)
