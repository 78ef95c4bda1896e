"""Metadata: what is shown, created, hidden and kept."""

import pytest

from app import limits
from app.kafka.context import KafkaSettings
from app.model import Principal
from app.security.ports import Operation, Resource
from tests.unit.kafka.arrange import (
    DenyAll,
    Kit,
    broker_shown,
    correlation_ids,
    decoded,
    frames,
    id_of,
    request,
    settled,
)


class Only:
    """Allows these operations and nothing else."""

    generation = 0

    def __init__(self, *allowed: tuple[Operation, Resource, str]) -> None:
        self.allowed = allowed

    def allows(
        self, principal: Principal, operation: Operation, resource: Resource, name: str
    ) -> bool:
        return (operation, resource, name) in self.allowed

    def allows_any(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        return any(each[:2] == (operation, resource) for each in self.allowed)


@pytest.mark.parametrize("version", range(14))
async def test_all_topics_at_every_version(version: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=3)
        kit.controller.add("payments")
        answer = await kit.ask("Metadata", version, topics=None if version else [])
        assert [topic.name for topic in answer.topics] == ["orders", "payments"]
        partitions = answer.topics[0].partitions
        assert [(each.partition_index, each.leader_id) for each in partitions] == [
            (0, 1),
            (1, 1),
            (2, 1),
        ]
        assert [(each.host, each.port) for each in answer.brokers] == [("127.0.0.1", 9092)]
        if version >= 2:
            assert answer.cluster_id == "test-cluster"


async def test_an_empty_list_means_none_since_version_1() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        assert (await kit.ask("Metadata", 1, topics=[])).topics == []


@pytest.mark.parametrize(
    ("version", "allows", "creates", "code"),
    [(3, None, True, 0), (4, True, True, 0), (4, False, True, 3), (9, True, False, 3)],
)
async def test_topics_are_created_as_configured_and_asked(
    version: int, allows: bool | None, creates: bool, code: int
) -> None:
    async with Kit(settings=KafkaSettings(auto_create_topics=creates)) as kit:
        fields = {} if allows is None else {"allow_auto_topic_creation": allows}
        answer = await kit.ask("Metadata", version, topics=[{"name": "fresh"}], **fields)
        (topic,) = answer.topics
        assert topic.error_code == code
        assert len(topic.partitions) == (0 if code else 1)
        assert ("fresh" in kit.controller.image.topics_by_name) == (code == 0)


@pytest.mark.parametrize("creates", [True, False])
async def test_a_name_that_no_topic_can_have_is_invalid(creates: bool) -> None:
    async with Kit(settings=KafkaSettings(auto_create_topics=creates)) as kit:
        answer = await kit.ask("Metadata", 9, topics=[{"name": "no/slash"}])
        assert answer.topics[0].error_code == 17


async def test_topics_are_found_by_id() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        asked = [{"topic_id": id_of(name), "name": None} for name in ("orders", "nowhere")]
        answer = await kit.ask("Metadata", 12, topics=asked)
        assert [(each.name, each.error_code) for each in answer.topics] == [
            ("orders", 0),
            (None, 100),
        ]


async def test_unauthorised_topics_do_not_show() -> None:
    only = Only((Operation.DESCRIBE, Resource.TOPIC, "payments"))
    async with Kit(authorizer=only) as kit:
        kit.controller.add("orders")
        kit.controller.add("payments")
        everything = await kit.ask("Metadata", 9, topics=None)
        assert [topic.name for topic in everything.topics] == ["payments"]
        named = await kit.ask(
            "Metadata", 9, topics=[{"name": "orders"}, {"name": "nowhere"}, {"name": "payments"}]
        )
        assert [topic.error_code for topic in named.topics] == [29, 29, 0]
        assert named.topics[0].partitions == []


async def test_creating_needs_create() -> None:
    only = Only((Operation.DESCRIBE, Resource.TOPIC, "fresh"))
    async with Kit(authorizer=only) as kit:
        answer = await kit.ask("Metadata", 9, topics=[{"name": "fresh"}])
        assert answer.topics[0].error_code == 29
        assert not kit.controller.image.topics_by_name


async def test_authorised_operations_are_told_if_asked() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        asked = {"topics": None, "include_topic_authorized_operations": True}
        answer = await kit.ask("Metadata", 8, include_cluster_authorized_operations=True, **asked)
        assert sorted(answer.topics[0].authorized_operations) == [3, 4, 5, 6, 7, 8, 10, 11]
        assert sorted(answer.authorized_operations) == [5, 7, 8, 9, 10, 11, 12]
        unasked = await kit.ask("Metadata", 8, topics=None)
        assert unasked.topics[0].authorized_operations is None


@pytest.mark.parametrize("version", range(8, 14))
async def test_what_is_allowed_on_a_topic_that_is_not_there_is_told_too(version: int) -> None:
    asked = {"topics": [{"name": "nowhere"}], "include_topic_authorized_operations": True}
    if version >= 10:
        asked["topics"][0]["topic_id"] = None
    async with Kit(settings=KafkaSettings(auto_create_topics=False)) as kit:
        (topic,) = (await kit.ask("Metadata", version, **asked)).topics
        assert topic.error_code == 3
        assert sorted(topic.authorized_operations) == [3, 4, 5, 6, 7, 8, 10, 11]
    async with Kit(authorizer=DenyAll()) as kit:
        (topic,) = (await kit.ask("Metadata", version, **asked)).topics
        assert (topic.error_code, topic.authorized_operations) == (29, None)


async def test_clients_are_told_the_endpoints_of_the_listener_they_came_in_by() -> None:
    async with Kit() as kit:
        kit.controller.register(broker_shown(1, plain=9092, tls=9093))
        kit.controller.register(broker_shown(2, plain=9192, tls=9193))
        for _ in range(2):  # the second answers come from the cache
            for listener, ports in (("plain", [9092, 9192]), ("tls", [9093, 9193])):
                answer = await kit.ask("Metadata", 9, kit.connect(listener), topics=None)
                assert [each.port for each in answer.brokers] == ports
                assert answer.controller_id == 1
        assert kit.broker.metadata.hits == 2


@pytest.mark.parametrize(("version", "code"), [(5, 5), (6, 72), (13, 72)])
async def test_a_broker_without_the_listener_is_left_out_and_leads_nothing(
    version: int, code: int
) -> None:
    async with Kit() as kit:
        kit.controller.register(broker_shown(2, plain=9192, tls=9193))
        kit.controller.add("orders", leader=1)
        kit.controller.add("payments", leader=2)
        answer = await kit.ask("Metadata", version, kit.connect("tls"), topics=None)
        assert [(each.node_id, each.port) for each in answer.brokers] == [(2, 9193)]
        assert answer.controller_id == -1
        (lost,), (led,) = (topic.partitions for topic in answer.topics)
        assert (lost.error_code, lost.leader_id, lost.replica_nodes) == (code, -1, [1])
        assert lost.offline_replicas == [1]
        assert (led.error_code, led.leader_id, led.offline_replicas) == (0, 2, [])


async def test_answers_are_kept_until_the_image_changes() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        for _ in range(3):
            await kit.ask("Metadata", 9, topics=None)
            await kit.ask("Metadata", 9, topics=[{"name": "orders"}])
        assert kit.broker.metadata.hits == 4
        kit.controller.add("payments")
        answer = await kit.ask("Metadata", 9, topics=None)
        assert [topic.name for topic in answer.topics] == ["orders", "payments"]
        assert kit.broker.metadata.hits == 4


async def test_missing_topics_are_not_kept() -> None:
    async with Kit(settings=KafkaSettings(auto_create_topics=False)) as kit:
        for _ in range(3):
            await kit.ask("Metadata", 9, topics=[{"name": "nowhere"}])
        assert kit.broker.metadata.hits == 0 and kit.broker.metadata.bytes == 0


async def test_a_partition_whose_leader_is_unknown_has_none() -> None:
    async with Kit() as kit:
        kit.controller.add("orders", leader=9)
        (partition,) = (await kit.ask("Metadata", 9, topics=None)).topics[0].partitions
        assert (partition.error_code, partition.leader_id) == (5, -1)
        assert partition.offline_replicas == [9]


async def test_ids_in_versions_that_only_carry_them_are_refused() -> None:
    async with Kit() as kit:
        peer = kit.connect()
        peer.send(request("Metadata", 10, topics=[{"name": "orders", "topic_id": id_of("orders")}]))
        await settled()
        assert peer.taken() != b"" and not peer.channel.is_closed


async def test_nothing_is_told_to_those_who_may_nothing() -> None:
    async with Kit(authorizer=DenyAll()) as kit:
        kit.controller.add("orders")
        assert (await kit.ask("Metadata", 9, topics=None)).topics == []


async def test_a_topic_asked_for_twice_is_told_once() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        named = [{"name": "orders", "topic_id": None}] * 2
        assert len((await kit.ask("Metadata", 9, topics=named)).topics) == 1
        known = [{"name": None, "topic_id": id_of("orders")}] * 2
        assert len((await kit.ask("Metadata", 12, topics=known)).topics) == 1


@pytest.mark.parametrize("name", ["__consumer_offsets", "__share_group_state"])
async def test_the_brokers_own_topics_are_not_made_by_asking_for_them(name: str) -> None:
    async with Kit() as kit:
        answer = await kit.ask("Metadata", 1, topics=[{"name": name}])
        (topic,) = answer.topics
        assert topic.error_code == 3
        assert not kit.controller.image.topics_by_name


async def test_an_id_is_refused_before_version_12_and_told_back() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        asked = [{"name": None, "topic_id": id_of("orders")}]
        (topic,) = (await kit.ask("Metadata", 10, topics=asked)).topics
        assert (topic.error_code, topic.topic_id) == (42, id_of("orders"))


async def test_an_answer_that_takes_turns_is_made_once_for_all_who_want_it() -> None:
    async with Kit() as kit:
        for number in range(limits.ADMIN_ITEMS_PER_TURN):
            kit.controller.add(f"topic-{number}")
        peers = [kit.connect() for _ in range(3)]
        for correlation_id, peer in enumerate(peers):
            peer.send(request("Metadata", 1, correlation_id, topics=None))
        await settled()
        answers = [frames(peer.taken()) for peer in peers]
        assert [correlation_ids(each[0]) for each in answers] == [[0], [1], [2]]
        assert {len(decoded("Metadata", 1, each[0]).topics) for each in answers} == {256}
        assert kit.broker.metadata.hits == 2 and not kit.broker.metadata.making
