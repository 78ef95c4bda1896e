"""DescribeConfigs, IncrementalAlterConfigs and AlterConfigs of topics and brokers."""

from typing import Any

from tests.diff.batches import batch
from tests.diff.script import Script

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)


def _describe(
    script: Script, version: int, kind: int, name: str, keys: list[str] | None = None, **more: Any
) -> None:
    row = {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}
    script.call("DescribeConfigs", version, {"Resources": [row], **more})


def _alter(
    script: Script,
    kind: int,
    name: str,
    *changes: tuple[str, int, str | None],
    version: int = 1,
    only: bool = False,
) -> None:
    rows = [{"Name": n, "ConfigOperation": how, "Value": value} for n, how, value in changes]
    resources = [{"ResourceType": kind, "ResourceName": name, "Configs": rows}]
    body = {"Resources": resources, "ValidateOnly": only}
    settles = [name] if kind == TOPIC and name.endswith(".t") else []
    script.call("IncrementalAlterConfigs", version, body, settles=settles)


def describe_a_topic(script: Script) -> None:
    script.create("t", retention_ms=500_000, cleanup_policy="compact", max_message_bytes=2000)
    for version in script.versions("DescribeConfigs"):
        _describe(script, version, TOPIC, script.topic("t"))
        _describe(script, version, TOPIC, script.topic("t"), IncludeSynonyms=True)
        if version > 2:
            _describe(script, version, TOPIC, script.topic("t"), IncludeDocumentation=True)
        for keys in (["retention.ms"], ["no.such", "retention.ms"], [], ["retention.ms"] * 2):
            _describe(script, version, TOPIC, script.topic("t"), keys)


def describe_what_is_not_there(script: Script) -> None:
    for version in script.versions("DescribeConfigs"):
        for kind, name in (
            (TOPIC, script.topic("missing")),
            (TOPIC, ""),
            (TOPIC, "a b"),
            (BROKER, "2"),
            (BROKER, "x"),
            (BROKER, "-1"),
            (0, "x"),
            (3, "x"),
            (99, "x"),
        ):
            _describe(script, version, kind, name)
        script.call("DescribeConfigs", version, {"Resources": []})


def describe_several(script: Script) -> None:
    script.create("a")
    for version in script.versions("DescribeConfigs"):
        keys = ["retention.ms"]
        rows = [
            {"ResourceType": TOPIC, "ResourceName": name, "ConfigurationKeys": keys}
            for name in (script.topic("missing"), script.topic("a"), script.topic("a"))
        ]
        script.call("DescribeConfigs", version, {"Resources": rows})


def describe_a_broker(script: Script) -> None:
    names = [
        "log.retention.ms",
        "log.retention.bytes",
        "message.max.bytes",
        "log.cleanup.policy",
        "compression.type",
        "num.partitions",
        "default.replication.factor",
        "auto.create.topics.enable",
        "min.insync.replicas",
        "log.message.timestamp.type",
        "log.segment.bytes",
        "broker.id",
        "node.id",
    ]
    for version in script.versions("DescribeConfigs"):
        for name in names:
            _describe(script, version, BROKER, "1", [name], IncludeSynonyms=True)
            _describe(script, version, BROKER, "", [name], IncludeSynonyms=True)
        _describe(script, version, BROKER, "", None)


def alter_a_topic(script: Script) -> None:
    script.create("t", retention_ms=5000)
    name = script.topic("t")
    for version in script.versions("IncrementalAlterConfigs"):
        for changes in (
            [("retention.ms", SET, "7000")],
            [("retention.ms", SET, "x")],
            [("retention.ms", SET, None)],
            [("retention.ms", DELETE, None)],
            [("retention.ms", DELETE, "9")],
            [("retention.bytes", DELETE, None)],
            [("no.such", SET, "1")],
            [("no.such", DELETE, None)],
            [("", SET, "1")],
            [("retention.ms", SET, "1"), ("retention.ms", SET, "2")],
            [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)],
            [("retention.ms", SET, "1"), ("max.message.bytes", SET, "-4")],
            [("retention.ms", 9, "1")],
            [("retention.ms", -1, "1")],
            [("retention.ms", APPEND, "1")],
            [("retention.ms", SUBTRACT, "1")],
            [("cleanup.policy", APPEND, "compact")],
            [("cleanup.policy", APPEND, "compact")],
            [("cleanup.policy", SUBTRACT, "delete")],
            [("cleanup.policy", SUBTRACT, "x")],
            [("cleanup.policy", SUBTRACT, "compact")],
            [("cleanup.policy", APPEND, "compact,delete")],
            [("cleanup.policy", APPEND, None)],
            [("cleanup.policy", DELETE, None)],
            [("min.insync.replicas", SET, "3")],
            [],
        ):
            _alter(script, TOPIC, name, *changes, version=version, only=True)
            _alter(script, TOPIC, name, *changes, version=version)
            keys = ["retention.ms", "cleanup.policy", "min.insync.replicas"]
            _describe(script, 4, TOPIC, name, keys, IncludeSynonyms=True)


def alter_what_is_not_there(script: Script) -> None:
    for kind, name in (
        (TOPIC, script.topic("missing")),
        (TOPIC, ""),
        (TOPIC, "a b"),
        (BROKER, "2"),
        (BROKER, "x"),
        (0, "x"),
        (3, "x"),
        (99, "x"),
    ):
        for version in script.versions("IncrementalAlterConfigs"):
            _alter(script, kind, name, ("retention.ms", SET, "1"), version=version)
        for version in script.versions("AlterConfigs"):
            rows = [{"Name": "retention.ms", "Value": "1"}]
            resources = [{"ResourceType": kind, "ResourceName": name, "Configs": rows}]
            script.call("AlterConfigs", version, {"Resources": resources, "ValidateOnly": False})


def alter_several(script: Script) -> None:
    script.create("t")
    script.create("u")
    change = [{"Name": "retention.ms", "ConfigOperation": SET, "Value": "1"}]
    wrong = [{"Name": "retention.ms", "ConfigOperation": SET, "Value": "x"}]
    rows = [
        {"ResourceType": TOPIC, "ResourceName": script.topic(name), "Configs": each}
        for name, each in (("t", change), ("missing", change), ("u", wrong))
    ]
    for version in script.versions("IncrementalAlterConfigs"):
        for chosen in (rows, [rows[0], rows[0]], []):
            body = {"Resources": chosen, "ValidateOnly": False}
            script.call("IncrementalAlterConfigs", version, body)


def replace_a_topic(script: Script) -> None:
    """AlterConfigs puts a whole set in the place of another."""
    script.create("t", retention_ms=500_000, max_message_bytes=2000)
    name = script.topic("t")
    for version in script.versions("AlterConfigs"):
        for rows in (
            [("retention.ms", "7000")],
            [("cleanup.policy", "compact"), ("retention.ms", "9")],
            [("retention.ms", "x")],
            [("retention.ms", None)],
            [("no.such", "1")],
            [("retention.ms", "1"), ("retention.ms", "2")],
            [],
        ):
            configs = [{"Name": key, "Value": value} for key, value in rows]
            resources = [{"ResourceType": TOPIC, "ResourceName": name, "Configs": configs}]
            for only in (True, False):
                body = {"Resources": resources, "ValidateOnly": only}
                script.call("AlterConfigs", version, body, settles=[name])
            keys = ["retention.ms", "cleanup.policy", "max.message.bytes"]
            _describe(script, 4, TOPIC, name, keys)


def changes_are_obeyed(script: Script) -> None:
    script.create("t")
    name = script.topic("t")
    script.produce("t", batch([(None, b"x" * 500)]))
    _alter(script, TOPIC, name, ("max.message.bytes", SET, "300"))
    script.produce("t", batch([(None, b"x" * 500)]))
    _alter(script, TOPIC, name, ("max.message.bytes", DELETE, None))
    script.produce("t", batch([(None, b"x" * 500)]))
    _alter(script, TOPIC, name, ("cleanup.policy", SET, "compact"))
    script.produce("t", batch())
    _alter(
        script, TOPIC, name, ("cleanup.policy", SET, "delete"), ("compression.type", SET, "gzip")
    )
    script.produce("t", batch())
    script.fetch("t", 0)
    # On a topic of its own: Kafka rolls a segment when times leap, and reads one at a time.
    script.create("other")
    other = script.topic("other")
    _alter(script, TOPIC, other, ("message.timestamp.type", SET, "LogAppendTime"))
    script.produce("other", batch())
    script.fetch("other", 0)


def alter_brokers(script: Script) -> None:
    """Back to what it was at the end: the other cases share the broker."""
    for name in ("", "1"):
        for changes in (
            [("log.retention.ms", SET, "7200000")],
            [("log.retention.ms", SET, "x")],
            [("log.retention.ms", DELETE, None)],
            [("message.max.bytes", SET, "2000000")],
            [("message.max.bytes", DELETE, None)],
            [("no.such.config", SET, "1")],
            [("no.such.config", DELETE, None)],
            [("broker.id", SET, "2")],
            [("num.partitions", SET, "3")],
            [("log.cleanup.policy", APPEND, "compact")],
            [("log.cleanup.policy", DELETE, None)],
        ):
            _alter(script, BROKER, name, *changes, only=True)
            _alter(script, BROKER, name, *changes)
