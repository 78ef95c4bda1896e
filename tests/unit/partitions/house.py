"""A broker's partitions on a simulated machine: registry and WAL, without the Kafka port."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from app.core.hybrid_clock import HybridClock
from app.core.manifest.image import Image, PartitionState, Topic
from app.core.topic_policy import TopicPolicy
from app.model import BrokerId, LeaderEpoch, TopicId
from app.partitions.read import ReadResult, read, try_read
from app.partitions.registry import Registry
from app.partitions.replica import Replica
from app.tiers.nvme.ports import WalListener, WalSettings
from app.tiers.nvme.wal import Wal
from app.world.ports import FileRange
from tests.sim.world import Machine, SimWorld
from tests.unit.partitions.arrange import Pending

SEGMENT_BYTES = 1 << 20
DIRECTORY = "data/wal"


def topic(
    name: str,
    number: int,
    partitions: int = 1,
    *,
    epoch: int = 0,
    isr: tuple[int, ...] = (1,),
    leader: int = 1,
    **policy: Any,
) -> Topic:
    """Topic `number` (its id) called `name`, led by broker 1 unless said otherwise."""
    brokers = tuple(BrokerId(each) for each in isr)
    state = PartitionState(BrokerId(leader), LeaderEpoch(epoch), brokers, brokers)
    return Topic(
        name,
        TopicId(number.to_bytes(16, "big")),
        MappingProxyType({}),
        TopicPolicy(**policy),
        (state,) * partitions,
    )


def at_epoch(known: Topic, epoch: int) -> Topic:
    """The same topic after its leaders were elected again."""
    states = tuple(replace(each, leader_epoch=LeaderEpoch(epoch)) for each in known.partitions)
    return replace(known, partitions=states)


def image(*topics: Topic) -> Image:
    return Image(
        topics_by_name=MappingProxyType({each.name: each for each in topics}),
        topics_by_id=MappingProxyType({each.topic_id: each for each in topics}),
    )


class House:
    """One boot of the machine."""

    def __init__(self, machine: Machine, settings: WalSettings | None = None) -> None:
        self.machine = machine
        self.world: SimWorld = machine.boot()
        self.settings = settings or WalSettings(segment_bytes=SEGMENT_BYTES)
        self.registry = Registry(self.world, BrokerId(1), self._wal)

    def _wal(self, listener: WalListener) -> Wal:
        return Wal(self.world, DIRECTORY, self.settings, HybridClock(), listener)

    async def start(self, *topics: Topic) -> "House":
        self.recovered = await self.registry.open()
        self.registry.apply(image(*topics))
        return self

    def replica(self, name: str, partition: int = 0) -> Replica:
        found = self.registry.topics[name.encode()].replicas[partition]
        assert found is not None
        return found

    def send(
        self, records: bytes, name: str = "orders", partition: int = 0, *, acks: int = -1
    ) -> Pending:
        pending = Pending()
        view = memoryview(records)
        replica = self.replica(name, partition)
        now_ms = self.world.clock.now_ms()
        replica.append(view, 0, len(records), acks, 9, pending, 0, now_ms)
        return pending

    async def produce(
        self, records: bytes, name: str = "orders", partition: int = 0, *, acks: int = -1
    ) -> tuple[int, int]:
        """(error, base offset), once it is answered."""
        pending = self.send(records, name, partition, acks=acks)
        return await self.answer(pending)

    async def answer(self, pending: Pending) -> tuple[int, int]:
        while pending.answer is None:
            await self.world.sleep(1)
        return pending.answer

    async def fetch(
        self,
        offset: int,
        name: str = "orders",
        partition: int = 0,
        *,
        bytes_max: int = 1 << 30,
        at_least_one: bool = True,
        copies_max: int = 1 << 30,
        epoch: int = -1,
    ) -> tuple[ReadResult, bytes]:
        """The result and the bytes that a client would get for it: hot if it can be, else cold."""
        replica, wanted = self.replica(name, partition), (offset, bytes_max, 0)
        options = {
            "at_least_one": at_least_one,
            "copies_max": copies_max,
            "current_leader_epoch": epoch,
        }
        result = try_read(replica, *wanted, **options)
        if result is None:
            result = await read(replica, *wanted, **options)
        return result, await self.sent(result)

    async def sent(self, result: ReadResult) -> bytes:
        """The parts as a connection sends them; its pins are given back."""
        parts = []
        for part in result.parts:
            if isinstance(part, FileRange):
                lent = part
                parts.append(
                    await self.world.lane("reader").run(
                        lambda lent=lent: lent.file.read(lent.position, lent.length)
                    )
                )
            else:
                parts.append(bytes(part))
        result.release()
        whole = b"".join(parts)
        assert len(whole) == result.length
        return whole
