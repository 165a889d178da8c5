"""A server inside the kernel, with a panel: who is there, what came from whom, start and stop."""

from __future__ import annotations

import threading
from collections import Counter, deque
from functools import partial
from html import escape
from types import ModuleType
from typing import Any

import ipywidgets

from chatstages.events import Address, Event, Kind, show_address
from chatstages.lab.client import WAIT, ChatClient, Connection
from chatstages.lab.painter import painter
from chatstages.lab.widgets import FONT, log_html, title_html
from chatstages.listener import Running
from chatstages.locale import _

KEPT = 1_000  # events
SHOWN = 100  # events of them that the page shows


class ChatServer(ipywidgets.VBox):  # type: ignore[misc]
    """The server of a stage, or of any module of that shape, in threads of the kernel.

    `options` go to the module's `serve`. Its methods may be called from any cell.
    """

    def __init__(self, module: ModuleType, stage: int, options: dict[str, Any]) -> None:
        self.module = module
        self.stage = stage
        self._options = options
        # Guards all that follows but _server, and the page's picture of it.
        self._changed = threading.Condition()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._counts: Counter[Kind] = Counter()
        self._present: dict[Address, int] = {}  # how often each has spoken
        self._names: dict[Address, str] = {}  # of the clients that this notebook has started
        self._port = 0  # any free one; when it is started again, the same

        self._title = ipywidgets.HTML()
        self._members = ipywidgets.HTML()
        self._log = ipywidgets.HTML()
        self._button = ipywidgets.Button(layout={"width": "auto"})
        self._button.on_click(lambda _button: self.stop() if self.running else self.start())
        top = ipywidgets.HBox([self._title, self._button], layout={"justify_content": "space-between"})
        super().__init__(
            [top, self._members, self._log],
            layout={"flex": "2 1 24em", "min_width": "18em", "margin": "4px"},
        )
        self.start()

    def __repr__(self) -> str:
        return _("<server of stage {n}>").format(n=self.stage)

    # --- what a cell calls ---

    @property
    def running(self) -> bool:
        """Whether it listens; some servers end by themselves."""
        return not self._server.wait(0)

    @property
    def address(self) -> Address:
        """Where it listens: host and port."""
        return self._server.address

    def start(self) -> None:
        """Start it (again, on the same port). Raises OSError when the port cannot be had."""
        with self._changed:
            self._present.clear()
        self._server: Running = self.module.serve(port=self._port, on_event=self._on_event, **self._options)
        self._port = self.address[1]
        self.draw()
        # The server may end by itself (stages 1 and 2), and nobody would tell the page.
        threading.Thread(target=self._draw_at_the_end, args=(self._server,), name="panel").start()

    def stop(self) -> None:
        """Stop the server (within 1 s) and give the port back."""
        self._server.stop()
        self.draw()

    def connect(self, name: str) -> ChatClient:
        """Return a client, connected, and heard by whoever speaks next.

        Raises OSError when the server has ended, TimeoutError when it does not accept the client.
        """
        client = ChatClient(name, self.stage, partial(self._connect, name))
        try:
            self.wait_for("joined", name=name)
        except TimeoutError:
            client.leave()
            raise
        return client

    @property
    def events(self) -> list[Event]:
        """What has happened, oldest first; the last 1,000."""
        with self._changed:
            return list(self._events)

    @property
    def story(self) -> list[str]:
        """What has happened, in words, with the names of the clients that this notebook has started."""
        with self._changed:
            return list(map(self._tell, self._events))

    def wait_for(self, kind: Kind, count: int = 1, timeout: float = WAIT, name: str = "") -> None:
        """Wait until `count` events of `kind` (`name`'s own, if given) have happened.

        Raises TimeoutError after `timeout` seconds.
        """

        def happened() -> int:
            if not name:
                return self._counts[kind]
            return sum(e.kind == kind and self._names.get(e.address) == name for e in self._events)

        with self._changed:
            if not self._changed.wait_for(lambda: happened() >= count, timeout):
                reason = _("The server has waited {timeout} s for {count} × {kind}; there is {events}")
                events = [self._tell(event)[:60] for event in list(self._events)[-5:]]
                raise TimeoutError(reason.format(timeout=timeout, count=count, kind=kind, events=events))

    def refresh(self) -> None:
        """Draw again, for front ends that do not show what changes in the background."""
        self.draw()

    # --- what happens ---

    def _connect(self, name: str, **options: Any) -> Connection:
        if self.stage == 5:
            options["name"] = name
        client: Any = self.module.connect(self.address, **options)
        with self._changed:
            self._names[client._sock.getsockname()[:2]] = name
            self._changed.notify_all()
        painter.draw_soon(self)
        return client  # type: ignore[no-any-return]

    def _on_event(self, event: Event) -> None:
        """Take what the server tells, on its threads."""
        with self._changed:
            self._events.append(event)
            self._counts[event.kind] += 1
            if event.kind == "left":
                self._present.pop(event.address, None)
            else:
                said = self._present.get(event.address, 0)
                self._present[event.address] = said + (event.kind == "said")
            self._changed.notify_all()
        painter.draw_soon(self)

    def _tell(self, event: Event) -> str:
        address = show_address(event.address)
        return str(event).replace(address, self._names.get(event.address, address), 1)

    def _draw_at_the_end(self, server: Running) -> None:
        server.wait()
        self.draw()

    def draw(self) -> int:
        """Show the newest state. Any thread may call; returns the number of characters sent."""
        with self._changed:  # held to the end, so that no older picture overtakes a newer one
            running = self.running
            name = _("Server, stage {n}").format(n=self.stage)
            state = show_address(self.address) if running else _("ended")
            self._title.value = title_html(running, name, state)
            self._button.description = _("Stop") if running else _("Start")
            members = [
                f"<b>{escape(self._names.get(address, show_address(address)))}</b>&nbsp;({said})"
                for address, said in self._present.items()
            ]
            there = _("Connected: {n}").format(n=len(members))
            self._members.value = (
                f'<div style="{FONT};overflow-wrap:anywhere">{there} {" ".join(members)}</div>'
            )
            lines = [escape(self._tell(event)) for event in list(self._events)[-SHOWN:]]
            self._log.value = log_html(lines, 10)
            return len(self._log.value) + len(self._members.value)
