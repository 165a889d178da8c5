"""Telling what happens: one small record, handed to one hook.

A server or client does not print. It calls its `on_event` hook, and a terminal, a notebook and a test
each show the event their way: ``serve(on_event=print)`` prints it in the language in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from chatstages.i18n import _
from chatstages.text import one_line

Address = tuple[str, int]  # host, port

Kind = Literal[
    "joined",  # a server: a client has connected
    "said",  # a server: a client has sent `text`
    "left",  # a server: a client has gone
    "dropped",  # a server: it had to cut a client off; `text` says why
    "refused",  # a server: it has thrown a message away; `text` says why
    "heard",  # a client: `text` has arrived
    "gone",  # a client: the server has gone
]


class Event(NamedTuple):
    """Something that happened at `address` (the far end of a connection)."""

    kind: Kind
    address: Address
    text: str = ""

    def __str__(self) -> str:
        sentence = {
            "joined": _("{who} joined"),
            "said": _("{who} said: {text}"),
            "left": _("{who} left"),
            "dropped": _("{who} was cut off: {text}"),
            "refused": _("{who}: not passed on: {text}"),
            "heard": "{text}",
            "gone": _("The server at {who} has gone."),
        }[self.kind]
        return sentence.format(who=show_address(self.address), text=one_line(self.text))


Hook = Callable[[Event], None]
"""What is called with each event: on the thread on which it happens, so at times on several at once.
It should return soon, and must not stop the server that calls it."""


def ignore(event: Event) -> None:
    """Tell nobody."""


def show_address(address: Address) -> str:
    """Return `address` as people write it, "127.0.0.1:30001"."""
    return f"{address[0]}:{address[1]}"
