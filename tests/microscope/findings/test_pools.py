"""An exhausted pool, and a pool for each client."""

from __future__ import annotations

from chatstages.microscope import findings
from chatstages.microscope.findings import explain
from tests.support.microscope.explained import found_kinds
from tests.support.microscope.recordings import Script


def test_a_pool_whose_workers_wait() -> None:
    """The third client is not heard until a job ends."""
    script = Script()
    pool = script.new_thing("pool", name="handler", file="chat.py", line=40).label
    workers = [script.thread(f"handler_{number}") for number in range(2)]
    listener = script.listener()
    pairs = [script.connect(listener) for _each in range(3)]
    for worker, (_client, server) in zip(workers, pairs, strict=False):
        script.stuck(worker, "recv", server)
    script.step("main", "send", pairs[2][0], data=b"Hello?")
    (finding,) = findings.exhausted_pools(script)
    assert (finding.thing, finding.pool, finding.workers, finding.size) == (pairs[2][1], pool, 2, 6)
    script.clock += 1_000_000
    script.happen(workers[0], "recv", pairs[0][1], 0)
    script.happen(workers[0], "task", pool, 0)
    begun = script.clock
    script.clock += 1_000_000
    script.step(workers[0], "recv", pairs[2][1], data=b"Hello?")
    script.happen(workers[0], "task", pool, begun)
    assert found_kinds(script) == ["ExhaustedPool"]  # it was heard in the end, too late


def test_a_pool_with_a_free_worker() -> None:
    """Hears the third client as soon as that worker has begun."""
    script = Script()
    pool = script.new_thing("pool", name="handler").label
    one, two = script.thread("handler_0"), script.thread("handler_1")
    listener = script.listener()
    (_ann, ann_there), (ben, ben_there) = script.connect(listener), script.connect(listener)
    script.stuck(one, "recv", ann_there)
    script.step("main", "send", ben, data=b"hi")
    begun = script.clock
    script.step(two, "recv", ben_there, data=b"hi")
    script.happen(two, "task", pool, begun)
    assert not explain(script)


def test_a_pool_for_each_client() -> None:
    """As many pools at work as there are clients."""
    script = Script()
    pools = [script.new_thing("pool", name="handler", file="chat.py", line=40).label for _each in range(3)]
    workers = [script.thread("handler_0") for _each in range(3)]
    listener = script.listener()
    pairs = [script.connect(listener) for _each in range(3)]
    for worker, (_client, server) in zip(workers, pairs, strict=True):
        script.stuck(worker, "recv", server)
    (finding,) = findings.pools_per_client(script)
    assert (finding.pools, finding.line) == (3, 40)
    for worker, pool in zip(workers, pools, strict=True):
        script.happen(worker, "task", pool, 0)
    assert found_kinds(script) == ["PoolPerClient"]
