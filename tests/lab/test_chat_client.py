"""The chat client widget, without a browser: what the page sends is handed to it, what it shows is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from ipywidgets import HTML

from chatstages.lab import ChatClient, ChatServer, finish, join, row, start
from chatstages.lab import chat_client as client_module
from chatstages.lab.chat_client import line_at
from tests import support
from tests.support import STAGES


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Give a server of stage 4, in the lab."""
    yield start(4)
    finish()


def wait_until(client: ChatClient, condition: Callable[[], bool]) -> None:
    """Wait until what the page shows of `client` meets `condition`."""
    support.wait_until(condition, client._log, client._title, client._box)


def press_enter(client: ChatClient, text: str | None) -> None:
    """Do what the page does: tell of the key first, then of the text in the box, if that is new."""
    client._box._handle_custom_msg({"event": "submit"}, [])
    if text is not None:
        client._box.value = text


def test_enter_sends_what_is_in_the_box(server: ChatServer) -> None:
    """The box is empty afterwards."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    press_enter(ann, "你好")
    ben.wait_for("你好")
    assert ann._box.value == ""


def test_enter_sends_what_the_page_had_told_before(server: ChatServer) -> None:
    """It tells the text when the box loses the focus, which sends nothing; Enter then comes alone."""
    ann = join(server, "Ann")
    ann._box.value = "half a line"
    join(server, "Ben").say("in between")
    ann.wait_for("in between")
    assert "half" not in "".join(ann.lines)
    press_enter(ann, None)
    ann.wait_for("half a line")


def test_the_button_sends(server: ChatServer) -> None:
    """For whoever has no Enter key at hand."""
    ann = join(server, "Ann")
    ann._box.value = "by button"
    ann._send_button.click()
    ann.wait_for("by button")
    assert ann._box.value == ""


def test_an_empty_box_sends_nothing(server: ChatServer) -> None:
    """Nor does Enter twice."""
    ann = join(server, "Ann")
    press_enter(ann, "once")
    ann._send_button.click()
    ann.say("last")
    ann.wait_for("last")
    assert "".join(ann.lines) == "oncelast"


def test_leaving_and_coming_back(server: ChatServer) -> None:
    """One button, which says what it does."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    assert ann._leave_button.description == "Leave"
    ann._leave_button.click()
    server.wait_for("left")
    assert ann._leave_button.description == "Join"
    assert ann._box.disabled
    ben.say("unheard")
    ben.wait_for("unheard")
    ann._leave_button.click()
    server.wait_for("joined", 3)
    ben.say("heard again")
    ann.wait_for("heard again")
    assert "unheard" not in "".join(ann.lines)


def test_a_client_shows_that_the_server_has_gone(server: ChatServer) -> None:
    """And joining then says why it does not work, in the box."""
    ann = join(server, "Ann")
    server.stop()
    wait_until(ann, lambda: "○" in ann._title.value)
    ann._leave_button.click()
    assert "refused" in ann._log.value


def test_what_cannot_be_sent_stays_in_the_box(server: ChatServer) -> None:
    """The server has gone in the meantime: nothing typed is lost."""
    ann = join(server, "Ann")
    ann.leave()
    ann._box.value = "unsent"
    ann._box.take()
    assert ann._box.value == "unsent"
    assert "⚠" in ann._log.value


def test_text_and_name_are_shown_as_they_are(server: ChatServer) -> None:
    """They are no HTML."""
    eve = join(server, "<b>Eve</b>")
    eve.say("<img src=x onerror=alert(1)> &amp; 😀")
    wait_until(eve, lambda: "&lt;img src=x onerror=alert(1)&gt; &amp;amp; 😀" in eve._log.value)
    assert "&lt;b&gt;Eve&lt;/b&gt;" in eve._title.value


def test_older_lines_make_room_and_are_counted(server: ChatServer) -> None:
    """The page stays small however much is said."""
    ann = join(server, "Ann")
    for number in range(600):
        ann.say(f"{number}\n")
        ann.wait_for(f"{number}\n")
    assert len(ann.lines) == 500
    wait_until(ann, lambda: "599" in ann._log.value)
    assert "400 older lines" in ann._log.value  # 100 are forgotten, 300 kept, and not drawn


def test_waiting_goes_on_though_older_lines_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found, and where, is counted from the very first line."""
    monkeypatch.setattr(client_module, "KEPT", 5)
    ann = join(start(4), "Ann")
    for _each in range(20):
        ann.say("again")
        ann.wait_for("again")
    assert ann.lines == ["again"] * 5
    finish()


def test_waiting_has_an_end_and_says_for_what(server: ChatServer) -> None:
    """No cell hangs."""
    ann = join(server, "Ann")
    with pytest.raises(TimeoutError, match=r"Ann has waited 0.01 s for 'nothing'; there is \[\]"):
        ann.wait_for("nothing", timeout=0.01)


def test_a_row_lays_clients_side_by_side(server: ChatServer) -> None:
    """A text stands for it where widgets are not drawn."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    both = row(ann, ben)
    assert both.children == (ann, ben)
    assert repr(both) == "<chat client Ann>  <chat client Ben>"


@pytest.mark.parametrize(("windows", "across"), [(2, 3), (3, 3), (4, 2), (5, 3), (8, 3), (10, 2)])
def test_no_window_of_a_row_stands_alone(windows: int, across: int) -> None:
    """Four are two by two; columns in which nothing stands take no room."""
    laid_out = row(*(HTML() for _each in range(windows)))
    widest = {3: "32%", 2: "49%"}[across]
    assert laid_out.layout.grid_template_columns == f"repeat(auto-fit, minmax(max(15em, {widest}), 1fr))"
    assert windows % across != 1


def test_exit_leaves_and_is_not_sent(server: ChatServer) -> None:
    """As in a terminal."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    press_enter(ann, "exit")
    server.wait_for("left")
    ben.say("Bye!")
    ben.wait_for("Bye!")
    assert ben.lines == ["Bye!"]


def test_lines_of_others_are_counted_as_unread(server: ChatServer) -> None:
    """Until this client's person does something; one's own words are no news."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    for text in ("one", "two"):
        ben.say(text)
        ann.wait_for(text)
    wait_until(ann, lambda: ann._badge.description == "2 new")
    assert ann._badge.layout.visibility == "visible"
    ann._badge.click()
    assert ann._badge.layout.visibility == "hidden"
    ann.say("three")
    ann.wait_for("three")
    ann.refresh()
    assert ann._badge.description == "0 new"


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_where_the_server_says_nothing_a_client_shows_what_it_has_sent(stage: int) -> None:
    """With an arrow; in stage 1 it has then left."""
    client = join(start(stage), "Ann")
    client.say("<hello>")
    wait_until(client, lambda: "→ &lt;hello&gt;" in client._log.value)
    assert client._box.disabled == (stage == 1)
    finish()


def test_coming_back_is_possible_though_nobody_noticed_that_the_server_had_gone(server: ChatServer) -> None:
    """Joining twice is joining anew."""
    ann = join(server, "Ann")
    ann.join()
    server.wait_for("left")
    ann.say("Here I am.")
    ann.wait_for("Here I am.")


def test_what_had_not_come_back_when_one_left_is_not_taken_for_ones_own(server: ChatServer) -> None:
    """Another who says the same afterwards is news."""
    ann, ben = join(server, "Ann"), join(server, "Ben")
    ann._sent.append("hi")  # it was under way
    ann.leave()
    ann.join()
    server.wait_for("joined", 3)
    ben.say("hi")
    ann.wait_for("hi")
    ann.refresh()
    assert ann._badge.description == "1 new"


@pytest.mark.parametrize("stage", STAGES)
def test_who_is_not_connected_cannot_say_anything(stage: int) -> None:
    """And is told so at once: after leaving, and after the server has ended; then joining helps."""
    server = start(stage)
    ann = join(server, "Ann")
    ann.leave()
    with pytest.raises(ConnectionError, match=r"Ann is not connected. Connect again with .join\(\)"):
        ann.say("unsent")
    server.start()
    ann.join()
    server.stop()
    with pytest.raises(ConnectionError, match="Ann is not connected"):
        ann.say("unsent")
    assert "The server has closed the connection." in ann._log.value
    server.start()
    ann.join()
    ann.say("sent")
    assert "sent" in server.wait_for("said", text="sent")
    finish()


def test_waiting_returns_the_line(server: ChatServer) -> None:
    """Whatever has arrived before and after."""
    ann = join(server, "Ann")
    for text in ("typed", "wanted: 1", "typed again"):
        ann.say(text)
        ann.wait_for(text)  # else they could arrive coalesced
    assert ann.wait_for("wanted") == "wanted: 1"


@pytest.mark.parametrize(
    ("pieces", "text", "line"),
    [
        (["typed", "wan", "ted", "after"], "wanted", "wanted"),  # split
        (["one\ntwo wanted\nthree\n"], "wanted", "two wanted"),  # coalesced
        (["one\n", "wanted\nthree"], "wanted\n", "wanted"),
        (["wanted"], "ant", "wanted"),
    ],
)
def test_a_line_ends_at_a_newline_or_with_a_piece(pieces: list[str], text: str, line: str) -> None:
    """It is whole, though what was looked for is only a part of it."""
    assert line_at(pieces, "".join(pieces).find(text), len(text.rstrip("\n"))) == line


def test_several_threads_may_speak_as_one_member() -> None:
    """A person types while a cell speaks: each message arrives whole."""
    server = start(5)
    ann = join(server, "Ann")
    texts = [letter * 3_000 for letter in "abc"] * 9
    threads = [threading.Thread(target=ann.say, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.wait_for("said", len(threads))
    assert {event.text for event in server.events if event.kind == "said"} == set(texts)
    finish()
