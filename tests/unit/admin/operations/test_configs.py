"""Configs described with where they come from, changed one by one or replaced, and listed."""

from typing import Any

import pytest

from app.admin.commands.configs import (
    AlterConfigs,
    AlteredResource,
    ConfigChange,
    ConfigEntry,
    ConfigResource,
    ConfigsAsked,
    ConfigsChanged,
    ConfigsReplaced,
    ConfigSynonym,
    DescribeConfigs,
    ListConfigResources,
    ReplaceConfigs,
)
from app.config import BrokerConfig, TopicsConfig
from tests.unit.admin.arrange import Desk, on_broker, told

FILE = BrokerConfig(data="/data", topics=TopicsConfig(configs={"retention.ms": "111"}))


def put(kind: Any, name: str, **configs: str) -> AlterConfigs:
    changes = [
        ConfigChange(config.replace("_", "."), "set", text) for config, text in configs.items()
    ]
    return AlterConfigs((ConfigsChanged(kind, name, tuple(changes)),))


async def shown(desk: Desk, name: str, config: str = "retention.ms", **options: bool) -> Any:
    asked = ConfigsAsked("topic", name, (config,))
    ((resource),) = (await desk.ask(DescribeConfigs((asked,), **options))).resources
    ((entry),) = resource.configs
    return entry


def test_a_topic_inherits_from_file_brokers_broker_and_prefixes_and_says_from_where() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("app.a.x")
        steps = [
            (None, "111", "file", ""),
            (put("broker", "", log_retention_ms="222"), "222", "brokers", ""),
            (put("broker", "1", log_retention_ms="333"), "333", "broker", ""),
            (put("topic", "app.*", retention_ms="444"), "444", "prefix", "app.*"),
            (put("topic", "app.a.*", retention_ms="555"), "555", "prefix", "app.a.*"),
            (put("topic", "app.a.x", retention_ms="666"), "666", "topic", ""),
        ]
        for command, value, source, where in steps:
            if command is not None:
                (altered,) = (await desk.ask(command)).resources
                assert isinstance(altered, AlteredResource), altered
            entry = await shown(desk, "app.a.x")
            assert (entry.value, entry.source, entry.where) == (value, source, where)
            assert desk.replica("app.a.x").policy.retention_ms == int(value)
        whole = await shown(desk, "app.a.x", synonyms=True, docs=True)
        assert whole.synonyms == (
            ConfigSynonym("retention.ms", "666", "topic"),
            ConfigSynonym("retention.ms", "555", "prefix", "app.a.*"),
            ConfigSynonym("retention.ms", "444", "prefix", "app.*"),
            ConfigSynonym("log.retention.ms", "333", "broker"),
            ConfigSynonym("log.retention.ms", "222", "brokers"),
            ConfigSynonym("log.retention.ms", "111", "file"),
            *whole.synonyms[6:],
        )
        assert whole.doc == "How long records are kept at least (-1: for ever)."
        assert (whole.type, whole.read_only, whole.sensitive) == ("LONG", False, False)

    on_broker(scenario, config=FILE)


def test_a_prefix_is_described_as_its_topics_would_inherit_it() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.ask(put("topic", "app.*", retention_ms="444"))
        entry = await shown(desk, "app.b.*")
        assert (entry.value, entry.source, entry.where) == ("444", "prefix", "app.*")
        own = await shown(desk, "app.*")
        assert (own.value, own.source, own.where) == ("444", "prefix", "app.*")

    on_broker(scenario)


def test_names_choose_and_unknown_ones_are_left_out() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        some = ConfigsAsked("topic", "orders", ("retention.ms", "no.such", "segment.ms"))
        none = ConfigsAsked("topic", "orders", ())
        every = ConfigsAsked("topic", "orders")
        reply = await desk.ask(DescribeConfigs((some, none, every)))
        names = [[entry.name for entry in resource.configs] for resource in reply.resources]
        assert names[:2] == [["retention.ms", "segment.ms"], []]
        assert len(names[2]) > 20

    on_broker(scenario)


def test_a_broker_is_described_by_its_id_and_all_brokers_by_no_name() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.ask(put("broker", "", log_retention_ms="222"))
        asked = (ConfigsAsked("broker", "1"), ConfigsAsked("broker", ""))
        one, all_ = (await desk.ask(DescribeConfigs(asked))).resources
        entries = {entry.name: entry for entry in one.configs}
        assert entries["log.retention.ms"].source == "brokers"
        assert entries["broker.id"] == ConfigEntry("broker.id", "1", "file", True, False, "INT")
        assert [(entry.name, entry.value) for entry in all_.configs] == [
            ("log.retention.ms", "222")
        ]

    on_broker(scenario)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("topic", "nowhere", (3, "This server does not host topic 'nowhere'.")),
        ("topic", "", (17, "Topic name is invalid: the empty string is not allowed")),
        ("topic", "..", (17, "Topic name is invalid: '..' is not allowed")),
        ("broker", "7", (102, "No node with id 7 found.")),
        ("broker", "one", (42, "Node id must be an integer, but it is: one")),
        (
            "broker",
            "9" * 5_000,  # more digits than Python makes a number of
            (42, f"Node id must be an integer, but it is: {'9' * 100}"),
        ),
    ],
)
def test_what_has_no_configs_says_why(kind: Any, name: str, expected: tuple[int, str]) -> None:
    async def scenario(desk: Desk) -> None:
        (failed,) = (await desk.ask(DescribeConfigs((ConfigsAsked(kind, name),)))).resources
        assert told(failed) == expected

    on_broker(scenario)


def test_changes_set_delete_append_and_subtract() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", retention_ms="1000", segment_ms="2000")
        changes = (
            ConfigChange("retention.ms", "set", "3000"),
            ConfigChange("segment.ms", "delete"),
            ConfigChange("cleanup.policy", "append", "compact"),
        )
        (altered,) = (
            await desk.ask(AlterConfigs((ConfigsChanged("topic", "orders", changes),)))
        ).resources
        assert altered == AlteredResource(
            "topic", "orders", {"retention.ms": "3000", "cleanup.policy": "delete,compact"}
        )
        less = (ConfigChange("cleanup.policy", "subtract", "delete"),)
        await desk.ask(AlterConfigs((ConfigsChanged("topic", "orders", less),)))
        policy = desk.replica("orders").policy
        assert (policy.cleanup_compact, policy.cleanup_delete) == (True, False)

    on_broker(scenario)


def test_a_resource_changes_as_a_whole_or_not_at_all_and_without_the_others() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("good", "bad")
        half = (
            ConfigChange("retention.ms", "set", "3000"),
            ConfigChange("segment.ms", "set", "soon"),
        )
        asked = (
            ConfigsChanged("topic", "bad", half),
            ConfigsChanged("topic", "good", half[:1]),
            ConfigsChanged("topic", "nowhere", half[:1]),
        )
        bad, good, nowhere = (await desk.ask(AlterConfigs(asked))).resources
        assert told(bad) == (
            40,
            "Invalid value soon for configuration segment.ms: Not a number of type LONG",
        )
        assert good == AlteredResource("topic", "good", {"retention.ms": "3000"})
        assert told(nowhere) == (3, "The topic 'nowhere' does not exist.")
        assert dict(desk.image.topics_by_name["bad"].configs) == {}

    on_broker(scenario)


def test_replacing_forgets_what_is_not_named() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", retention_ms="1000", segment_ms="2000")
        replaced = ConfigsReplaced("topic", "orders", {"segment.ms": "4000"})
        (altered,) = (await desk.ask(ReplaceConfigs((replaced,)))).resources
        assert altered.configs == {"segment.ms": "4000"}
        assert dict(desk.image.topics_by_name["orders"].configs) == {"segment.ms": "4000"}

    on_broker(scenario)


def test_validating_changes_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        before = desk.image
        changed = ConfigsChanged("topic", "orders", (ConfigChange("retention.ms", "set", "9"),))
        replaced = ConfigsReplaced("topic", "orders", {"retention.ms": "9"})
        for command in (
            AlterConfigs((changed,), validate_only=True),
            ReplaceConfigs((replaced,), validate_only=True),
        ):
            (altered,) = (await desk.ask(command)).resources
            assert altered.configs == {"retention.ms": "9"}
        assert desk.image is before

    on_broker(scenario)


def test_resources_with_configs_are_listed_by_kind() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("b", "a")
        await desk.ask(put("topic", "app.*", retention_ms="444"))
        topics = tuple([ConfigResource("topic", name) for name in ("a", "b", "app.*")])
        assert (await desk.ask(ListConfigResources(("topic",)))).resources == topics
        one = (ConfigResource("broker", "1"),)
        assert (await desk.ask(ListConfigResources(("broker",)))).resources == one
        await desk.ask(put("broker", "", log_retention_ms="222"))
        brokers = (ConfigResource("broker", ""), *one)
        assert (await desk.ask(ListConfigResources())).resources == topics + brokers

    on_broker(scenario)
