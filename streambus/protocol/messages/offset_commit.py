"""OffsetCommit, versions 2 to 10: how far a group, or a consumer without one, has read.

Owns    the layout of OffsetCommitRequest and OffsetCommitResponse.
Never   decides whether a commit is allowed, nor how long its metadata may be.
Trusts  nothing in a decode; callers of an encode to pass what fits its field.

Versions: 3 throttle time; 5 no retention time any more (KIP-211); 6 leader epochs (KIP-320);
7 instance id (KIP-345); 8 flexible; 10 topic ids instead of names (KIP-848). 4 changed what
throttling means, 9 which errors a client has to know.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple, TypeAlias

from streambus.protocol import frames, wire
from streambus.protocol.wire import ENTRIES_MAX, INT32, INT64, Malformed, StructError

FLEXIBLE_FROM = 8
LEADER_EPOCHS_FROM = 6
INSTANCE_ID_FROM = 7
TOPIC_IDS_FROM = 10
RETENTION_UNTIL = 4

NO_EPOCH = -1
NO_RETENTION = -1

Commit: TypeAlias = tuple[int, int, int, str | None]
"""(partition, offset, leader epoch or -1, metadata)."""
TopicCommits: TypeAlias = tuple[bytes | None, bytes | None, list[Commit]]
"""(name, topic id, commits): one of name and id is None, by version. A name is as it came, to be
looked up: whether it is UTF-8 was not proved."""
Answer: TypeAlias = tuple[int, int]
"""(partition, error)."""
TopicAnswers: TypeAlias = tuple[bytes | None, bytes | None, Sequence[Answer]]
"""(name, topic id, answers)."""


class Request(NamedTuple):
    """An OffsetCommitRequest. To a group of the consumer protocol the generation is an epoch."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None
    retention_ms: int
    topics: list[TopicCommits]


_COMMIT_2 = Struct(">iq")
_COMMIT_6 = Struct(">iqi")
_ANSWER = Struct(">ih")
_ANSWER_8 = Struct(">ihx")


def decode_request(view: memoryview, position: int, end: int, version: int) -> Request:
    # Everything past `end` belongs to the next request: in a view that ends there struct itself
    # checks every bound but those of strings, and where the last of them ends is proved at last.
    view = view[:end]
    flexible = version >= FLEXIBLE_FROM
    read = wire.read_compact_string if flexible else wire.read_string
    try:
        group, position = read(view, position)
        (generation,) = INT32.unpack_from(view, position)
        member_id, position = read(view, position + 4)
        instance_id = None
        if version >= INSTANCE_ID_FROM:
            instance_id, position = read(view, position)
        retention_ms = NO_RETENTION
        if version <= RETENTION_UNTIL:
            (retention_ms,) = INT64.unpack_from(view, position)
            position += 8
        if flexible:
            topics, position = _flexible_topics(
                view, position, end, by_id=version >= TOPIC_IDS_FROM
            )
        else:
            topics, position = _plain_topics(
                view, position, has_epochs=version >= LEADER_EPOCHS_FROM
            )
    except (StructError, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"OffsetCommit v{version} request: {error}") from None
    if position > end:
        raise Malformed(f"OffsetCommit v{version} request ends inside a string")
    if group is None or member_id is None:
        raise Malformed(f"OffsetCommit v{version} request without a group or member id")
    return Request(group, generation, member_id, instance_id, retention_ms, topics)


def _plain_topics(
    view: memoryview, position: int, *, has_epochs: bool
) -> tuple[list[TopicCommits], int]:
    read_string = wire.read_string
    (count,) = INT32.unpack_from(view, position)
    position += 4
    entries_left = _without(ENTRIES_MAX, count)
    topics: list[TopicCommits] = []
    epoch = NO_EPOCH
    for _ in range(count):
        (size,) = wire.INT16.unpack_from(view, position)
        start = position + 2
        if size < 0:
            raise Malformed("OffsetCommit request with a null topic name")
        position = start + size
        name = bytes(view[start:position])
        (commit_count,) = INT32.unpack_from(view, position)
        position += 4
        entries_left = _without(entries_left, commit_count)
        commits: list[Commit] = []
        for _ in range(commit_count):
            if has_epochs:
                partition, offset, epoch = _COMMIT_6.unpack_from(view, position)
                position += 16
            else:
                partition, offset = _COMMIT_2.unpack_from(view, position)
                position += 12
            metadata, position = read_string(view, position)
            commits.append((partition, offset, epoch, metadata))
        topics.append((name, None, commits))
    return topics, position


def _flexible_topics(
    view: memoryview, position: int, end: int, *, by_id: bool
) -> tuple[list[TopicCommits], int]:
    read_uvarint, read_string = wire.read_uvarint, wire.read_compact_string
    count, position = read_uvarint(view, position)
    entries_left = _without(ENTRIES_MAX, count - 1)
    topics: list[TopicCommits] = []
    for _ in range(count - 1):
        name = topic_id = None
        if by_id:
            topic_id = bytes(view[position : position + 16])
            position += 16
        else:
            size, position = read_uvarint(view, position)
            if size == 0:
                raise Malformed("OffsetCommit request with a null topic name")
            name = bytes(view[position : position + size - 1])
            position += size - 1
        commit_count, position = read_uvarint(view, position)
        entries_left = _without(entries_left, commit_count - 1)
        commits: list[Commit] = []
        for _ in range(commit_count - 1):
            partition, offset, epoch = _COMMIT_6.unpack_from(view, position)
            metadata, position = read_string(view, position + 16)
            # Nobody sends tags here, and to see that takes less than the call.
            if view[position]:
                position = wire.skip_tags(view, position, end)
            else:
                position += 1
            commits.append((partition, offset, epoch, metadata))
        position = wire.skip_tags(view, position, end)
        topics.append((name, topic_id, commits))
    return topics, wire.skip_tags(view, position, end)


def _without(entries_left: int, count: int) -> int:
    """The entries that may still come after `count` of them; a null array is no array either."""
    if not 0 <= count <= entries_left:
        raise Malformed(f"OffsetCommit request with an array of {count}")
    return entries_left - count


def encode_response(
    correlation_id: int, version: int, topics: Sequence[TopicAnswers], throttle_ms: int = 0
) -> bytes:
    """The whole frame, its length included."""
    flexible = version >= FLEXIBLE_FROM
    answer = _ANSWER_8 if flexible else _ANSWER
    parts = [frames.response_header(correlation_id, flexible)]
    if version >= 3:
        parts.append(INT32.pack(throttle_ms))
    parts.append(wire.encode_count(len(topics), flexible=flexible))
    for name, topic_id, answers in topics:
        if version >= TOPIC_IDS_FROM:
            assert topic_id is not None, f"OffsetCommit v{version} names topics by id"
            parts.append(topic_id)
        else:
            parts.append(wire.encode_name(name, flexible=flexible))
        parts.append(wire.encode_count(len(answers), flexible=flexible))
        parts += [answer.pack(partition, error) for partition, error in answers]
        if flexible:
            parts.append(b"\x00")
    if flexible:
        parts.append(b"\x00")
    return frames.framed(*parts)
