"""Any mix of appends, fetches, crashes and kills: a fetch gives the bytes that a list would give.

Design.md section 9, invariants 1, 2 and 5, as far as one broker alone can break them.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.tiers.nvme.ports import WalSettings
from streambus.protocol import batch
from tests.sim.world import Simulation, simulate
from tests.unit.partitions.arrange import Pending, records
from tests.unit.partitions.house import House, at_epoch, topic

PARTITIONS = 3
TOPIC = topic("orders", 1, PARTITIONS)
SIZES = st.sampled_from([0, 1, 90, 4_000, 9_000, 70_000])


@dataclass
class Oracle:
    """What one partition holds, as a list of (base offset, end offset, bytes after the epoch)."""

    batches: list[tuple[int, int, bytes]] = field(default_factory=list)
    waiting: list[tuple[Pending, int]] = field(default_factory=list)
    acknowledged: int = 0

    @property
    def end(self) -> int:
        return self.batches[-1][1] if self.batches else 0

    def append(self, sent: bytes, count: int, pending: Pending) -> None:
        self.batches.append((self.end, self.end + count, sent[16:]))
        self.waiting.append((pending, self.end))

    def settle(self) -> None:
        """Note what was acknowledged, and check the offset told."""
        still = []
        for pending, end in self.waiting:
            if pending.answer is None:
                still.append((pending, end))
                continue
            error, base_offset = pending.answer
            assert error == 0
            assert any(entry[:2] == (base_offset, end) for entry in self.batches)
            self.acknowledged = max(self.acknowledged, end)
        self.waiting = still

    def expected(
        self, offset: int, committed: int, bytes_max: int, at_least_one: bool
    ) -> list[tuple[int, bytes]]:
        taken: list[tuple[int, bytes]] = []
        size = 0
        for base, end, sent in self.batches:
            if end <= offset or end > committed:
                continue
            whole = len(sent) + 16
            if size + whole > bytes_max and (taken or not at_least_one):
                break
            taken.append((base, sent))
            size += whole
        return taken

    def restarted(self, end: int) -> None:
        """The tail that was not acknowledged may be lost; what is left ends at a batch."""
        assert end >= self.acknowledged, "acknowledged records were lost"
        assert end == 0 or any(entry[1] == end for entry in self.batches)
        self.batches = [entry for entry in self.batches if entry[1] <= end]
        self.waiting = []


step = st.one_of(
    st.tuples(st.just("append"), st.integers(0, PARTITIONS - 1), st.integers(1, 40), SIZES),
    st.tuples(
        st.just("fetch"),
        st.integers(0, PARTITIONS - 1),
        st.floats(0, 1),
        st.sampled_from([0, 1, 100, 5_000, 100_000, 1 << 30]),
        st.booleans(),
    ),
    st.tuples(st.just("wait"), st.integers(0, 50)),
    st.tuples(st.just("restart"), st.booleans()),
)


async def run(simulation: Simulation, steps: list[tuple[Any, ...]]) -> None:
    machine = simulation.machine("one")
    machine.disk.cold_chance = simulation.random.choice([0.0, 0.3, 1.0])
    wal = WalSettings(segment_bytes=1 << 20)
    house = await House(machine, wal).start(TOPIC)
    oracles = [Oracle() for _ in range(PARTITIONS)]
    epoch = 0
    for kind, *rest in steps:
        if kind == "append":
            partition, count, size = rest
            count = min(count, 900_000 // max(size, 1))
            sent = records(count, key=bytes(size))
            pending = house.send(sent, partition=partition)
            oracles[partition].append(sent, count, pending)
        elif kind == "wait":
            await house.world.sleep(rest[0])
        elif kind == "fetch":
            await fetch(house, oracles[rest[0]], *rest)
        else:
            for oracle in oracles:
                oracle.settle()
            machine.crash() if rest[0] else machine.kill()
            epoch += 1
            house = await House(machine, wal).start(at_epoch(TOPIC, epoch))
            assert house.recovered.corrupt == []
            for partition, oracle in enumerate(oracles):
                oracle.restarted(house.replica("orders", partition).log.end)
    for partition, oracle in enumerate(oracles):
        await fetch(house, oracle, partition, 0.0, 1 << 30, True)


async def fetch(
    house: House,
    oracle: Oracle,
    partition: int,
    share: float,
    bytes_max: int,
    at_least_one: bool,
) -> None:
    offset = int(share * oracle.end)
    result, read = await house.fetch(
        offset, partition=partition, bytes_max=bytes_max, at_least_one=at_least_one
    )
    oracle.settle()
    assert result.error == 0
    assert result.high_watermark <= oracle.end
    found = []
    for at, header in batch.headers(memoryview(read)):
        found.append((header[0], read[at + 16 : at + batch.batch_bytes(header)]))
    expected = oracle.expected(offset, result.high_watermark, bytes_max, at_least_one)
    assert found == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=1, max_size=60), st.integers(0, 1 << 32))
def test_a_fetch_gives_what_a_list_would_give(steps: list[tuple[Any, ...]], seed: int) -> None:
    simulate(lambda simulation: run(simulation, steps), seed)
