"""Telling what happens: one small record, handed to one hook.

A server or client does not print. It calls its `on_event` hook, and a terminal, a notebook and a test
each show the event their way: ``serve(on_event=print)`` prints it in the language in use.
(Where several threads print, lines may be joined: write each line, with its newline, in one call.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from chatstages.i18n import _
from chatstages.text import one_line

Address = tuple[str, int]  # host, port

EventKind = Literal[
    "joined",  # a server: a client has connected
    "said",  # a server: a client has sent `text`
    "left",  # a server: a client has disconnected
    "dropped",  # a server: it had to disconnect a client; `text` says why
    "refused",  # a server: it has thrown a message away; `text` says why
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
        sentence = {
            "joined": _("{who} joined"),
            "said": _("{name} ({address}): {text}") if self.name else _("{who} said: {text}"),
            "left": _("{who} left"),
            "dropped": _("{who} was disconnected: {text}"),
            "refused": _("{who}: not passed on: {text}"),
            "received": "{text}",
            "disconnected": _("The server at {who} has closed the connection."),
        }[self.kind]
        address, name = show_address(self.address), one_line(self.name)
        return sentence.format(who=name or address, name=name, address=address, text=one_line(self.text))


Hook = Callable[[Event], None]
"""What is called with each event: on the thread on which it happens, so at times on several at once.
It should return soon, and must not stop the server that calls it."""


def ignore(event: Event) -> None:
    """Tell nobody."""


def show_address(address: Address) -> str:
    """Return `address` as people write it, "127.0.0.1:30001"."""
    return f"{address[0]}:{address[1]}"
