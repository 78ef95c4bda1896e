"""Produce, versions 3 to 13, both directions. The hot path: structs in place, records never copied.

Owns    the layout of ProduceRequest and ProduceResponse.
Never   looks inside records, nor decides whether a topic, a partition or an acks value is good.
Trusts  nothing in a decode; callers of an encode to pass what fits its field.

Versions: 3 transactional id; 5 log start offset; 8 record errors and message (KIP-467); 9 flexible;
10 current leader and node endpoints as tags (KIP-951); 13 topic ids instead of names (KIP-516).
4, 6, 7, 11 and 12 only changed what the two sides may expect of each other.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import NamedTuple, TypeAlias

from streambus.errors import Malformed
from streambus.protocol import frames, wire
from streambus.protocol.api import PRODUCE
from streambus.protocol.produce_codec import decode_usual
from streambus.protocol.wire import ENTRIES_MAX, INT32, NodeEndpoint, Reader, StructError

FLEXIBLE_FROM = 9
LEADER_HINTS_FROM = 10
TOPIC_IDS_FROM = 13

PartitionSent: TypeAlias = tuple[int, int, int]
"""(partition, start, end): where its records stand in the view; (-1, -1) if they are null."""
TopicSent: TypeAlias = tuple[bytes | None, bytes | None, list[PartitionSent]]
"""(name, topic id, partitions): one of name and id is None, by version."""
Request: TypeAlias = tuple[str | None, int, int, list[TopicSent]]
"""(transactional id, acks, timeout in ms, topics)."""

RecordError: TypeAlias = tuple[int, str | None]
"""(index of the record in the batch, message)."""
LeaderHint: TypeAlias = tuple[int, int]
"""(leader id, leader epoch)."""
PartitionAnswer: TypeAlias = tuple[
    int, int, int, int, int, str | None, LeaderHint | None, Sequence[RecordError]
]
"""(partition, error, base offset, log append time in ms, log start offset, error message, leader
hint, record errors): what the version has no field for is left out."""
TopicAnswer: TypeAlias = tuple[bytes | None, bytes | None, Sequence[PartitionAnswer | bytes]]
"""(name, topic id, partitions): answers, or what `plain_encoder` made of them."""


class Response(NamedTuple):
    """A decoded ProduceResponse."""

    topics: list[tuple[bytes | None, bytes | None, list[PartitionAnswer]]]
    throttle_ms: int
    node_endpoints: list[NodeEndpoint]


_INT16 = wire.INT16
_ACKS_TIMEOUT_COUNT = Struct(">hii")
_HEAD = Struct(">hhii")  # size of the transactional id, and the fields after it if it is null
_ACKS_TIMEOUT = Struct(">hi")
_ACKS_TIMEOUT_BYTE = Struct(">hiB")
_PARTITION_BYTE = Struct(">iB")
_PARTITION_SIZE = Struct(">ii")
_OFFSETS_3 = Struct(">ihqq")
_OFFSETS_5 = Struct(">ihqqq")
_OFFSETS_8 = Struct(">ihqqqih")  # no record errors, no message
_OFFSETS_9 = Struct(">ihqqq3s")  # the same, compact, and no tags
_NOTHING_MORE = b"\x01\x00\x00"
_SINGLE_HEAD = Struct(">iiih")
_SINGLE_3_REST = Struct(">iihqqi")
_SINGLE_5_REST = Struct(">iihqqqi")
_SINGLE_8_REST = Struct(">iihqqqihi")
_SINGLE_9_REST = Struct(">Bihqqq3sxix")  # pads: no tags in the topic, none in the response
_LENGTH_CORRELATION = Struct(">ii")
_LENGTH_CORRELATION_TAGS = Struct(">iix")
_HINT = Struct(">iix")


def decode_request(view: memoryview, position: int, end: int, version: int) -> Request:
    """Decodes in place; the records stay where they are and are given as positions in `view`."""
    request = decode_usual(view, position, end, version)
    if request is not None:
        return request
    # Everything past `end` belongs to the next request: a view that ends there lets struct
    # itself check every bound, at the price of one slice.
    view = view[:end]
    try:
        if version >= FLEXIBLE_FROM:
            return _decode_flexible(view, position, end, by_id=version >= TOPIC_IDS_FROM)
        return _decode_plain(view, position, end)
    except (StructError, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"Produce v{version} request: {error}") from None


def _decode_plain(view: memoryview, position: int, end: int) -> Request:
    transactional_id = None
    size, acks, timeout_ms, count = _HEAD.unpack_from(view, position)
    if size != -1:
        transactional_id, position = _text(view, position + 2, size)
        acks, timeout_ms, count = _ACKS_TIMEOUT_COUNT.unpack_from(view, position)
        position -= 2
    position += 12
    entries_left = ENTRIES_MAX - count
    if count < 0 or entries_left < 0:
        raise Malformed(f"Produce request with {count} topics")
    topics: list[TopicSent] = []
    for _ in range(count):
        (size,) = _INT16.unpack_from(view, position)
        start = position + 2
        position = start + size
        if size < 0:
            raise Malformed("Produce request with a null topic name")
        name = bytes(view[start:position])
        (partition_count,) = INT32.unpack_from(view, position)
        position += 4
        entries_left -= partition_count
        if partition_count < 0 or entries_left < 0:
            raise Malformed(f"Produce request with {partition_count} partitions in a topic")
        partitions: list[PartitionSent] = []
        for _ in range(partition_count):
            partition, size = _PARTITION_SIZE.unpack_from(view, position)
            start = position + 8
            position = start + size
            if size < 0:
                if size != -1:
                    raise Malformed(f"Produce request with records of {size} bytes")
                position = start
                partitions.append((partition, -1, -1))
            elif position > end:
                raise Malformed("Produce request ends inside its records")
            else:
                partitions.append((partition, start, position))
        topics.append((name, None, partitions))
    return transactional_id, acks, timeout_ms, topics


def _decode_flexible(view: memoryview, position: int, end: int, *, by_id: bool) -> Request:
    # Varints are read in line where they are usually one or two bytes: a call costs as much as
    # the rest of a partition.
    read_uvarint = wire.read_uvarint
    transactional_id = None
    size, position = read_uvarint(view, position)
    if size:
        transactional_id, position = _text(view, position, size - 1)
    acks, timeout_ms, count = _ACKS_TIMEOUT_BYTE.unpack_from(view, position)
    position += 7
    if count > 127:
        count, position = read_uvarint(view, position - 1)
    entries_left = ENTRIES_MAX - count
    if count == 0 or entries_left < 0:
        raise Malformed(f"Produce request with {count - 1} topics")
    topics: list[TopicSent] = []
    name = topic_id = None
    for _ in range(count - 1):
        if by_id:
            start = position
            position += 16
            topic_id = bytes(view[start:position])
        else:
            size = view[position]
            start = position + 1
            if size > 127:
                size, start = read_uvarint(view, position)
            elif size == 0:
                raise Malformed("Produce request with a null topic name")
            position = start + size - 1
            name = bytes(view[start:position])
        partition_count = view[position]
        position += 1
        if partition_count > 127:
            partition_count, position = read_uvarint(view, position - 1)
        entries_left -= partition_count
        if partition_count == 0 or entries_left < 0:
            raise Malformed(f"Produce request with {partition_count - 1} partitions in a topic")
        partitions: list[PartitionSent] = []
        for _ in range(partition_count - 1):
            partition, size = _PARTITION_BYTE.unpack_from(view, position)
            start = position + 5
            if size > 127:
                byte = view[start]
                if byte < 128:
                    size += (byte << 7) - 128
                    start += 1
                else:
                    size, start = read_uvarint(view, position + 4)
            if size:
                position = start + size - 1
                partitions.append((partition, start, position))
            else:
                position = start
                partitions.append((partition, -1, -1))
            # Records are always followed by a count of tags: reading it proves that they fit.
            position = position + 1 if view[position] == 0 else wire.skip_tags(view, position, end)
        topics.append((name, topic_id, partitions))
        position = position + 1 if view[position] == 0 else wire.skip_tags(view, position, end)
    position = position + 1 if view[position] == 0 else wire.skip_tags(view, position, end)
    return transactional_id, acks, timeout_ms, topics


def _text(view: memoryview, position: int, size: int) -> tuple[str, int]:
    end = position + size
    if size < 0 or end > len(view):
        raise Malformed(f"Produce request with a transactional id of {size} bytes")
    return str(view[position:end], "utf-8"), end


def encode_single(
    correlation_id: int,
    version: int,
    name: bytes | None,
    topic_id: bytes | None,
    partition: int,
    error: int,
    base_offset: int,
    log_append_time_ms: int,
    log_start: int,
    throttle_ms: int = 0,
) -> bytes:
    """The whole frame for one topic and one partition without messages: most replies by far."""
    if version < FLEXIBLE_FROM:
        assert name is not None
        size = len(name)
        if version == 8:
            head = _SINGLE_HEAD.pack(size + 10 + _SINGLE_8_REST.size, correlation_id, 1, size)
            rest = _SINGLE_8_REST.pack(
                1, partition, error, base_offset, log_append_time_ms, log_start, 0, -1, throttle_ms
            )
        elif version >= 5:
            head = _SINGLE_HEAD.pack(size + 10 + _SINGLE_5_REST.size, correlation_id, 1, size)
            rest = _SINGLE_5_REST.pack(
                1, partition, error, base_offset, log_append_time_ms, log_start, throttle_ms
            )
        else:
            head = _SINGLE_HEAD.pack(size + 10 + _SINGLE_3_REST.size, correlation_id, 1, size)
            rest = _SINGLE_3_REST.pack(
                1, partition, error, base_offset, log_append_time_ms, throttle_ms
            )
        return b"".join((head, name, rest))
    if version >= TOPIC_IDS_FROM:
        assert topic_id is not None
        head = b"\x00\x02" + topic_id
    else:
        assert name is not None
        # A topic's name has at most 249 bytes, but a refused one may have any number.
        size = len(name) + 1
        head = b"\x00\x02" + (wire.uvarint(size) if size > 127 else bytes((size,))) + name
    return b"".join(
        (
            _LENGTH_CORRELATION.pack(len(head) + 4 + _SINGLE_9_REST.size, correlation_id),
            head,
            _SINGLE_9_REST.pack(
                2,
                partition,
                error,
                base_offset,
                log_append_time_ms,
                log_start,
                _NOTHING_MORE,
                throttle_ms,
            ),
        )
    )


def encode_response(
    correlation_id: int,
    version: int,
    topics: Sequence[TopicAnswer],
    throttle_ms: int = 0,
    node_endpoints: Sequence[NodeEndpoint] = (),
) -> bytes:
    """The whole frame, its length included."""
    flexible = version >= FLEXIBLE_FROM
    parts = [b"", wire.encode_count(len(topics), flexible=flexible)]
    for name, topic_id, partitions in topics:
        if version >= TOPIC_IDS_FROM:
            assert topic_id is not None
            parts.append(topic_id)
        else:
            assert name is not None
            parts.append(wire.encode_name(name, flexible=flexible))
        parts.append(wire.encode_count(len(partitions), flexible=flexible))
        parts += [
            answer if isinstance(answer, bytes) else _encode_partition(answer, version)
            for answer in partitions
        ]
        if flexible:
            parts.append(b"\x00")
    parts.append(INT32.pack(throttle_ms))
    if flexible:
        if node_endpoints and version >= LEADER_HINTS_FROM:
            parts.append(wire.encode_tags([(0, wire.encode_endpoints(node_endpoints))]))
        else:
            parts.append(b"\x00")
    size = sum(map(len, parts))
    parts[0] = (
        _LENGTH_CORRELATION_TAGS.pack(size + 5, correlation_id)
        if flexible
        else _LENGTH_CORRELATION.pack(size + 4, correlation_id)
    )
    return b"".join(parts)


PlainEncoder: TypeAlias = Callable[[int, int, int, int, int], bytes]
"""(partition, error, base offset, log append time in ms, log start offset) -> one partition."""


def plain_encoder(version: int) -> PlainEncoder:
    """Encodes answers that have no message, hint or record errors: nearly all of them."""
    if version >= FLEXIBLE_FROM:
        return _plain_9
    if version == 8:
        return _plain_8
    return _OFFSETS_5.pack if version >= 5 else _plain_3


def _plain_3(partition: int, error: int, base_offset: int, time_ms: int, _: int) -> bytes:
    return _OFFSETS_3.pack(partition, error, base_offset, time_ms)


def _plain_8(partition: int, error: int, base_offset: int, time_ms: int, log_start: int) -> bytes:
    return _OFFSETS_8.pack(partition, error, base_offset, time_ms, log_start, 0, -1)


def _plain_9(partition: int, error: int, base_offset: int, time_ms: int, log_start: int) -> bytes:
    return _OFFSETS_9.pack(partition, error, base_offset, time_ms, log_start, _NOTHING_MORE)


def _encode_partition(answer: PartitionAnswer, version: int) -> bytes:
    partition, error, base_offset, time_ms, log_start, message, leader, record_errors = answer
    has_hint = leader is not None and version >= LEADER_HINTS_FROM
    if version < 8 or not (message is not None or record_errors or has_hint):
        return plain_encoder(version)(partition, error, base_offset, time_ms, log_start)
    flexible = version >= FLEXIBLE_FROM
    parts = [
        _OFFSETS_5.pack(partition, error, base_offset, time_ms, log_start),
        wire.encode_count(len(record_errors), flexible=flexible),
    ]
    for index, text in record_errors:
        parts += (INT32.pack(index), wire.encode_string(text, flexible=flexible))
        if flexible:
            parts.append(b"\x00")
    parts.append(wire.encode_string(message, flexible=flexible))
    if flexible:
        if leader is not None and version >= LEADER_HINTS_FROM:
            parts.append(wire.encode_tags([(0, encode_leader_hint(leader))]))
        else:
            parts.append(b"\x00")
    return b"".join(parts)


def encode_leader_hint(leader: LeaderHint) -> bytes:
    """The value of the CurrentLeader tag of Produce and Fetch responses (KIP-951)."""
    return _HINT.pack(*leader)


def read_leader_hint(field: Reader) -> LeaderHint:
    leader = field.int32(), field.int32()
    field.skip_tagged()
    return leader


def encode_request(
    correlation_id: int,
    client_id: str | None,
    version: int,
    acks: int,
    timeout_ms: int,
    topics: Sequence[
        tuple[bytes | None, bytes | None, Sequence[tuple[int, bytes | memoryview | None]]]
    ],
    transactional_id: str | None = None,
) -> list[bytes | memoryview]:
    """A request as buffers to be written one after another, the records among them uncopied."""
    flexible = version >= FLEXIBLE_FROM
    parts: list[bytes | memoryview] = [
        b"",
        frames.request_header(PRODUCE, version, correlation_id, client_id),
        wire.encode_string(transactional_id, flexible=flexible),
        _ACKS_TIMEOUT.pack(acks, timeout_ms),
        wire.encode_count(len(topics), flexible=flexible),
    ]
    for name, topic_id, partitions in topics:
        if version >= TOPIC_IDS_FROM:
            assert topic_id is not None
            parts.append(topic_id)
        else:
            parts.append(wire.encode_name(name, flexible=flexible))
        parts.append(wire.encode_count(len(partitions), flexible=flexible))
        for partition, records in partitions:
            size = -1 if records is None else len(records)
            parts += (INT32.pack(partition), wire.encode_count(size, flexible=flexible))
            if records:
                parts.append(records)
            if flexible:
                parts.append(b"\x00")
        if flexible:
            parts.append(b"\x00")
    if flexible:
        parts.append(b"\x00")
    parts[0] = INT32.pack(sum(map(len, parts)))
    return parts


def decode_response(view: memoryview, position: int, end: int, version: int) -> Response:
    """`position` is that of the body, after the response's header."""
    reader = Reader(view, position, end, flexible=version >= FLEXIBLE_FROM)
    topics: list[tuple[bytes | None, bytes | None, list[PartitionAnswer]]] = []
    for _ in range(reader.count(3)):  # of a name, partitions and tags
        name = topic_id = None
        if version >= TOPIC_IDS_FROM:
            topic_id = reader.uuid()
        else:
            name = reader.name()
        partitions = [_read_answer(reader, version) for _ in range(reader.count(22))]
        reader.skip_tagged()
        topics.append((name, topic_id, partitions))
    throttle_ms = reader.int32()
    endpoints: list[NodeEndpoint] = []
    for tag, field in reader.tagged():
        if tag == 0 and version >= LEADER_HINTS_FROM:
            endpoints = wire.read_endpoints(field)
    return Response(topics, throttle_ms, endpoints)


def _read_answer(reader: Reader, version: int) -> PartitionAnswer:
    partition, error = reader.int32(), reader.int16()
    base_offset, time_ms = reader.int64(), reader.int64()
    log_start = reader.int64() if version >= 5 else -1
    record_errors: list[RecordError] = []
    message: str | None = None
    if version >= 8:
        for _ in range(reader.count(5)):
            record_errors.append((reader.int32(), reader.nullable_string()))
            reader.skip_tagged()
        message = reader.nullable_string()
    leader: LeaderHint | None = None
    for tag, field in reader.tagged():
        if tag == 0 and version >= LEADER_HINTS_FROM:
            leader = read_leader_hint(field)
    return partition, error, base_offset, time_ms, log_start, message, leader, record_errors
