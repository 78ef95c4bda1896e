"""Clients that hold lent pages while the WAL wraps round: they read their own bytes or none.

The network of the simulation reads a range when it is delivered, as `sendfile` lends pages, so a
segment that is used again under a slow reader arrives as foreign bytes.
"""

import asyncio

import pytest

from app.config import BrokerConfig, TopicsConfig, WalConfig
from app.limits import KIB
from app.tiers.nvme import spares
from app.tiers.nvme.segment import Segment
from streambus.protocol import batch
from streambus.protocol.messages.fetch import FetchRequest
from tests.sim.broker import KafkaClient, NoAnswer, SimBroker
from tests.sim.files import SimFile
from tests.sim.history import History, PartitionHistory
from tests.sim.world import Simulation, simulate

SEGMENT_BYTES = 384 * KIB
VALUE_BYTES = 70_000  # above SMALL_READ_BYTES: lent, not copied
SEGMENTS = 8  # how many are begun while the reader stalls
RETENTION = {"retention.bytes": "150000"}


@pytest.fixture(autouse=True)
def _free_files_are_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more than one the newest is used first, and a lent one might wait below for ever."""
    monkeypatch.setattr(spares, "SEGMENTS_FREE_MAX", 1)


class Ring:
    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.broker = SimBroker(
            simulation.machine("broker"),
            BrokerConfig(
                data="/data",
                wal=WalConfig(segment_bytes=SEGMENT_BYTES),
                topics=TopicsConfig(retention_check_ms=50),
            ),
        )
        self.world = simulation.machine("client").boot()
        self.history = History()
        self.number = 0

    async def start(self) -> tuple[KafkaClient, bytes]:
        await self.broker.start()
        writer = await self.connect()
        error, topic_id = await writer.create_topic("ring", 1, RETENTION)
        assert error == 0
        return writer, topic_id

    async def connect(self) -> KafkaClient:
        return await KafkaClient(self.world.network, "broker").open()

    def partition(self, topic_id: bytes) -> PartitionHistory:
        return self.history.of(topic_id, 0)

    async def write(self, writer: KafkaClient, topic_id: bytes, name: bytes = b"ring") -> None:
        now = self.broker.machine.clock.now_ms()
        value = b"%s %d " % (topic_id.hex().encode(), self.number)
        value = value.ljust(VALUE_BYTES, b"%d" % (self.number % 10))
        self.partition(topic_id).send(value, "i", self.number, now)
        raw = batch.build([(0, 0, None, value, ())], base_timestamp=now)
        told = await writer.produce((name, topic_id), 0, raw)
        assert told[1] == 0, told
        self.partition(topic_id).acknowledge([value], told[2], -1)
        self.number += 1

    async def wrap_round(self, writer: KafkaClient, topic_id: bytes) -> None:
        """Write until as many segments as one reader can hold have been begun, and used again."""
        assert self.broker.broker is not None
        wal = self.broker.broker.registry.wal
        begun = wal._segments[-1].sequence
        while wal._segments[-1].sequence < begun + SEGMENTS:
            await self.write(writer, topic_id)
            await asyncio.sleep(0.03)

    async def oldest(self, client: KafkaClient) -> int:
        """The log start, once retention has done what it can."""
        await asyncio.sleep(1)
        return (await client.list_offset(b"ring", 0, -2))[3]


def fetch(topic_id: bytes, offset: int) -> FetchRequest:
    wanted = (b"ring", topic_id, 0, -1, offset, -1, -1, 50 << 20)
    return FetchRequest(max_wait_ms=0, min_bytes=1, partitions=[wanted])


async def read_after_the_ring_went_round(simulation: Simulation) -> int:
    ring = Ring(simulation)
    writer, topic_id = await ring.start()
    for _ in range(6):
        await ring.write(writer, topic_id)
    reader = await ring.connect()
    offset = await ring.oldest(reader)
    asked = asyncio.get_running_loop().create_task(reader.fetch(fetch(topic_id, offset), 16))
    reader.channel.pause_reading()
    await asyncio.sleep(0.5)
    await ring.wrap_round(writer, topic_id)
    reader.channel.resume_reading()
    response = await asked
    ((_, _, (fetched,)),) = response.topics
    assert fetched.error == 0
    history = ring.partition(topic_id)
    end = history.read(history.floors._replace(high_watermark=0, log_start=0), offset, fetched)
    assert end > offset
    # The next fetch proves what was read; from then on the segments may be used again.
    await reader.fetch(fetch(topic_id, await ring.oldest(reader)), 16)
    assert ring.broker.broker is not None
    reader.close()
    await asyncio.sleep(1)
    assert not [s for s in ring.broker.broker.registry.wal._segments if s.pins]
    return simulation.recorded.kinds["send.range"]


@pytest.mark.parametrize("seed", range(6))
def test_a_stalled_reader_gets_its_own_bytes_though_the_ring_went_round(seed: int) -> None:
    assert simulate(read_after_the_ring_went_round, seed).value > 0


def bytes_of(segment: Segment, end: int) -> bytes:
    file = segment.file
    assert isinstance(file, SimFile)
    return bytes(file.inode.content[:end])


async def files_of_the_dead_are_not_used_again(simulation: Simulation) -> None:
    ring = Ring(simulation)
    writer, topic_id = await ring.start()
    for _ in range(6):
        await ring.write(writer, topic_id)
    reader = await ring.connect()
    asked = asyncio.get_running_loop().create_task(
        reader.fetch(fetch(topic_id, await ring.oldest(reader)), 16)
    )
    reader.channel.pause_reading()
    await asyncio.sleep(0.5)
    assert ring.broker.broker is not None
    lent = [s for s in ring.broker.broker.registry.wal._segments if s.pins]
    contents = {segment: bytes_of(segment, segment.end) for segment in lent}
    assert contents, "nothing was lent"
    reader.abort()  # what is on its way may still be read by the peer: nobody knows
    with pytest.raises(NoAnswer):
        await asked
    await ring.wrap_round(writer, topic_id)
    for segment, content in contents.items():
        assert segment.tainted and not segment.pins
        assert segment not in ring.broker.broker.registry.wal._segments, "never given back"
        kept = bytes_of(segment, len(content))
        assert kept == content, f"{segment} was written over"


@pytest.mark.parametrize("seed", range(3))
def test_a_segment_lent_to_a_connection_that_died_is_never_written_over(seed: int) -> None:
    simulate(files_of_the_dead_are_not_used_again, seed)
