"""The pictures of a recording, and what they say in words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from chatstages.lab.board import Board, player
from chatstages.microscope.model.recording import Recording
from chatstages.microscope.model.snapshot import History, take_snapshot
from chatstages.microscope.pictures import Picture, board, page, save_page, sequence, timeline, wire
from chatstages.microscope.pictures.page import MOST_STEPS, choose_steps
from chatstages.microscope.pictures.spans import fold
from tests.scripted import Script, calm, chat, crossed, frozen, merged

PICTURES: list[Callable[[Recording], Picture]] = [sequence, timeline, board, wire]
SCRIPTS = [calm, merged, crossed, frozen, Script]


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_picture_is_svg_and_text(
    draw: Callable[[Recording], Picture], script: Callable[[], Script]
) -> None:
    """Also of a recording in which nothing has happened."""
    picture = draw(script())
    assert ET.fromstring(picture.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert repr(picture)
    assert set(picture._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_a_sequence_in_words() -> None:
    """Who joined, said what to whom, and left."""
    assert sequence(calm()).text.splitlines() == [
        "main → main: connects",
        "main → main: connects",
        "main → thread 2: “你好”",
        "thread 2 → main: “你好”",
        "thread 2 → main: “你好”",
        "main → thread 3: “你好”",
        "thread 3 → main: “你好”",
        "thread 3 → main: “你好”",
        "main → thread 2: closes",
    ]


def test_what_one_says_to_several_is_one_line() -> None:
    """Their order is not always the same."""
    assert "socket 1 → socket 2, socket 4: “你好”" in sequence(calm(), lanes="endpoints").text


def test_a_sequence_of_endpoints() -> None:
    """All connections of a server share its lane."""
    lines = sequence(merged(), lanes="endpoints").text.splitlines()
    assert lines[2] == "socket 2 → socket 1: “a”  (coalesced)"
    assert lines[-1] == "socket 2 → socket 1: “\\xae\\xb6好”  (split)"


def test_the_order_is_that_of_causes() -> None:
    """Even where the recv was noted before the send that it came from."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    began = script.clock
    script.clock += 1_000_000
    script.happen(one, "recv", there, began, data=b"hi")
    script.happen("main", "send", ann, began, data=b"hi")
    script.step(one, "send", there, data=b"hello")
    script.step("main", "recv", ann, data=b"hello")
    assert sequence(script).text.splitlines()[2:] == ["main → thread 2: “hi”", "thread 2 → main: “hello”"]


def test_exceptions_and_what_nobody_fetched_are_in_the_sequence() -> None:
    """A call that only says "not now" is not."""
    script = Script()
    (one, _two), ((ann, there), _ben) = chat(script)
    script.step(one, "recv", there, error="BlockingIOError: not now")
    script.step("main", "send", ann, data=b"hi")
    script.step(one, "run", error="ValueError: no")
    assert sequence(script).text.splitlines()[2:] == [
        "main → thread 2: “hi”  (not received)",
        "thread 2 ✗ ValueError: no",
    ]
    assert "bad b" in sequence(script).svg


def test_a_pair_of_sockets_is_a_connection_too() -> None:
    """A learner's first experiment may be one byte from one end to the other."""
    script = Script()
    left, right = (script.new_thing("socket", role="pair") for _each in range(2))
    left.peer, right.peer = right.label, left.label
    script.step("main", "send", left.label, data=b"!")
    script.step("main", "recv", right.label, data=b"!")
    script.step("main", "close", left.label)
    assert sequence(script).text.splitlines() == ["main → main: “!”", "main: closes"]


def test_a_timeline_in_words() -> None:
    """The states in order, without times."""
    assert timeline(crossed()).text.splitlines() == [
        "thread 2: acquires lock 1 · waits for lock 2 · holds lock 1 · still blocked · DEADLOCK",
        "thread 3: acquires lock 2 · waits for lock 1 · holds lock 2 · still blocked · DEADLOCK",
    ]


def test_a_timeline_can_be_looked_at_closer() -> None:
    """What lies outside is not drawn."""
    whole, part = timeline(merged()).svg, timeline(merged(), begin=0.0, end=0.002).svg
    assert whole.count("<rect") > part.count("<rect")
    assert "thread 2" not in part


@pytest.mark.parametrize(
    ("words", "folded"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a ×3"]),
        (["x", "a", "b", "a", "b", "y"], ["x", "(a · b) ×2", "y"]),
        ([], []),
    ],
)
def test_what_comes_again_and_again_is_said_once(words: list[str], folded: list[str]) -> None:
    """With how often."""
    assert fold(words) == folded


def test_a_board_says_why_all_is_still() -> None:
    """Who holds what, who waits, and what is in flight."""
    assert board(frozen()).text.splitlines() == [
        "⚠ lock 1 is held by thread 2, which waits in send on socket 5 ⇄ socket 4. Waiting for it: thread 3.",
        "Threads:",
        "  main: running",
        "  thread 2 (handle): send socket 5  (holds lock 1)",
        "  thread 3 (handle): waits for lock 1",
        "Locks:",
        "  lock 1: held by thread 2; thread 3 waiting",
        "Connections:",
        "  socket 2 ⇄ socket 3: nothing in flight",
        "  socket 4 ⇄ socket 5: in flight: 70,000 bytes for socket 4",
    ]
    assert board(crossed()).text.startswith("⚠ Deadlock: thread 2, thread 3 wait for each other.")


def test_a_board_of_the_past() -> None:
    """Between a send and its recv the bytes are in flight."""
    script = merged()
    sends = [event.number for event in script.events if event.kind == "send"]
    assert "in flight: 3 bytes for socket 3" in board(script, at=sends[2]).text
    assert "in flight: 12 bytes" not in board(script).text
    assert History(script).at(sends[0]).connections[0].in_flight == 1


def test_the_past_knows_who_held_a_lock() -> None:
    """And who waited for it."""
    script = Script()
    one, two = script.thread(), script.thread()
    lock = script.lock()
    script.take(one, lock)
    began = script.clock
    meanwhile = script.step("main", "start", other=two)
    script.clock += 1_000_000
    script.give(one, lock)
    script.happen(two, "acquire", lock, began)
    snapshot = History(script).at(meanwhile)
    assert snapshot.holders[lock][0] == one
    assert snapshot.waiters_for(lock) == [two]
    assert take_snapshot(script).holders == {}


def test_a_wire_in_words() -> None:
    """Where sends and recvs begin, and which characters were cut."""
    assert wire(merged()).text.splitlines() == [
        "socket 2 → socket 3: 12 bytes; sends: 4, recvs: 4",
        "       0 │61╷62╷63│e5 a4╵a7 e5╵ae b6 e5 a5 bd              │a╷b╷c│大╵家╵好",
        "  ✂ 大 at offset 3 was split",
        "  ✂ 家 at offset 6 was split",
    ]


def test_a_long_stream_is_shown_in_part() -> None:
    """With what is left out, and with every place where something begins."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"x" * 100_000)
    script.step("main", "send", ann, data=b"end")
    script.step("main", "recv", there, data=b"x" * 100_000 + b"end")
    words = wire(script).text
    assert len(words.splitlines()) < 40
    assert "⋯ 99," in words
    assert "end" in words
    assert len(sequence(script).svg) < 20_000


@pytest.mark.parametrize("draw", PICTURES)
def test_every_picture_says_what_is_forgotten(draw: Callable[[Recording], Picture]) -> None:
    """In words, and to be seen."""
    script = Script(max_events=1)
    chat(script)
    assert "4 older events were dropped." in draw(script).text
    assert "4 older events were dropped." in draw(script).svg


@pytest.mark.parametrize("draw", PICTURES)
def test_hostile_text_does_nothing(draw: Callable[[Recording], Picture]) -> None:
    """Whatever was sent, and whatever a thread or file is called."""
    script = Script()
    _threads, ((ann, there), _ben) = chat(script)
    evil = "<script>alert(1)</script>\x1b[2J\u202e"
    thread, lock = script.thread(evil), script.lock()
    script.step(thread, "send", ann, data=evil.encode(), file=evil, function=evil)
    script.step(thread, "recv", there, data=evil.encode())
    script.step(thread, "recv", there, error=evil, detail=evil)
    script.take(thread, lock, file=evil)
    picture = draw(script)
    ET.fromstring(picture.svg)
    assert "<script" not in picture.svg
    assert not re.search("[\x1b\u202e]", picture.svg + picture.text)


def test_a_long_recording_makes_a_picture_of_bounded_size() -> None:
    """And says what it leaves out."""
    script = Script(max_events=100_000)
    _threads, ((ann, there), _ben) = chat(script)
    for _each in range(2_000):
        script.step("main", "send", ann, data=b"hello")
        script.step("main", "recv", there, data=b"hello")
    for draw in PICTURES:
        assert len(draw(script).svg) < 400_000
    assert "older rows are left out." in sequence(script).text


def many_messages(count: int) -> Script:
    """Write so many messages, each with its number."""
    script = Script(max_events=10_000)
    _threads, ((ann, there), _ben) = chat(script)
    for number in range(count):
        for kind, sock in (("send", ann), ("recv", there)):
            script.step("main", kind, sock, data=b"<%d>" % number)  # type: ignore[arg-type]
    return script


def test_a_sequence_shows_the_newest_rows() -> None:
    """What is left out is the beginning."""
    text = sequence(many_messages(400)).text
    assert "<399>" in text
    assert "<0>" not in text


def test_the_slider_stops_at_the_newest_steps() -> None:
    """What is left out is the beginning."""
    script = many_messages(400)
    steps = choose_steps(script)
    assert (len(steps), steps[-1]) == (MOST_STEPS, script.events[-1])


def test_a_wire_shows_a_limited_number_of_streams() -> None:
    """And says how many more there are."""
    script = Script()
    listener = script.listener()
    for _each in range(9):
        client, _server = script.connect(listener)
        script.step("main", "send", client, data=b"x")
    text = wire(script).text
    assert text.count("1 bytes; sends") == 8
    assert "1 more streams are left out." in text


def test_a_message_cannot_end_the_script_of_a_page() -> None:
    """The data of the page stand in a script; “</script>” in a message must not end it."""
    script = Script()
    _threads, ((ann, _there), _ben) = chat(script)
    script.step("main", "send", ann, data=b"</script><script>alert(1)</script>")
    html = page(script)
    assert html.count("</script>") == 2
    assert html.count("<script") == 2 + html.count("<\\/script><script>alert")
    assert "<\\/script><script>alert" in html


def test_a_picture_without_what_comes_later() -> None:
    """It is greyed out, and nothing moves."""
    picture = sequence(merged())
    first = next(event.number for event in merged().events if event.kind == "send")
    assert picture.at(first).shapes.count('class="later"') > 5
    assert picture.at(10**9).shapes == picture.shapes
    assert 'visibility:visible"' in timeline(merged()).at_time(3_000_000).shapes


def test_a_notebook_compares_no_numbers_of_events() -> None:
    """They change from run to run."""
    assert "data-n" not in sequence(merged())._repr_mimebundle_()["text/html"]


def test_a_page_needs_no_network(tmp_path: object) -> None:
    """It has every picture, and no address but that of the SVG's vocabulary."""
    save_page(merged(), f"{tmp_path}/page.html")
    with open(f"{tmp_path}/page.html", encoding="utf-8") as file:
        html = file.read()
    assert html == page(merged())
    assert set(re.findall(r"https?://[\w./]+", html)) == {"http://www.w3.org/2000/svg"}
    assert html.count("<svg") >= 5
    assert html.count("</script>") == 2


def test_a_picture_is_saved_as_svg(tmp_path: object) -> None:
    """With its colours."""
    sequence(merged()).save(f"{tmp_path}/picture.svg")
    with open(f"{tmp_path}/picture.svg", encoding="utf-8") as file:
        assert "prefers-color-scheme" in file.read()


def test_a_live_board_follows_until_it_is_stopped() -> None:
    """A second picture of the same state is not sent."""
    script = frozen()
    with Board(script) as shown:
        assert "thread 2" in shown._html.value
        assert shown.draw() == 0
        script.step("thread 2", "send", "socket 5")
    assert "send socket 5" not in shown._html.value
    assert repr(shown) == board(script).text


def test_a_player_moves_all_pictures_together() -> None:
    """The slider chooses the step."""
    shown = player(merged())
    shown.slider.value = 5
    assert "send socket 2" in shown._said.value
    for number in range(4):
        shown._tabs.selected_index = number
        assert "<svg" in shown._tabs.children[number].value
    assert "<svg" in player(Script())._said.value  # where there is nothing to step through
