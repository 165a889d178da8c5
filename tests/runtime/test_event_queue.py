"""Telling a hook what happens, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chatstages import i18n
from chatstages.runtime import event_queue
from chatstages.runtime.event_queue import EventQueue, Lines, as_text, expand
from chatstages.runtime.events import Event, ignore
from tests.support import PATIENCE, Recorder

HERE = ("127.0.0.1", 1)


def said(text: str) -> Event:
    """Return an event."""
    return Event("said", HERE, text, "Ann")


class PausedHook(Recorder):
    """A hook that blocks, like a paused terminal, until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.released = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> None:
        """Wait, then keep `event`."""
        self.called.set()
        assert self.released.wait(PATIENCE)
        super().__call__(event)


def missed_by(hook: Recorder) -> int:
    """Return how many events `hook` has been told that it has missed."""
    return sum(int(event.text.split()[0]) for event in hook.events if event.kind == "missed")


@contextmanager
def paused() -> Iterator[tuple[EventQueue, PausedHook]]:
    """Give a queue whose hook is blocked in its first call."""
    hook = PausedHook()
    queue = EventQueue(hook, HERE)
    try:
        queue(said("first"))
        assert hook.called.wait(PATIENCE)
        yield queue, hook
    finally:
        hook.released.set()
        queue.close()


def test_events_come_one_after_the_other_in_their_order() -> None:
    """Though many threads put them there; and not on these threads."""
    threads: set[threading.Thread] = set()
    heard = Recorder()

    def hook(event: Event) -> None:
        threads.add(threading.current_thread())
        heard(event)

    queue = EventQueue(hook, HERE)
    speakers = [
        threading.Thread(target=lambda name=name: list(map(queue, [said(f"{name}{n}") for n in range(100)])))
        for name in "abc"
    ]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    queue.close()
    texts = [event.text for event in heard.events]
    assert [[text for text in texts if text[0] == name] for name in "abc"] == [
        [f"{name}{n}" for n in range(100)] for name in "abc"
    ]
    assert len(threads) == 1
    assert threads.isdisjoint({threading.current_thread(), *speakers})


def test_lines_become_events_on_the_thread_of_the_hook(heard: Recorder) -> None:
    """As they stand in the log: the nickname, a colon, the text."""
    queue = EventQueue(heard, HERE)
    queue.put([(HERE, "小明", ["小明：你好".encode(), "小明：再见".encode()]), Event("left", HERE)])
    queue.close()
    assert heard.events == [
        Event("said", HERE, "你好", "小明"),
        Event("said", HERE, "再见", "小明"),
        Event("left", HERE),
    ]


def test_what_a_paused_hook_misses_is_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it; when it goes on, it learns how much is missing."""
    monkeypatch.setattr(event_queue, "MAX_WAITING", 10 * (event_queue.EVENT_SIZE + 4))
    lines: Lines = (HERE, "Ann", ["Ann：a".encode()] * 100)
    with paused() as (queue, hook):
        for number in range(30):
            queue(said(f"{number:4}"))
        queue.put([lines])
        hook.released.set()
        missed = hook.wait("missed")[0]
    texts = [event.text for event in hook.of("said")]
    assert texts == ["first", *(f"{number:4}" for number in range(10))]
    assert str(missed) == "120 events were missed: nobody took them in time"


def test_what_waits_takes_no_more_memory_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the length of the texts, too."""
    monkeypatch.setattr(event_queue, "MAX_WAITING", 10_000)
    with paused() as (queue, _hook):
        queue.put([said("x" * 9_901)], 9_901)
        assert queue._waiting == []
        queue.put([said("x" * 9_900)], 9_900)
        assert len(queue._waiting) == 1


def test_close_waits_for_a_blocked_hook_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not been told is counted, and told if it ever goes on."""
    monkeypatch.setattr(event_queue, "CLOSE_TIMEOUT", 0.01)
    with paused() as (queue, hook):
        queue(said("second"))
        queue.close()
        queue(said("too late"))
        hook.released.set()
        hook.until(lambda: missed_by(hook) == 2, "both to be counted")


def test_a_slow_hook_is_told_no_more_when_close_has_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """But how many events it has missed."""
    monkeypatch.setattr(event_queue, "CLOSE_TIMEOUT", 0.01)
    hook = PausedHook()
    queue = EventQueue(hook, HERE)
    queue.put([said(str(number)) for number in range(100)])
    assert hook.called.wait(PATIENCE)
    queue.close()
    hook.released.set()
    assert hook.wait("missed")[0].text.startswith("99 events")
    assert len(hook.of("said")) == 1


def test_close_tells_what_still_waits(heard: Recorder) -> None:
    """All of it, where the hook takes it."""
    queue = EventQueue(heard, HERE)
    for _each in range(1_000):
        queue(said("a"))
    queue.close()
    assert len(heard.events) == 1_000


def test_what_a_hook_raises_is_reported_and_it_is_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an exception of a thread."""
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    texts: list[str] = []

    def hook(event: Event) -> None:
        texts.append(event.text)
        if event.text == "a":
            raise LookupError("no such thing")

    queue = EventQueue(hook, HERE)
    for text in "aba":
        queue(said(text))
    queue.close()
    assert texts == ["a", "b", "a"]
    assert [str(error) for error in reported] == ["no such thing"] * 2


def test_a_hook_that_can_take_many_events_gets_them_in_one_call() -> None:
    """All that have happened since its last."""
    calls: list[list[Event | Lines]] = []

    class Screen(PausedHook):
        def tell_all(self, happened: list[Event | Lines]) -> None:
            calls.append(happened)
            self(said(""))

    hook = Screen()
    queue = EventQueue(hook, HERE)
    queue(said("first"))
    assert hook.called.wait(PATIENCE)
    for number in range(6):
        queue(said(str(number)))
    hook.released.set()
    queue.close()
    assert calls == [[said("first")], [said(str(number)) for number in range(6)]]


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_the_quick_text_is_that_of_the_events(lang: str) -> None:
    """In the language in use."""
    i18n.use(lang)
    happened: list[Event | Lines] = [
        Event("joined", HERE),
        (HERE, "小明", ["小明：你好".encode(), "小明：a\tb".encode(), "小明：".encode()]),
        Event("left", HERE, name="小明"),
    ]
    assert as_text(happened) == "".join(f"{event}\n" for event in expand(happened))
    assert "小明" in as_text(happened)


def test_nobody_who_wants_to_know_takes_no_thread() -> None:
    """And nothing is kept."""
    before = threading.active_count()
    queue = EventQueue(ignore, HERE)
    queue(said("a"))
    assert threading.active_count() == before
    assert queue._waiting == []
    queue.close()
