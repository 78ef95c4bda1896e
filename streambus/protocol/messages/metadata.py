"""MetadataResponse, versions 0 to 13, hand-coded: it is the one control answer that can be huge.

Owns    the layout of MetadataResponse towards clients.
Never   decodes: requests and clients use control.py.
Trusts  callers to pass what fits its field; tests/golden compares every version with another codec.

Versions: 1 controller, rack, is_internal; 2 cluster id; 3 throttle time; 5 offline replicas; 7
leader epoch; 8 authorized operations (the cluster's only to 10); 9 flexible; 10 topic ids; 12 names
may be null; 13 top-level error.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from streambus.protocol import frames, wire
from streambus.protocol.api import METADATA
from streambus.protocol.wire import INT32, NodeEndpoint

NO_OPERATIONS = -(2**31)
"""Authorized operations that nobody asked for."""

THROTTLE_FROM = 3
FLEXIBLE_FROM = 9

_PARTITION_0 = Struct(">hii")
_PARTITION_7 = Struct(">hiii")


class PartitionShown(NamedTuple):
    """One partition of an answer; leader -1 where there is none."""

    error: int
    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    offline: tuple[int, ...] = ()


class TopicShown(NamedTuple):
    """One topic of an answer; without an error it has both a name and an id."""

    error: int
    name: str | None
    topic_id: bytes
    is_internal: bool = False
    partitions: Sequence[PartitionShown] = ()
    operations: int = NO_OPERATIONS


class Response(NamedTuple):
    """What the newest version knows; older ones carry what they can. Topics are encoded by
    `encode_topic`, so that a caller may take its time over many."""

    brokers: Sequence[NodeEndpoint]
    cluster_id: str | None
    controller_id: int
    topics: Sequence[bytes]
    throttle_ms: int = 0
    cluster_operations: int = NO_OPERATIONS
    error: int = 0


def encode_response(correlation_id: int, version: int, response: Response) -> bytes:
    """The whole frame, its length included."""
    flexible = version >= FLEXIBLE_FROM
    tags = b"\x00" if flexible else b""
    parts = [
        frames.response_header(
            correlation_id, frames.has_flexible_response_header(METADATA, version)
        )
    ]
    if version >= THROTTLE_FROM:
        parts.append(INT32.pack(response.throttle_ms))
    parts.append(wire.encode_count(len(response.brokers), flexible=flexible))
    for node_id, host, port, rack in response.brokers:
        parts += (
            INT32.pack(node_id),
            wire.encode_string(host, flexible=flexible),
            INT32.pack(port),
        )
        if version >= 1:
            parts.append(wire.encode_string(rack, flexible=flexible))
        parts.append(tags)
    if version >= 2:
        parts.append(wire.encode_string(response.cluster_id, flexible=flexible))
    if version >= 1:
        parts.append(INT32.pack(response.controller_id))
    parts.append(wire.encode_count(len(response.topics), flexible=flexible))
    parts += response.topics
    if 8 <= version <= 10:
        parts.append(INT32.pack(response.cluster_operations))
    if version >= 13:
        parts.append(wire.INT16.pack(response.error))
    parts.append(tags)
    return frames.framed(*parts)


def encode_topic(topic: TopicShown, version: int) -> bytes:
    """One topic of an answer."""
    flexible = version >= FLEXIBLE_FROM
    tags = b"\x00" if flexible else b""
    name = topic.name if version >= 12 else topic.name or ""
    parts = [wire.INT16.pack(topic.error), wire.encode_string(name, flexible=flexible)]
    if version >= 10:
        parts.append(topic.topic_id)
    if version >= 1:
        parts.append(b"\x01" if topic.is_internal else b"\x00")
    parts.append(wire.encode_count(len(topic.partitions), flexible=flexible))
    lists: dict[tuple[int, ...], bytes] = {}  # few different ones in a topic
    for each in topic.partitions:
        if version >= 7:
            parts.append(
                _PARTITION_7.pack(each.error, each.partition, each.leader, each.leader_epoch)
            )
        else:
            parts.append(_PARTITION_0.pack(each.error, each.partition, each.leader))
        for nodes in (each.replicas, each.isr, each.offline)[: 3 if version >= 5 else 2]:
            encoded = lists.get(nodes)
            if encoded is None:
                count = wire.encode_count(len(nodes), flexible=flexible)
                encoded = lists[nodes] = count + b"".join([INT32.pack(node) for node in nodes])
            parts.append(encoded)
        parts.append(tags)
    if version >= 8:
        parts.append(INT32.pack(topic.operations))
    parts.append(tags)
    return b"".join(parts)
