"""Measuring: what is counted is what has happened, and what is missing is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from chatstages import cli, stage3_threads
from chatstages.bench import load, measure, peers, picture
from chatstages.bench.compare import Comparison, LeftOut, Row, choose, measure_in_turn
from chatstages.bench.load import Figures, Job, load_program, put_load
from chatstages.bench.peers import ALL, LINE, Failed, Missing, Peer, compiled, running
from chatstages.bench.picture import Bar, draw_curves, print_bars
from tests.support import PATIENCE, ROOT, Recorder, python, raw_client, read_until

SHORT = Job(members=5, seconds=0.2, warmup=0.05, patience=PATIENCE)
SLOW = [sys.executable, "-m", "chatstages.bench.slow_load"]

# A chat server that does something wrong to one member at every tenth message.
FAULTY = """
import asyncio
members, said = [], 0
async def serve(reader, writer):
    global said
    members.append(writer)
    while line := await reader.readline():
        said += b"|-" not in line  # a probe: everybody is still joining
        victim = next((m for m in members if m is not writer), None) if said % 10 == 9 else None
        for member in members:
            member.write(line if member is not victim else b"")
        if victim: {fault}
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(*server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for what is compiled: once for all tests."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(params=["C", "Python"])
def program(request: pytest.FixtureRequest, folder: Path) -> list[str]:
    """Return the load, each of the two."""
    if request.param == "Python":
        return SLOW
    return [str(compiled_or_skip("load", folder))]


def compiled_or_skip(name: str, folder: Path) -> Path:
    """Return the program; skip the test where it cannot be compiled."""
    try:
        return compiled(name, folder)
    except Missing as missing:
        pytest.skip(str(missing))


def faulty(fault: str) -> Peer:
    """Return a server that does something wrong."""
    return Peer("faulty", [sys.executable, "-c", FAULTY.format(fault=fault)], LINE)


def row(name: str, cost: float, key: str = "") -> Row:
    """Return a server that has needed `cost` microseconds."""
    figures = Figures(1_000, 10, 1.0, cost / 1e3, 0.1, 1.0, 2.0, 0, 0, 0, 0, True)
    return Row(key or name, Peer(name, [], LINE), [figures])


# --- the load ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ALL if name != "stage 3"])
def test_every_member_hears_every_message(name: str, folder: Path) -> None:
    """In each protocol: all that was sent, from the first to the last, has come to everybody."""
    rows, left_out = choose([name], folder)
    if left_out:
        pytest.skip(str(left_out[0]))
    figures = load.run(load_program(folder), rows[0].peer, SHORT)
    assert (figures.lost, figures.damaged, figures.missing, figures.drained) == (0, 0, 0, True)
    assert figures.deliveries > figures.messages > 0
    assert figures.server_cpu > 0
    assert figures.own_cpu > 0


def test_both_loads_count_alike(program: list[str], folder: Path) -> None:
    """The one in Python, too, hears everything, and whoever does not speak hears it as well."""
    peer = choose(["stage 5"], folder)[0][0].peer
    figures = load.run(program, peer, SHORT._replace(speakers=2))
    assert (figures.lost, figures.damaged, figures.missing, figures.drained) == (0, 0, 0, True)
    assert figures.deliveries > figures.messages > 0


@pytest.mark.parametrize(
    ("fault", "flaws"),
    [
        ("pass", {"missing"}),
        ("victim.write(line[:40])", {"missing", "damaged"}),
        ("members.remove(victim); victim.close()", {"lost"}),
    ],
)
def test_a_server_that_loses_things_is_found_out(fault: str, flaws: set[str], program: list[str]) -> None:
    """A message that one member does not get, half a message, a member that is thrown out."""
    figures = load.run(program, faulty(fault), SHORT)
    assert flaws <= {name for name in ("missing", "damaged", "lost") if getattr(figures, name) > 0}
    assert Row("", faulty(""), [figures]).flaws()


def test_what_is_poured_in_is_counted_exactly(program: list[str], told: Recorder) -> None:
    """The server has heard as many messages as the load says, from all members."""
    peer = Peer("", [], peers.RAW, only_hears=True)
    with stage3_threads.serve(on_event=told) as server:
        figures = put_load(program, peer, SHORT, os.getpid(), server.address[1])
        told.wait("left", SHORT.members)
    heard = "".join(event.text for event in told.of("said"))
    assert heard.count("|") == figures.deliveries == figures.messages > 0


def test_a_paced_load_keeps_its_pace(folder: Path) -> None:
    """As many messages as were asked for, and the time that each delivery took."""
    program = [str(compiled_or_skip("load", folder))]
    peer = choose(["stage 5"], folder)[0][0].peer
    figures = load.run(program, peer, SHORT._replace(rate=200))
    assert figures.messages + figures.stalled == pytest.approx(200 * figures.seconds, rel=0.2, abs=3)
    assert 0 < figures.p50 <= figures.p99


def test_a_load_that_is_not_done_in_time_is_ended(program: list[str]) -> None:
    """A server that takes connections and says nothing holds nobody up."""
    silent = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(*s.getsockname(), flush=True)"
    peer = Peer("", [sys.executable, "-c", silent + "; s.accept(); input()"], LINE)
    with pytest.raises(Failed):
        load.run(program, peer, SHORT._replace(patience=0.3, drain=0.0))


# --- the servers -------------------------------------------------------------------------------------


def test_the_limit_keeps_to_the_wire_of_stage_5(folder: Path) -> None:
    """Lines whole and in order, to everybody; one that is too long is left out; who comes later hears on."""
    peer = Peer("", [str(compiled_or_skip("epoll_server", folder))], LINE)
    with running(peer) as (_pid, port), raw_client(("127.0.0.1", port)) as ann:
        ann.sendall(b"first\n")
        assert read_until(ann, b"\n") == b"first\n"
        with raw_client(("127.0.0.1", port)) as ben:
            ben.sendall(b"half")
            ben.sendall(b"way\n" + b"x" * 5_000 + b"\n" + b"y" * 4_096 + b"\nthird\n")
            expected = b"halfway\n" + b"y" * 4_096 + b"\nthird\n"
            assert read_until(ben, b"third\n") == expected
            assert read_until(ann, b"third\n") == expected
        ann.sendall(b"fourth\n")
        assert read_until(ann, b"\n") == b"fourth\n"


def test_a_server_ends_with_its_measurement() -> None:
    """Also when something goes wrong."""
    with pytest.raises(ZeroDivisionError), running(faulty("pass")) as (pid, _port):
        raise ZeroDivisionError
    assert not psutil.pid_exists(pid)


def test_a_server_that_does_not_start_is_no_reason_to_stop(folder: Path) -> None:
    """It is tried once, the others go on, and the reader is told."""
    broken = Row("broken", Peer("broken", [sys.executable, "-c", "raise SystemExit('no room')"], LINE))
    rows = [broken, *choose(["stage 5"], folder)[0]]
    turns: list[str] = []
    measure_in_turn(rows, SHORT, 2, load_program(folder), turns.append)
    assert turns == ["broken", "stage 5"] * 2
    assert broken.flaws() == ["the server does not start: no room"]
    assert len(rows[1].rounds) == 2


@contextmanager
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no compiler, no program and no package be found."""
    with monkeypatch.context() as patch:
        patch.setattr("shutil.which", lambda *_args, **_kwargs: None)
        patch.setattr(peers, "find_spec", lambda _name: None)
        yield


def test_what_is_missing_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each with what would change that."""
    with nothing_installed(monkeypatch):
        rows, left_out = choose(ALL, tmp_path)
    # These need nothing but Python.
    ours = ["stage 3", "stage 4", "stage 5", "chatstages serve 5", "asyncio", "least Python"]
    assert [row.key for row in rows] == ours
    assert [missing.name for missing in left_out] == [name for name in ALL if name not in ours]
    assert "left out: Redis (apt install redis-server)" in map(str, left_out)
    assert "left out: NATS (pip install 'chatstages[peers]')" in map(str, left_out)


def test_without_a_compiler_the_load_is_made_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reader is told."""
    with nothing_installed(monkeypatch):
        result = measure(3, ["stage 5", "C"], seconds=0.1, rounds=1)
    assert [row.key for row in result.measured()] == ["stage 5"]
    assert "the load is made in Python" in repr(result)


def test_what_the_compiler_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line of it."""
    compiled_or_skip("load", tmp_path)
    (tmp_path / "wrong.c").write_text("#error no such system\n")
    monkeypatch.setattr(peers, "SOURCES", tmp_path)
    with pytest.raises(Missing, match="no such system"):
        compiled("wrong", tmp_path)


# --- the result --------------------------------------------------------------------------------------


def comparison() -> Comparison:
    """Return a result, with a name that is no XML."""
    rows = [row("stage 5", 0.5), row("<C & co>", 0.25), row("慢", 20.0)]
    return Comparison(100, rows, [LeftOut("Redis", "apt install redis-server")], slow=False)


def words(svg: str) -> str:
    """Return what can be read in a picture, which has to be well-formed XML."""
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_the_picture_names_every_server_and_what_is_left_out() -> None:
    """With its number and how it compares to stage 5, light and dark."""
    bundle = comparison()._repr_mimebundle_()
    for shown in (words(bundle["image/svg+xml"]), bundle["text/plain"]):
        assert "100 members" in shown
        for text in ("stage 5", "0.50 µs", "<C & co>", "× 0.5", "慢", "20.00 µs  × 40.0", "Redis"):
            assert text in shown
    assert "prefers-color-scheme:dark" in bundle["image/svg+xml"]


def test_without_stage_5_there_is_nothing_to_compare_to() -> None:
    """Then a server has its number only; and one that only hears is never compared."""
    other = row("asyncio", 5.0)
    assert Comparison(5, [other], [], slow=False).ratio(other) is None
    hearing = row("stage 3", 5.0)
    hearing.peer = hearing.peer._replace(only_hears=True)
    assert Comparison(5, [row("stage 5", 1.0), hearing], [], slow=False).ratio(hearing) is None


def test_bars_of_text_begin_below_each_other() -> None:
    """A Chinese character takes two columns."""
    _title, first, second = print_bars("", [Bar("慢慢", 2.0, "a"), Bar("slow", 1.0, "b")]).splitlines()
    assert first == "慢慢  " + "█" * 40 + " a"
    assert second == "slow  " + "█" * 20 + " b"


def test_curves_name_every_server() -> None:
    """Both axes are logarithmic, and two names that would overlap are moved apart."""
    curves = {"stage 5": [(10.0, 5.0), (1_000.0, 0.1)], "C": [(10.0, 3.0), (1_000.0, 0.1)]}
    svg = draw_curves("cost", "members", "µs", curves)
    for text in ("cost", "members", "µs", "stage 5", "C", "10", "1,000", "0.1"):
        assert text in words(svg).split() or text in words(svg)
    assert picture.spread_out([5.0, 0.0, 1.0], 10) == [20.0, 0.0, 10.0]


def test_the_middle_of_the_rounds_counts() -> None:
    """And the spread is kept."""
    rounds = [row("", cost).rounds[0] for cost in (9.0, 1.0, 2.0)]
    measured = Row("", Peer("", [], LINE), rounds)
    assert measured.cost == pytest.approx(2.0)
    assert measured.spread(lambda figures: figures.cost) == pytest.approx((1.0, 9.0))


# --- the commands ------------------------------------------------------------------------------------


def test_chatstages_bench_prints_a_table_and_saves_a_picture(tmp_path: Path) -> None:
    """With every stage that can be compared in it."""
    svg = tmp_path / "bars.svg"
    options = ["--members", "5", "--seconds", "0.2", "--rounds", "1", "--svg", str(svg)]
    with python("-m", "chatstages", "bench", *options) as process:
        output, errors = process.communicate(timeout=6 * PATIENCE)
    assert (process.returncode, errors) == (0, "")
    for name in ("stage 3 (only hears)", "stage 4", "stage 5", "asyncio"):
        assert name in output
        assert name in words(svg.read_text(encoding="utf-8"))


def test_chatstages_bench_without_its_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to install."""
    monkeypatch.setitem(sys.modules, "chatstages.bench.terminal", None)
    assert cli.main(["bench"]) == 1
    expected = "chatstages: Measuring needs rich and psutil: pip install 'chatstages[bench]'\n"
    assert capsys.readouterr().err == expected


def test_chatstages_bench_knows_at_once_where_it_cannot_save(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after a minute."""
    assert cli.main(["bench", "--svg", str(tmp_path / "none" / "bars.svg")]) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--members=0", "--rounds=-1", "--seconds=0", "--seconds=nan"])
def test_chatstages_bench_takes_numbers_above_zero(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a wrong use."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", option])
    assert "is not a number above 0" in capsys.readouterr().err


def test_the_full_measurement_writes_its_report(tmp_path: Path, folder: Path) -> None:
    """All its tables, the plot, and the raw numbers."""
    compiled_or_skip("load", folder)
    options = ["--sizes", "3", "--most", "5", "--rounds", "1", "--seconds", "0.1", "--folder", str(tmp_path)]
    with python("-m", "chatstages.bench", *options, "--servers", "stage 5", cwd=ROOT) as process:
        output, errors = process.communicate(timeout=6 * PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") in output
    for title in ("Closed loop, 3 members", "Paced, 100 members", "Growth, 5 members", "with more workers"):
        assert title in output
    assert "stage 5" in words((tmp_path / "growth.svg").read_text(encoding="utf-8"))
    assert "server_cpu" in (tmp_path / "results.json").read_text(encoding="utf-8")
