"""What threads are called where they are shown: by what they do, where that is known, not by a number.

Whoever starts clients may say who they are (`name_client`); a socket's address tells then which client it is,
or serves, and a thread's sockets tell what the thread is there for.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cached_property

from chatstages.i18n import _
from chatstages.microscope.model.recording import (
    OngoingCall,
    Recording,
    Thing,
    TraceEvent,
    names_of_clients,
    recordings,
)
from chatstages.text import one_line

MOST_CLIENTS = 3  # that the name of a thread names


def name_client(address: tuple[str, int], name: str) -> None:
    """Call the client whose socket has this address `name`, in recordings too. Any thread may call."""
    names_of_clients[address] = name
    for recording in list(recordings):
        recording.name_client(address, name)


def forget_client(address: tuple[str, int]) -> None:
    """Call whoever gets this address from now on something else. Any thread may call."""
    names_of_clients.pop(address, None)


def is_cell(file: str) -> bool:
    """Tell whether `file` stands for a cell of a notebook, or for something typed in."""
    return "ipykernel_" in file or file.startswith("<")


def named(recording: Recording) -> Recording:
    """Return `recording` with its threads called what they are; itself where nothing is known of them."""
    names = {} if isinstance(recording, NamedRecording) else thread_names(recording)
    return NamedRecording(recording, names) if names else recording


def thread_names(recording: Recording) -> dict[str, str]:
    """Return the names of the threads of which more is known than a number; no two are the same."""
    things = recording.things
    threads = [thing for thing in things.values() if thing.what == "thread"]
    accepting = {t.maker for t in things.values() if t.role == "server" and t.remote in recording.clients}
    found = {t.label: role(recording, t, t.label in accepting) or own_name(t) for t in threads}
    counts = Counter([*found.values(), *things])
    return {
        label: name if counts[name] == 1 else f"{name} ({label})" for label, name in found.items() if name
    }


def role(recording: Recording, thread: Thing, accepts: bool) -> str:
    """Return what the thread is there for, or ""; `accepts`: it has accepted a client that has a name."""
    if thread.label == "main":
        return _("this notebook") if is_cell(thread.file) else ""
    own, served = clients_at(recording, thread)
    if served:
        return _("server, for {client}").format(client=enumerated(served))
    if own:
        return _("{client}, receiving").format(client=enumerated(own))
    return _("server, accepting") if accepts else ""


def enumerated(clients: list[str]) -> str:
    """Return the names of clients as a list, the first MOST_CLIENTS."""
    more = [] if len(clients) <= MOST_CLIENTS else ["…"]
    return one_line(_(", ").join(clients[:MOST_CLIENTS] + more))


def clients_at(recording: Recording, thread: Thing) -> tuple[list[str], list[str]]:
    """Return the clients on whose sockets `thread` receives, and those from which it receives."""
    things, clients = recording.things, recording.clients
    heard = [things[label] for label in thread.heard if label in things]
    own = dict.fromkeys(clients[sock.local] for sock in heard if sock.local in clients)
    served = dict.fromkeys(clients[sock.remote] for sock in heard if sock.remote in clients)
    return sorted(own), sorted(served)


def own_name(thread: Thing) -> str:
    """Return the name that the program has given to the thread, or ""."""
    return stable_name(thread) if thread.is_named else ""


def stable_name(thing: Thing) -> str:
    """Return a thread's own name, unless that says no more than its label or changes from run to run."""
    name = one_line(thing.name)
    is_dull = re.search(r"\d{4,}", name) or name in ("MainThread", thing.label) or name.startswith("Thread-")
    return "" if is_dull else name


class NamedRecording(Recording):
    """A recording in which threads have names instead of labels. It shows what is in another, and no more."""

    def __init__(self, recording: Recording, names: dict[str, str]) -> None:
        self._original, self._names = recording, names

    def now(self) -> int:
        """Return the time in nanoseconds since the recording began, or that of its end."""
        return self._original.now()

    def name(self, label: str) -> str:
        """Return what the thing with that label is called."""
        return self._names.get(label, label)

    @cached_property
    def events(self) -> list[TraceEvent]:
        """The events, with the names of their threads."""
        return list(map(self._renamed, self._original.events))

    def _renamed(self, event: TraceEvent) -> TraceEvent:
        labels = event.thread, event.thing, event.other
        thread, thing, other = map(self.name, labels)
        return (
            event
            if (thread, thing, other) == labels
            else event._replace(thread=thread, thing=thing, other=other)
        )

    @property
    def dropped(self) -> int:
        """How many of the oldest events were dropped."""
        return self._original.dropped

    @property
    def things(self) -> dict[str, Thing]:
        """All things, by name; threads with names in an order that does not change from run to run."""
        things = self._original.things
        labels = dict.fromkeys(["main", *self._names])
        known = sorted((things[label] for label in labels if label in things), key=self._rank)
        following = iter(known)
        found = (next(following) if thing in known else thing for thing in things.values())
        return {self.name(thing.label): self._renamed_thing(thing) for thing in found}

    def _rank(self, thread: Thing) -> tuple[bool, list[str], str]:
        """Return the place of a thread with a name: the main thread, those that serve, those of clients."""
        return thread.label != "main", clients_at(self._original, thread)[0], self.name(thread.label)

    def _renamed_thing(self, thing: Thing) -> Thing:
        is_named = thing.is_named or thing.label in self._names
        return replace(thing, label=self.name(thing.label), maker=self.name(thing.maker), is_named=is_named)

    @property
    def ongoing_calls(self) -> dict[str, OngoingCall]:
        """The call that each thread is in, by the thread's name."""
        calls = self._original.ongoing_calls
        return {
            self.name(thread): call._replace(thing=self.name(call.thing)) for thread, call in calls.items()
        }

    @property
    def holders(self) -> dict[str, tuple[str, int]]:
        """Of each held lock the holding thread, and since when."""
        return {lock: (self.name(thread), since) for lock, (thread, since) in self._original.holders.items()}
