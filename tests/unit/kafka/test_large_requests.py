"""Requests so large that to decode, answer or encode them at once would hold the loop."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app import limits
from tests.unit.kafka.arrange import (
    Kit,
    correlation_ids,
    decoded,
    frames,
    request,
    settled,
)

COUNT = 8 * limits.ADMIN_ITEMS_PER_TURN
NAMES = [f"a-topic-{number}" for number in range(COUNT)]
TOPIC = 2  # a kind of resource that has configs


class HeldLane:
    """Jobs wait until the test lets them go on."""

    def __init__(self) -> None:
        self.jobs = 0
        self._gate = asyncio.Event()

    async def run(self, job: Callable[[], Any]) -> Any:
        self.jobs += 1
        await self._gate.wait()
        return job()

    def open(self) -> None:
        self._gate.set()


def hold_lanes(kit: Kit) -> HeldLane:
    lane = HeldLane()
    kit.world.lane = lambda name: lane  # type: ignore[method-assign]
    return lane


def metadata(correlation_id: int = 1) -> bytes:
    topics = [{"name": name} for name in NAMES]
    return request("Metadata", 4, correlation_id, topics=topics, allow_auto_topic_creation=False)


def api_versions(correlation_id: int) -> bytes:
    return request("ApiVersions", 0, correlation_id)


async def test_others_are_answered_while_a_large_request_is_decoded() -> None:
    async with Kit() as kit:
        lane = hold_lanes(kit)
        large, other = kit.connect(), kit.connect()
        large.send(metadata())
        await settled()
        assert lane.jobs == 1, "it is decoded on a lane"
        other.send(api_versions(2))
        await settled()
        assert correlation_ids(other.taken()) == [2]
        assert large.taken() == b""
        lane.open()
        for _ in range(COUNT):
            await asyncio.sleep(0)
        (frame,) = frames(large.taken())
        assert [each.name for each in decoded("Metadata", 4, frame).topics] == NAMES


async def test_a_small_request_is_decoded_at_once() -> None:
    async with Kit() as kit:
        lane = hold_lanes(kit)
        kit.controller.add("orders")
        answer = await kit.ask("Metadata", 4, topics=[{"name": "orders"}])
        assert [each.name for each in answer.topics] == ["orders"]
        assert not lane.jobs


async def test_what_follows_a_large_request_neither_moves_it_nor_overtakes_it() -> None:
    async with Kit() as kit:
        lane = hold_lanes(kit)
        peer = kit.connect()
        following = b"".join([api_versions(number) for number in range(2, 2_000)])
        peer.send(metadata() + following, 1_000)
        await settled()
        lane.open()
        answered = b""
        for _ in range(5_000):
            await asyncio.sleep(0)
            answered += peer.taken()
            if peer.unsent and not peer.channel.is_paused:
                peer.more()
        assert correlation_ids(answered) == list(range(1, 2_000))
        topics = decoded("Metadata", 4, frames(answered)[0]).topics
        assert [each.name for each in topics] == NAMES


async def test_a_large_request_that_does_not_parse_costs_its_connection_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Kit() as kit:
        broken = bytearray(metadata())
        broken[-5_000:] = b"\xff" * 5_000
        peer, other = kit.connect(), kit.connect()
        peer.send(bytes(broken))
        await settled()
        assert peer.channel.is_closed and peer.taken() == b""
        assert "connection.refused" in [each.getMessage() for each in caplog.records]
        other.send(api_versions(2))
        await settled()
        assert correlation_ids(other.taken()) == [2]


async def test_a_peer_that_leaves_meanwhile_leaves_its_buffer_until_the_lane_is_done() -> None:
    async with Kit() as kit:
        lane = hold_lanes(kit)
        peer = kit.connect()
        peer.send(metadata())
        await settled()
        peer.close()
        assert kit.listener.pool.lent_bytes > 0
        lane.open()
        await settled()
        assert kit.listener.pool.lent_bytes == 0


def partitions(**fields: Any) -> dict[str, Any]:
    """One unknown topic, with many partitions."""
    return {"topics": [{"name": "none", "topic": "none", **fields}]}


LARGE: list[tuple[str, int, dict[str, Any]]] = [
    ("Metadata", 4, {"topics": [{"name": each} for each in NAMES]}),
    ("Metadata", 4, {"topics": [{"name": "orders"}, *({"name": each} for each in NAMES)]}),
    (
        "ListOffsets",
        5,
        partitions(
            partitions=[{"partition_index": each, "timestamp": -1} for each in range(COUNT)]
        ),
    ),
    (
        "OffsetForLeaderEpoch",
        3,
        partitions(partitions=[{"partition": each, "leader_epoch": 0} for each in range(COUNT)]),
    ),
    ("FindCoordinator", 4, {"key_type": 0, "coordinator_keys": NAMES}),
    (
        "CreateTopics",
        5,
        {
            "topics": [
                {"name": f"not a name {each}", "num_partitions": 1, "replication_factor": 1}
                for each in range(COUNT)
            ]
        },
    ),
    ("CreatePartitions", 1, {"topics": [{"name": each, "count": 2} for each in NAMES]}),
    ("DeleteTopics", 6, {"topics": [{"name": each, "topic_id": None} for each in NAMES]}),
    ("DeleteTopics", 1, {"topic_names": NAMES}),
    (
        "DeleteRecords",
        1,
        partitions(partitions=[{"partition_index": each, "offset": 0} for each in range(COUNT)]),
    ),
    ("DescribeProducers", 0, partitions(partition_indexes=list(range(COUNT)))),
    (
        "DescribeConfigs",
        3,
        {"resources": [{"resource_type": TOPIC, "resource_name": each} for each in NAMES]},
    ),
    (
        "AlterConfigs",
        1,
        {"resources": [{"resource_type": TOPIC, "resource_name": each} for each in NAMES]},
    ),
    (
        "IncrementalAlterConfigs",
        1,
        {"resources": [{"resource_type": TOPIC, "resource_name": each} for each in NAMES]},
    ),
    ("DescribeTopicPartitions", 0, {"topics": [{"name": each} for each in NAMES], "cursor": None}),
]


@pytest.mark.parametrize(
    ("name", "version", "fields"), LARGE, ids=[f"{each[0]}-{each[1]}" for each in LARGE]
)
async def test_the_items_of_a_large_request_are_looked_at_in_turns(
    name: str, version: int, fields: dict[str, Any]
) -> None:
    """Counted, not timed: what else is ready runs many times before the answer is there."""
    async with Kit() as kit:
        kit.controller.add("orders", partitions=COUNT)
        peer = kit.connect()
        peer.send(request(name, version, 7, **fields))
        turns = 0
        while not peer.channel.received and turns < 10 * COUNT:
            turns += 1
            await asyncio.sleep(0)
        assert correlation_ids(peer.taken()) == [7]
        assert turns >= COUNT // limits.ADMIN_ITEMS_PER_TURN


async def test_all_of_a_large_request_but_its_items_is_done_on_a_lane() -> None:
    async with Kit() as kit:
        jobs: list[Callable[[], Any]] = []

        async def run(job: Callable[[], Any]) -> Any:
            jobs.append(job)
            return job()

        kit.world.lane = lambda name: SimpleNamespace(run=run)  # type: ignore[method-assign]
        asked = [{"name": each, "topic_id": None} for each in NAMES]
        peer = kit.connect()
        peer.send(request("DeleteTopics", 6, topics=asked))
        for _ in range(10 * COUNT):
            await asyncio.sleep(0)
        (frame,) = frames(peer.taken())
        answer = decoded("DeleteTopics", 6, frame)
        assert [each.name for each in answer.responses] == NAMES
        assert {each.error_code for each in answer.responses} == {3}
        # Decoded, each name once, what they touch, errors as values, in their places, the answer,
        # its error codes, its bytes.
        assert len(jobs) == 8
        api = next(each for each in kit.listener.counts.values() if each.errors)
        assert api.errors == {3: COUNT}


async def test_a_topic_of_many_partitions_is_shown_by_a_lane() -> None:
    async with Kit() as kit:
        kit.controller.add("wide", partitions=COUNT)
        lane = hold_lanes(kit)
        peer, other = kit.connect(), kit.connect()
        peer.send(request("Metadata", 9, topics=[{"name": "wide"}]))
        await settled()
        other.send(api_versions(2))
        await settled()
        assert correlation_ids(other.taken()) == [2]
        assert lane.jobs == 1 and peer.taken() == b""
        lane.open()
        await settled()
        (frame,) = frames(peer.taken())
        (topic,) = decoded("Metadata", 9, frame).topics
        assert len(topic.partitions) == COUNT
