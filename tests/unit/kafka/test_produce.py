"""Produce: routing, answers at every version, acks, the slow path."""

import asyncio
from typing import Any

import pytest

from app.partitions.preparing import KeyMissing
from tests.unit.kafka.arrange import (
    DenyAll,
    Kit,
    Peer,
    broker_shown,
    correlation_ids,
    decoded,
    frames,
    id_of,
    produce,
    records,
    request,
    settled,
)


def many(version: int, *partitions: tuple[str, int], acks: int = -1) -> bytes:
    return request(
        "Produce",
        version,
        transactional_id=None,
        acks=acks,
        timeout_ms=1_000,
        topic_data=[
            {
                "name": topic,
                "topic_id": id_of(topic),
                "partition_data": [{"index": partition, "records": records()}],
            }
            for topic, partition in partitions
        ],
    )


async def answered(kit: Kit, peer: Peer, version: int) -> Any:
    for route in kit.registry.topics.values():
        for replica in route.replicas:
            replica.sync()
    await settled()
    (frame,) = frames(peer.taken())
    return decoded("Produce", version, frame)


def codes(answer: Any) -> list[int]:
    return [each.error_code for topic in answer.responses for each in topic.partition_responses]


@pytest.mark.parametrize("version", range(3, 14))
async def test_every_version_is_answered_by_name_or_id(version: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=2)
        kit.replica("orders", 1).log.end = 41
        kit.replica("orders", 1).log_start = 7
        peer = kit.connect()
        peer.send(produce(1, version, partition=1))
        answer = await answered(kit, peer, version)
        (topic,) = answer.responses
        (partition,) = topic.partition_responses
        assert (partition.index, partition.error_code, partition.base_offset) == (1, 0, 41)
        if version >= 5:
            assert partition.log_start_offset == 7
        if version >= 13:
            assert topic.topic_id == id_of("orders")
        else:
            assert topic.name == "orders"


@pytest.mark.parametrize("version", [3, 8, 9, 13])
async def test_partitions_of_one_request_are_answered_together(version: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=2)
        kit.controller.add("payments")
        peer = kit.connect()
        peer.send(many(version, ("orders", 0), ("orders", 1), ("nowhere", 0), ("payments", 0)))
        kit.replica("orders", 1).sync()
        await settled()
        assert peer.taken() == b""
        answer = await answered(kit, peer, version)
        assert codes(answer) == [0, 0, 100 if version >= 13 else 3, 0]


@pytest.mark.parametrize(("partition", "topic", "code"), [(9, "orders", 3), (-1, "orders", 3)])
async def test_partitions_that_do_not_exist(partition: int, topic: str, code: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1, topic=topic, partition=partition))
        assert codes(await answered(kit, peer, 9)) == [code]


async def test_acks_that_do_not_exist_are_refused_for_every_partition() -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=2)
        peer = kit.connect()
        peer.send(many(9, ("orders", 0), ("orders", 1), acks=2))
        assert codes(await answered(kit, peer, 9)) == [21, 21]
        peer.send(produce(1, acks=-2))
        assert codes(await answered(kit, peer, 9)) == [21]
        assert kit.replica("orders").appended == []


async def test_acks_0_is_never_answered_and_does_not_hold_up_the_next() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1, acks=0) + produce(2, acks=1) + produce(3, acks=0))
        kit.replica("orders").sync()
        await settled()
        assert correlation_ids(peer.taken()) == [2]
        assert [acks for _, acks in kit.replica("orders").appended] == [0, 1, 0]
        assert not peer.connection.in_flight and peer.connection.in_flight_bytes == 0


@pytest.mark.parametrize("partitions", [1, 2])
async def test_acks_0_that_fails_closes_the_connection(
    partitions: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with Kit() as kit:
        peer = kit.connect()
        peer.send(many(9, *[("nowhere", each) for each in range(partitions)], acks=0))
        await settled()
        assert peer.channel.is_closed and peer.taken() == b""
        assert "connection.refused" in [each.getMessage() for each in caplog.records]


async def test_a_moved_leader_is_named_from_version_10() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        kit.replica("orders").refuses = 6
        peer = kit.connect()
        for version in (9, 10):
            peer.send(produce(1, version))
            answer = await answered(kit, peer, version)
            (partition,) = answer.responses[0].partition_responses
            assert partition.error_code == 6
            if version == 10:
                assert partition.current_leader.leader_id == 1
                assert [each.port for each in answer.node_endpoints] == [9092]


async def test_a_moved_leader_is_named_with_its_endpoint_of_the_clients_listener() -> None:
    async with Kit() as kit:
        kit.controller.register(broker_shown(1, plain=9092, tls=9093))
        kit.controller.add("orders")
        kit.replica("orders").refuses = 6
        for listener, ports in (("tls", [9093]), ("inner", [])):
            peer = kit.connect(listener)
            peer.send(produce(1, 10))
            answer = await answered(kit, peer, 10)
            (partition,) = answer.responses[0].partition_responses
            assert partition.current_leader.leader_id == 1
            assert [each.port for each in answer.node_endpoints or ()] == ports


async def test_routes_follow_the_image() -> None:
    async with Kit() as kit:
        topic = kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1))
        assert codes(await answered(kit, peer, 9)) == [0]
        await kit.controller.delete_topics([topic.topic_id])
        peer.send(produce(2))
        assert codes(await answered(kit, peer, 9)) == [3]
        kit.controller.add("orders")
        peer.send(produce(3))
        assert codes(await answered(kit, peer, 9)) == [0]


async def test_a_verdict_is_asked_once_per_change() -> None:
    authorizer = DenyAll()
    async with Kit(authorizer=authorizer) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        for number in range(3):
            peer.send(produce(number))
            assert codes(await answered(kit, peer, 9)) == [29]
        assert len(authorizer.asked) == 1
        authorizer.generation += 1
        peer.send(produce(9))
        assert codes(await answered(kit, peer, 9)) == [29]
        assert len(authorizer.asked) == 2


async def test_a_transactional_id_needs_its_own_permission() -> None:
    async with Kit(authorizer=DenyAll()) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(
            request(
                "Produce",
                9,
                transactional_id="tx",
                acks=-1,
                timeout_ms=1,
                topic_data=[
                    {"name": "orders", "partition_data": [{"index": 0, "records": records()}]}
                ],
            )
        )
        assert codes(await answered(kit, peer, 9)) == [53]


async def test_a_topic_id_that_spells_a_name_is_not_that_topic() -> None:
    async with Kit() as kit:
        kit.controller.add("sixteen-letters!")
        peer = kit.connect()
        peer.send(produce(1, 12, topic="sixteen-letters!"))
        assert codes(await answered(kit, peer, 12)) == [0]
        kit.registry.topics_by_id.clear()
        kit.registry.generation += 1
        peer.send(produce(1, 12, topic="sixteen-letters!"))
        assert codes(await answered(kit, peer, 12)) == [0]
        peer.send(produce(1, 13, topic="sixteen-letters!"))
        assert codes(await answered(kit, peer, 13)) == [100]


@pytest.mark.parametrize("partitions", [1, 2])
async def test_batches_that_must_be_opened_keep_their_place(partitions: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=2)
        slow = kit.replica("orders", 0)
        gate = asyncio.Event()
        lane = slow.prepare

        async def prepare(view: memoryview, version: int) -> memoryview:
            await gate.wait()
            return await lane(view, version)

        slow.prepares = True
        slow.prepare = prepare  # type: ignore[method-assign]
        peer = kit.connect()
        sent = many(9, *[("orders", each) for each in range(partitions)])
        peer.send(sent + produce(2, partition=1) + produce(3, partition=1))
        await settled()
        assert slow.appended == [] and kit.replica("orders", 1).appended == []
        gate.set()
        await settled()
        assert slow.appended == [(records().upper(), -1)]
        assert len(kit.replica("orders", 1).appended) == partitions + 1
        kit.replica("orders", 1).sync()
        await settled()
        assert peer.taken() == b""
        slow.sync()
        await settled()
        assert correlation_ids(peer.taken()) == [1, 2, 3]


async def test_a_lost_connection_appends_nothing_that_was_being_opened() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        slow, gate = kit.replica("orders"), asyncio.Event()

        async def prepare(view: memoryview, version: int) -> memoryview:
            await gate.wait()
            return view

        slow.prepares = True
        slow.prepare = prepare  # type: ignore[method-assign]
        peer = kit.connect()
        peer.send(produce(1, body=bytes(100_000)))
        await settled()
        peer.close()
        assert kit.listener.pool.lent_bytes > 0  # the lane may still read it
        gate.set()
        await settled()
        assert slow.appended == []
        assert kit.listener.pool.lent_bytes == 0


async def test_records_without_keys_are_named_by_position() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        compacted = kit.replica("orders")

        def refuse(sent: bytes) -> bytes:
            raise KeyMissing([1, 4])

        compacted.prepares, compacted.prepared = True, refuse
        peer = kit.connect()
        peer.send(produce(1, 8))
        await settled()
        (partition,) = (await answered(kit, peer, 8)).responses[0].partition_responses
        assert partition.error_code == 87
        assert [each.batch_index for each in partition.record_errors] == [1, 4]
        assert "key" in partition.error_message


async def test_null_records_reach_the_replica_as_such() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(
            request(
                "Produce",
                9,
                transactional_id=None,
                acks=-1,
                timeout_ms=1,
                topic_data=[{"name": "orders", "partition_data": [{"index": 0, "records": None}]}],
            )
        )
        assert kit.replica("orders").appended == [(b"", -1)]


async def test_a_request_for_nothing_is_answered_with_nothing() -> None:
    async with Kit() as kit:
        peer = kit.connect()
        peer.send(many(9))
        assert (await answered(kit, peer, 9)).responses == []


@pytest.mark.parametrize("version", range(3, 14))
@pytest.mark.parametrize("acks", [-1, 5])
async def test_a_topic_without_partitions_is_left_out(version: int, acks: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        body: dict[str, Any] = {"transactional_id": None, "acks": acks, "timeout_ms": 1_000}
        empty = {"name": "orders", "topic_id": id_of("orders"), "partition_data": []}
        full = {**empty, "partition_data": [{"index": 0, "records": records()}]}
        peer.send(request("Produce", version, topic_data=[empty], **body))
        assert (await answered(kit, peer, version)).responses == []
        peer.send(request("Produce", version, topic_data=[empty, full, empty], **body))
        assert codes(await answered(kit, peer, version)) == [0 if acks == -1 else 21]


@pytest.mark.parametrize(("version", "told"), [(7, False), (8, True), (13, True)])
@pytest.mark.parametrize("partitions", [1, 2])
async def test_a_refused_timestamp_is_explained(version: int, told: bool, partitions: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=2)
        for number in range(partitions):
            kit.replica("orders", number).refuses = 32
        peer = kit.connect()
        peer.send(many(version, *[("orders", each) for each in range(partitions)]))
        answer = await answered(kit, peer, version)
        rows = [each for topic in answer.responses for each in topic.partition_responses]
        assert [each.error_code for each in rows] == [32] * partitions
        if told:
            assert all("message.timestamp" in each.error_message for each in rows)


async def test_the_brokers_own_topics_cannot_be_written() -> None:
    async with Kit() as kit:
        kit.controller.add("__consumer_offsets")
        peer = kit.connect()
        peer.send(produce(topic="__consumer_offsets"))
        (partition,) = (await answered(kit, peer, 9)).responses[0].partition_responses
        assert partition.error_code == 17
        assert kit.replica("__consumer_offsets").appended == []
