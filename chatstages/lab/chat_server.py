"""A server inside the kernel, with a panel: who is there, what came from whom, start and stop."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import ipywidgets

from chatstages.i18n import _
from chatstages.lab.chat_client import WAIT, ChatClient
from chatstages.lab.connecting import Connection, client_kind, connect
from chatstages.lab.painter import painter
from chatstages.lab.widgets import FONT, WINDOW, as_html, log_html, title_html, trouble_html
from chatstages.microscope.model.naming import forget_client, name_client
from chatstages.protocol.names import COLON
from chatstages.runtime.background import BackgroundServer
from chatstages.runtime.events import Address, Event, EventKind, show_address

KEPT = 1_000  # events
SHOWN = 100  # events of them that the page shows


class ChatServer(ipywidgets.VBox):  # type: ignore[misc]
    """The server of a stage, or of any module of that shape, in threads of the kernel.

    `options` go to the module's `serve`. Its methods may be called from any cell.
    """

    def __init__(self, module: ModuleType, label: str, options: dict[str, Any]) -> None:
        self.module = module
        self._what = label
        self._options = options
        # Guards all that follows but _server, and the page's picture of it.
        self._changed = threading.Condition()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._total = 0  # events, those forgotten too
        self._found: dict[tuple[EventKind, str], int] = {}  # up to which event this has been waited for
        self._present: dict[Address, int] = {}  # how often each has spoken
        self._names: dict[Address, str] = {}  # of the clients that this notebook has started
        self._clients: dict[str, ChatClient] = {}  # these, by name
        self._trouble = ""  # why the server could not be started again
        self._port = 0  # any free one; when it is started again, the same
        self._server: BackgroundServer | None = None

        self._title = ipywidgets.HTML()
        self._members = ipywidgets.HTML()
        self._log = ipywidgets.HTML()
        self._button = ipywidgets.Button(layout={"width": "auto", "flex": "0 0 auto"})
        self._button.on_click(lambda _button: self._stop_or_start())
        top = ipywidgets.HBox([self._title, self._button], layout={"justify_content": "space-between"})
        super().__init__([top, self._members, self._log], layout=WINDOW)
        self.start()

    def __repr__(self) -> str:
        return _("<server, {what}>").format(what=self._what)

    # --- what a cell calls ---

    @property
    def running(self) -> bool:
        """Whether it listens; some servers end by themselves."""
        return self._server is not None and not self._server.wait(0)

    @property
    def address(self) -> Address:
        """Where it listens: host and port."""
        return "127.0.0.1", self._port

    def start(self) -> None:
        """Start it, or start it again on the same port. Raises OSError when the port cannot be had."""
        self._stop()
        with self._changed:
            self._present.clear()
        self._server = self.module.serve(port=self._port, on_event=self._on_event, **self._options)
        self._port = self._server.address[1]
        self.draw()
        # The server may end by itself (stages 1 and 2), and nobody would tell the page.
        threading.Thread(target=self._draw_at_the_end, args=(self._server,), name="panel").start()

    def stop(self) -> None:
        """Stop the server (within 1 s) and give the port back; its clients then know that it has ended."""
        self._stop()
        self.draw()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
        for client in self._clients.values():
            client.disconnect()
        for address in self._names:
            forget_client(address)

    def connect(self, name: str) -> ChatClient:
        """Return a client, connected, and heard by whoever speaks next.

        Raises OSError when the server has ended, TimeoutError when it does not accept the client.
        """
        client = ChatClient(name, client_kind(self.module), partial(self._connect, name))
        try:
            with self._changed:
                self._wait(
                    lambda: self._has_joined(local_address(client.connection)), f"{name} × joined", WAIT
                )
        except TimeoutError:
            client.leave()
            raise
        self._clients[name] = client
        return client

    @property
    def events(self) -> list[Event]:
        """What has happened, oldest first; the last 1,000."""
        with self._changed:
            return list(self._events)

    @property
    def log(self) -> list[str]:
        """What has happened, in words, with the names of the clients that this notebook has started."""
        with self._changed:
            return list(map(self._tell, self._events))

    def wait_for(self, kind: EventKind, count: int = 1, text: str = "", timeout: float = WAIT) -> str:
        """Wait until `count` more events of `kind`, with `text`, have happened; return the last, in words.

        More than when the same was last waited for, so a cell that does something and waits may be run
        again. With a `text` (of the event or of its line in the log, so a name, too) it does not take what
        a person types meanwhile for what it waits for. Raises TimeoutError after `timeout` seconds.
        """

        def found() -> list[tuple[int, Event]]:
            """Return such events, and behind which of all events so far each stands."""
            numbered = enumerate(self._events, start=self._total - len(self._events) + 1)
            return [(n, e) for n, e in numbered if n > last and e.kind == kind and self._has(e, text)]

        with self._changed:
            last = self._found.get((kind, text), 0)
            self._wait(lambda: len(found()) >= count, f"{count} × {kind} {text}".strip(), timeout)
            self._found[kind, text], event = found()[count - 1]
            return self._tell(event)

    def _has(self, event: Event, text: str) -> bool:
        return text in event.text or text in self._tell(event)

    def _wait(self, happened: Callable[[], bool], what: str, timeout: float) -> None:
        """Wait until `happened()`. The lock must be held."""
        if not self._changed.wait_for(happened, timeout):
            reason = _("The server has waited {timeout} s for {what}; there is {events}")
            events = [self._tell(event)[:60] for event in list(self._events)[-5:]]
            raise TimeoutError(reason.format(timeout=timeout, what=what, events=events))

    def _has_joined(self, client: Address) -> bool:
        return any(event.kind == "joined" and event.address == client for event in self._events)

    def refresh(self) -> None:
        """Draw again, for front ends that do not show what changes in the background."""
        self.draw()

    # --- what happens ---

    def _connect(self, name: str, **options: Any) -> Connection:
        client = connect(self.module, self.address, name, **options)
        with self._changed:
            self._names[local_address(client)] = name
            self._changed.notify_all()  # who waits for this name finds it now
        name_client(local_address(client), name)
        painter.draw_soon(self)
        return client

    def _on_event(self, event: Event) -> None:
        """Take what the server tells, on its threads."""
        with self._changed:
            self._events.append(event)
            self._total += 1
            if event.kind == "left":
                self._present.pop(event.address, None)
            else:
                said = self._present.get(event.address, 0)
                self._present[event.address] = said + (event.kind == "said")
            self._changed.notify_all()
        painter.draw_soon(self)

    def _tell(self, event: Event) -> str:
        """Return `event` in words, with the name once (in stage 5 the text begins with it, too)."""
        address = show_address(event.address)
        name = self._names.get(event.address, address)
        told = event._replace(text=event.text.removeprefix(f"{name}{COLON}"), name="")
        return str(told).replace(address, name, 1)

    def _stop_or_start(self) -> None:
        """Do what the button says; where it fails, say so in the log."""
        try:
            self._trouble = ""
            self.stop() if self.running else self.start()
        except OSError as error:
            self._trouble = str(error)
            self.draw()

    def _draw_at_the_end(self, server: BackgroundServer) -> None:
        server.wait()
        self.draw()

    def draw(self) -> int:
        """Show the newest state. Any thread may call; returns the number of characters sent."""
        with self._changed:  # held to the end, so that no older picture overtakes a newer one
            running = self.running
            name = _("Server, {what}").format(what=self._what)
            state = show_address(self.address) if running else _("ended")
            self._title.value = title_html(running, name, state)
            self._button.description = _("Stop") if running else _("Start")
            there = _("Connected: {n}").format(n=len(self._present)) + "<br>"
            members = "".join(self._member_html(*member) for member in self._present.items())
            self._members.value = f'<div style="{FONT};overflow-wrap:anywhere">{there}{members}</div>'
            lines = [as_html(self._tell(event)) for event in list(self._events)[-SHOWN:]]
            if self._trouble:
                lines.append(trouble_html(self._trouble))
            self._log.value = log_html(lines, 10)
            return len(self._log.value) + len(self._members.value)

    def _member_html(self, address: Address, said: int) -> str:
        name = as_html(self._names.get(address, show_address(address)))
        words = _("{name} (messages: {n})").format(name=f"<b>{name}</b>", n=said)
        return f'<span style="display:inline-block;margin-right:.8em">{words}</span>'


def local_address(client: Connection) -> Address:
    """Return the address at which a server sees `client`."""
    sock: socket.socket = client.sock
    host, port = sock.getsockname()[:2]
    return host, port
