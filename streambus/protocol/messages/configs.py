"""DescribeConfigsResponse (1 to 4), CreateTopicsResponse (2 to 7) and ListConfigResourcesResponse
(0 and 1), hand-coded: of all topics of a cluster they have hundreds of thousands of configs, most
of them alike.

Owns    the layout of the three; a config is encoded by itself, so that a caller keeps it.
Never   decodes: requests and clients use control.py.
Trusts  callers to pass what fits its field; tests/golden compares every version with another codec.

DescribeConfigs: 3 type and documentation; 4 flexible. CreateTopics: 5 flexible, numbers and
configs; 7 topic ids. ListConfigResources: 1 kinds of resources.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from streambus.protocol import frames, wire
from streambus.protocol.api import CREATE_TOPICS, DESCRIBE_CONFIGS, LIST_CONFIG_RESOURCES
from streambus.protocol.wire import INT16, INT32

DESCRIBE_FLEXIBLE_FROM, TYPES_FROM = 4, 3
CREATE_FLEXIBLE_FROM, TOPIC_IDS_FROM = 5, 7
_FLAGS = Struct(">?b?").pack
"""Read-only, source, sensitive: the same three in both responses."""
_NUMBERS = Struct(">ih").pack
_CONFIG_ERROR_TAG = 0


class SynonymShown(NamedTuple):
    name: str
    value: str | None
    source: int


class ConfigShown(NamedTuple):
    """One config; `type` is Kafka's number, `documentation` None where nobody asked."""

    name: str
    value: str | None
    read_only: bool
    source: int
    sensitive: bool
    synonyms: Sequence[SynonymShown] = ()
    type: int = 0
    documentation: str | None = None


class TopicMade(NamedTuple):
    """One topic of CreateTopicsResponse; `configs` None where they may not be told, and
    `config_error` then says why. `entries` are encoded by `created_entry`."""

    name: str
    topic_id: bytes
    error: int
    message: str | None
    partitions: int = -1
    replication_factor: int = -1
    entries: Sequence[bytes] | None = ()
    config_error: int = 0


def described_entry(version: int, config: ConfigShown) -> bytes:
    """One config of DescribeConfigsResponse."""
    flexible = version >= DESCRIBE_FLEXIBLE_FROM
    tags = b"\x00" if flexible else b""
    parts = [
        wire.encode_string(config.name, flexible=flexible),
        wire.encode_string(config.value, flexible=flexible),
        _FLAGS(config.read_only, config.source, config.sensitive),
        wire.encode_count(len(config.synonyms), flexible=flexible),
    ]
    for name, value, source in config.synonyms:
        parts += (
            wire.encode_string(name, flexible=flexible),
            wire.encode_string(value, flexible=flexible),
            wire.INT8.pack(source),
            tags,
        )
    if version >= TYPES_FROM:
        parts.append(wire.INT8.pack(config.type))
        parts.append(wire.encode_string(config.documentation, flexible=flexible))
    parts.append(tags)
    return b"".join(parts)


def described_resource(
    version: int, error: int, message: str | None, kind: int, name: str, entries: Sequence[bytes]
) -> bytes:
    """One resource of DescribeConfigsResponse with its encoded entries."""
    flexible = version >= DESCRIBE_FLEXIBLE_FROM
    return b"".join(
        (
            INT16.pack(error),
            wire.encode_string(message, flexible=flexible),
            wire.INT8.pack(kind),
            wire.encode_string(name, flexible=flexible),
            wire.encode_count(len(entries), flexible=flexible),
            *entries,
            b"\x00" if flexible else b"",
        )
    )


def encode_described(
    correlation_id: int, version: int, throttle_ms: int, resources: Sequence[bytes]
) -> bytes:
    """The whole frame of DescribeConfigsResponse."""
    flexible = version >= DESCRIBE_FLEXIBLE_FROM
    return frames.framed(
        _header(DESCRIBE_CONFIGS, correlation_id, version),
        INT32.pack(throttle_ms),
        wire.encode_count(len(resources), flexible=flexible),
        *resources,
        b"\x00" if flexible else b"",
    )


def created_entry(config: ConfigShown) -> bytes:
    """One config of CreateTopicsResponse, which has them from version 5."""
    return b"".join(
        (
            wire.encode_string(config.name, flexible=True),
            wire.encode_string(config.value, flexible=True),
            _FLAGS(config.read_only, config.source, config.sensitive),
            b"\x00",
        )
    )


def created_topic(version: int, topic: TopicMade) -> bytes:
    """One topic of CreateTopicsResponse."""
    flexible = version >= CREATE_FLEXIBLE_FROM
    parts = [wire.encode_string(topic.name, flexible=flexible)]
    if version >= TOPIC_IDS_FROM:
        parts.append(topic.topic_id)
    parts.append(INT16.pack(topic.error))
    parts.append(wire.encode_string(topic.message, flexible=flexible))
    if flexible:
        parts.append(_NUMBERS(topic.partitions, topic.replication_factor))
        if topic.entries is None:
            parts.append(wire.encode_count(-1, flexible=True))
        else:
            parts.append(wire.encode_count(len(topic.entries), flexible=True))
            parts += topic.entries
        error = topic.config_error
        parts.append(wire.encode_tags([(_CONFIG_ERROR_TAG, INT16.pack(error))] if error else ()))
    return b"".join(parts)


def encode_created(
    correlation_id: int, version: int, throttle_ms: int, topics: Sequence[bytes]
) -> bytes:
    """The whole frame of CreateTopicsResponse."""
    flexible = version >= CREATE_FLEXIBLE_FROM
    return frames.framed(
        _header(CREATE_TOPICS, correlation_id, version),
        INT32.pack(throttle_ms),
        wire.encode_count(len(topics), flexible=flexible),
        *topics,
        b"\x00" if flexible else b"",
    )


def encode_resources(
    correlation_id: int,
    version: int,
    throttle_ms: int,
    error: int,
    resources: Sequence[tuple[int, str]],
) -> bytes:
    """The whole frame of ListConfigResourcesResponse: (kind, name) of each."""
    ends = {
        kind: (wire.INT8.pack(kind) if version >= 1 else b"") + b"\x00" for kind, _ in resources
    }
    return frames.framed(
        _header(LIST_CONFIG_RESOURCES, correlation_id, version),
        INT32.pack(throttle_ms),
        INT16.pack(error),
        wire.encode_count(len(resources), flexible=True),
        *[wire.encode_string(name, flexible=True) + ends[kind] for kind, name in resources],
        b"\x00",
    )


def _header(key: int, correlation_id: int, version: int) -> bytes:
    return frames.response_header(correlation_id, frames.has_flexible_response_header(key, version))
