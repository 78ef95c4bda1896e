"""Topic configs: names, types, defaults and bounds, as Kafka's `TopicConfig`, in one table.

Owns    which configs a topic may have, what values each takes, and the typed policy they make.
Never   stores a config: the manifest keeps the texts as the client gave them.
Trusts  nothing: values are texts from clients. What is stored was checked here before.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app import limits
from app.core import topic_policy
from app.core.options import Kind, Option, unknown
from app.core.topic_policy import INT64_MAX, TopicPolicy
from app.errors import InvalidConfig, PolicyViolation

CLEANUP_POLICY = "cleanup.policy"

_LONG_MAX = str(INT64_MAX)

# Names, types, defaults and bounds: Apache Kafka 4.x `LogConfig.java` and `TopicConfig.java`.
# The remote.* and throttled.replicas configs are left out: tiers are configured in our own words.
TABLE: tuple[Option, ...] = (
    Option(
        CLEANUP_POLICY,
        Kind.LIST,
        "delete",
        "Drop old data whole, keep the newest record of each key, or both.",
        allowed=("compact", "delete"),
    ),
    Option(
        "compression.gzip.level",
        Kind.INT,
        "-1",
        "Level where the broker compresses by gzip (-1: the codec's default).",
        minimum=-1,
        maximum=9,
        gap=0,
        field="gzip_level",
    ),
    Option(
        "compression.lz4.level",
        Kind.INT,
        "9",
        "Level where the broker compresses by lz4.",
        minimum=1,
        maximum=17,
        field="lz4_level",
    ),
    Option(
        "compression.type",
        Kind.STRING,
        "producer",
        "The codec that batches are stored in; 'producer' keeps what came.",
        allowed=("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
        field="compression",
    ),
    Option(
        "compression.zstd.level",
        Kind.INT,
        "3",
        "Level where the broker compresses by zstd.",
        minimum=-131_072,
        maximum=22,
        field="zstd_level",
    ),
    Option(
        "delete.retention.ms",
        Kind.LONG,
        "86400000",
        "How long a tombstone of a compacted topic stays readable.",
        minimum=0,
        field="delete_retention_ms",
    ),
    Option(
        "file.delete.delay.ms",
        Kind.LONG,
        "60000",
        "Accepted and kept; a file that nobody needs is used again at once.",
        minimum=0,
    ),
    Option(
        "flush.messages",
        Kind.LONG,
        _LONG_MAX,
        "Accepted and kept; the broker's wal.sync decides when data is synced.",
        minimum=1,
    ),
    Option(
        "flush.ms",
        Kind.LONG,
        _LONG_MAX,
        "Accepted and kept; the broker's wal.sync decides when data is synced.",
        minimum=0,
    ),
    Option(
        "index.interval.bytes",
        Kind.INT,
        "4096",
        "Accepted and kept; the log's own index is never coarser than this default.",
        minimum=0,
    ),
    Option(
        "max.compaction.lag.ms",
        Kind.LONG,
        _LONG_MAX,
        "How long a record of a compacted topic may stay uncompacted.",
        minimum=1,
        field="max_compaction_lag_ms",
    ),
    Option(
        "max.message.bytes",
        Kind.INT,
        str(limits.BATCH_BYTES_MAX),
        "The largest batch that the topic takes.",
        minimum=0,
        field="max_message_bytes",
    ),
    Option(
        "message.timestamp.after.max.ms",
        Kind.LONG,
        "3600000",
        "How far ahead of the broker's clock a record's timestamp may be.",
        minimum=0,
        field="timestamp_after_max_ms",
    ),
    Option(
        "message.timestamp.before.max.ms",
        Kind.LONG,
        _LONG_MAX,
        "How far behind the broker's clock a record's timestamp may be.",
        minimum=0,
        field="timestamp_before_max_ms",
    ),
    Option(
        "message.timestamp.type",
        Kind.STRING,
        "CreateTime",
        "Whether records keep the producer's timestamp or get the broker's.",
        allowed=("CreateTime", "LogAppendTime"),
        field="timestamp_type",
    ),
    Option(
        "min.cleanable.dirty.ratio",
        Kind.DOUBLE,
        "0.5",
        "How much of a compacted topic must be uncompacted before it is worth a pass.",
        minimum=0,
        maximum=1,
    ),
    Option(
        "min.compaction.lag.ms",
        Kind.LONG,
        "0",
        "How long a record of a compacted topic stays uncompacted at least.",
        minimum=0,
        field="min_compaction_lag_ms",
    ),
    Option(
        "min.insync.replicas",
        Kind.INT,
        "1",
        "How many replicas must be in sync for acks=all to be taken (at most all that it has).",
        minimum=1,
        field="min_insync_replicas",
    ),
    Option(
        "preallocate",
        Kind.BOOLEAN,
        "false",
        "Accepted and kept; the WAL always allocates ahead.",
    ),
    Option(
        "retention.bytes",
        Kind.LONG,
        "-1",
        "How many bytes a partition keeps at least before old data goes (-1: all).",
        minimum=-1,
        field="retention_bytes",
    ),
    Option(
        "retention.ms",
        Kind.LONG,
        "604800000",
        "How long records are kept at least (-1: for ever).",
        minimum=-1,
        field="retention_ms",
    ),
    Option(
        "segment.bytes",
        Kind.INT,
        "1073741824",
        "Accepted and kept; all partitions share files of wal.segment_bytes.",
        minimum=1_048_576,
        field="segment_bytes",
    ),
    Option(
        "segment.index.bytes",
        Kind.INT,
        "10485760",
        "Accepted and kept; the log's own index has no fixed size.",
        minimum=4,
    ),
    Option(
        "segment.jitter.ms",
        Kind.LONG,
        "0",
        "Accepted and kept; segments seal by the broker's own flush rules.",
        minimum=0,
    ),
    Option(
        "segment.ms",
        Kind.LONG,
        "604800000",
        "Accepted and kept; all partitions share files, which seal when full.",
        minimum=1,
        field="segment_ms",
    ),
    Option(
        "unclean.leader.election.enable",
        Kind.BOOLEAN,
        "false",
        "Whether a replica that is not in sync may lead, losing what it lacks.",
    ),
)

OPTIONS: Mapping[str, Option] = {option.name: option for option in TABLE}


def check(
    configs: Mapping[str, str | None], inherited: TopicPolicy = topic_policy.DEFAULT
) -> dict[str, str]:
    """The configs as they are stored, or InvalidConfig naming the first that is wrong (or
    PolicyViolation). `inherited` is what the topic has where they say nothing."""
    for name, text in configs.items():
        find(name)
        if text is None:
            raise InvalidConfig(f"Null value not supported for topic configs: {name}")
    checked = {name: text for name, text in sorted(configs.items()) if text is not None}
    check_bytes(checked)
    made = _typed(checked, inherited)
    if made.max_compaction_lag_ms < made.min_compaction_lag_ms:
        raise InvalidConfig(
            "conflict topic config setting min.compaction.lag.ms "
            f"({made.min_compaction_lag_ms}) > max.compaction.lag.ms ({made.max_compaction_lag_ms})"
        )
    return checked


def find(name: str) -> Option:
    option = OPTIONS.get(name)
    if option is None:
        raise unknown("topic", name, OPTIONS)
    return option


def check_bytes(configs: Mapping[str, str]) -> None:
    """Refuse what is too large to keep with one topic, prefix or broker."""
    if sum([len(text.encode()) for text in configs.values()]) > limits.CONFIGS_BYTES_MAX:
        raise PolicyViolation(
            f"the values of all configs together have at most {limits.CONFIGS_BYTES_MAX} bytes"
        )


def policy(
    configs: Mapping[str, str], inherited: TopicPolicy = topic_policy.DEFAULT
) -> TopicPolicy:
    """What the configs mean, typed. A config that is not set takes the value of `inherited`.

    Never fails for configs that were checked: where something inherited was changed since and
    contradicts them, records stay uncompacted for `min.compaction.lag.ms` at least.
    """
    made = _typed(configs, inherited)
    if made.max_compaction_lag_ms < made.min_compaction_lag_ms:
        return replace(made, max_compaction_lag_ms=made.min_compaction_lag_ms)
    return made


def _typed(configs: Mapping[str, str], inherited: TopicPolicy) -> TopicPolicy:
    if not configs:
        return inherited
    fields: dict[str, Any] = {}
    for name, text in configs.items():
        option = OPTIONS[name]
        value = option.parse(text)
        if option.field:
            fields[option.field] = value
        elif isinstance(value, tuple) and name == CLEANUP_POLICY:
            fields["cleanup_compact"] = "compact" in value
            fields["cleanup_delete"] = "delete" in value
    return replace(inherited, **fields)
