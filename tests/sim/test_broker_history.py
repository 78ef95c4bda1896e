"""Nothing acknowledged is lost, doubled or reordered, whatever hurts the broker.

Each seed is one life of a whole broker (workload.py): clients that produce, fetch, create and
delete topics, and a nemesis that takes power, processes, disks, clocks and networks away. The judge
is history.py. More seeds: `python -m tests.sim.run 1000 1`.
"""

import gc
from functools import cache
from pathlib import Path

import pytest

from app.tiers.nvme.block import Block, Frame
from app.world.ports import Lease
from tests.sim.workload import live
from tests.sim.world import Result, simulate

FRESH = range(24)
ONCE_FAILED = [
    int(line.split()[0])
    for line in (Path(__file__).with_name("seeds.txt")).read_text().splitlines()
    if line and not line.startswith("#")
]


@cache
def life(seed: int) -> Result:
    gc.collect()  # a broker is many large buffers in cycles
    return simulate(live, seed)


@pytest.mark.parametrize("seed", [*FRESH, *ONCE_FAILED])
def test_clients_see_one_history_whatever_hurts_the_broker(seed: int) -> None:
    assert life(seed).value["records"] > 0


def test_the_lives_are_hard_enough_to_prove_something() -> None:
    marks: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for seed in FRESH:
        for count, into in ((life(seed).value, marks), (life(seed).kinds, kinds)):
            for name, times in count.items():
                into[name] = into.get(name, 0) + times
    for mark in (
        "change.unanswered",
        "config.changed",
        "consumer.stalled",
        "fetch.error 1",  # retention overtook a consumer
        "fetch.error 74",  # a leader epoch was fenced
        "nemesis.crash_while_starting",
        "nemesis.disk_full",
        "nemesis.log_failed",
        "nemesis.lose_power_in_a_job",
        "nemesis.jump_the_clock",
        "partition.added",
        "produce.duplicate",
        "topic.deleted",
    ):
        assert marks.get(mark, 0) > 0, f"no {mark} in {len(FRESH)} lives: {marks}"
    for kind in ("boot", "crash", "kill", "lane.inline", "reset", "send.range", "unlink"):
        assert kinds.get(kind, 0) > 2, f"too few {kind}: {kinds}"


def test_large_batches_are_written_from_where_they_arrived_beside_writes_on_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leased = 0
    refer = Block.refer

    def counted(block: Block, frame: Frame, batch: memoryview, lease: Lease) -> None:
        nonlocal leased
        leased += 1
        refer(block, frame, batch, lease)

    monkeypatch.setattr(Block, "refer", counted)
    for seed in (72, 113):  # both acknowledge before the disk has it
        before = leased
        kinds = simulate(live, seed).kinds
        assert leased - before > 5 and kinds["lane.inline"] > 50
