"""Every stage over a bad network: slow, in pieces, cut off, reset, silent (see `fault_proxy`)."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from chatstages import stage5_pool as stage
from tests.support import STAGES, Recorder, connected, options, overflow, raw_client, read_to_end, read_until
from tests.support.fault_proxy import FaultProxy

TEXT = "小明：héllo，👩‍🏫"
DATA = TEXT.encode()

every_stage = pytest.mark.parametrize("number", STAGES)


@every_stage
@pytest.mark.parametrize("fault", [{"pieces": 1}, {"delay": 0.005}, {"slow": 2_000}], ids=str)
def test_a_message_arrives_whole_over_a_bad_network(
    number: int, fault: dict[str, float], told: Recorder, heard: Recorder
) -> None:
    """Late, a byte at a time, or at 2,000 bytes a second: the text is the same, and so is the echo."""
    with STAGES[number].serve(on_event=told) as server, FaultProxy(server.address, **fault) as proxy:  # type: ignore[arg-type]
        with connected(STAGES[number], proxy.address, **options(number), **hears(number, heard)) as client:
            client.send("你好，👩‍🏫")
            if number > 1:  # stage 1 has left after the first bytes
                told.wait_text("said", "你好，👩‍🏫")
            if number > 3:
                heard.wait_text("received", "你好，👩‍🏫")
        told.wait("left")
    assert "\ufffd" not in "".join(event.text for event in told.events + heard.events)


def hears(number: int, heard: Recorder) -> dict[str, Recorder]:
    """Return the hook of the clients that hear anything."""
    return {"on_event": heard} if number > 3 else {}


@every_stage
@pytest.mark.parametrize("fault", ["cut_after", "reset_after"])
def test_a_connection_cut_anywhere_leaves_whole_characters(number: int, fault: str, told: Recorder) -> None:
    """After every byte of a message: what is shown is all that came, and its sender has left."""
    for size in range(1, len(DATA)):
        told.clear()
        with STAGES[number].serve(on_event=told) as server:
            with FaultProxy(server.address, **{fault: size}) as proxy, raw_client(proxy.address) as sock:
                sock.sendall(DATA)
                read_to_end(sock)
                told.wait("left")
        whole = DATA[:size].decode(errors="ignore")
        broken = "" if whole.encode() == DATA[:size] else "\ufffd"
        if number == 5:  # what stands in front of the colon is the name
            whole = whole.removeprefix("小明：")
        said = "".join(event.text for event in told.of("said"))
        if fault == "reset_after":  # a reset may destroy what came before it, half a character always
            assert said in ("", whole, whole + broken)
        else:
            assert said == whole + broken


def test_a_member_in_a_black_hole_is_cut_off_and_nobody_else_notices(told: Recorder, heard: Recorder) -> None:
    """When it falls off the log; the others hear each other before, meanwhile and after."""
    with stage.serve(on_event=told) as server, FaultProxy(server.address) as proxy:
        with raw_client(proxy.address) as lost, connected(stage, server.address, "听", heard) as member:
            lost.sendall("小明：在吗\n".encode())
            read_until(lost, "在吗\n".encode())
            heard.wait_text("received", "在吗")
            proxy.black_hole()
            lost.sendall("小明：喂\n".encode())  # nobody hears that
            overflow(server.address, told, heard)
            member.send("the end")
            heard.wait_text("received", "听：the end")
    assert [event.address for event in told.of("dropped")] == [told.of("said")[0].address]
    assert "小明：喂" not in "".join(event.text for event in told.of("said"))
    assert len(told.of("said")) == len(heard.of("received"))


def test_three_members_behind_bad_networks_see_the_same(told: Recorder) -> None:
    """The same lines, whole, in the same order."""
    ears = [Recorder() for _ in range(3)]
    with stage.serve(on_event=told) as server, ExitStack() as stack:
        proxies = [
            stack.enter_context(FaultProxy(server.address, pieces=1)),
            stack.enter_context(FaultProxy(server.address, delay=0.002)),
            stack.enter_context(FaultProxy(server.address, pieces=7)),
        ]
        members = [
            stack.enter_context(connected(stage, proxy.address, f"人{number}", ear))
            for number, (proxy, ear) in enumerate(zip(proxies, ears, strict=True))
        ]
        told.wait("joined", 3)
        for turn in range(20):
            for member in members:
                member.send(f"第{turn}句 👩‍🏫")
        seen = [[event.text for event in ear.wait("received", 60)] for ear in ears]
    assert seen[0] == seen[1] == seen[2]
    for number in range(3):
        mine = [line for line in seen[0] if line.startswith(f"人{number}：")]
        assert mine == [f"人{number}：第{turn}句 👩‍🏫" for turn in range(20)]
