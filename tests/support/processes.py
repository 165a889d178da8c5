"""Programs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(*arguments: str, lang: str = "en", **kwargs: object) -> subprocess.Popen[str]:
    """Start Python with `arguments`, its three streams in pipes."""
    environment = os.environ | {"CHATSTAGES_LANG": lang, "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
        **kwargs,
    )
