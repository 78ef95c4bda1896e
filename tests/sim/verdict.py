"""The end of a simulated run: everything is read back and compared with what clients were told."""

from typing import TYPE_CHECKING

from streambus.protocol.messages import list_offsets as listing
from tests.sim.broker import KafkaClient
from tests.sim.history import PartitionHistory

if TYPE_CHECKING:
    from tests.sim.workload import Topic, Workload

READS_MAX = 20_000


class Verdict:
    def __init__(self, run: "Workload") -> None:
        self.run = run
        self.random = run.random_of("verdict")

    async def read_everything(self) -> None:
        client = await self.run.connect()
        topics = await client.metadata()
        for topic in self.run.topics.values():
            if topic.is_deleted:
                assert all(seen.topic_id != topic.topic_id for seen in topics.values())
                continue
            assert topics[topic.name].topic_id == topic.topic_id
            for partition in range(topic.partitions):
                await self._check(client, topic, partition)
        client.close()
        await self.run.sleep(1)
        self._check_nothing_is_held()

    async def _check(self, client: KafkaClient, topic: "Topic", partition: int) -> None:
        name = topic.name.encode()
        history = self.run.history.of(topic.topic_id, partition)
        start = (await client.list_offset(name, partition, listing.EARLIEST))[3]
        end = (await client.list_offset(name, partition, listing.LATEST))[3]
        assert start >= history.log_start, (start, history.log_start)
        assert end >= history.high_watermark, (end, history.high_watermark)
        offset = start
        for _ in range(READS_MAX):
            if offset >= end:
                break
            floors = history.floors
            fetched = await client.read((name, topic.topic_id), partition, offset)
            if fetched.error == 1:  # retention moved on
                start = offset = (await client.list_offset(name, partition, listing.EARLIEST))[3]
                continue
            assert fetched.error == 0, (topic.name, partition, fetched)
            following = history.read(floors, offset, fetched)
            assert following > offset, f"{topic.name}-{partition} gives nothing at {offset}"
            offset = following
        assert offset == end
        history.settle(start, end)
        await self._check_times(client, topic, history, start, end)
        await self._check_epochs(client, topic, history, start, end)

    async def _check_times(
        self, client: KafkaClient, topic: "Topic", history: PartitionHistory, start: int, end: int
    ) -> None:
        if start == end:
            return
        name, partition = topic.name.encode(), history.key[1]
        times = sorted(history.records[offset].timestamp for offset in range(start, end))
        asked = {times[0], times[-1], times[-1] + 1, self.random.choice(times) + 1}
        for timestamp in sorted(asked):
            told = await client.list_offset(name, partition, timestamp)
            expected = history.first_at_or_after(timestamp, start, end)
            if told[3] != expected[1] and await self._has_moved(client, name, partition, start):
                return
            assert (told[1], told[2], told[3]) == (0, *expected), (timestamp, told, expected)
        told = await client.list_offset(name, partition, listing.MAX_TIMESTAMP)
        expected = history.first_at_or_after(times[-1], start, end)
        if told[3] != expected[1] and await self._has_moved(client, name, partition, start):
            return
        assert (told[1], told[2], told[3]) == (0, *expected), (told, expected)

    async def _check_epochs(
        self, client: KafkaClient, topic: "Topic", history: PartitionHistory, start: int, end: int
    ) -> None:
        ends = history.epoch_ends(start, end)
        for epoch, expected in ends.items():
            told = await client.end_of_epoch(topic.name, history.key[1], epoch)
            if await self._has_moved(client, topic.name.encode(), history.key[1], start):
                return
            if expected == end:  # nothing newer was written: it ends where the log does
                assert told[0] == 0 and told[2] == end, (epoch, told, end)
            else:
                assert told == (0, epoch, expected), (epoch, told, expected)

    async def _has_moved(
        self, client: KafkaClient, name: bytes, partition: int, start: int
    ) -> bool:
        """Retention went on meanwhile: what was read from `start` on no longer tells."""
        return (await client.list_offset(name, partition, listing.EARLIEST))[3] > start

    def _check_nothing_is_held(self) -> None:
        """All clients are gone: no segment is pinned, no fetch is parked, no reply waits."""
        broker = self.run.broker.broker
        assert broker is not None
        registry = broker.registry
        assert not broker.listener.connections
        assert len(registry.parked) == 0
        held = [segment for segment in registry.wal._segments if segment.pins]
        assert not held, held
        for replica in registry.replicas():
            assert not replica.syncing.entries and not replica.committing.entries
