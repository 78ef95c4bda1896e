"""Twin of streambus/client/consumer.py."""

import pytest

from streambus.client.cluster import Cluster
from streambus.client.consumer import Consumer
from streambus.client.errors import Refused
from streambus.errors import Malformed
from streambus.protocol import api, batch
from tests.unit.client.scripted_broker import ScriptedBroker


def fill(broker: ScriptedBroker, partition: int, *values: bytes) -> None:
    rows = [(delta, delta, None, value, ()) for delta, value in enumerate(values)]
    broker.append(partition, batch.build(rows, base_timestamp=1000))


async def test_records_come_in_order_with_their_own_offsets_and_timestamps():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        fill(broker, 0, b"a", b"b")
        fill(broker, 0, b"c")
        records = await Consumer(cluster, "orders", {0: 0}).poll()
        assert [(row.offset, row.timestamp_ms, row.value) for row in records] == [
            (0, 1000, b"a"),
            (1, 1001, b"b"),
            (2, 1000, b"c"),
        ]


@pytest.mark.parametrize("newest", [4, 7, 11, 12, 13, 18])
async def test_every_generation_of_fetch_is_understood(newest):
    async with (
        ScriptedBroker(partitions=2, newest={api.FETCH: newest}) as broker,
        Cluster([broker.address]) as cluster,
    ):
        fill(broker, 1, b"a")
        records = await Consumer(cluster, "orders", {0: 0, 1: 0}).poll()
        assert [(row.partition, row.value) for row in records] == [(1, b"a")]
        assert (api.FETCH, newest) in broker.seen


async def test_an_offset_inside_a_batch_does_not_show_what_stands_before_it():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        fill(broker, 0, b"a", b"b", b"c")
        consumer = Consumer(cluster, "orders", {0: 2})
        assert [row.value for row in await consumer.poll()] == [b"c"]
        assert consumer.positions == {0: 3}


async def test_a_batch_cut_at_the_end_is_left_for_the_next_poll():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        fill(broker, 0, b"a")
        fill(broker, 0, b"b")
        whole = broker.logs[0][1]
        broker.logs[0][0] += whole[:40]
        consumer = Consumer(cluster, "orders", {0: 0})
        view = memoryview(broker.logs[0][0])
        records, reached = consumer._read("orders", 0, view)
        assert ([row.value for row in records], reached) == ([b"a"], 1)


async def test_control_batches_are_stepped_over():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        rows = [(0, 0, b"\0\0\0\1", b"\0\0\0\0\0\0", ())]
        broker.append(0, batch.build(rows, control=True, transactional=True))
        fill(broker, 0, b"a")
        consumer = Consumer(cluster, "orders", {0: 0})
        assert [row.value for row in await consumer.poll()] == [b"a"]


async def test_a_rotten_batch_is_an_error_not_a_gap():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        fill(broker, 0, b"abcdef")
        rotten = bytearray(broker.logs[0][0])
        rotten[-3] ^= 1
        broker.logs[0][0] = bytes(rotten)
        consumer = Consumer(cluster, "orders", {0: 0})
        with pytest.raises(Malformed):
            await consumer.poll()
        assert consumer.positions == {0: 0}


async def test_an_offset_that_is_gone_is_refused_with_what_is_there():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        broker.starts = [10]
        fill(broker, 0, b"a")
        with pytest.raises(Refused, match="offset 3 is not there: the partition holds 10 to 11"):
            await Consumer(cluster, "orders", {0: 3}).poll()


async def test_a_moved_leader_is_followed():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        fill(broker, 0, b"a")
        broker.errors[api.FETCH] = [6]
        broker.drop[api.FETCH] = 1
        assert len(await Consumer(cluster, "orders", {0: 0}).poll()) == 1
