"""Fetch, versions 4 to 18, both directions; the response as pieces, so that files are never copied.

Owns    the layout of FetchRequest and FetchResponse.
Never   touches records: in a response they are opaque pieces with a length told beside them.
Trusts  nothing in a decode; in an encode that the pieces really have the length told.

Versions: 5 log start offset; 7 sessions (KIP-227); 9 leader epoch (KIP-320); 10 zstd; 11 rack
(KIP-392); 12 flexible, last fetched and diverging epochs, leader hints; 13 topic ids (KIP-516);
15 replica state as a tag (KIP-903); 16 node endpoints (KIP-951); 17 replica directory id (KIP-853);
18 the high watermark a replica knows (KIP-1166). 6, 8 and 14 only changed what is expected.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple, TypeAlias, TypeVar

from streambus.errors import Malformed
from streambus.protocol import frames, wire
from streambus.protocol.api import FETCH
from streambus.protocol.messages.produce import LeaderHint, encode_leader_hint, read_leader_hint
from streambus.protocol.wire import ENTRIES_MAX, INT32, NodeEndpoint, Reader, StructError

FLEXIBLE_FROM = 12
TOPIC_IDS_FROM = 13
REPLICA_STATE_FROM = 15
NODE_ENDPOINTS_FROM = 16
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

PartitionWanted: TypeAlias = tuple[bytes | None, bytes | None, int, int, int, int, int, int]
"""(name, topic id, partition, current leader epoch, offset, last fetched epoch, log start offset,
bytes max); one of name and id is None, by version."""
ReplicaTags: TypeAlias = tuple[bytes | None, int]
"""(directory id, high watermark known): what only a replica says of a partition."""
Forgotten: TypeAlias = tuple[bytes | None, bytes | None, int]
"""(name, topic id, partition)."""


class FetchRequest:
    """A decoded FetchRequest, its partitions in the order in which they are to be served."""

    __slots__ = (
        "cluster_id",
        "forgotten",
        "isolation",
        "max_bytes",
        "max_wait_ms",
        "min_bytes",
        "partitions",
        "rack",
        "replica_epoch",
        "replica_id",
        "replica_tags",
        "session_epoch",
        "session_id",
    )

    def __init__(
        self,
        *,
        max_wait_ms: int,
        min_bytes: int,
        max_bytes: int = INT32_MAX,
        isolation: int = 0,
        session_id: int = 0,
        session_epoch: int = -1,
        partitions: list[PartitionWanted],
        forgotten: list[Forgotten] | None = None,
        rack: str = "",
        replica_id: int = -1,
        replica_epoch: int = -1,
        cluster_id: str | None = None,
    ) -> None:
        self.max_wait_ms = max_wait_ms
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.isolation = isolation
        self.session_id = session_id
        self.session_epoch = session_epoch
        self.partitions = partitions
        self.forgotten: list[Forgotten] = [] if forgotten is None else forgotten
        self.rack = rack
        self.replica_id = replica_id
        self.replica_epoch = replica_epoch
        self.cluster_id = cluster_id
        self.replica_tags: dict[int, ReplicaTags] = {}  # by index in `partitions`; rarely any


_INT16 = wire.INT16
_HEAD_4 = Struct(">iiiibi")  # replica id, wait, min, max, isolation, count of topics
_HEAD_7 = Struct(">iiiibiii")  # ... with session id and epoch before the count
_HEAD_12 = Struct(">iiiibii")  # without the count
_HEAD_15 = Struct(">iiibii")  # without the replica id
_PARTITION_4 = Struct(">iqi")
_PARTITION_5 = Struct(">iqqi")
_PARTITION_9 = Struct(">iiqqi")
_PARTITION_12 = Struct(">iiqiqi")
# What stands after the partitions of most requests: nothing forgotten, no rack, no tags.
_TAIL_7 = bytes(4)
_TAIL_11 = bytes(6)
_TAIL_12 = b"\x01\x01\x00"


def decode_request(view: memoryview, position: int, end: int, version: int) -> FetchRequest:
    view = view[:end]  # struct then checks every bound (see produce.decode_request)
    try:
        if version >= FLEXIBLE_FROM:
            return _decode_flexible(view, position, end, version)
        return _decode_plain(view, position, version)
    except (StructError, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"Fetch v{version} request: {error}") from None


def _decode_plain(view: memoryview, position: int, version: int) -> FetchRequest:
    session_id, session_epoch = 0, -1
    if version >= 7:
        fields = _HEAD_7.unpack_from(view, position)
        replica_id, max_wait_ms, min_bytes, max_bytes, isolation = fields[:5]
        session_id, session_epoch, count = fields[5:]
        position += 29
    else:
        fields = _HEAD_4.unpack_from(view, position)
        replica_id, max_wait_ms, min_bytes, max_bytes, isolation, count = fields
        position += 21
    entries_left = ENTRIES_MAX - count
    if count < 0 or entries_left < 0:
        raise Malformed(f"Fetch request with {count} topics")
    partitions: list[PartitionWanted] = []
    for _ in range(count):
        (size,) = _INT16.unpack_from(view, position)
        start = position + 2
        position = start + size
        if size < 0:
            raise Malformed("Fetch request with a null topic name")
        name = bytes(view[start:position])
        (partition_count,) = INT32.unpack_from(view, position)
        position += 4
        entries_left -= partition_count
        if partition_count < 0 or entries_left < 0:
            raise Malformed(f"Fetch request with {partition_count} partitions in a topic")
        if version >= 9:
            for _ in range(partition_count):
                index, epoch, offset, log_start, size = _PARTITION_9.unpack_from(view, position)
                partitions.append((name, None, index, epoch, offset, -1, log_start, size))
                position += 28
        elif version >= 5:
            for _ in range(partition_count):
                index, offset, log_start, size = _PARTITION_5.unpack_from(view, position)
                partitions.append((name, None, index, -1, offset, -1, log_start, size))
                position += 24
        else:
            for _ in range(partition_count):
                index, offset, size = _PARTITION_4.unpack_from(view, position)
                partitions.append((name, None, index, -1, offset, -1, -1, size))
                position += 16
    request = FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        isolation=isolation,
        session_id=session_id,
        session_epoch=session_epoch,
        partitions=partitions,
        replica_id=replica_id,
    )
    if version >= 7 and view[position:] != (_TAIL_11 if version >= 11 else _TAIL_7):
        reader = Reader(view, position, len(view), flexible=False)
        _read_forgotten(reader, version, request)
        if version >= 11:
            request.rack = reader.string()
    return request


def _decode_flexible(view: memoryview, position: int, end: int, version: int) -> FetchRequest:
    replica_id = -1
    if version < REPLICA_STATE_FROM:
        (replica_id,) = INT32.unpack_from(view, position)
        position += 4
    fields = _HEAD_15.unpack_from(view, position)
    max_wait_ms, min_bytes, max_bytes, isolation, session_id, session_epoch = fields
    read_uvarint = wire.read_uvarint
    count, position = read_uvarint(view, position + 21)
    entries_left = ENTRIES_MAX - count
    if count == 0 or entries_left < 0:
        raise Malformed(f"Fetch request with {count - 1} topics")
    partitions: list[PartitionWanted] = []
    tags: dict[int, ReplicaTags] = {}
    unpack_partition = _PARTITION_12.unpack_from
    for _ in range(count - 1):
        topic: tuple[bytes | None, bytes | None]
        if version >= TOPIC_IDS_FROM:
            start = position
            position += 16
            topic = (None, bytes(view[start:position]))
        else:
            size, start = read_uvarint(view, position)
            position = start + size - 1
            if size == 0:
                raise Malformed("Fetch request with a null topic name")
            topic = (bytes(view[start:position]), None)
        partition_count, position = read_uvarint(view, position)
        entries_left -= partition_count
        if partition_count == 0 or entries_left < 0:
            raise Malformed(f"Fetch request with {partition_count - 1} partitions in a topic")
        for _ in range(partition_count - 1):
            partitions.append(topic + unpack_partition(view, position))
            position += 32
            if view[position] == 0:
                position += 1
            else:
                position = _read_replica_tags(view, position, end, version, len(partitions), tags)
        position = position + 1 if view[position] == 0 else wire.skip_tags(view, position, end)
    request = FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        isolation=isolation,
        session_id=session_id,
        session_epoch=session_epoch,
        partitions=partitions,
        replica_id=replica_id,
    )
    request.replica_tags = tags
    if view[position:] == _TAIL_12:
        return request
    reader = Reader(view, position, end, flexible=True)
    _read_forgotten(reader, version, request)
    request.rack = reader.string()
    for tag, field in reader.tagged():
        if tag == 0:
            request.cluster_id = field.nullable_string()
        elif tag == 1 and version >= REPLICA_STATE_FROM:
            request.replica_id, request.replica_epoch = field.int32(), field.int64()
            field.skip_tagged()
    return request


def _read_replica_tags(
    view: memoryview,
    position: int,
    end: int,
    version: int,
    count: int,
    tags: dict[int, ReplicaTags],
) -> int:
    """Tags of the partition decoded last, the `count`-th; returns the position after them."""
    reader = Reader(view, position, end, flexible=True)
    directory_id, high_watermark = None, INT64_MAX
    for tag, field in reader.tagged():
        if tag == 0 and version >= 17:
            directory_id = field.uuid()
        elif tag == 1 and version >= 18:
            high_watermark = field.int64()
    if directory_id is not None or high_watermark != INT64_MAX:
        tags[count - 1] = (directory_id, high_watermark)
    return reader.position


def _read_forgotten(reader: Reader, version: int, request: FetchRequest) -> None:
    for _ in range(reader.count(2)):
        name = topic_id = None
        if version >= TOPIC_IDS_FROM:
            topic_id = reader.uuid()
        else:
            name = reader.name()
        for _ in range(reader.count(4)):
            request.forgotten.append((name, topic_id, reader.int32()))
        reader.skip_tagged()


def encode_request(
    correlation_id: int, client_id: str | None, version: int, request: FetchRequest
) -> bytes:
    """The whole frame. Partitions of one topic that follow each other share its entry."""
    flexible = version >= FLEXIBLE_FROM
    parts = [frames.request_header(FETCH, version, correlation_id, client_id)]
    if version < REPLICA_STATE_FROM:
        parts.append(INT32.pack(request.replica_id))
    parts.append(
        _FIXED.pack(request.max_wait_ms, request.min_bytes, request.max_bytes, request.isolation)
    )
    if version >= 7:
        parts.append(_SESSION.pack(request.session_id, request.session_epoch))
    groups = _grouped([(wanted[0], wanted[1]) for wanted in request.partitions])
    parts.append(wire.encode_count(len(groups), flexible=flexible))
    for start, end in groups:
        parts.append(_encode_topic(request.partitions[start], version))
        parts.append(wire.encode_count(end - start, flexible=flexible))
        for index in range(start, end):
            parts.append(_encode_wanted(request.partitions[index], version))
            if flexible:
                parts.append(_encode_replica_tags(request.replica_tags.get(index), version))
        if flexible:
            parts.append(b"\x00")
    if version >= 7:
        groups = _grouped([(name, topic_id) for name, topic_id, _ in request.forgotten])
        parts.append(wire.encode_count(len(groups), flexible=flexible))
        for start, end in groups:
            parts.append(_encode_topic(request.forgotten[start], version))
            parts.append(wire.encode_count(end - start, flexible=flexible))
            parts += [INT32.pack(gone[2]) for gone in request.forgotten[start:end]]
            if flexible:
                parts.append(b"\x00")
    if version >= 11:
        parts.append(wire.encode_string(request.rack, flexible=flexible))
    if flexible:
        parts.append(_encode_request_tags(request, version))
    return frames.framed(*parts)


_FIXED = Struct(">iiib")
_SESSION = Struct(">ii")
_REPLICA_STATE = Struct(">iqx")


def _grouped(topics: list[tuple[bytes | None, bytes | None]]) -> list[tuple[int, int]]:
    """Half-open ranges of equal neighbours."""
    starts = [at for at, topic in enumerate(topics) if at == 0 or topic != topics[at - 1]]
    ends = [*starts[1:], len(topics)] if starts else []
    return list(zip(starts, ends, strict=True))


def _encode_topic(entry: tuple[Any, ...], version: int) -> bytes:
    """The name or the id that an entry of partitions or forgotten ones begins with."""
    topic: bytes | None = entry[1] if version >= TOPIC_IDS_FROM else entry[0]
    assert topic is not None
    if version >= TOPIC_IDS_FROM:
        return topic
    return wire.encode_name(topic, flexible=version >= FLEXIBLE_FROM)


def _encode_wanted(wanted: PartitionWanted, version: int) -> bytes:
    _, _, index, epoch, offset, last_epoch, log_start, size = wanted
    if version >= 12:
        return _PARTITION_12.pack(index, epoch, offset, last_epoch, log_start, size)
    if version >= 9:
        return _PARTITION_9.pack(index, epoch, offset, log_start, size)
    if version >= 5:
        return _PARTITION_5.pack(index, offset, log_start, size)
    return _PARTITION_4.pack(index, offset, size)


def _encode_replica_tags(tags: ReplicaTags | None, version: int) -> bytes:
    if tags is None:
        return b"\x00"
    directory_id, high_watermark = tags
    fields: list[tuple[int, bytes]] = []
    if directory_id is not None and version >= 17:
        fields.append((0, directory_id))
    if high_watermark != INT64_MAX and version >= 18:
        fields.append((1, wire.INT64.pack(high_watermark)))
    return wire.encode_tags(fields)


def _encode_request_tags(request: FetchRequest, version: int) -> bytes:
    fields: list[tuple[int, bytes]] = []
    if request.cluster_id is not None:
        fields.append((0, wire.encode_string(request.cluster_id, flexible=True)))
    if version >= REPLICA_STATE_FROM and (request.replica_id, request.replica_epoch) != (-1, -1):
        fields.append((1, _REPLICA_STATE.pack(request.replica_id, request.replica_epoch)))
    return wire.encode_tags(fields)


Piece = TypeVar("Piece")
Aborted: TypeAlias = tuple[int, int]
"""(producer id, first offset)."""
PartitionFetched: TypeAlias = tuple[
    int,
    int,
    int,
    int,
    int,
    Sequence[Aborted] | None,
    int,
    tuple[int, int] | None,
    LeaderHint | None,
    int,
    Sequence[bytes | Piece],
]
"""(partition, error, high watermark, last stable offset, log start offset, aborted transactions,
preferred read replica, diverging (epoch, end offset), leader hint, bytes of all records or -1 for
null, the records as pieces). What the version has no field for is left out."""
TopicFetched: TypeAlias = tuple[bytes | None, bytes | None, Sequence[PartitionFetched[Piece]]]
"""(name, topic id, partitions)."""

JOIN_BYTES_MAX = 64 * 1024
"""Pieces of bytes up to this size are copied in between the headers: one buffer, one write."""

_OFFSETS_4 = Struct(">ihqq")
_OFFSETS_5 = Struct(">ihqqq")
_FETCHED_12 = Struct(">ihqqqBi")
_RESPONSE_4 = Struct(">iii")
_RESPONSE_7 = Struct(">iiihi")
_RESPONSE_12 = Struct(">iixihi")
_ABORTED = Struct(">qq")
_ABORTED_12 = Struct(">qqx")
_DIVERGING = Struct(">iqx")


def encode_response(
    correlation_id: int,
    version: int,
    throttle_ms: int,
    error: int,
    session_id: int,
    topics: Sequence[TopicFetched[Piece]],
    node_endpoints: Sequence[NodeEndpoint] = (),
) -> list[bytes | Piece]:
    """The whole frame as a flat list to be sent in order.

    The list begins with bytes, whose first four are the frame's length. Records given as small
    bytes are joined with what stands around them; larger ones, and every piece that is not bytes,
    appear in the list as the very objects that were given.
    """
    flexible = version >= FLEXIBLE_FROM
    chunk: list[bytes] = [b"", wire.encode_count(len(topics), flexible=flexible)]
    chunks: list[list[bytes] | Piece | bytes] = [chunk]
    apart = 0  # bytes of the pieces that stand apart in the list
    for name, topic_id, partitions in topics:
        topic = topic_id if version >= TOPIC_IDS_FROM else name
        assert topic is not None
        if version < TOPIC_IDS_FROM:
            topic = wire.encode_name(topic, flexible=flexible)
        chunk += (topic, wire.encode_count(len(partitions), flexible=flexible))
        for fetched in partitions:
            chunk.append(_encode_fetched(fetched, version))
            records_bytes = fetched[9]
            for piece in fetched[10]:
                if type(piece) is bytes and len(piece) <= JOIN_BYTES_MAX:
                    chunk.append(piece)
                    records_bytes -= len(piece)
                else:
                    chunk = []
                    chunks += (piece, chunk)
            if records_bytes > 0:
                apart += records_bytes
            if flexible:
                chunk.append(_encode_fetched_tags(fetched[7], fetched[8]))
        if flexible:
            chunk.append(b"\x00")
    if flexible:
        if node_endpoints and version >= NODE_ENDPOINTS_FROM:
            chunk.append(wire.encode_tags([(0, wire.encode_endpoints(node_endpoints))]))
        else:
            chunk.append(b"\x00")
    size = apart + sum([sum(map(len, part)) for part in chunks if type(part) is list])
    if flexible:
        head = _RESPONSE_12.pack(size + 15, correlation_id, throttle_ms, error, session_id)
    elif version >= 7:
        head = _RESPONSE_7.pack(size + 14, correlation_id, throttle_ms, error, session_id)
    else:
        head = _RESPONSE_4.pack(size + 8, correlation_id, throttle_ms)
    pieces: list[bytes | Piece] = []
    for part in chunks:
        if type(part) is not list:
            pieces.append(part)  # type: ignore[arg-type]
        elif part:
            pieces.append(b"".join(part))
    pieces[0] = head + pieces[0]  # type: ignore[operator]
    return pieces


def _encode_fetched(fetched: PartitionFetched[Piece], version: int) -> bytes:
    """Everything of a partition up to its records, their size included."""
    index, error, high, stable, log_start, aborted, replica, _, _, records_bytes, _ = fetched
    if version >= FLEXIBLE_FROM:
        if not aborted:
            none = 0 if aborted is None else 1
            return _FETCHED_12.pack(
                index, error, high, stable, log_start, none, replica
            ) + wire.uvarint(records_bytes + 1)
        parts = [_OFFSETS_5.pack(index, error, high, stable, log_start)]
        parts.append(wire.uvarint(len(aborted) + 1))
        parts += [_ABORTED_12.pack(producer_id, first) for producer_id, first in aborted]
        parts += (INT32.pack(replica), wire.uvarint(records_bytes + 1))
        return b"".join(parts)
    if version >= 5:
        parts = [_OFFSETS_5.pack(index, error, high, stable, log_start)]
    else:
        parts = [_OFFSETS_4.pack(index, error, high, stable)]
    if aborted is None:
        parts.append(b"\xff\xff\xff\xff")
    else:
        parts.append(INT32.pack(len(aborted)))
        parts += [_ABORTED.pack(producer_id, first) for producer_id, first in aborted]
    if version >= 11:
        parts.append(INT32.pack(replica))
    parts.append(INT32.pack(records_bytes))
    return b"".join(parts)


def _encode_fetched_tags(diverging: tuple[int, int] | None, leader: LeaderHint | None) -> bytes:
    if diverging is None and leader is None:
        return b"\x00"
    fields: list[tuple[int, bytes]] = []
    if diverging is not None:
        fields.append((0, _DIVERGING.pack(*diverging)))
    if leader is not None:
        fields.append((1, encode_leader_hint(leader)))
    return wire.encode_tags(fields)


class PartitionRead(NamedTuple):
    """One partition of a decoded response; its records are a slice of the frame, not a copy."""

    partition: int
    error: int
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    aborted: list[Aborted] | None
    preferred_replica: int
    diverging: tuple[int, int] | None
    leader: LeaderHint | None
    records: memoryview | None


class Response(NamedTuple):
    """A decoded FetchResponse."""

    throttle_ms: int
    error: int
    session_id: int
    topics: list[tuple[bytes | None, bytes | None, list[PartitionRead]]]
    node_endpoints: list[NodeEndpoint]


def decode_response(view: memoryview, position: int, end: int, version: int) -> Response:
    """`position` is that of the body, after the response's header."""
    reader = Reader(view, position, end, flexible=version >= FLEXIBLE_FROM)
    throttle_ms = reader.int32()
    error, session_id = (reader.int16(), reader.int32()) if version >= 7 else (0, 0)
    topics: list[tuple[bytes | None, bytes | None, list[PartitionRead]]] = []
    for _ in range(reader.count(3)):
        name = topic_id = None
        if version >= TOPIC_IDS_FROM:
            topic_id = reader.uuid()
        else:
            name = reader.name()
        partitions = [_read_fetched(reader, version) for _ in range(reader.count(24))]
        reader.skip_tagged()
        topics.append((name, topic_id, partitions))
    endpoints: list[NodeEndpoint] = []
    for tag, field in reader.tagged():
        if tag == 0 and version >= NODE_ENDPOINTS_FROM:
            endpoints = wire.read_endpoints(field)
    return Response(throttle_ms, error, session_id, topics, endpoints)


def _read_fetched(reader: Reader, version: int) -> PartitionRead:
    index, error = reader.int32(), reader.int16()
    high, stable = reader.int64(), reader.int64()
    log_start = reader.int64() if version >= 5 else -1
    aborted: list[Aborted] | None = None
    count = reader.nullable_count(16)
    if count >= 0:
        aborted = []
        for _ in range(count):
            aborted.append((reader.int64(), reader.int64()))
            reader.skip_tagged()
    replica = reader.int32() if version >= 11 else -1
    records = reader.nullable_bytes()
    diverging: tuple[int, int] | None = None
    leader: LeaderHint | None = None
    for tag, field in reader.tagged():
        if tag == 0:
            diverging = field.int32(), field.int64()
            field.skip_tagged()
        elif tag == 1:
            leader = read_leader_hint(field)
    return PartitionRead(
        index, error, high, stable, log_start, aborted, replica, diverging, leader, records
    )
