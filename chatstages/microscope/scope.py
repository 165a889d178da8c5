"""What a learner holds in the hand: a recording, and all that can be asked of it.

What is found, and the pictures, are made by `findings` and `pictures`, which are imported here at once: an
import while a recording is being made would be recorded, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatstages.locale import _
from chatstages.microscope import findings, pictures
from chatstages.microscope.model import trace
from chatstages.microscope.model.recording import Recording, Thing, TraceEvent, TraceKind


class Scope:
    """A recording, made or loaded. While it is being made it may be asked, too; any thread may."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    @property
    def events(self) -> list[TraceEvent]:
        """What has happened, the oldest first. Times are in nanoseconds since the recording began."""
        return self.recording.events

    @property
    def things(self) -> dict[str, Thing]:
        """The threads, sockets, locks, … that were seen, by label."""
        return self.recording.things

    @property
    def dropped(self) -> int:
        """How many events were forgotten, for want of room."""
        return self.recording.dropped

    def of(
        self, kind: TraceKind | None = None, thing: str | None = None, thread: str | None = None
    ) -> list[TraceEvent]:
        """Return the events of that kind, on that thing, on that thread; by default of all."""
        return [
            event
            for event in self.events
            if kind in (None, event.kind) and thing in (None, event.thing) and thread in (None, event.thread)
        ]

    def save(self, path: str | Path) -> None:
        """Write it to a file that `load` reads, and Perfetto (ui.perfetto.dev) and chrome://tracing show.

        Raises OSError when that cannot be written.
        """
        trace.save(self.recording, path)

    @classmethod
    def load(cls, path: str | Path) -> Scope:
        """Return what `save` has written. Raises OSError, or ValueError if it is no such file."""
        return cls(trace.load(path))

    def __repr__(self) -> str:
        parts = [
            _("{count} events").format(count=len(self.events)),
            _("{count} threads").format(count=sum(thing.what == "thread" for thing in self.things.values())),
            _("{count} sockets").format(count=sum(thing.what == "socket" for thing in self.things.values())),
        ]
        if self.dropped:
            parts.append(_("{count} older ones forgotten").format(count=self.dropped))
        return f"<{', '.join(parts)}>"

    # --- what is found in it ---

    def explain(self) -> findings.Explanation:
        """Return what is worth a look, in words."""
        return findings.explain(self.recording)

    def glued(self) -> list[findings.CoalescedMessages]:
        """Return the messages that have arrived glued together, or cut."""
        return findings.glued(self.recording)

    def split_characters(self) -> list[findings.SplitCharacter]:
        """Return the characters that were cut in two."""
        return findings.split_characters(self.recording)

    def blocked_threads(self, longer_than: float = 1.0) -> list[findings.BlockedThread]:
        """Return who has waited longer than so many seconds, or waits so still."""
        return findings.blocked_threads(self.recording, longer_than)

    def critical_section_overlaps(self) -> list[findings.UnsharedLock]:
        """Return the threads that were in the same guarded lines at once."""
        return findings.critical_section_overlaps(self.recording)

    def busy_loops(self) -> list[findings.BusyLoop]:
        """Return the sockets on which nobody noticed that the other side has closed."""
        return findings.busy_loops(self.recording)

    def deadlocks(self) -> list[findings.Deadlock]:
        """Return the circles of threads that wait for each other."""
        return findings.deadlocks(self.recording)

    # --- pictures of it; the options are those of the functions in `pictures` ---

    def sequence(self, **options: Any) -> pictures.Picture:
        """Draw who sent what to whom."""
        return pictures.sequence(self.recording, **options)

    def timeline(self, **options: Any) -> pictures.Picture:
        """Draw what each thread did, and when."""
        return pictures.timeline(self.recording, **options)

    def board(self, **options: Any) -> pictures.Picture:
        """Draw what is so now, or was so after an event."""
        return pictures.board(self.recording, **options)

    def wire(self, label: str = "", **options: Any) -> pictures.Picture:
        """Draw the bytes of a connection, named by the label of either end."""
        return pictures.wire(self.recording, label, **options)

    def page(self, path: str | Path) -> None:
        """Write all the pictures into one file for a browser."""
        pictures.save_page(self.recording, path)
