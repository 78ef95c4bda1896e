"""ListOffsets, versions 1 to 11, both directions.

Owns    the layout of ListOffsetsRequest and ListOffsetsResponse.
Never   gives a timestamp its meaning: -1 latest, -2 earliest and the rest are the handler's.
Trusts  nothing in a decode; callers of an encode to pass what fits its field.

Versions: 2 isolation level and throttle time; 4 leader epochs (KIP-320); 6 flexible; 10 timeout
(KIP-1075). 7, 8, 9 and 11 gave new meanings to negative timestamps and changed no field.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple, TypeAlias

from streambus.protocol import frames, wire
from streambus.protocol.api import LIST_OFFSETS
from streambus.protocol.wire import INT8, INT32, Reader

FLEXIBLE_FROM = 6
LEADER_EPOCHS_FROM = 4
TIMEOUT_FROM = 10

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3

PartitionAsked: TypeAlias = tuple[int, int, int]
"""(partition, current leader epoch, timestamp)."""
PartitionAnswer: TypeAlias = tuple[int, int, int, int, int]
"""(partition, error, timestamp, offset, leader epoch)."""


class Request(NamedTuple):
    """A ListOffsetsRequest; topics are (name, partitions)."""

    topics: list[tuple[bytes, list[PartitionAsked]]]
    replica_id: int = -1
    isolation: int = 0
    timeout_ms: int = 0


class Response(NamedTuple):
    """A ListOffsetsResponse; topics are (name, partitions)."""

    topics: list[tuple[bytes, list[PartitionAnswer]]]
    throttle_ms: int = 0


_ASKED_1 = Struct(">iq")
_ASKED_4 = Struct(">iiq")
_ASKED_6 = Struct(">iiqx")
_ANSWER_1 = Struct(">ihqq")
_ANSWER_4 = Struct(">ihqqi")
_ANSWER_6 = Struct(">ihqqix")


def decode_request(view: memoryview, position: int, end: int, version: int) -> Request:
    reader = Reader(view, position, end, flexible=version >= FLEXIBLE_FROM)
    replica_id = reader.int32()
    isolation = reader.int8() if version >= 2 else 0
    topics: list[tuple[bytes, list[PartitionAsked]]] = []
    for _ in range(reader.count(2)):
        name = reader.name()
        partitions: list[PartitionAsked] = []
        for _ in range(reader.count(12)):
            index = reader.int32()
            epoch = reader.int32() if version >= LEADER_EPOCHS_FROM else -1
            partitions.append((index, epoch, reader.int64()))
            reader.skip_tagged()
        reader.skip_tagged()
        topics.append((name, partitions))
    timeout_ms = reader.int32() if version >= TIMEOUT_FROM else 0
    reader.skip_tagged()
    return Request(topics, replica_id, isolation, timeout_ms)


def encode_request(
    correlation_id: int, client_id: str | None, version: int, request: Request
) -> bytes:
    """The whole frame, its length included."""
    flexible = version >= FLEXIBLE_FROM
    parts = [
        frames.request_header(LIST_OFFSETS, version, correlation_id, client_id),
        INT32.pack(request.replica_id),
    ]
    if version >= 2:
        parts.append(INT8.pack(request.isolation))
    parts.append(wire.encode_count(len(request.topics), flexible=flexible))
    for name, partitions in request.topics:
        parts.append(wire.encode_name(name, flexible=flexible))
        parts.append(wire.encode_count(len(partitions), flexible=flexible))
        for index, epoch, timestamp in partitions:
            if flexible:
                parts.append(_ASKED_6.pack(index, epoch, timestamp))
            elif version >= LEADER_EPOCHS_FROM:
                parts.append(_ASKED_4.pack(index, epoch, timestamp))
            else:
                parts.append(_ASKED_1.pack(index, timestamp))
        if flexible:
            parts.append(b"\x00")
    if version >= TIMEOUT_FROM:
        parts.append(INT32.pack(request.timeout_ms))
    if flexible:
        parts.append(b"\x00")
    return frames.framed(*parts)


def encode_response(
    correlation_id: int,
    version: int,
    topics: Sequence[tuple[bytes, Sequence[PartitionAnswer]]],
    throttle_ms: int = 0,
) -> bytes:
    """The whole frame, its length included."""
    flexible = version >= FLEXIBLE_FROM
    parts = [frames.response_header(correlation_id, flexible)]
    if version >= 2:
        parts.append(INT32.pack(throttle_ms))
    parts.append(wire.encode_count(len(topics), flexible=flexible))
    for name, partitions in topics:
        parts.append(wire.encode_name(name, flexible=flexible))
        parts.append(wire.encode_count(len(partitions), flexible=flexible))
        for answer in partitions:
            if flexible:
                parts.append(_ANSWER_6.pack(*answer))
            elif version >= LEADER_EPOCHS_FROM:
                parts.append(_ANSWER_4.pack(*answer))
            else:
                parts.append(_ANSWER_1.pack(*answer[:4]))
        if flexible:
            parts.append(b"\x00")
    if flexible:
        parts.append(b"\x00")
    return frames.framed(*parts)


def decode_response(view: memoryview, position: int, end: int, version: int) -> Response:
    """`position` is that of the body, after the response's header."""
    reader = Reader(view, position, end, flexible=version >= FLEXIBLE_FROM)
    throttle_ms = reader.int32() if version >= 2 else 0
    topics: list[tuple[bytes, list[PartitionAnswer]]] = []
    for _ in range(reader.count(2)):
        name = reader.name()
        partitions: list[PartitionAnswer] = []
        for _ in range(reader.count(22)):
            index, error = reader.int32(), reader.int16()
            timestamp, offset = reader.int64(), reader.int64()
            epoch = reader.int32() if version >= LEADER_EPOCHS_FROM else -1
            partitions.append((index, error, timestamp, offset, epoch))
            reader.skip_tagged()
        reader.skip_tagged()
        topics.append((name, partitions))
    reader.skip_tagged()
    return Response(topics, throttle_ms)
