"""Listing and describing topics."""

from typing import Any

import pytest

from app import limits
from app.admin.commands.topics import (
    DeleteTopics,
    DescribeTopics,
    ListTopics,
    TopicRef,
)
from app.errors import InvalidRequest
from app.security.ports import Operation
from tests.unit.admin.arrange import Desk, Rights, on_broker, on_topics, told


def names(page: Any) -> list[str]:
    return [topic.name for topic in page.topics]


def test_topics_come_in_the_order_of_their_names_page_by_page() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create(*[f"t{number}" for number in (3, 1, 4, 5, 2)])
        pages, after = [], ""
        while True:
            page = await desk.ask(ListTopics(after=after, limit=2))
            pages.append(names(page))
            after = page.next
            if not after:
                break
        assert pages == [["t1", "t2"], ["t3", "t4"], ["t5"]]
        assert (await desk.ask(ListTopics(limit=5))).next == ""
        # What went meanwhile is not a hole: the page begins after its name all the same.
        await desk.ask(DeleteTopics((TopicRef("t2"),)))
        assert names(await desk.ask(ListTopics(after="t2", limit=2))) == ["t3", "t4"]

    on_broker(scenario)


def test_a_prefix_is_a_beginning_with_or_without_its_star() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("app.a", "app.b", "apple", "zoo")
        assert names(await desk.ask(ListTopics(prefix="app.*"))) == ["app.a", "app.b"]
        assert names(await desk.ask(ListTopics(prefix="app."))) == ["app.a", "app.b"]
        assert names(await desk.ask(ListTopics(prefix="app"))) == ["app.a", "app.b", "apple"]
        assert names(await desk.ask(ListTopics(prefix="*"))) == ["app.a", "app.b", "apple", "zoo"]
        assert names(await desk.ask(ListTopics(prefix="b"))) == []

    on_broker(scenario)


def test_internal_topics_are_listed_for_who_asks_for_them() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("__consumer_offsets", "orders")
        assert names(await desk.ask(ListTopics())) == ["orders"]
        page = await desk.ask(ListTopics(internal=True))
        assert [(topic.name, topic.internal) for topic in page.topics] == [
            ("__consumer_offsets", True),
            ("orders", False),
        ]

    on_broker(scenario)


def test_pages_are_full_of_what_the_asker_may_see() -> None:
    rights = Rights(
        *on_topics(*Operation, name="app*"), *on_topics(Operation.CREATE, Operation.DELETE)
    )

    async def scenario(desk: Desk) -> None:
        await desk.create("aaa", "app.a", "app.b", "app.c", "bbb")
        page = await desk.ask(ListTopics(limit=2))
        assert (names(page), page.next) == (["app.a", "app.b"], "app.b")
        page = await desk.ask(ListTopics(limit=2, after="app.b"))
        assert (names(page), page.next) == (["app.c"], "")

    on_broker(scenario, authorizer=rights)


@pytest.mark.parametrize("limit", [0, -1, limits.ADMIN_PAGE_MAX + 1])
def test_a_page_has_its_bounds(limit: int) -> None:
    async def scenario(desk: Desk) -> None:
        with pytest.raises(InvalidRequest) as raised:
            await desk.ask(ListTopics(limit=limit))
        assert str(raised.value) == f"limit: from 1 to 1000 topics a page, not {limit}"

    on_broker(scenario)


def test_a_topic_is_described_by_name_and_by_id() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=2)
        await desk.write("orders", b"one", b"two")
        topic_id = bytes(desk.image.topics_by_name["orders"].topic_id)
        asked = (TopicRef("orders"), TopicRef(topic_id=topic_id))
        by_name, by_id = (await desk.ask(DescribeTopics(asked))).topics
        assert by_name == by_id
        assert (by_name.name, by_name.partition_count, by_name.replication_factor) == (
            "orders",
            2,
            1,
        )
        first, second = by_name.partitions
        assert (first.leader, first.replicas, first.isr, first.role) == (1, (1,), (1,), "leading")
        assert (first.log_start, first.high_watermark, first.last_stable) == (0, 2, 2)
        assert (second.high_watermark, second.bytes) == (0, 0)
        assert first.bytes == sum(
            e[2] for e in desk.registry.wal.extents(desk.replica("orders").key)
        )
        assert first.bytes > 0

    on_broker(scenario)


def test_partitions_come_from_a_start_and_up_to_a_limit() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=5)
        for start, limit, numbers in ((0, 2, [0, 1]), (3, 9, [3, 4]), (5, 1, []), (9, 1, [])):
            command = DescribeTopics((TopicRef("orders"),), start, limit)
            (shown,) = (await desk.ask(command)).topics
            assert [each.partition for each in shown.partitions] == numbers
            assert shown.partition_count == 5
        with pytest.raises(InvalidRequest) as raised:
            await desk.ask(DescribeTopics((TopicRef("orders"),), -1))
        assert str(raised.value) == "partition_start and partition_limit: 0 or more"

    on_broker(scenario)


def test_what_is_unknown_is_told_beside_what_is_known() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        asked = (TopicRef("nowhere"), TopicRef("orders"), TopicRef(topic_id=bytes(range(16))))
        unknown, known, unknown_id = (await desk.ask(DescribeTopics(asked))).topics
        assert told(unknown) == (3, "This server does not host topic 'nowhere'.")
        assert known.name == "orders"
        assert told(unknown_id) == (
            100,
            "This server does not host topic id AAECAwQFBgcICQoLDA0ODw.",
        )

    on_broker(scenario)


def test_operations_are_told_to_who_asks_for_them() -> None:
    rights = Rights(*on_topics(Operation.CREATE, Operation.DESCRIBE, Operation.READ))

    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        (plain,) = (await desk.ask(DescribeTopics((TopicRef("orders"),)))).topics
        (shown,) = (await desk.ask(DescribeTopics((TopicRef("orders"),), operations=True))).topics
        assert (plain.operations, shown.operations) == ((), (3, 5, 8))

    on_broker(scenario, authorizer=rights)
