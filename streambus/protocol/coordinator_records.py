"""Keys and values of the records in `__consumer_offsets`, in Kafka's own schemas.

Owns    the layouts: OffsetCommit (key types 0 and 1) and GroupMetadata (type 2), values 0 to 4.
Never   says what a record means, nor drops one whose type it does not know: that is `Unknown`.
Trusts  nothing in a decode. An encode refuses a string that its field cannot hold.

Versions of OffsetCommitValue: 1 has the expiry that a client asked for, 3 the leader epoch
(KIP-320) and no expiry, 4 is flexible and may carry the topic's id. Of GroupMetadataValue: 1 has
the rebalance timeout, 2 the time of the state (KIP-211), 3 the instance id (KIP-345), 4 tags.

Written is what Apache Kafka 4.3 and 4.4 write: an offset as version 4, or as 1 if it has an expiry
of its own, which then takes the place of its leader epoch and topic id; a group as version 3.

A coordinator's start decodes a million offsets. So their key and version 4 of their value have a
path without a cursor, and they are tuples, which cost a quarter of a frozen dataclass to make.
"""

from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple, TypeAlias

from streambus.protocol.wire import (
    INT16,
    INT32,
    INT64,
    Malformed,
    Reader,
    StructError,
    uvarint,
)

LEGACY_OFFSET_TYPE = 0
OFFSET_TYPE = 1
GROUP_TYPE = 2

OFFSET_VALUE_NEWEST = 4
GROUP_VALUE_NEWEST = 4
EXPIRING_OFFSET_WRITTEN = 1
OFFSET_WRITTEN = 4
GROUP_WRITTEN = 3

NO_EPOCH = -1
NO_TIMESTAMP = -1

STRING_BYTES_MAX = 32_767
"""Longest string of a key or of a group's value. Requests can carry longer ones."""

_FLEXIBLE_FROM = 4
_MEMBER_BYTES_MIN = 15
_TOPIC_ID_TAG = 0
_NO_TOPIC_ID = bytes(16)
_NO_TAGS = b"\x00"
_TOPIC_ID_HEAD = b"\x01\x00\x10"  # one tag, which it is, and its size

_KEY_HEAD = Struct(">hh")
_OFFSET_1 = Struct(">hqh")
_OFFSET_1_TAIL = Struct(">qq")
_OFFSET_4 = Struct(">hqi")
_OFFSET_4_HEAD = Struct(">hqiB")
_TAIL = Struct(">q1s")
_NAMED_TAIL = Struct(">q3s16s")


class OffsetKey(NamedTuple):
    """Of a committed offset."""

    group: str
    topic: str
    partition: int


class GroupKey(NamedTuple):
    """Of a classic group's members and generation."""

    group: str


class Unknown(NamedTuple):
    """Of something else, by its type: kept, and not ours to understand."""

    type: int


Key: TypeAlias = OffsetKey | GroupKey | Unknown


class OffsetValue(NamedTuple):
    """A committed offset. An expiry excludes a leader epoch and a topic id: see above."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int | None = None
    topic_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class MemberValue:
    """A member as of the last finished rebalance."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupValue:
    """A classic group as of its last finished rebalance; without members it is empty."""

    protocol_type: str
    generation: int
    protocol: str | None
    leader: str | None
    current_state_timestamp: int
    members: tuple[MemberValue, ...]


def decode_key(key: bytes) -> Key:
    try:
        kind, size = _KEY_HEAD.unpack_from(key)
        if kind in (OFFSET_TYPE, LEGACY_OFFSET_TYPE):
            group_end = 4 + size
            (topic_size,) = INT16.unpack_from(key, group_end)
            topic_end = group_end + 2 + topic_size
            (partition,) = INT32.unpack_from(key, topic_end)
            if size < 0 or topic_size < 0 or topic_end + 4 != len(key):
                raise Malformed(_sizes(key, size, topic_size))
            group = str(key[4:group_end], "utf-8")
            return OffsetKey(group, str(key[group_end + 2 : topic_end], "utf-8"), partition)
        if kind == GROUP_TYPE:
            if size < 0 or 4 + size != len(key):
                raise Malformed(_sizes(key, size))
            return GroupKey(str(key[4:], "utf-8"))
    except StructError:
        if len(key) >= 2 and not 0 <= INT16.unpack_from(key)[0] <= GROUP_TYPE:
            return Unknown(INT16.unpack_from(key)[0])
        raise Malformed(f"a key of {len(key)} bytes ends inside a field") from None
    except UnicodeDecodeError:
        raise Malformed("a string in a key is not UTF-8") from None
    return Unknown(kind)


def _sizes(key: bytes, *sizes: int) -> str:
    return f"a key of {len(key)} bytes does not hold strings of {', '.join(map(str, sizes))}"


def encode_key(key: OffsetKey | GroupKey) -> bytes:
    group = key.group.encode()
    try:
        if isinstance(key, GroupKey):
            return _KEY_HEAD.pack(GROUP_TYPE, len(group)) + group
        topic = key.topic.encode()
        return b"".join(
            (
                _KEY_HEAD.pack(OFFSET_TYPE, len(group)),
                group,
                INT16.pack(len(topic)),
                topic,
                INT32.pack(key.partition),
            )
        )
    except StructError as error:
        raise Malformed(f"a key of group {key.group[:64]!r} does not fit: {error}") from None


def decode_offset_value(value: bytes) -> OffsetValue:
    """Malformed if `value` is not an OffsetCommitValue of versions 0 to 4, to its last byte."""
    if len(value) >= _OFFSET_4_HEAD.size:
        version, offset, epoch, size = _OFFSET_4_HEAD.unpack_from(value)
        # Metadata below 127 bytes has its size in one byte, and the value ends after the
        # timestamp with a topic id or nothing, as all do that Kafka and we write.
        if version == OFFSET_WRITTEN and 0 < size < 128:
            end = _OFFSET_4.size + size
            tags, topic_id = b"", None
            if len(value) == end + _NAMED_TAIL.size:
                timestamp, tags, topic_id = _NAMED_TAIL.unpack_from(value, end)
            elif len(value) == end + _TAIL.size:
                timestamp, tags = _TAIL.unpack_from(value, end)
            if (tags == _TOPIC_ID_HEAD and topic_id != _NO_TOPIC_ID) or tags == _NO_TAGS:
                try:
                    metadata = str(value[_OFFSET_4_HEAD.size : end], "utf-8")
                except UnicodeDecodeError:
                    raise Malformed("an offset's metadata is not UTF-8") from None
                return OffsetValue(offset, epoch, metadata, timestamp, None, topic_id)
    return _read_offset_value(value)


def _read_offset_value(value: bytes) -> OffsetValue:
    reader, version = _versioned(value, OFFSET_VALUE_NEWEST, "an offset's value")
    offset = reader.int64()
    epoch = reader.int32() if version >= 3 else NO_EPOCH
    metadata = reader.string()
    timestamp = reader.int64()
    expiry = reader.int64() if version == 1 else NO_TIMESTAMP
    topic_id = None
    for tag, field in reader.tagged():
        if tag == _TOPIC_ID_TAG:
            topic_id = field.uuid()
            _prove_read(field, "an offset's topic id")
    _prove_read(reader, "an offset's value")
    return OffsetValue(
        offset,
        epoch,
        metadata,
        timestamp,
        None if expiry == NO_TIMESTAMP else expiry,
        None if topic_id == _NO_TOPIC_ID else topic_id,
    )


def decode_group_value(value: bytes) -> GroupValue:
    """Malformed if `value` is not a GroupMetadataValue of versions 0 to 4, to its last byte."""
    reader, version = _versioned(value, GROUP_VALUE_NEWEST, "a group's value")
    protocol_type = reader.string()
    generation = reader.int32()
    protocol = reader.nullable_string()
    leader = reader.nullable_string()
    timestamp = reader.int64() if version >= 2 else NO_TIMESTAMP
    count = reader.count(_MEMBER_BYTES_MIN)
    members = tuple(_read_member(reader, version) for _ in range(count))
    reader.skip_tagged()
    _prove_read(reader, "a group's value")
    return GroupValue(protocol_type, generation, protocol, leader, timestamp, members)


def _read_member(reader: Reader, version: int) -> MemberValue:
    member_id = reader.string()
    instance_id = reader.nullable_string() if version >= 3 else None
    client_id = reader.string()
    client_host = reader.string()
    rebalance_ms = reader.int32() if version >= 1 else None
    session_ms = reader.int32()
    subscription = _read_bytes(reader)
    assignment = _read_bytes(reader)
    reader.skip_tagged()
    return MemberValue(
        member_id,
        instance_id,
        client_id,
        client_host,
        # Before there were two timeouts, that of the session was for both (KIP-62).
        session_ms if rebalance_ms is None else rebalance_ms,
        session_ms,
        subscription,
        assignment,
    )


def _read_bytes(reader: Reader) -> bytes:
    found = reader.nullable_bytes()
    if found is None:
        raise Malformed("bytes are null that may not be")
    return bytes(found)


def _versioned(value: bytes, newest: int, what: str) -> tuple[Reader, int]:
    if len(value) < 2:
        raise Malformed(f"{what} of {len(value)} bytes has no version")
    version: int = INT16.unpack_from(value)[0]
    if not 0 <= version <= newest:
        raise Malformed(f"{what} of version {version}: 0 to {newest} are known")
    flexible = version >= _FLEXIBLE_FROM
    return Reader(memoryview(value), 2, len(value), flexible=flexible), version


def _prove_read(reader: Reader, what: str) -> None:
    if reader.position != reader.end:
        raise Malformed(f"{reader.end - reader.position} bytes follow {what}")


def encode_value(value: OffsetValue | GroupValue) -> bytes:
    """As Kafka writes it. Malformed if a string or number is larger than its field."""
    try:
        if isinstance(value, GroupValue):
            return _group(value)
        return _offset(value) if value.expire_timestamp is None else _expiring_offset(value)
    except StructError as error:
        raise Malformed(f"a value does not fit its fields: {error}") from None


def _offset(value: OffsetValue) -> bytes:
    metadata = value.metadata.encode()
    topic_id = value.topic_id
    assert topic_id is None or len(topic_id) == 16, f"a topic id of {len(topic_id)} bytes"
    return b"".join(
        (
            _OFFSET_4.pack(OFFSET_WRITTEN, value.offset, value.leader_epoch),
            uvarint(len(metadata) + 1),
            metadata,
            INT64.pack(value.commit_timestamp),
            _NO_TAGS if topic_id is None else _TOPIC_ID_HEAD + topic_id,
        )
    )


def _expiring_offset(value: OffsetValue) -> bytes:
    metadata = value.metadata.encode()
    return b"".join(
        (
            _OFFSET_1.pack(EXPIRING_OFFSET_WRITTEN, value.offset, len(metadata)),
            metadata,
            _OFFSET_1_TAIL.pack(value.commit_timestamp, value.expire_timestamp),
        )
    )


def _group(value: GroupValue) -> bytes:
    parts = [
        INT16.pack(GROUP_WRITTEN),
        _string(value.protocol_type),
        INT32.pack(value.generation),
        _string(value.protocol),
        _string(value.leader),
        INT64.pack(value.current_state_timestamp),
        INT32.pack(len(value.members)),
    ]
    for member in value.members:
        parts += (
            _string(member.member_id),
            _string(member.group_instance_id),
            _string(member.client_id),
            _string(member.client_host),
            INT32.pack(member.rebalance_timeout_ms),
            INT32.pack(member.session_timeout_ms),
            INT32.pack(len(member.subscription)),
            member.subscription,
            INT32.pack(len(member.assignment)),
            member.assignment,
        )
    return b"".join(parts)


def _string(text: str | None) -> bytes:
    if text is None:
        return b"\xff\xff"
    encoded = text.encode()
    return INT16.pack(len(encoded)) + encoded
