"""Twin of streambus/client/producer.py."""

import pytest

from streambus.client import producer
from streambus.client.cluster import Cluster
from streambus.client.errors import Refused
from streambus.client.producer import Producer, Record
from streambus.protocol import api
from streambus.protocol.compression import GZIP, LZ4, NONE, SNAPPY, ZSTD
from streambus.protocol.murmur2 import partition_for
from tests.unit.client.scripted_broker import ScriptedBroker

NOW_MS = 1_750_000_000_000


def producer_of(cluster: Cluster, **options) -> Producer:
    return Producer(cluster, "orders", now_ms=lambda: NOW_MS, **options)


def values(broker: ScriptedBroker, partition: int) -> list[bytes | None]:
    return [record[3] for record in broker.records(partition)]


@pytest.mark.parametrize("codec", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
async def test_a_record_arrives_as_it_was_given(codec):
    record = Record(b"value", b"key", (("h", b"1"), ("none", None)), NOW_MS - 5)
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        (written,) = await producer_of(cluster, codec=codec).send([record, Record(None)])
        assert written == (0, 0, 2)
        assert broker.records(0) == [
            (0, NOW_MS - 5, b"key", b"value", (("h", b"1"), ("none", None))),
            (1, NOW_MS, None, None, ()),
        ]


@pytest.mark.parametrize("newest", [3, 5, 8, 9, 12, 13])
async def test_every_generation_of_produce_is_understood(newest):
    async with (
        ScriptedBroker(partitions=1, newest={api.PRODUCE: newest}) as broker,
        Cluster([broker.address]) as cluster,
    ):
        await producer_of(cluster).send([Record(b"x")])
        assert values(broker, 0) == [b"x"]
        assert (api.PRODUCE, newest) in broker.seen


async def test_records_with_a_key_go_where_java_would_put_them():
    async with ScriptedBroker(partitions=5) as broker, Cluster([broker.address]) as cluster:
        keys = [f"key-{number}".encode() for number in range(50)]
        await producer_of(cluster).send([Record(key, key) for key in keys])
        for partition in range(5):
            expected = [key for key in keys if partition_for(key, 5) == partition]
            assert values(broker, partition) == expected


async def test_records_without_a_key_take_turns_by_send_not_by_record():
    async with ScriptedBroker(partitions=2) as broker, Cluster([broker.address]) as cluster:
        sending = producer_of(cluster)
        for number in range(4):
            await sending.send([Record(b"%d" % number), Record(b"%d" % number)])
        assert values(broker, 0) == [b"0", b"0", b"2", b"2"]
        assert values(broker, 1) == [b"1", b"1", b"3", b"3"]


async def test_what_does_not_fit_one_batch_goes_in_several_in_order(monkeypatch):
    monkeypatch.setattr(producer, "BATCH_BYTES", 100)
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        rows = [Record(b"%04d" % number) for number in range(20)] + [Record(b"x" * 5000)]
        written = await producer_of(cluster).send(rows)
        assert len(broker.logs[0]) == len(written) > 5
        assert values(broker, 0) == [row.value for row in rows]


async def test_a_moved_leader_is_followed():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        broker.errors[api.PRODUCE] = [6, 19]
        await producer_of(cluster).send([Record(b"x")])
        assert values(broker, 0) == [b"x"]


async def test_a_lost_connection_is_tried_again():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        broker.drop[api.PRODUCE] = 1
        await producer_of(cluster).send([Record(b"x")])
        assert values(broker, 0) == [b"x"]


async def test_an_error_that_will_not_go_away_is_raised_at_once():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        broker.errors[api.PRODUCE] = [10, 10]
        with pytest.raises(Refused, match="MESSAGE_TOO_LARGE"):
            await producer_of(cluster).send([Record(b"x")])
        assert broker.errors[api.PRODUCE] == [10]


async def test_out_of_time_says_what_the_broker_said_last():
    async with (
        ScriptedBroker(partitions=1) as broker,
        Cluster([broker.address], timeout_s=0.2) as cluster,
    ):
        broker.errors[api.PRODUCE] = [56] * 100
        with pytest.raises(Refused, match="KAFKA_STORAGE_ERROR"):
            await producer_of(cluster, timeout_s=0.2).send([Record(b"x")])


async def test_without_acks_nothing_is_waited_for():
    async with ScriptedBroker(partitions=1) as broker, Cluster([broker.address]) as cluster:
        sending = producer_of(cluster, acks=0)
        assert await sending.send([Record(b"x")]) == [(0, -1, 1)]
        sending.acks = -1
        await sending.send([Record(b"y")])
        assert values(broker, 0) == [b"x", b"y"]


async def test_a_partition_that_the_topic_lacks_is_refused():
    async with ScriptedBroker(partitions=2) as broker, Cluster([broker.address]) as cluster:
        with pytest.raises(Refused, match="2 partitions"):
            await producer_of(cluster).send([Record(b"x")], partition=2)
