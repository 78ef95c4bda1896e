"""DescribeTopicPartitions over the admin of this broker: order, limits, cursors."""

from typing import Any

import pytest

from app import limits
from app.security.ports import Operation
from tests.unit.kafka.arrange import DenyAll, Kit, broker_shown, id_of
from tests.unit.kafka.test_topics_admin import AllBut

NO_OPERATIONS = -(2**31)


def asked(*names: str, limit: int = 2_000, cursor: tuple[str, int] | None = None) -> dict[str, Any]:
    return {
        "topics": [{"name": name} for name in names],
        "response_partition_limit": limit,
        "cursor": cursor and {"topic_name": cursor[0], "partition_index": cursor[1]},
    }


async def ask(kit: Kit, *names: str, listener: str = "plain", **options: Any) -> Any:
    peer = kit.connect(listener)
    return await kit.ask("DescribeTopicPartitions", 0, peer, **asked(*names, **options))


def told(answer: Any) -> list[tuple[str, int, list[int]]]:
    return [
        (topic.name, topic.error_code, [each.partition_index for each in topic.partitions])
        for topic in answer.topics
    ]


def next_of(answer: Any) -> tuple[str, int] | None:
    cursor = answer.next_cursor
    return cursor and (cursor.topic_name, cursor.partition_index)


def populate(kit: Kit) -> None:
    kit.controller.add("b", 3)
    kit.controller.add("c", 2)
    kit.controller.add("a", 1)


async def test_every_field_of_a_partition_is_told() -> None:
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, "c")
        (topic,) = answer.topics
        assert (topic.topic_id, topic.is_internal) == (id_of("c"), False)
        assert topic.topic_authorized_operations == 3576
        second = topic.partitions[1]
        assert (second.error_code, second.partition_index) == (0, 1)
        assert (second.leader_id, second.leader_epoch) == (1, 3)
        assert (second.replica_nodes, second.isr_nodes, second.offline_replicas) == ([1], [1], [])
        assert second.eligible_leader_replicas == second.last_known_elr == []
        assert answer.next_cursor is None


async def test_named_topics_are_told_once_and_in_order_with_their_errors() -> None:
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, "c", "nowhere", "b", "no/slash", "c")
        assert told(answer) == [
            ("b", 0, [0, 1, 2]),
            ("c", 0, [0, 1]),
            ("no/slash", 17, []),
            ("nowhere", 3, []),
        ]
        assert {topic.topic_authorized_operations for topic in answer.topics} == {3576}


@pytest.mark.parametrize(
    ("limit", "topics", "following"),
    [
        (1, [("a", 0, [0])], ("b", 0)),
        (0, [("a", 0, [0])], ("b", 0)),
        (-5, [("a", 0, [0])], ("b", 0)),
        (2, [("a", 0, [0]), ("b", 0, [0])], ("b", 1)),
        (4, [("a", 0, [0]), ("b", 0, [0, 1, 2])], ("c", 0)),
        (5, [("a", 0, [0]), ("b", 0, [0, 1, 2]), ("c", 0, [0])], ("c", 1)),
        (6, [("a", 0, [0]), ("b", 0, [0, 1, 2]), ("c", 0, [0, 1])], None),
    ],
)
async def test_answers_are_cut_where_the_client_wants(
    limit: int, topics: list[Any], following: tuple[str, int] | None
) -> None:
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, limit=limit)
        assert (told(answer), next_of(answer)) == (topics, following)
        named = await ask(kit, "a", "b", "c", limit=limit)
        assert (told(named), next_of(named)) == (topics, following)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("names", [(), ("a", "b", "c", "nowhere")])
async def test_following_cursors_tells_everything_once(limit: int, names: tuple[str, ...]) -> None:
    async with Kit() as kit:
        populate(kit)
        found: list[tuple[str, int]] = []
        cursor = None
        while True:
            answer = await ask(kit, *names, limit=limit, cursor=cursor)
            found += [(name, each) for name, _, numbers in told(answer) for each in numbers]
            cursor = next_of(answer)
            if cursor is None:
                break
        assert found == [("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 0), ("c", 1)]


async def test_one_answer_has_no_more_partitions_than_kafka_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limits.DESCRIBED_PARTITIONS_MAX == 2_000
    monkeypatch.setattr(limits, "DESCRIBED_PARTITIONS_MAX", 3)
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, limit=2_000)
        assert next_of(answer) == ("b", 2)


@pytest.mark.parametrize(
    ("cursor", "topics"),
    [
        (("b", 2), [("b", 0, [2]), ("c", 0, [0, 1])]),
        (("bb", 2), [("c", 0, [0, 1])]),
        (("b", 99), [("b", 0, []), ("c", 0, [0, 1])]),
        (("z", 0), []),
    ],
)
async def test_a_cursor_says_where_to_go_on(cursor: tuple[str, int], topics: list[Any]) -> None:
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, cursor=cursor)
        assert (told(answer), next_of(answer)) == (topics, None)


async def test_a_cursor_may_name_a_topic_that_went_meanwhile() -> None:
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, "bb", "c", limit=1, cursor=("bb", 3))
        assert told(answer) == [("bb", 3, []), ("c", 0, [0])]
        assert next_of(answer) == ("c", 1)


@pytest.mark.parametrize(
    ("names", "cursor"), [(("c",), ("b", 0)), (("b",), ("b", -1)), ((), ("b", -1))]
)
async def test_a_cursor_that_leads_nowhere_is_an_invalid_request(
    names: tuple[str, ...], cursor: tuple[str, int]
) -> None:
    async with Kit() as kit:
        populate(kit)
        answer = await ask(kit, *names, cursor=cursor)
        assert told(answer) == [(name, 42, []) for name in names]


async def test_topics_that_may_not_be_described_do_not_exist_for_the_client() -> None:
    async with Kit(authorizer=DenyAll()) as kit:
        populate(kit)
        assert told(await ask(kit)) == []
        assert told(await ask(kit, "a", "nowhere")) == [("a", 29, []), ("nowhere", 29, [])]


async def test_operations_are_those_that_the_client_is_allowed() -> None:
    async with Kit(authorizer=AllBut(Operation.DELETE, Operation.WRITE)) as kit:
        populate(kit)
        answer = await ask(kit, "a")
        assert answer.topics[0].topic_authorized_operations == 3576 & ~(1 << 6) & ~(1 << 4)


async def test_a_leader_that_the_listener_does_not_reach_is_not_named() -> None:
    async with Kit() as kit:
        populate(kit)
        kit.controller.register(broker_shown(2, tls=9093))
        kit.controller.add("there", leader=2)
        kit.controller.add("gone", leader=9)
        by_name = {each.name: each.partitions[0] for each in (await ask(kit)).topics}
        assert (by_name["a"].error_code, by_name["a"].leader_id) == (0, 1)
        assert (by_name["there"].error_code, by_name["there"].leader_id) == (72, -1)
        assert (by_name["gone"].error_code, by_name["gone"].leader_id) == (5, -1)
        assert by_name["there"].offline_replicas == [2]
        by_tls = await ask(kit, "there", listener="tls")
        assert by_tls.topics[0].partitions[0].leader_id == 2
