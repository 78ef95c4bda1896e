"""Topic configs: names, types, defaults and bounds, as Kafka's `TopicConfig`, in one table.

Owns    which configs a topic may have, what values each takes, and the typed policy they make.
Never   stores a config: the manifest keeps the texts as the client gave them.
Trusts  nothing: values are texts from clients. What is stored was checked here before.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app import limits
from app.core import topic_policy
from app.core.topic_policy import INT64_MAX, TopicPolicy
from app.errors import InvalidConfig

CLEANUP_POLICY = "cleanup.policy"
_INTEGER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z", re.ASCII)

Value = int | float | bool | str | tuple[str, ...]


class Kind(StrEnum):
    """Kafka's names of config types, as its error messages and DescribeConfigs spell them."""

    INT = "INT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    LIST = "LIST"


@dataclass(frozen=True, slots=True)
class Option:
    """One config: `minimum` and `maximum` bound numbers, `allowed` bounds texts and list items."""

    name: str
    kind: Kind
    default: str
    doc: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    gap: float | None = None  # a number between the bounds that is none all the same
    field: str = ""  # of TopicPolicy; empty: checked and kept, but no typed policy needs it yet

    def parse(self, text: str) -> Value:
        """The typed value, or InvalidConfig with the name, the value and what is allowed."""
        value = _PARSERS[self.kind](self, text.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._check_bounds(value, text)
        return value

    def _check_bounds(self, value: float, text: str) -> None:
        if self.minimum is not None and value < self.minimum:
            raise self.refused(text, f"Value must be at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise self.refused(text, f"Value must be no more than {self.maximum}")
        if value == self.gap:
            raise self.refused(text, f"Value must not be {self.gap}")

    def refused(self, text: str, why: str) -> InvalidConfig:
        return InvalidConfig(f"Invalid value {text} for configuration {self.name}: {why}")


def _integer(bits: int) -> Callable[[Option, str], Value]:
    bound = 1 << (bits - 1)

    def parse(option: Option, text: str) -> Value:
        # Java's parseLong: no underscores, no digits of other scripts, which Python's int() takes.
        if len(text) > 20 or not _INTEGER.match(text) or not -bound <= int(text) < bound:
            raise option.refused(text, f"Not a number of type {option.kind}")
        return int(text)

    return parse


def _double(option: Option, text: str) -> Value:
    if not _DOUBLE.match(text) or not math.isfinite(float(text)):
        raise option.refused(text, "Not a number of type DOUBLE")
    return float(text)


def _boolean(option: Option, text: str) -> Value:
    if text.lower() not in {"true", "false"}:
        raise option.refused(text, "Expected value to be either true or false")
    return text.lower() == "true"


def _string(option: Option, text: str) -> Value:
    if option.allowed and text not in option.allowed:
        raise option.refused(text, f"String must be one of: {', '.join(option.allowed)}")
    return text


def _list(option: Option, text: str) -> Value:
    items = tuple(item.strip() for item in text.split(",")) if text else ()
    for item in items:
        if option.allowed and item not in option.allowed:
            raise option.refused(text, f"Items must be of: {', '.join(option.allowed)}")
    return items


_PARSERS: Mapping[Kind, Callable[[Option, str], Value]] = {
    Kind.INT: _integer(32),
    Kind.LONG: _integer(64),
    Kind.DOUBLE: _double,
    Kind.BOOLEAN: _boolean,
    Kind.STRING: _string,
    Kind.LIST: _list,
}

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
    ),
    Option(
        "compression.lz4.level",
        Kind.INT,
        "9",
        "Level where the broker compresses by lz4.",
        minimum=1,
        maximum=17,
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
        "How long a dropped file waits before it is unlinked.",
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
        "How many replicas must be in sync for acks=all to be taken.",
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
        "Kafka's size of a partition's file; ours are shared, so a hint only.",
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
        "Kafka's age of a partition's file; ours are shared, so a hint only.",
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


def check(configs: Mapping[str, str | None]) -> dict[str, str]:
    """The configs as they are stored, or InvalidConfig naming the first that is wrong."""
    for name, text in configs.items():
        if name not in OPTIONS:
            raise InvalidConfig(
                f"Unknown topic config name: {name}; a topic has: {', '.join(OPTIONS)}"
            )
        if text is None:
            raise InvalidConfig(f"Null value not supported for topic configs: {name}")
    checked = {name: text for name, text in sorted(configs.items()) if text is not None}
    policy(checked)
    return checked


def policy(configs: Mapping[str, str], defaults: TopicPolicy = topic_policy.DEFAULT) -> TopicPolicy:
    """What the configs mean, typed. A config that is not set takes the value of `defaults`."""
    if not configs:
        return defaults
    fields: dict[str, Any] = {}
    for name, text in configs.items():
        option = OPTIONS[name]
        value = option.parse(text)
        if option.field:
            fields[option.field] = value
        elif isinstance(value, tuple) and name == CLEANUP_POLICY:
            fields["cleanup_compact"] = "compact" in value
            fields["cleanup_delete"] = "delete" in value
    made = replace(defaults, **fields)
    if made.max_compaction_lag_ms < made.min_compaction_lag_ms:
        raise InvalidConfig(
            "conflict topic config setting min.compaction.lag.ms "
            f"({made.min_compaction_lag_ms}) > max.compaction.lag.ms ({made.max_compaction_lag_ms})"
        )
    return made
