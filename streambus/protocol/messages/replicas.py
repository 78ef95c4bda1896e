"""DescribeTopicPartitionsResponse (0) and DescribeLogDirsResponse (1 to 5), hand-coded: they tell
of every partition of a cluster.

Owns    the layout of both responses; a topic is encoded by itself, so that others have a turn.
Never   decodes: requests and clients use control.py.
Trusts  callers to pass what fits its field; tests/golden compares every version with another codec.

DescribeLogDirs: 2 flexible; 3 top-level error; 4 bytes of the file system; 5 is_cordoned.
"""

from collections.abc import Sequence
from struct import Struct

from streambus.protocol import frames, wire
from streambus.protocol.api import DESCRIBE_LOG_DIRS, DESCRIBE_TOPIC_PARTITIONS
from streambus.protocol.messages.metadata import PartitionShown, TopicShown
from streambus.protocol.wire import INT16, INT32

LOG_DIRS_FLEXIBLE_FROM = 2
_PARTITION = Struct(">hiii").pack
_REPLICA = Struct(">iqq?").pack
_SPACE = Struct(">qq").pack
_NO_LISTS = b"\x01\x01"
"""No eligible leader replicas, no last known ones (KIP-966). Both may be null, but Kafka never
sends that, and its own client fails at it."""
_NO_CURSOR = b"\xff"


def topic_partitions(topic: TopicShown) -> bytes:
    """One topic of DescribeTopicPartitionsResponse."""
    parts = [
        INT16.pack(topic.error),
        wire.encode_string(topic.name, flexible=True),
        topic.topic_id,
        b"\x01" if topic.is_internal else b"\x00",
        wire.encode_count(len(topic.partitions), flexible=True),
    ]
    lists: dict[tuple[tuple[int, ...], ...], bytes] = {}  # few different ones in a topic
    for each in topic.partitions:
        parts.append(_PARTITION(each.error, each.partition, each.leader, each.leader_epoch))
        nodes = (each.replicas, each.isr, each.offline)
        encoded = lists.get(nodes)
        if encoded is None:
            encoded = lists[nodes] = _lists(each)
        parts.append(encoded)
    parts += (INT32.pack(topic.operations), b"\x00")
    return b"".join(parts)


def _lists(shown: PartitionShown) -> bytes:
    replicas, isr, offline = (
        wire.encode_count(len(nodes), flexible=True)
        + b"".join([INT32.pack(each) for each in nodes])
        for nodes in (shown.replicas, shown.isr, shown.offline)
    )
    return replicas + isr + _NO_LISTS + offline + b"\x00"


def encode_topic_partitions(
    correlation_id: int,
    throttle_ms: int,
    topics: Sequence[bytes],
    next_topic: str | None = None,
    next_partition: int = 0,
) -> bytes:
    """The whole frame of DescribeTopicPartitionsResponse; the cursor is null where it ends."""
    cursor = _NO_CURSOR
    if next_topic is not None:
        name = wire.encode_string(next_topic, flexible=True)
        cursor = b"\x01" + name + INT32.pack(next_partition) + b"\x00"
    return frames.framed(
        frames.response_header(
            correlation_id, frames.has_flexible_response_header(DESCRIBE_TOPIC_PARTITIONS, 0)
        ),
        INT32.pack(throttle_ms),
        wire.encode_count(len(topics), flexible=True),
        *topics,
        cursor,
        b"\x00",
    )


def log_dir_topic(version: int, name: str, replicas: Sequence[tuple[int, int, int]]) -> bytes:
    """One topic of a directory: (partition, bytes, lag) of each replica, none of them a future
    one."""
    flexible = version >= LOG_DIRS_FLEXIBLE_FROM
    tags = b"\x00" if flexible else b""
    return b"".join(
        (
            wire.encode_string(name, flexible=flexible),
            wire.encode_count(len(replicas), flexible=flexible),
            *[_REPLICA(partition, size, lag, False) + tags for partition, size, lag in replicas],
            tags,
        )
    )


def log_dir(
    version: int,
    error: int,
    path: str,
    topics: Sequence[bytes],
    total_bytes: int,
    usable_bytes: int,
) -> bytes:
    """One directory of DescribeLogDirsResponse with its encoded topics."""
    flexible = version >= LOG_DIRS_FLEXIBLE_FROM
    return b"".join(
        (
            INT16.pack(error),
            wire.encode_string(path, flexible=flexible),
            wire.encode_count(len(topics), flexible=flexible),
            *topics,
            _SPACE(total_bytes, usable_bytes) if version >= 4 else b"",
            b"\x00" if version >= 5 else b"",  # not cordoned
            b"\x00" if flexible else b"",
        )
    )


def encode_log_dirs(
    correlation_id: int, version: int, throttle_ms: int, error: int, directories: Sequence[bytes]
) -> bytes:
    """The whole frame of DescribeLogDirsResponse."""
    flexible = version >= LOG_DIRS_FLEXIBLE_FROM
    return frames.framed(
        frames.response_header(
            correlation_id, frames.has_flexible_response_header(DESCRIBE_LOG_DIRS, version)
        ),
        INT32.pack(throttle_ms),
        INT16.pack(error) if version >= 3 else b"",
        wire.encode_count(len(directories), flexible=flexible),
        *directories,
        b"\x00" if flexible else b"",
    )
