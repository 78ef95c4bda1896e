"""Creating and deleting topics, and giving them partitions."""

from typing import Any

import pytest

from app.admin.commands.topics import (
    AddPartitions,
    CreateTopics,
    DeleteTopics,
    DeleteTopicsByPrefix,
    MorePartitions,
    NewTopic,
    TopicRef,
)
from app.errors import InvalidTopic
from app.model import NO_TOPIC_ID
from app.security.ports import Operation
from tests.unit.admin.arrange import Desk, Rights, on_broker, on_topics, told


def names(reply: Any) -> list[str]:
    return [topic.name for topic in reply.topics]


async def there(desk: Desk) -> list[str]:
    return sorted(desk.image.topics_by_name)


# Creating


def test_a_created_topic_is_told_with_all_its_configs() -> None:
    async def scenario(desk: Desk) -> None:
        wanted = NewTopic("orders", 3, 1, configs={"retention.ms": "1000"})
        (made,) = (await desk.ask(CreateTopics((wanted,)))).topics
        topic = desk.image.topics_by_name["orders"]
        assert (made.name, made.topic_id, made.partitions, made.replication_factor) == (
            "orders",
            topic.topic_id,
            3,
            1,
        )
        configs = {each.name: each for each in made.configs}
        assert (configs["retention.ms"].value, configs["retention.ms"].source) == ("1000", "topic")
        assert configs["cleanup.policy"].source == "default"
        assert desk.replica("orders", 2).role == "leading"

    on_broker(scenario)


def test_each_topic_is_made_or_refused_by_itself() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("old.one")
        asked = (
            NewTopic("good"),
            NewTopic("twice"),
            NewTopic("twice"),
            NewTopic("no/slash"),
            NewTopic("old.one"),
            NewTopic("old_one"),
            NewTopic("wide", partitions=0),
            NewTopic("far", replication_factor=3),
            NewTopic("odd", configs={"retention.ms": "soon"}),
            NewTopic("null", configs={"retention.ms": None}),
            NewTopic("new", configs={"no.such": "1"}),
        )
        reply = await desk.ask(CreateTopics(asked))
        assert reply.topics[0].name == "good"
        assert [told(each)[0] for each in reply.topics[1:]] == [
            42, 42, 17, 36, 17, 37, 38, 40, 40, 40,
        ]  # fmt: skip
        messages = [told(each)[1] for each in reply.topics[1:-1]]
        assert messages == [
            "Duplicate topic name: 'twice'",
            "Duplicate topic name: 'twice'",
            "Topic name is invalid: 'no/slash' has a character other than ASCII letters, digits, "
            "'.', '_' and '-'",
            "Topic 'old.one' already exists.",
            "Topic 'old_one' collides with existing topic: old.one",
            "Number of partitions was set to an invalid non-positive value.",
            "Unable to replicate the partition 3 time(s): the target replication factor cannot be "
            "reached because only 1 broker(s) are registered.",
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
            "Null value not supported for topic configs: retention.ms",
        ]
        assert told(reply.topics[-1])[1].startswith("Unknown topic config name: no.such; ")
        assert await there(desk) == ["good", "old.one"]

    on_broker(scenario)


def test_validating_makes_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        before = desk.image
        reply = await desk.ask(
            CreateTopics((NewTopic("good", 4), NewTopic("..")), validate_only=True)
        )
        good, bad = reply.topics
        assert (good.topic_id, good.partitions, len(good.configs) > 20) == (NO_TOPIC_ID, 4, True)
        assert told(bad) == (17, "Topic name is invalid: '..' is not allowed")
        assert desk.image is before

    on_broker(scenario)


def test_configs_are_told_to_who_may_describe_them() -> None:
    rights = Rights(*on_topics(Operation.CREATE))

    async def scenario(desk: Desk) -> None:
        (made,) = (await desk.ask(CreateTopics((NewTopic("orders"),)))).topics
        assert (made.partitions, made.configs) == (1, None)

    on_broker(scenario, authorizer=rights)


# Deleting


def test_topics_are_deleted_by_name_and_by_id() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("a", "b", "c", partitions=2)
        ids = {name: topic.topic_id for name, topic in desk.image.topics_by_name.items()}
        asked = (TopicRef("a"), TopicRef(topic_id=ids["b"]), TopicRef("nowhere"))
        reply = await desk.ask(DeleteTopics(asked))
        assert [(each.name, each.topic_id, each.partitions) for each in reply.topics[:2]] == [
            ("a", ids["a"], 2),
            ("b", ids["b"], 2),
        ]
        assert told(reply.topics[2]) == (3, "This server does not host topic 'nowhere'.")
        assert await there(desk) == ["c"]

    on_broker(scenario)


def test_what_is_named_twice_is_not_deleted() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("a", "b", "c")
        ids = {name: topic.topic_id for name, topic in desk.image.topics_by_name.items()}
        asked = (
            TopicRef("a"),
            TopicRef("a"),
            TopicRef("b"),
            TopicRef(topic_id=ids["b"]),
            TopicRef("c", ids["c"]),
            TopicRef(),
            TopicRef("c"),
        )
        reply = await desk.ask(DeleteTopics(asked))
        twice = (42, "Duplicate topic in the request.")
        both_ways = (42, "The topic is named by its name and by its id.")
        ambiguous = (42, "A topic is named by its name or by its id, and by one of them.")
        assert [told(each) for each in reply.topics[:5]] == [
            twice,
            twice,
            both_ways,
            both_ways,
            ambiguous,
        ]
        assert told(reply.topics[5]) == ambiguous
        assert reply.topics[6].name == "c"
        assert await there(desk) == ["a", "b"]

    on_broker(scenario)


def test_a_dry_deletion_says_what_would_go() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("a", "b")
        before = desk.image
        dry = await desk.ask(DeleteTopics((TopicRef("a"), TopicRef("x")), validate_only=True))
        assert desk.image is before
        assert dry == await desk.ask(DeleteTopics((TopicRef("a"), TopicRef("x"))))
        assert await there(desk) == ["b"]

    on_broker(scenario)


def test_deleting_by_prefix_takes_all_under_it_and_nothing_beside_it() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("app.a.one", "app.a.two", "app.ab", "app.a", "apple", "zoo")
        dry = await desk.ask(DeleteTopicsByPrefix("app.a.*", validate_only=True))
        assert names(dry) == ["app.a.one", "app.a.two"]
        assert len(await there(desk)) == 6
        assert await desk.ask(DeleteTopicsByPrefix("app.a.*")) == dry
        assert await there(desk) == ["app.a", "app.ab", "apple", "zoo"]
        assert (await desk.ask(DeleteTopicsByPrefix("app.a.*"))).topics == ()

    on_broker(scenario)


@pytest.mark.parametrize("prefix", ["", "*", ".*", "app*", "app", "app.", "a..*", "a/b.*"])
def test_what_is_no_prefix_deletes_nothing(prefix: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("app.a", "app")
        with pytest.raises(InvalidTopic) as raised:
            await desk.ask(DeleteTopicsByPrefix(prefix))
        assert str(raised.value).startswith(
            ("Topic prefix is invalid: ", "Topic name is invalid: ")
        )
        assert await there(desk) == ["app", "app.a"]

    on_broker(scenario)


def test_by_prefix_goes_what_may_go_and_the_hidden_stays_hidden() -> None:
    rights = Rights(
        *on_topics(Operation.CREATE),
        *on_topics(Operation.DESCRIBE, Operation.DELETE, name="app.mine*"),
        *on_topics(Operation.DESCRIBE, name="app.shown*"),
        *on_topics(Operation.DELETE, name="app.hidden*"),
    )

    async def scenario(desk: Desk) -> None:
        await desk.create("app.hidden", "app.mine", "app.shown")
        mine, shown = (await desk.ask(DeleteTopicsByPrefix("app.*"))).topics
        assert mine.name == "app.mine"
        assert told(shown) == (
            29,
            "Topic authorization failed: User:ANONYMOUS has no right DELETE on topic 'app.shown'.",
        )
        assert await there(desk) == ["app.hidden", "app.shown"]

    on_broker(scenario, authorizer=rights)


# More partitions


def test_partitions_are_added_and_led_at_once() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", "payments", partitions=2)
        asked = (
            MorePartitions("orders", 4),
            MorePartitions("payments", 2),
            MorePartitions("nowhere", 3),
        )
        more, same, unknown = (await desk.ask(AddPartitions(asked))).topics
        assert (more.name, more.total) == ("orders", 4)
        assert told(same)[0] == 37
        assert told(unknown) == (3, "This server does not host topic 'nowhere'.")
        assert desk.replica("orders", 3).role == "leading"
        (written,) = (await desk.write("orders", b"new", partition=3)).records
        assert (written.partition, written.offset) == (3, 0)

    on_broker(scenario)


def test_validating_adds_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        (more,) = (
            await desk.ask(AddPartitions((MorePartitions("orders", 9),), validate_only=True))
        ).topics
        assert (more.name, more.total) == ("orders", 9)
        assert len(desk.image.topics_by_name["orders"].partitions) == 1

    on_broker(scenario)
