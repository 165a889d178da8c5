"""The scope: what `microscope()` yields, with all that can be asked of a recording.

What is found, and the pictures, are made by `findings` and `pictures`, which are imported here at once: an
import while a recording is being made would be recorded, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatstages.i18n import _
from chatstages.microscope import findings, pictures
from chatstages.microscope.model import trace
from chatstages.microscope.model.naming import named, thread_names
from chatstages.microscope.model.recording import Recording, Thing, TraceEvent, TraceKind


class Scope:
    """A recording, with its findings and its pictures, also while it is being made. Any thread may call."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    @property
    def events(self) -> list[TraceEvent]:
        """The events, the oldest first. Times are in nanoseconds since the recording began."""
        return self.recording.events

    @property
    def things(self) -> dict[str, Thing]:
        """The threads, sockets, locks, … of the watched code, by label."""
        return self.recording.things

    @property
    def dropped(self) -> int:
        """How many of the oldest events were dropped, because there were more than are kept."""
        return self.recording.dropped

    def of(
        self, kind: TraceKind | None = None, thing: str | None = None, thread: str | None = None
    ) -> list[TraceEvent]:
        """Return the events of that kind, on that thing, by that thread; by default all.

        A thread is known by its label, or by the name that the pictures have for it.
        """
        names = thread_names(self.recording)
        return [
            event
            for event in self.events
            if kind in (None, event.kind)
            and thing in (None, event.thing)
            and thread in (None, event.thread, names.get(event.thread))
        ]

    def save(self, path: str | Path) -> None:
        """Write the recording to a file for `load`, Perfetto (ui.perfetto.dev) and chrome://tracing.

        Raises OSError where the file cannot be written.
        """
        trace.save(self.recording, path)

    @classmethod
    def load(cls, path: str | Path) -> Scope:
        """Return the scope of a saved recording. Raises OSError, or ValueError where that is none."""
        return cls(trace.load(path))

    def __repr__(self) -> str:
        parts = [
            _("{count} events").format(count=len(self.events)),
            _("{count} threads").format(count=sum(thing.what == "thread" for thing in self.things.values())),
            _("{count} sockets").format(count=sum(thing.what == "socket" for thing in self.things.values())),
        ]
        if self.dropped:
            parts.append(_("{count} older ones dropped").format(count=self.dropped))
        return f"<{', '.join(parts)}>"

    # --- findings ---

    def explain(self) -> findings.Explanation:
        """Return what is suspicious, with the line of code, and the fix."""
        return findings.explain(self.recording)

    def coalesced_messages(self) -> list[findings.CoalescedMessages]:
        """Return every recv with the bytes of several sends."""
        return findings.coalesced_messages(named(self.recording))

    def split_messages(self) -> list[findings.SplitMessage]:
        """Return every send whose bytes arrived in several recvs."""
        return findings.split_messages(named(self.recording))

    def split_characters(self) -> list[findings.SplitCharacter]:
        """Return every character (UTF-8) that was split over two recvs."""
        return findings.split_characters(named(self.recording))

    def blocked_threads(self, longer_than: float = 1.0) -> list[findings.BlockedThread]:
        """Return the threads that were blocked for more than `longer_than` seconds, or still are."""
        return findings.blocked_threads(named(self.recording), longer_than)

    def critical_section_overlaps(self) -> list[findings.UnsharedLock]:
        """Return the pairs of threads that were in one critical section at once, each with its own lock."""
        return findings.critical_section_overlaps(named(self.recording))

    def busy_loops(self) -> list[findings.BusyLoop]:
        """Return the sockets on which recv returned b"" again and again."""
        return findings.busy_loops(named(self.recording))

    def deadlocks(self) -> list[findings.Deadlock]:
        """Return the cycles of threads that wait for each other's locks."""
        return findings.deadlocks(named(self.recording))

    # --- pictures; the options are those of the functions in `pictures` ---

    def sequence(self, **options: Any) -> pictures.Picture:
        """Draw who sent what to whom."""
        return pictures.sequence(self.recording, **options)

    def timeline(self, **options: Any) -> pictures.Picture:
        """Draw what each thread did, and when."""
        return pictures.timeline(self.recording, **options)

    def board(self, **options: Any) -> pictures.Picture:
        """Draw the state of all threads, locks and connections, now or after an event."""
        return pictures.board(self.recording, **options)

    def wire(self, label: str = "", **options: Any) -> pictures.Picture:
        """Draw the bytes of all connections, or of that of the socket `label`."""
        return pictures.wire(self.recording, label, **options)

    def page(self, path: str | Path) -> None:
        """Write all the pictures into one file for a browser."""
        pictures.save_page(self.recording, path)
