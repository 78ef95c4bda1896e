"""CreateTopics and DeleteTopics: what is asked of the controller, and how it is told."""

from typing import Any

import pytest

from app.admin.commands.configs import ConfigEntry
from app.admin.commands.topics import (
    Created,
    CreatedTopic,
    CreateTopics,
    Deleted,
    DeletedTopic,
    DeleteTopics,
    TopicRef,
)
from app.core.manifest.decide import NewTopic
from app.errors import RequestTimedOut
from app.model import Principal
from app.security.ports import Operation, Resource
from tests.unit.kafka.arrange import Kit, ScriptedAdmin, id_of


class AllBut:
    """Refuses these operations on topics and everything on the cluster."""

    generation = 0

    def __init__(self, *refused: Operation) -> None:
        self.refused = refused

    def allows(
        self, principal: Principal, operation: Operation, resource: Resource, name: str
    ) -> bool:
        return resource is Resource.TOPIC and operation not in self.refused

    def allows_any(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        return True


def new(name: str, partitions: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": 1,
        "assignments": [],
        "configs": [],
        **fields,
    }


@pytest.mark.parametrize("version", range(2, 8))
async def test_topics_are_created_one_by_one(version: int) -> None:
    async with Kit() as kit:
        answer = await kit.ask(
            "CreateTopics",
            version,
            topics=[new("good"), new("no/slash")],
            timeout_ms=1_000,
            validate_only=False,
        )
        assert [(each.name, each.error_code) for each in answer.topics] == [
            ("good", 0),
            ("no/slash", 17),
        ]
        assert list(kit.controller.image.topics_by_name) == ["good"]
        assert "no/slash" in answer.topics[1].error_message
        if version >= 5:
            assert (answer.topics[0].num_partitions, answer.topics[0].replication_factor) == (2, 1)
            configs = {each.name: each for each in answer.topics[0].configs}
            assert configs["cleanup.policy"].value == "delete"
            assert configs["cleanup.policy"].config_source == 5
        if version >= 7:
            assert answer.topics[0].topic_id == id_of("good")


async def test_validating_changes_nothing() -> None:
    async with Kit() as kit:
        answer = await kit.ask(
            "CreateTopics", 7, topics=[new("good")], timeout_ms=1_000, validate_only=True
        )
        assert answer.topics[0].error_code == 0
        assert (kit.controller.validated, len(kit.controller.image.topics_by_name)) == (1, 0)


async def test_configs_are_told_to_those_who_may_describe_them() -> None:
    async with Kit(authorizer=AllBut(Operation.DESCRIBE_CONFIGS)) as kit:
        answer = await kit.ask(
            "CreateTopics", 5, topics=[new("good")], timeout_ms=1_000, validate_only=False
        )
        (topic,) = answer.topics
        assert (topic.error_code, topic.topic_config_error_code) == (0, 29)
        assert topic.configs is None and topic.num_partitions == -1


@pytest.mark.parametrize("version", range(1, 7))
async def test_topics_are_deleted_by_name(version: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        kit.controller.add("payments")
        names = ["orders", "nowhere"]
        asked: dict[str, Any] = {"topic_names": names}
        if version >= 6:
            asked = {"topics": [{"name": name, "topic_id": None} for name in names]}
        answer = await kit.ask("DeleteTopics", version, timeout_ms=1_000, **asked)
        assert [each.error_code for each in answer.responses] == [0, 3]
        assert list(kit.controller.image.topics_by_name) == ["payments"]


async def test_topics_are_deleted_by_id() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        asked = [{"name": None, "topic_id": id_of(name)} for name in ("orders", "nowhere")]
        answer = await kit.ask("DeleteTopics", 6, topics=asked, timeout_ms=1_000)
        assert [(each.name, each.error_code) for each in answer.responses] == [
            ("orders", 0),
            (None, 100),
        ]


async def test_ambiguous_deletions_are_refused_and_delete_nothing() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        asked = [
            {"name": "orders", "topic_id": id_of("orders")},
            {"name": None, "topic_id": None},
        ]
        answer = await kit.ask("DeleteTopics", 6, topics=asked, timeout_ms=1_000)
        assert [each.error_code for each in answer.responses] == [42, 42]
        twice = await kit.ask("DeleteTopics", 5, topic_names=["orders", "orders"], timeout_ms=1_000)
        assert [each.error_code for each in twice.responses] == [42]
        assert list(kit.controller.image.topics_by_name) == ["orders"]


@pytest.mark.parametrize("refused", [Operation.DESCRIBE, Operation.DELETE])
async def test_deleting_needs_delete_and_existence_needs_describe(refused: Operation) -> None:
    async with Kit(authorizer=AllBut(refused)) as kit:
        kit.controller.add("orders")
        answer = await kit.ask(
            "DeleteTopics", 5, topic_names=["orders", "nowhere"], timeout_ms=1_000
        )
        missing = 29 if refused is Operation.DESCRIBE else 3
        assert [each.error_code for each in answer.responses] == [29, missing]
        assert list(kit.controller.image.topics_by_name) == ["orders"]


def created(command: CreateTopics) -> Created:
    inherited = ConfigEntry(
        "retention.ms", "1", "prefix", read_only=False, sensitive=False, type="LONG", where="a.*"
    )
    return Created(
        tuple([CreatedTopic(each.name, b"i" * 16, 2, 1, (inherited,)) for each in command.topics])
    )


async def test_a_topic_asked_for_twice_is_told_once_and_not_made() -> None:
    admin = ScriptedAdmin({CreateTopics: created})
    async with Kit(admin=admin) as kit:
        topics = [new("twice"), new("once"), new("twice")]
        answer = await kit.ask(
            "CreateTopics", 7, topics=topics, timeout_ms=1_000, validate_only=False
        )
    told = [(each.name, each.error_code, each.error_message) for each in answer.topics]
    assert told == [("twice", 42, "Duplicate topic name."), ("once", 0, None)]
    assert [each.name for each in admin.asked[0].topics] == ["once"]


@pytest.mark.parametrize("version", range(2, 8))
async def test_what_is_asked_and_told_of_a_new_topic(version: int) -> None:
    admin = ScriptedAdmin({CreateTopics: created})
    async with Kit(admin=admin) as kit:
        wanted = [
            new("a.b", -1, replication_factor=-1, configs=[{"name": "x", "value": None}]),
            new(
                "c",
                -1,
                replication_factor=-1,
                assignments=[{"partition_index": 0, "broker_ids": [1, 2]}],
            ),
        ]
        answer = await kit.ask(
            "CreateTopics", version, topics=wanted, timeout_ms=1_500, validate_only=True
        )
    assert admin.asked == [
        CreateTopics(
            (
                NewTopic("a.b", -1, -1, {}, {"x": None}),
                NewTopic("c", -1, -1, {0: (1, 2)}, {}),
            ),
            validate_only=True,
            timeout_ms=1_500,
        )
    ]
    assert [each.error_code for each in answer.topics] == [0, 0]
    if version >= 5:
        (config,) = answer.topics[0].configs
        assert (config.name, config.value, config.config_source) == ("retention.ms", "1", 3)


@pytest.mark.parametrize("version", [2, 5, 7])
async def test_no_topic_is_made_when_the_command_fails(version: int) -> None:
    async with Kit(admin=ScriptedAdmin({CreateTopics: RequestTimedOut("too slow")})) as kit:
        answer = await kit.ask(
            "CreateTopics",
            version,
            topics=[new("a"), new("b"), new("a")],
            timeout_ms=1_000,
            validate_only=False,
        )
    told = [(each.name, each.error_code, each.error_message) for each in answer.topics]
    assert told == [("a", 7, "too slow"), ("b", 7, "too slow")]


@pytest.mark.parametrize("version", [1, 5, 6])
async def test_no_topic_goes_when_the_command_fails(version: int) -> None:
    async with Kit(admin=ScriptedAdmin({DeleteTopics: RequestTimedOut("too slow")})) as kit:
        asked: dict[str, Any] = {"topic_names": ["a", "b"]}
        if version >= 6:
            asked = {"topics": [{"name": name, "topic_id": None} for name in "ab"]}
        answer = await kit.ask("DeleteTopics", version, timeout_ms=1_000, **asked)
    assert [(each.name, each.error_code) for each in answer.responses] == [("a", 7), ("b", 7)]


async def test_what_cannot_be_deleted_says_why_and_disturbs_no_other() -> None:
    def deleted(command: DeleteTopics) -> Deleted:
        return Deleted(tuple([DeletedTopic("good", b"g" * 16, 1) for _ in command.topics]))

    admin = ScriptedAdmin({DeleteTopics: deleted})
    one = id_of("one")
    async with Kit(admin=admin) as kit:
        asked = [("both", one), (None, None), (None, one), ("twice", None), ("good", None)]
        asked += [("twice", None), (None, one)]
        topics = [{"name": name, "topic_id": topic_id} for name, topic_id in asked]
        answer = await kit.ask("DeleteTopics", 6, topics=topics, timeout_ms=1_000)
    assert [each.error_message for each in answer.responses] == [
        "You may not specify both topic name and topic id.",
        "Neither topic name nor id were specified.",
        "Duplicate topic id.",
        "Duplicate topic name.",
        None,
    ]
    assert admin.asked[0].topics == (TopicRef("good"),)


async def test_a_partition_assigned_twice_is_an_invalid_assignment() -> None:
    async with Kit() as kit:
        rows = [{"partition_index": 0, "broker_ids": [1]}] * 2
        topics = [new("orders", -1, replication_factor=-1, assignments=rows)]
        answer = await kit.ask(
            "CreateTopics", 7, topics=topics, timeout_ms=1_000, validate_only=False
        )
        assert [each.error_code for each in answer.topics] == [39]
        assert not kit.controller.image.topics_by_name


@pytest.mark.parametrize(
    "asked",
    [
        [("orders", None), ("orders", None)],
        [(None, "orders"), (None, "orders")],
        [("nowhere", None), ("nowhere", None)],
        [(None, "nowhere"), (None, "nowhere")],
    ],
)
async def test_a_deletion_asked_for_twice_is_told_once_and_refused(
    asked: list[tuple[str | None, str | None]],
) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        topics = [{"name": name, "topic_id": named and id_of(named)} for name, named in asked]
        answer = await kit.ask("DeleteTopics", 6, topics=topics, timeout_ms=1_000)
        assert [each.error_code for each in answer.responses] == [42]
        assert list(kit.controller.image.topics_by_name) == ["orders"]


async def test_a_topic_named_and_identified_is_not_deleted() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        topics = [
            {"name": "orders", "topic_id": None},
            {"name": None, "topic_id": id_of("orders")},
        ]
        answer = await kit.ask("DeleteTopics", 6, topics=topics, timeout_ms=1_000)
        (told,) = answer.responses
        assert (told.name, told.topic_id, told.error_code) == ("orders", id_of("orders"), 42)
        assert list(kit.controller.image.topics_by_name) == ["orders"]


@pytest.mark.parametrize("version", [5, 6])
async def test_no_topic_has_the_empty_name(version: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        names = ["", "orders"]
        asked: dict[str, Any] = {"topic_names": names}
        if version >= 6:
            asked = {"topics": [{"name": name, "topic_id": None} for name in names]}
        answer = await kit.ask("DeleteTopics", version, timeout_ms=1_000, **asked)
        assert [(each.name, each.error_code) for each in answer.responses] == [
            ("", 3),
            ("orders", 0),
        ]
