"""CreateTopics: what is taken, what is refused and by which code, what the answer tells."""

from typing import Any

from tests.diff.script import Script


def _create(script: Script, version: int, *topics: dict[str, Any], **more: Any) -> None:
    rows = [{"NumPartitions": 1, "ReplicationFactor": 1, **each} for each in topics]
    names = [each["Name"] for each in rows]
    body = {"Topics": rows, "timeoutMs": 10_000, **more}
    binds = {name: script.id(name.rpartition(".")[2]).hex for name in names} if version > 6 else {}
    script.call("CreateTopics", version, body, binds=binds)


def every_version(script: Script) -> None:
    for version in script.versions("CreateTopics"):
        name = script.topic(f"t{version}")
        _create(script, version, {"Name": name}, validateOnly=True)
        _create(script, version, {"Name": name, "NumPartitions": 3})
        _create(script, version, {"Name": name})
        _create(script, version, {"Name": name}, validateOnly=True)
        _create(script, version, {"Name": script.topic("x"), "ReplicationFactor": 2})
        _create(script, version, {"Name": script.topic("y"), "NumPartitions": 0})
        script.call("CreateTopics", version, {"Topics": [], "timeoutMs": 1000})


def names(script: Script) -> None:
    odd = ("", ".", "..", "a b", "a/b", "a:b", "é", "x" * 249, "x" * 250, "__consumer_offset")
    for name in odd:
        _create(script, 5, {"Name": name}, validateOnly=True)
        _create(script, 7, {"Name": name}, validateOnly=True)
    for name in ("a.b", "a_b", "A.b"):
        _create(script, 5, {"Name": f"collide-{name}"})
    _create(script, 5, {"Name": "collide-x.y"}, {"Name": "collide-x_y"}, validateOnly=True)


def the_same_name_twice(script: Script) -> None:
    name = script.topic("t")
    for version in script.versions("CreateTopics"):
        _create(script, version, {"Name": name}, {"Name": name}, validateOnly=True)
        rows = ({"Name": name}, {"Name": script.topic("u")}, {"Name": name})
        _create(script, version, *rows, validateOnly=True)


def several_with_mixed_outcomes(script: Script) -> None:
    script.create("old")
    for version in script.versions("CreateTopics"):
        _create(
            script,
            version,
            {"Name": script.topic(f"good{version}")},
            {"Name": script.topic("old")},
            {"Name": "bad name"},
            {"Name": script.topic("rf"), "ReplicationFactor": 9},
            {"Name": script.topic("np"), "NumPartitions": -5},
            {"Name": script.topic("cf"), "Configs": [{"Name": "no.such", "Value": "1"}]},
        )


def counts(script: Script) -> None:
    for partitions in (0, -1, -2, 1, 2):
        for replicas in (0, -1, -2, 1, 2, 32_767):
            topic = {"NumPartitions": partitions, "ReplicationFactor": replicas}
            _create(script, 5, {"Name": script.topic("t"), **topic}, validateOnly=True)
            _create(script, 2, {"Name": script.topic("t"), **topic}, validateOnly=True)


def assignments(script: Script) -> None:
    name = script.topic("t")

    def _assigned(*rows: tuple[int, list[int]]) -> dict[str, Any]:
        made = [{"PartitionIndex": n, "BrokerIds": brokers} for n, brokers in rows]
        return {"Name": name, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": made}

    for version in script.versions("CreateTopics"):
        for topic in (
            _assigned((0, [1])),
            _assigned((0, [1]), (1, [1])),
            _assigned((1, [1]), (0, [1])),
            _assigned((1, [1])),
            _assigned((0, [1]), (2, [1])),
            _assigned((0, [1]), (0, [1])),
            _assigned((0, [2])),
            _assigned((0, [1, 1])),
            _assigned((0, [1, 2])),
            _assigned((0, [])),
            _assigned((-1, [1])),
            {**_assigned((0, [1])), "NumPartitions": 1},
            {**_assigned((0, [1])), "ReplicationFactor": 1},
            {**_assigned((0, [1])), "NumPartitions": 1, "ReplicationFactor": 1},
        ):
            rows = [topic]
            body = {"Topics": rows, "timeoutMs": 1000, "validateOnly": True}
            script.call("CreateTopics", version, body)


CONFIGS = (
    ("cleanup.policy", ("delete", "compact", "compact,delete", "delete,compact", "none", "", "x")),
    ("compression.type", ("producer", "uncompressed", "gzip", "zstd", "lzma", "GZIP")),
    ("compression.gzip.level", ("1", "9", "-1", "0", "10")),
    ("compression.lz4.level", ("1", "17", "0", "18")),
    ("compression.zstd.level", ("-131072", "22", "23", "0")),
    ("delete.retention.ms", ("0", "-1", "9223372036854775807", "x")),
    ("file.delete.delay.ms", ("0", "-1")),
    ("flush.messages", ("1", "0")),
    ("flush.ms", ("0", "-1")),
    ("index.interval.bytes", ("0", "-1")),
    ("max.compaction.lag.ms", ("1", "0")),
    ("max.message.bytes", ("0", "-1", "2147483647", "2147483648", "1.5", " 5 ", "")),
    ("message.timestamp.type", ("CreateTime", "LogAppendTime", "createtime", "x")),
    ("message.timestamp.before.max.ms", ("0", "-1")),
    ("message.timestamp.after.max.ms", ("0", "-1")),
    ("message.timestamp.difference.max.ms", ("1",)),
    ("message.format.version", ("3.0",)),
    ("message.downconversion.enable", ("true",)),
    ("min.cleanable.dirty.ratio", ("0", "1", "0.5", "1.1", "-0.1", "x")),
    ("min.compaction.lag.ms", ("0", "-1")),
    ("min.insync.replicas", ("1", "0", "2", "-1")),
    ("preallocate", ("true", "false", "TRUE", "yes", "")),
    ("retention.bytes", ("-1", "0")),
    ("retention.ms", ("-1", "0", "-2", "1h")),
    ("segment.bytes", ("1048576", "1048575", "14", "1", "2147483647")),
    ("segment.index.bytes", ("4", "3")),
    ("segment.jitter.ms", ("0", "-1")),
    ("segment.ms", ("1", "0")),
    ("unclean.leader.election.enable", ("true", "x")),
    ("no.such.config", ("1",)),
    ("", ("1",)),
    ("Retention.ms", ("1",)),
)


# Of what StreamBus does not do, or does otherwise.
STRANGE = (
    ("remote.storage.enable", ("false",)),
    ("remote.log.copy.disable", ("false",)),
    ("local.retention.ms", ("-2", "5")),
    ("local.retention.bytes", ("-2", "5")),
    ("leader.replication.throttled.replicas", ("", "*", "0:1")),
    ("follower.replication.throttled.replicas", ("",)),
    ("retention.bytes", ("-2",)),
    ("max.decompressed.message.bytes", ("1000",)),
    ("errors.deadletterqueue.group.enable", ("false",)),
)


def configs(script: Script) -> None:
    _one_by_one(script, CONFIGS)


def configs_that_streambus_lacks(script: Script) -> None:
    _one_by_one(script, STRANGE)


def _one_by_one(script: Script, rows: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    for name, values in rows:
        for value in (*values, None):
            row = {"Name": name, "Value": value}
            topic = {"Name": script.topic("t"), "Configs": [row]}
            _create(script, 4, topic, validateOnly=True)


def configs_that_do_not_go_together(script: Script) -> None:
    for pairs in (
        {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
        {"cleanup.policy": "compact", "remote.storage.enable": "true"},
        {"segment.bytes": "1048576", "max.message.bytes": "2097152"},
    ):
        rows = [{"Name": name, "Value": value} for name, value in pairs.items()]
        _create(script, 4, {"Name": script.topic("t"), "Configs": rows}, validateOnly=True)
    twice = [{"Name": "retention.ms", "Value": value} for value in ("1", "2")]
    _create(script, 4, {"Name": script.topic("t"), "Configs": twice}, validateOnly=True)


def configs_in_the_answer(script: Script) -> None:
    rows = [
        {"Name": "cleanup.policy", "Value": "compact,delete"},
        {"Name": "retention.ms", "Value": "3600000"},
        {"Name": "max.message.bytes", "Value": "5000"},
        {"Name": "min.cleanable.dirty.ratio", "Value": "0.25"},
        {"Name": "preallocate", "Value": "TRUE"},
    ]
    for version in (5, 6, 7):
        _create(script, version, {"Name": script.topic(f"t{version}"), "Configs": rows})
        _create(script, version, {"Name": script.topic("v"), "Configs": rows}, validateOnly=True)


def timeouts(script: Script) -> None:
    for timeout in (0, -1):
        _create(
            script, 5, {"Name": script.topic(f"t{timeout}")}, validateOnly=True, timeoutMs=timeout
        )
