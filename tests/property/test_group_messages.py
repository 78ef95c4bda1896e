"""Random messages of groups through our codecs and through kio's, both ways, whole and damaged."""

from datetime import timedelta
from io import BytesIO
from types import ModuleType
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from kio.index import load_payload_module
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from streambus.errors import Malformed
from streambus.protocol import api, frames
from streambus.protocol.messages import entities, heartbeat, offset_commit
from streambus.protocol.wire import Reader

CORRELATION_ID = 0x01020304
FLEXIBLE_FROM = {api.HEARTBEAT: 4, api.OFFSET_COMMIT: 8}

int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=160)
ids = st.binary(min_size=16, max_size=16).filter(any)
codes = st.sampled_from([-1, 0, 3, 12, 15, 16, 22, 25, 27, 28, 82, 100])
heartbeat_versions = st.integers(0, 4)
commit_versions = st.integers(2, 10)


def types_of(key: int, version: int, kind: EntityType) -> ModuleType:
    return load_payload_module(key, version, kind)


def written(entity: Any) -> bytes:
    body = BytesIO()
    entity_writer(type(entity))(body, entity)
    return body.getvalue()


def heartbeat_entity(version: int, request: heartbeat.Request) -> Any:
    named = {"group_instance_id": request.instance_id} if version >= 3 else {}
    return types_of(api.HEARTBEAT, version, EntityType.request).HeartbeatRequest(
        group_id=request.group,
        generation_id=request.generation,
        member_id=request.member_id,
        **named,
    )


def heartbeat_of(entity: Any) -> heartbeat.Request:
    return heartbeat.Request(
        entity.group_id,
        entity.generation_id,
        entity.member_id,
        getattr(entity, "group_instance_id", None),
    )


def commit_entity(version: int, request: offset_commit.Request) -> Any:
    types = types_of(api.OFFSET_COMMIT, version, EntityType.request)
    fields: dict[str, Any] = {}
    if version >= 7:
        fields["group_instance_id"] = request.instance_id
    if version <= 4:
        fields["retention_time"] = timedelta(milliseconds=request.retention_ms)
    topics = []
    for name, topic_id, commits in request.topics:
        rows = []
        for partition, offset, epoch, metadata in commits:
            leader = {"committed_leader_epoch": epoch} if version >= 6 else {}
            row = types.OffsetCommitRequestPartition(
                partition_index=partition,
                committed_offset=offset,
                committed_metadata=metadata,
                **leader,
            )
            rows.append(row)
        by = {"topic_id": UUID(bytes=topic_id)} if topic_id else {"name": name.decode()}
        topics.append(types.OffsetCommitRequestTopic(partitions=tuple(rows), **by))
    return types.OffsetCommitRequest(
        group_id=request.group,
        generation_id_or_member_epoch=request.generation,
        member_id=request.member_id,
        topics=tuple(topics),
        **fields,
    )


def commit_of(version: int, entity: Any) -> offset_commit.Request:
    retention_ms = -1
    if version <= 4:
        retention_ms = entity.retention_time // timedelta(milliseconds=1)
    return offset_commit.Request(
        entity.group_id,
        entity.generation_id_or_member_epoch,
        entity.member_id,
        getattr(entity, "group_instance_id", None),
        retention_ms,
        [topic_of(version, topic) for topic in entity.topics],
    )


def topic_of(version: int, topic: Any) -> offset_commit.TopicCommits:
    commits = [
        (
            row.partition_index,
            row.committed_offset,
            getattr(row, "committed_leader_epoch", -1),
            row.committed_metadata,
        )
        for row in topic.partitions
    ]
    if version >= offset_commit.TOPIC_IDS_FROM:
        return None, bytes(16) if topic.topic_id is None else topic.topic_id.bytes, commits
    return topic.name.encode(), None, commits


@st.composite
def heartbeats(draw: Any) -> tuple[int, heartbeat.Request]:
    version = draw(heartbeat_versions)
    instance_id = draw(st.none() | texts) if version >= 3 else None
    return version, heartbeat.Request(draw(texts), draw(int32s), draw(texts), instance_id)


@st.composite
def offset_commits(draw: Any) -> tuple[int, offset_commit.Request]:
    version = draw(commit_versions)
    by_id = version >= offset_commit.TOPIC_IDS_FROM
    epochs = int32s if version >= 6 else st.just(-1)
    commit = st.tuples(int32s, int64s, epochs, st.none() | texts)
    topic = st.tuples(
        st.none() if by_id else texts.map(str.encode),
        ids if by_id else st.none(),
        st.lists(commit, max_size=4),
    )
    return version, offset_commit.Request(
        draw(texts),
        draw(int32s),
        draw(texts),
        draw(st.none() | texts) if version >= 7 else None,
        draw(st.integers(-1, 2**40)) if version <= 4 else -1,
        draw(st.lists(topic, max_size=4)),
    )


@settings(max_examples=200, deadline=None)
@given(heartbeats())
def test_a_heartbeat_that_kio_wrote_is_read(drawn):
    version, request = drawn
    body = written(heartbeat_entity(version, request))
    # As in a connection's buffer, where other requests stand around it.
    view = memoryview(body + body + body)
    assert heartbeat.decode_request(view, len(body), 2 * len(body), version) == request


@settings(max_examples=200, deadline=None)
@given(offset_commits())
def test_an_offset_commit_that_kio_wrote_is_read(drawn):
    version, request = drawn
    body = written(commit_entity(version, request))
    view = memoryview(body + body + body)
    assert offset_commit.decode_request(view, len(body), 2 * len(body), version) == request


def damaged(draw: Any, body: bytes) -> bytes:
    """The body cut, with a byte changed, or with one put in."""
    at = draw(st.integers(0, len(body) - 1))
    byte = bytes((draw(st.sampled_from([0, 1, 2, 33, 127, 128, 255]) | st.integers(0, 255)),))
    return draw(st.sampled_from([body[:at], body[:at] + byte + body[at + 1 :], body[:at] + byte]))


def by_schema(entity_type: Any, body: bytes) -> Any:
    """What the schema's own reader finds; None for Malformed."""
    try:
        reader = Reader(memoryview(body), 0, len(body), flexible=entity_type.__flexible__)
        return entities.entity_reader(entity_type)(reader)
    except Malformed:
        return None


def is_text(name: bytes | None) -> bool:
    try:
        return str(name or b"", "utf-8") is not None
    except UnicodeDecodeError:
        return False


@settings(max_examples=400, deadline=None)
@given(heartbeats(), st.data())
def test_a_damaged_heartbeat_is_to_us_what_it_is_to_its_schema(drawn, data):
    version, request = drawn
    entity = heartbeat_entity(version, request)
    body = damaged(data.draw, written(entity))
    expected = by_schema(type(entity), body)
    try:
        read = heartbeat.decode_request(memoryview(body), 0, len(body), version)
    except Malformed:
        assert expected is None
    else:
        assert expected is not None and read == heartbeat_of(expected)


@settings(max_examples=400, deadline=None)
@given(offset_commits().filter(lambda drawn: drawn[0] > 4), st.data())
def test_a_damaged_offset_commit_is_to_us_what_it_is_to_its_schema(drawn, data):
    version, request = drawn
    entity = commit_entity(version, request)
    body = damaged(data.draw, written(entity))
    expected = by_schema(type(entity), body)
    try:
        read = offset_commit.decode_request(memoryview(body), 0, len(body), version)
    except Malformed:
        assert expected is None
    else:
        # We look a topic's name up as it came, where the schema's reader proves it to be a text.
        if all(is_text(name) for name, _, _ in read.topics):
            assert expected is not None and read == commit_of(version, expected)
        else:
            assert expected is None


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10), st.binary(max_size=60))
def test_random_bytes_are_at_worst_malformed(version, data):
    for codec in (heartbeat, offset_commit):
        try:
            codec.decode_request(memoryview(data), 0, len(data), version)
        except Malformed as malformed:
            assert str(malformed)


def body_of_response(frame: bytes, key: int, version: int) -> bytes:
    assert int.from_bytes(frame[:4]) == len(frame) - 4
    flexible = version >= FLEXIBLE_FROM[key]
    view = memoryview(frame)
    correlation_id, body = frames.read_response_header(view, 4, len(frame), flexible=flexible)
    assert correlation_id == CORRELATION_ID
    return frame[body:]


def read_by_kio(key: int, version: int, name: str, body: bytes) -> Any:
    entity_type = getattr(types_of(key, version, EntityType.response), name)
    entity, size = entity_reader(entity_type)(body, 0)
    assert size == len(body) and written(entity) == body
    return entity


@settings(max_examples=100, deadline=None)
@given(heartbeat_versions, codes, int32s)
def test_an_answer_to_a_heartbeat_is_read_by_kio(version, error, throttle_ms):
    frame = heartbeat.encode_response(CORRELATION_ID, version, error, throttle_ms)
    body = body_of_response(frame, api.HEARTBEAT, version)
    entity = read_by_kio(api.HEARTBEAT, version, "HeartbeatResponse", body)
    assert entity.error_code == ErrorCode(error)
    if version >= 1:
        assert entity.throttle_time == timedelta(milliseconds=throttle_ms)


@settings(max_examples=200, deadline=None)
@given(commit_versions, int32s, st.data())
def test_an_answer_to_an_offset_commit_is_read_by_kio(version, throttle_ms, data):
    by_id = version >= offset_commit.TOPIC_IDS_FROM
    answers = st.lists(st.tuples(int32s, codes), max_size=4)
    names = st.none() if by_id else texts.map(str.encode)
    topic = st.tuples(names, ids if by_id else st.none(), answers)
    topics = data.draw(st.lists(topic, max_size=4))
    frame = offset_commit.encode_response(CORRELATION_ID, version, topics, throttle_ms)
    body = body_of_response(frame, api.OFFSET_COMMIT, version)
    entity = read_by_kio(api.OFFSET_COMMIT, version, "OffsetCommitResponse", body)
    if version >= 3:
        assert entity.throttle_time == timedelta(milliseconds=throttle_ms)
    assert topics == [
        (
            None if by_id else each.name.encode(),
            each.topic_id.bytes if by_id else None,
            [(row.partition_index, int(row.error_code)) for row in each.partitions],
        )
        for each in entity.topics
    ]
