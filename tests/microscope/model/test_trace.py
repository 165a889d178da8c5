"""A recording can be saved, shown by Perfetto, and loaded again."""

from __future__ import annotations

import json
import threading
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from chatstages import stage4_broadcast
from chatstages.microscope import Scope, load, microscope
from chatstages.microscope.model.recording import Recording
from chatstages.microscope.model.trace import perfetto_events
from tests.support import connected
from tests.support.microscope.recordings import Script
from tests.support.microscope.sockets import connection, run_thread


def everything(recording: Recording) -> list[Any]:
    """Return all that others may ask of a recording."""
    return [recording.events, recording.things, recording.ongoing_calls, recording.holders, recording.dropped]


def test_a_recording_that_is_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    """Events, things, the present at its end, what was dropped: all of it."""
    with microscope(max_events=20) as scope, stage4_broadcast.serve() as server:
        held = threading.Lock()
        held.acquire()
        with connected(stage4_broadcast, server.address) as client:
            client.send("\udcff\x00汉")
        with connection() as (one, two):
            one.send(bytes(range(256)))
            two.recv(1_000)
    scope.save(tmp_path / "x.json")
    loaded = Scope.load(tmp_path / "x.json")
    assert everything(loaded.recording) == everything(scope.recording)
    assert loaded.recording.now() == scope.recording.now()
    assert repr(loaded) == repr(scope)
    assert loaded.dropped > 0


def test_a_saved_recording_is_a_trace_that_perfetto_reads(tmp_path: Path) -> None:
    """Slices with times in microseconds, which nest well; names of the tracks."""
    with microscope() as scope, connection() as (client, conn):
        guard = threading.Lock()
        with guard:
            client.send(b"hello")
            conn.recv(5)
        run_thread(int)
    scope.save(tmp_path / "x.json")
    whole = json.loads((tmp_path / "x.json").read_text())
    assert list(whole) == ["traceEvents", "displayTimeUnit", "chatstages"]
    events = whole["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "s", "f"}
    tracks = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name"}
    assert set(tracks) == {"main", "thread 1 (int)", "lock 1 (guard)"}
    recv = next(e for e in events if e["name"].startswith("recv"))
    assert recv["args"]["data"] == "hello"
    assert next(e["tid"] for e in events if e["name"] == "held by main") == tracks["lock 1 (guard)"]
    slices = [(e["tid"], e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X"]
    for (track, begin, end), (other, start, stop) in combinations(slices, 2):
        inside = begin <= start < stop <= end or start <= begin < end <= stop
        assert track != other or inside or end <= start or stop <= begin


def test_the_track_of_a_lock_names_its_holder() -> None:
    """Also where another thread has given it back."""
    script = Script()
    one, two, lock = script.thread(), script.thread(), script.lock()
    script.take(one, lock)
    script.step(two, "release", lock, other=one)
    assert f"held by {one}" in [event["name"] for event in perfetto_events(script)]


def test_arrows_lead_to_what_has_begun_later(tmp_path: Path) -> None:
    """Else Perfetto turns them round; and a recv that waits has begun before the send."""
    with microscope() as scope, connection() as (client, conn):
        reader = threading.Thread(target=lambda: conn.recv(5))
        reader.start()
        while not any(ongoing.kind == "recv" for ongoing in scope.recording.ongoing_calls.values()):
            pass  # pytest's timeout ends it
        client.send(b"hello")
        reader.join()
    scope.save(tmp_path / "x.json")
    events = json.loads((tmp_path / "x.json").read_text())["traceEvents"]
    (start,), (end,) = ([e for e in events if e["ph"] == phase] for phase in "sf")
    send, recv = (next(e for e in events if e["name"].startswith(kind)) for kind in ("send", "recv"))
    (come,) = (e for e in events if e["ph"] == "X" and e["name"] == "bytes")
    assert (start["tid"], start["ts"]) == (send["tid"], send["ts"])
    assert (end["tid"], end["ts"]) == (come["tid"], come["ts"])
    assert recv["ts"] < send["ts"] < come["ts"] < come["ts"] + come["dur"] < recv["ts"] + recv["dur"]


@pytest.mark.parametrize("text", ["{}", "[]", '{"chatstages": 5}', "no json"])
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    """With ValueError, whatever is wrong with it."""
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        load(tmp_path / "x.json")


def test_a_recording_in_another_format_is_refused(tmp_path: Path) -> None:
    """In one line that names the file and both formats."""
    (tmp_path / "x.json").write_text('{"chatstages": {"format": 1, "events": []}}')
    with pytest.raises(ValueError, match=r"x\.json: a recording in format 1; this version reads format 2"):
        load(tmp_path / "x.json")
