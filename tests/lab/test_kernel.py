"""The widgets in a real kernel, spoken to as a front end does: with comm messages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.support import PATIENCE

START = """
import json
from chatstages.lab import *
speak("en")
server = start(4)
ann, ben = join(server, "Ann"), join(server, "Ben")
parts = dict(box=ann._box, send=ann._send_button, leave=ann._leave_button, log=ben._log, title=ann._title,
             stop=server._button, members=server._members, panel=server._title)
print(json.dumps({name: part.model_id for name, part in parts.items()}))
"""


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """Take the place of the fixture of that name: jupyter_client keeps an event loop for good."""


class FrontEnd:
    """What a front end does with the widgets of a notebook: it hears their state, and tells of the person."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._state: dict[str, dict[str, Any]] = {}
        self._printed = ""
        self._client.execute(START)
        self._until(lambda: self._printed.endswith("}\n"), "the names of the widgets")
        self._ids: dict[str, str] = json.loads(self._printed)

    def run(self, code: str) -> None:
        """Run a cell, and do not wait for its end."""
        self._client.execute(code)

    def wait_until_printed(self, text: str) -> None:
        """Wait until the last that cells have printed is `text`."""
        self._until(lambda: self._printed.endswith(text), repr(text))

    def tell(self, widget: str, **data: Any) -> None:
        """Send a message to `widget`."""
        content = {"comm_id": self._ids[widget], "data": data}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))

    def click(self, widget: str) -> None:
        """Click a button."""
        self.tell(widget, method="custom", content={"event": "click"})

    def wait_for(self, widget: str, key: str, text: str) -> None:
        """Wait until the state `key` of `widget` holds `text`."""

        def holds() -> bool:
            return text in str(self._state.get(self._ids[widget], {}).get(key))

        self._until(holds, f"{text!r} in {widget}")

    def _until(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + 3 * PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            message = self._client.get_iopub_msg(timeout=3 * PATIENCE)
            content = message["content"]
            if message["msg_type"] in ("comm_open", "comm_msg") and "state" in content["data"]:
                self._state.setdefault(content["comm_id"], {}).update(content["data"]["state"])
            elif message["msg_type"] == "stream":
                self._printed += content["text"]
            assert message["msg_type"] != "error", content


@pytest.fixture
def front_end() -> Iterator[FrontEnd]:
    """Give a front end with a server of stage 4 and two clients in its kernel."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield FrontEnd(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.context.destroy()


def test_a_person_types_leaves_comes_back_and_stops_the_server(front_end: FrontEnd) -> None:
    """Each is a message from the page, and each is answered by new states of the widgets."""
    front_end.tell("box", method="custom", content={"event": "submit"})
    front_end.tell("box", method="update", state={"value": "typed <here>"}, buffer_paths=[])
    front_end.wait_for("log", "value", "typed &lt;here&gt;")
    front_end.wait_for("members", "value", "<b>Ann</b> (messages: 1)")
    front_end.tell("box", method="update", state={"value": "clicked"}, buffer_paths=[])
    front_end.click("send")
    front_end.wait_for("log", "value", "clicked")
    front_end.click("leave")
    front_end.wait_for("leave", "description", "Join")
    front_end.wait_for("members", "value", "Connected: 1")
    front_end.click("leave")
    front_end.wait_for("members", "value", "Connected: 2")
    front_end.click("stop")
    front_end.wait_for("panel", "value", "ended")
    front_end.wait_for("title", "value", "not connected")


def test_what_is_typed_while_a_cell_waits_does_not_disturb_it(front_end: FrontEnd) -> None:
    """The cell prints what it has waited for, and what was typed is sent, too."""
    front_end.run(
        "import threading\n"
        "threading.Timer(0.2, ann.say, ['said by the cell']).start()\n"
        "print(server.wait_for('said', text='by the cell'))"
    )
    front_end.tell("box", method="custom", content={"event": "submit"})
    front_end.tell("box", method="update", state={"value": "typed meanwhile"}, buffer_paths=[])
    front_end.wait_for("log", "value", "typed meanwhile")
    front_end.wait_for("log", "value", "said by the cell")
    front_end.wait_until_printed("Ann said: said by the cell\n")
