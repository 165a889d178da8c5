"""What `explain` says of a recording."""

from __future__ import annotations

from chatstages.microscope.findings import explain
from chatstages.microscope.model.recording import Recording


def found_kinds(recording: Recording) -> list[str]:
    """Return the found_kinds of what `explain` names, each once, in order."""
    return list(dict.fromkeys(type(finding).__name__ for finding in explain(recording)))
