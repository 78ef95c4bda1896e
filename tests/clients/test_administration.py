"""What clients ask about topics and their configs, and how they are told no."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.clients import Client
from tests.clients.conftest import Ask
from tests.clients.conversation import Refused

pytestmark = pytest.mark.clients

NewTopic = Callable[..., str]
OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC, INVALID_TOPIC = 1, 3, 17
TOPIC_EXISTS, INVALID_PARTITIONS, INVALID_CONFIG = 36, 37, 40


def unused_name() -> str:
    return f"topic-{uuid.uuid4().hex[:8]}"


def assert_refused(client: Client, ask: Ask, code: int, verb: str, **command: Any) -> None:
    """With Kafka's code; a client that passes no refusal of this on is only asked."""
    if verb in client.mute:
        ask(verb, **command)
        return
    with pytest.raises(Refused) as refused:
        ask(verb, **command)
    assert refused.value.code == code, refused.value


def configs(ask: Ask, topic: str) -> dict[str, str]:
    found: dict[str, str] = ask("configs", topic=topic)["configs"]
    return found


@pytest.mark.step("topics: create with configs, describe, list, delete")
def test_a_topic_is_created(client: Client, ask: Ask, referee: Ask) -> None:
    topic = unused_name()
    plain = "no configs" in client.lacks
    asked = {} if plain else {"retention.ms": "3600000", "max.message.bytes": "2000000"}
    ask("create", topic=topic, partitions=3, configs=asked)
    assert referee("describe", topic=topic)["partitions"] == [0, 1, 2]
    assert plain or configs(referee, topic).items() >= asked.items()


@pytest.mark.step("topics: create with configs, describe, list, delete")
def test_a_topic_is_described(ask: Ask, new_topic: NewTopic) -> None:
    assert ask("describe", topic=new_topic(5))["partitions"] == [0, 1, 2, 3, 4]


@pytest.mark.step("topics: create with configs, describe, list, delete")
def test_topics_are_listed(ask: Ask, new_topic: NewTopic) -> None:
    made = {new_topic(), new_topic()}
    assert made <= set(ask("list")["topics"])


@pytest.mark.step("topics: create with configs, describe, list, delete")
def test_a_topic_is_deleted(ask: Ask, referee: Ask, new_topic: NewTopic) -> None:
    topic = new_topic()
    ask("delete", topic=topic)
    assert topic not in referee("list")["topics"]


@pytest.mark.step("configs: describe, alter one by one, replace")
def test_configs_are_described(ask: Ask, new_topic: NewTopic) -> None:
    told = configs(ask, new_topic(cleanup_policy="compact", segment_ms="60000"))
    assert (told["cleanup.policy"], told["segment.ms"]) == ("compact", "60000")
    # Those that were not set are there with what counts.
    assert told["compression.type"] == "producer" and told["retention.ms"] == "604800000"


@pytest.mark.step("configs: describe, alter one by one, replace")
def test_configs_are_altered_one_by_one(ask: Ask, referee: Ask, new_topic: NewTopic) -> None:
    topic = new_topic(segment_ms="60000", retention_bytes="1000000")
    ask("alter", topic=topic, set={"retention.ms": "1000"}, delete=["retention.bytes"])
    told = configs(referee, topic)
    changed = {name: told[name] for name in ("retention.ms", "retention.bytes", "segment.ms")}
    assert changed == {"retention.ms": "1000", "retention.bytes": "-1", "segment.ms": "60000"}


@pytest.mark.step("configs: describe, alter one by one, replace")
def test_lists_are_appended_to_and_subtracted_from(
    ask: Ask, referee: Ask, new_topic: NewTopic
) -> None:
    topic = new_topic(cleanup_policy="delete")
    ask("alter", topic=topic, append={"cleanup.policy": "compact"})
    assert set(configs(referee, topic)["cleanup.policy"].split(",")) == {"compact", "delete"}
    ask("alter", topic=topic, subtract={"cleanup.policy": "delete"})
    assert configs(referee, topic)["cleanup.policy"] == "compact"


@pytest.mark.step("configs: describe, alter one by one, replace")
def test_configs_are_replaced_as_a_whole(ask: Ask, referee: Ask, new_topic: NewTopic) -> None:
    topic = new_topic(segment_ms="60000")
    ask("replace", topic=topic, configs={"retention.ms": "1000"})
    told = configs(referee, topic)
    assert (told["retention.ms"], told["segment.ms"]) == ("1000", "604800000")


@pytest.mark.step("more partitions")
def test_partitions_are_added_and_written_to(ask: Ask, referee: Ask, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    ask("add_partitions", topic=topic, total=5)
    assert referee("describe", topic=topic)["partitions"] == [0, 1, 2, 3, 4]
    assert write(referee, topic, 1, partition=4) == [[4, 0]]


def write(referee: Ask, topic: str, count: int, partition: int = 0) -> list[list[int]]:
    record = {"key": None, "value": "", "headers": [], "timestamp": None}
    how = {"partition": partition, "codec": "none", "acks": "all", "idempotent": False}
    written: list[list[int]] = referee("produce", topic=topic, records=[record] * count, **how)[
        "written"
    ]
    return written


@pytest.mark.step("deleting records")
@pytest.mark.parametrize(("before", "start"), [(4, 4), (-1, 10)], ids=["some", "all"])
def test_records_are_deleted_up_to_an_offset(
    ask: Ask, referee: Ask, new_topic: NewTopic, before: int, start: int
) -> None:
    topic = new_topic()
    write(referee, topic, 10)
    assert ask("delete_records", topic=topic, partition=0, before=before)["start"] == start
    assert referee("offset", topic=topic, partition=0, at="earliest")["offset"] == start
    command: dict[str, Any] = {"partitions": [0], "from": "earliest"}
    found = referee("read", topic=topic, **command)["records"]
    assert [each["offset"] for each in found] == list(range(start, 10))


@pytest.mark.step("clean errors")
def test_a_topic_that_exists_is_not_created_again(
    client: Client, ask: Ask, new_topic: NewTopic
) -> None:
    again = {"topic": new_topic(), "partitions": 1, "configs": {}}
    assert_refused(client, ask, TOPIC_EXISTS, "create", **again)


@pytest.mark.step("clean errors")
@pytest.mark.parametrize("name", ["no/slash", "..", "a" * 250], ids=["slash", "dots", "long"])
def test_an_invalid_name_is_refused(client: Client, ask: Ask, name: str) -> None:
    assert_refused(client, ask, INVALID_TOPIC, "create", topic=name, partitions=1, configs={})


BAD_CONFIGS = pytest.mark.parametrize(
    "configs", [{"retention.ms": "soon"}, {"no.such": "1"}], ids=["value", "name"]
)


@pytest.mark.step("clean errors")
@BAD_CONFIGS
def test_a_bad_config_is_refused_at_creation(
    client: Client, ask: Ask, referee: Ask, configs: dict[str, str]
) -> None:
    topic = unused_name()
    bad = {"topic": topic, "partitions": 1, "configs": configs}
    assert_refused(client, ask, INVALID_CONFIG, "create", **bad)
    assert topic not in referee("list")["topics"]


@pytest.mark.step("clean errors")
@BAD_CONFIGS
def test_a_bad_config_is_refused_later_and_changes_nothing(
    client: Client, ask: Ask, referee: Ask, new_topic: NewTopic, configs: dict[str, str]
) -> None:
    topic = new_topic(segment_ms="60000")
    if "no alter" in client.lacks:
        assert_refused(client, ask, INVALID_CONFIG, "replace", topic=topic, configs=configs)
    else:
        assert_refused(client, ask, INVALID_CONFIG, "alter", topic=topic, set=configs)
    assert referee("configs", topic=topic)["configs"]["segment.ms"] == "60000"


@pytest.mark.step("clean errors")
@pytest.mark.parametrize(
    ("verb", "command"),
    [
        ("delete", {}),
        ("add_partitions", {"total": 3}),
        ("configs", {}),
        ("replace", {"configs": {"retention.ms": "1000"}}),
        ("alter", {"set": {"retention.ms": "1000"}}),
    ],
    ids=["delete", "add_partitions", "configs", "replace", "alter"],
)
def test_a_topic_that_is_not_there_is_unknown_and_not_made(
    client: Client, ask: Ask, referee: Ask, verb: str, command: dict[str, Any]
) -> None:
    topic = unused_name()
    assert_refused(client, ask, UNKNOWN_TOPIC, verb, topic=topic, **command)
    assert topic not in referee("list")["topics"]


@pytest.mark.step("clean errors")
@pytest.mark.parametrize("total", [3, 2], ids=["equal", "fewer"])
def test_partitions_are_never_taken_away(
    client: Client, ask: Ask, referee: Ask, new_topic: NewTopic, total: int
) -> None:
    topic = new_topic(3)
    assert_refused(client, ask, INVALID_PARTITIONS, "add_partitions", topic=topic, total=total)
    assert referee("describe", topic=topic)["partitions"] == [0, 1, 2]


@pytest.mark.step("clean errors")
def test_records_beyond_the_end_are_not_deleted(
    client: Client, ask: Ask, referee: Ask, new_topic: NewTopic
) -> None:
    topic = new_topic()
    write(referee, topic, 3)
    beyond = {"topic": topic, "partition": 0, "before": 4}
    assert_refused(client, ask, OFFSET_OUT_OF_RANGE, "delete_records", **beyond)
    assert referee("offset", topic=topic, partition=0, at="earliest")["offset"] == 0
