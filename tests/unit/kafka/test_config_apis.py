"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: what is asked, and how it is told."""

from typing import Any

import pytest

from app import limits
from app.admin.commands.configs import (
    AlterConfigs,
    AlteredConfigs,
    AlteredResource,
    ConfigChange,
    ConfigEntry,
    ConfigsAsked,
    ConfigsChanged,
    ConfigsReplaced,
    ConfigSynonym,
    DescribeConfigs,
    DescribedConfigs,
    ReplaceConfigs,
    ResourceConfigs,
)
from app.admin.port import Failed
from app.errors import (
    ClusterAuthorizationFailed,
    InvalidConfig,
    RequestTimedOut,
    UnknownTopicOrPartition,
)
from tests.unit.kafka.arrange import Kit, ScriptedAdmin

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32

RETENTION = ConfigEntry(
    "retention.ms",
    "1000",
    "prefix",
    read_only=False,
    sensitive=False,
    type="LONG",
    doc="How long.",
    where="app.*",
    synonyms=(
        ConfigSynonym("retention.ms", "1000", "prefix", "app.*"),
        ConfigSynonym("log.retention.ms", "2000", "broker"),
        ConfigSynonym("log.retention.ms", "3000", "brokers"),
        ConfigSynonym("log.retention.hours", "4", "file"),
        ConfigSynonym("log.retention.hours", "168", "default"),
    ),
)
SECRET = ConfigEntry("secret", None, "file", read_only=True, sensitive=True, type="PASSWORD")
KINDS = [
    (TOPIC, None),
    (BROKER, None),
    (LOGGER, "Log levels of a broker can not be seen or changed here."),
    (METRICS, "Subscriptions to clients' metrics do not exist here."),
    (GROUP, "Configs of groups do not exist here."),
    (0, "Unknown resource type 0"),
    (99, "Unknown resource type 99"),
    (-1, "Unknown resource type -1"),
]


def resource(kind: int, name: str, keys: list[str] | None = None) -> dict[str, Any]:
    return {"resource_type": kind, "resource_name": name, "configuration_keys": keys}


def described(command: DescribeConfigs) -> DescribedConfigs:
    return DescribedConfigs(
        tuple(
            [
                ResourceConfigs(each.kind, each.name, (RETENTION, SECRET))
                for each in command.resources
            ]
        )
    )


def altered(command: AlterConfigs | ReplaceConfigs) -> AlteredConfigs:
    return AlteredConfigs(
        tuple([AlteredResource(each.kind, each.name, {}) for each in command.resources])
    )


@pytest.mark.parametrize("version", range(1, 5))
async def test_configs_are_told_with_where_they_are_set(version: int) -> None:
    admin = ScriptedAdmin({DescribeConfigs: described})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeConfigs",
            version,
            resources=[resource(TOPIC, "app.orders"), resource(BROKER, "", ["secret"])],
            include_synonyms=True,
            include_documentation=True,
        )
    has_docs = version >= 3
    assert admin.asked == [
        DescribeConfigs(
            (ConfigsAsked("topic", "app.orders"), ConfigsAsked("broker", "", ("secret",))),
            synonyms=True,
            docs=has_docs,
        )
    ]
    told = [(each.error_code, each.resource_type, each.resource_name) for each in answer.results]
    assert told == [(0, TOPIC, "app.orders"), (0, BROKER, "")]
    retention, secret = answer.results[0].configs
    assert (retention.name, retention.value, retention.config_source) == ("retention.ms", "1000", 3)
    assert (retention.read_only, retention.is_sensitive) == (False, False)
    assert [(each.name, each.value, each.source) for each in retention.synonyms] == [
        ("app.*:retention.ms", "1000", 3),
        ("log.retention.ms", "2000", 2),
        ("log.retention.ms", "3000", 3),
        ("log.retention.hours", "4", 4),
        ("log.retention.hours", "168", 5),
    ]
    assert (secret.value, secret.read_only, secret.is_sensitive) == (None, True, True)
    assert (secret.config_source, secret.synonyms) == (4, [])
    if has_docs:
        assert (retention.config_type, retention.documentation) == (5, "How long.")
        assert (secret.config_type, secret.documentation) == (9, None)


async def test_an_error_that_repeats_what_was_sent_fits_in_the_answer_of_an_old_version() -> None:
    config = {"name": "x" * 32_767, "config_operation": 9, "value": ""}
    async with Kit(admin=ScriptedAdmin({})) as kit:
        answer = await kit.ask(
            "IncrementalAlterConfigs",
            0,
            resources=[{"resource_type": TOPIC, "resource_name": "a", "configs": [config]}],
            validate_only=False,
        )
    (refused,) = answer.responses
    assert refused.error_code == 42
    assert refused.error_message == f"Unknown operation 9 for {'x' * 32_767}."[:2_000]


async def test_a_prefix_has_its_own_configs_as_a_topic_has() -> None:
    async with Kit(admin=ScriptedAdmin({DescribeConfigs: described})) as kit:
        answer = await kit.ask(
            "DescribeConfigs",
            4,
            resources=[resource(TOPIC, each) for each in ("app.x", "app.*", "app.y", "app.y.*")],
            include_synonyms=True,
            include_documentation=False,
        )
    told = [
        (each.configs[0].config_source, each.configs[0].synonyms[0].name) for each in answer.results
    ]
    inherited = (3, "app.*:retention.ms")
    assert told == [inherited, (1, "retention.ms"), inherited, inherited]


@pytest.mark.parametrize("keys", [None, []])
async def test_no_names_mean_all_configs(keys: list[str] | None) -> None:
    admin = ScriptedAdmin({DescribeConfigs: described})
    async with Kit(admin=admin) as kit:
        await kit.ask(
            "DescribeConfigs",
            4,
            resources=[resource(TOPIC, "orders", keys)],
            include_synonyms=False,
            include_documentation=False,
        )
    assert admin.asked[0].resources == (ConfigsAsked("topic", "orders", None),)


@pytest.mark.parametrize("version", [1, 4])
async def test_resources_that_do_not_exist_here_are_refused_each_by_itself(version: int) -> None:
    admin = ScriptedAdmin({DescribeConfigs: described})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeConfigs", version, resources=[resource(kind, "1") for kind, _ in KINDS]
        )
    told = [(each.resource_type, each.error_message) for each in answer.results]
    assert told == KINDS
    assert [each.error_code for each in answer.results] == [0, 0] + [42] * 6
    assert [len(each.configs) for each in answer.results] == [2, 2] + [0] * 6
    assert len(admin.asked[0].resources) == 2


async def test_errors_of_resources_are_told_in_their_place() -> None:
    unknown = Failed.of(UnknownTopicOrPartition("nowhere"))
    forbidden = Failed.of(ClusterAuthorizationFailed("no"))
    reply = DescribedConfigs((unknown, forbidden, unknown, ResourceConfigs("topic", "here", ())))
    async with Kit(admin=ScriptedAdmin({DescribeConfigs: reply})) as kit:
        answer = await kit.ask(
            "DescribeConfigs",
            4,
            resources=[
                resource(TOPIC, "nowhere"),
                resource(BROKER, "1"),
                resource(TOPIC, "no/slash"),
                resource(TOPIC, "here"),
            ],
            include_synonyms=False,
            include_documentation=False,
        )
    assert [each.error_code for each in answer.results] == [3, 31, 17, 0]
    assert [each.error_message for each in answer.results[:2]] == ["nowhere", "no"]


async def test_a_resource_named_twice_is_described_twice() -> None:
    async with Kit(admin=ScriptedAdmin({DescribeConfigs: described})) as kit:
        answer = await kit.ask(
            "DescribeConfigs", 1, resources=[resource(TOPIC, "orders")] * 2, include_synonyms=False
        )
    assert [each.error_code for each in answer.results] == [0, 0]


async def test_many_resources_are_asked_about_in_turns() -> None:
    admin = ScriptedAdmin({DescribeConfigs: described})
    count = 2 * limits.CONFIG_RESOURCES_PER_TURN + 1
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeConfigs",
            4,
            resources=[resource(TOPIC, f"topic-{number}") for number in range(count)],
            include_synonyms=False,
            include_documentation=False,
        )
    assert [len(each.resources) for each in admin.asked] == [64, 64, 1]
    names = [each.resource_name for each in answer.results]
    assert names == [f"topic-{number}" for number in range(count)]


async def test_an_answer_that_grows_too_large_refuses_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "CONFIG_ANSWER_BYTES_MAX", 1_000)
    count = 3 * limits.CONFIG_RESOURCES_PER_TURN
    async with Kit(admin=ScriptedAdmin({DescribeConfigs: described})) as kit:
        answer = await kit.ask("DescribeConfigs", 1, resources=[resource(TOPIC, "orders")] * count)
    codes = [each.error_code for each in answer.results]
    assert codes == [0] * limits.CONFIG_RESOURCES_PER_TURN + [42] * (count - 64)
    assert "fewer at once" in answer.results[-1].error_message


@pytest.mark.parametrize("version", [1, 4])
async def test_a_description_that_fails_fails_every_resource(version: int) -> None:
    admin = ScriptedAdmin({DescribeConfigs: RequestTimedOut("too slow")})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeConfigs", version, resources=[resource(TOPIC, "a"), resource(BROKER, "1")]
        )
    assert [(each.error_code, each.error_message) for each in answer.results] == [
        (7, "too slow"),
        (7, "too slow"),
    ]


# AlterConfigs


def replaced(kind: int, name: str, *configs: tuple[str, str | None]) -> dict[str, Any]:
    rows = [{"name": config, "value": value} for config, value in configs]
    return {"resource_type": kind, "resource_name": name, "configs": rows}


def codes(answer: Any) -> list[tuple[int, str | None]]:
    return [(each.error_code, each.error_message) for each in answer.responses]


@pytest.mark.parametrize("version", range(3))
async def test_configs_are_replaced_resource_by_resource(version: int) -> None:
    reply = AlteredConfigs(
        (AlteredResource("topic", "orders", {}), Failed.of(InvalidConfig("no such config")))
    )
    admin = ScriptedAdmin({ReplaceConfigs: reply})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "AlterConfigs",
            version,
            resources=[
                replaced(TOPIC, "orders", ("retention.ms", "5"), ("segment.ms", "6")),
                replaced(BROKER, "", ("nope", "x")),
            ],
            validate_only=True,
        )
    told = [(each.resource_type, each.resource_name) for each in answer.responses]
    assert told == [(TOPIC, "orders"), (BROKER, "")]
    assert codes(answer) == [(0, None), (40, "no such config")]
    assert admin.asked == [
        ReplaceConfigs(
            (
                ConfigsReplaced("topic", "orders", {"retention.ms": "5", "segment.ms": "6"}),
                ConfigsReplaced("broker", "", {"nope": "x"}),
            ),
            validate_only=True,
        )
    ]


async def test_what_kafka_refuses_to_replace_disturbs_no_other() -> None:
    admin = ScriptedAdmin({ReplaceConfigs: altered})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "AlterConfigs",
            2,
            resources=[
                replaced(TOPIC, "twice"),
                replaced(TOPIC, "keys", ("a", "1"), ("a", "2")),
                replaced(TOPIC, "null", ("a", None), ("b", "1"), ("c", None)),
                replaced(TOPIC, ""),
                replaced(LOGGER, "1"),
                replaced(99, "x"),
                replaced(TOPIC, "good"),
                replaced(TOPIC, "twice", ("a", "1")),
            ],
            validate_only=False,
        )
    once = "Each resource must appear at most once."
    assert codes(answer) == [
        (42, once),
        (42, "Error due to duplicate config keys"),
        (42, "Null value not supported for : a, c"),
        (42, "Default topic resources are not allowed."),
        (42, "Log levels of a broker can not be seen or changed here."),
        (42, "Unknown resource type 99"),
        (0, None),
        (42, once),
    ]
    assert [each.name for each in admin.asked[0].resources] == ["good"]


# IncrementalAlterConfigs


def changed(kind: int, name: str, *changes: tuple[str, int, str | None]) -> dict[str, Any]:
    rows = [
        {"name": config, "config_operation": operation, "value": value}
        for config, operation, value in changes
    ]
    return {"resource_type": kind, "resource_name": name, "configs": rows}


@pytest.mark.parametrize("version", range(2))
async def test_configs_are_changed_one_by_one(version: int) -> None:
    admin = ScriptedAdmin({AlterConfigs: altered})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "IncrementalAlterConfigs",
            version,
            resources=[
                changed(
                    TOPIC,
                    "orders",
                    ("a", 0, "1"),
                    ("b", 1, None),
                    ("c", 1, "ignored"),
                    ("d", 2, "x"),
                    ("e", 3, "y"),
                ),
                changed(BROKER, "1"),
            ],
            validate_only=False,
        )
    assert codes(answer) == [(0, None), (0, None)]
    assert admin.asked == [
        AlterConfigs(
            (
                ConfigsChanged(
                    "topic",
                    "orders",
                    (
                        ConfigChange("a", "set", "1"),
                        ConfigChange("b", "delete"),
                        ConfigChange("c", "delete"),
                        ConfigChange("d", "append", "x"),
                        ConfigChange("e", "subtract", "y"),
                    ),
                ),
                ConfigsChanged("broker", "1", ()),
            )
        )
    ]


async def test_what_kafka_refuses_to_change_disturbs_no_other() -> None:
    admin = ScriptedAdmin({AlterConfigs: altered})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "IncrementalAlterConfigs",
            1,
            resources=[
                changed(TOPIC, "twice"),
                changed(TOPIC, "keys", ("a", 0, "1"), ("a", 1, None)),
                changed(TOPIC, "null", ("a", 0, None), ("b", 1, None), ("c", 2, None)),
                changed(TOPIC, "operation", ("a", 4, "1")),
                changed(TOPIC, "operation-2", ("a", -1, "1")),
                changed(TOPIC, "", ("a", 0, "1")),
                changed(METRICS, "x"),
                changed(GROUP, "x"),
                changed(TOPIC, "good", ("a", 0, "1")),
                changed(TOPIC, "twice"),
                changed(BROKER, "twice"),
            ],
            validate_only=False,
        )
    once = "Each resource must appear at most once."
    assert codes(answer) == [
        (42, once),
        (42, "Error due to duplicate config keys"),
        (42, "Null value not supported for : a, c"),
        (42, "Unknown operation 4 for a."),
        (42, "Unknown operation -1 for a."),
        (42, "Default topic resources are not allowed."),
        (42, "Subscriptions to clients' metrics do not exist here."),
        (42, "Configs of groups do not exist here."),
        (0, None),
        (42, once),
        (0, None),
    ]
    assert [each.name for each in admin.asked[0].resources] == ["good", "twice"]


@pytest.mark.parametrize("name", ["AlterConfigs", "IncrementalAlterConfigs"])
async def test_a_change_that_fails_as_a_whole_fails_every_resource(name: str) -> None:
    slow = RequestTimedOut("too slow")
    async with Kit(admin=ScriptedAdmin({AlterConfigs: slow, ReplaceConfigs: slow})) as kit:
        answer = await kit.ask(
            name, 1, resources=[changed(TOPIC, "a"), changed(LOGGER, "b")], validate_only=False
        )
    assert codes(answer) == [(7, "too slow"), (7, "too slow")]
