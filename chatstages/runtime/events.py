"""Telling what happens: one small record, handed to one hook.

A server or client does not print. It calls its `on_event` hook, and a terminal, a notebook and a test
each show the event their way: ``serve(on_event=print)`` prints it in the language in use.
A server's hook is called on a thread of its own (`event_queue`), so it may be slow, block or raise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from chatstages.i18n import _, language
from chatstages.text import one_line

Address = tuple[str, int]  # host, port

EventKind = Literal[
    "joined",  # a server: a client has connected
    "said",  # a server: a client has sent `text`
    "left",  # a server: a client has disconnected
    "dropped",  # a server: it had to disconnect a client; `text` says why
    "refused",  # a server: it has thrown a message away; `text` says why
    "missed",  # a server: its hook was too slow for some events; `text` says how many
    "received",  # a client: `text` has arrived
    "disconnected",  # a client: the server has closed the connection
]


class Event(NamedTuple):
    """Something that happened at `address` (the far end of a connection), to whoever is called `name`."""

    kind: EventKind
    address: Address
    text: str = ""
    name: str = ""  # the nickname, where there are nicknames and it is known

    def __str__(self) -> str:
        """Return one line in the language in use: nothing in it can reach beyond, or harm a terminal."""
        before, after = frame(self.kind, self.address, self.name, language())
        return f"{before}{one_line(self.text)}{after}"


@lru_cache(maxsize=1_000)  # a busy server tells much of the same client
def frame(kind: EventKind, address: Address, name: str, _language: str) -> tuple[str, str]:
    """Return what stands before and after the text of an event, in the language in use."""
    sentence = {
        "joined": _("{who} joined"),
        "said": _("{name} ({address}): {text}") if name else _("{who} said: {text}"),
        "left": _("{who} left"),
        "dropped": _("{who} was disconnected: {text}"),
        "refused": _("{who}: not passed on: {text}"),
        "missed": "{text}",
        "received": "{text}",
        "disconnected": _("The server at {who} has closed the connection."),
    }[kind]
    before, _text, after = sentence.partition("{text}")
    words = {"who": one_line(name) or show_address(address), "name": one_line(name)}
    words["address"] = show_address(address)
    return before.format_map(words), after.format_map(words)


Hook = Callable[[Event], None]
"""What is called with each event.

Of a server: on a thread of its own, one event after the other, in the order in which they happened. So it
may be slow or block: that holds up no member. What it does not take in time is counted, and told as "missed".
What it raises is reported as an exception of a thread (`threading.excepthook`); then it is called again.

Of a client: on the thread that receives. While it blocks, this client receives nothing."""


def ignore(event: Event) -> None:
    """Tell nobody."""


def show_address(address: Address) -> str:
    """Return `address` as people write it, "127.0.0.1:30001"."""
    return f"{address[0]}:{address[1]}"
