"""The command `chatstages`, which is also `python -m chatstages`."""

from chatstages.cli.main import main

__all__ = ["main"]
