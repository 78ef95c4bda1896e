"""Random messages through our codec and through kio's: the same bytes, and nothing lost."""

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.index import load_payload_module
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from streambus.protocol import api, frames
from streambus.protocol.messages import control, entities, fetch, list_offsets, produce
from streambus.protocol.wire import Reader

CORRELATION_ID = 0x01020304

int16s = st.integers(-(2**15), 2**15 - 1)
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
epochs = st.integers(0, 2**31 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=200)
names = texts.map(str.encode)
# kio gives an id of zeros as None, and Kafka means the same by it.
ids = st.binary(min_size=16, max_size=16).filter(any)
codes = st.sampled_from([-1, 0, 1, 3, 6, 74, 87, 100])
payloads = st.one_of(
    st.none(), st.binary(max_size=200), st.integers(120, 20_000).map(lambda size: b"z" * size)
)
endpoints = st.lists(st.tuples(int32s, texts, int32s, st.none() | texts), max_size=3)
pairs = st.tuples(epochs, epochs)
# Ours and Kafka's null is -1; a negative time otherwise does not exist in kio.
times_ms = st.just(-1) | st.integers(0, 2**41)


def versions(key: int) -> st.SearchStrategy[int]:
    return st.integers(api.BY_KEY[key].oldest, api.BY_KEY[key].newest)


def topics(version: int, ids_from: int, rows: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    by_id = version >= ids_from
    return st.lists(
        st.tuples(
            st.none() if by_id else names, ids if by_id else st.none(), st.lists(rows, max_size=4)
        ),
        max_size=4,
    )


def through_kio(key: int, version: int, kind: EntityType, body: bytes) -> bytes:
    """The body as kio reads and writes it again."""
    row = api.BY_KEY[key]
    name = f"{row.name}{'Request' if kind is EntityType.request else 'Response'}"
    entity_type = getattr(load_payload_module(key, version, kind), name)
    entity, size = entity_reader(entity_type)(body, 0)
    assert size == len(body)
    written = io.BytesIO()
    entity_writer(entity_type)(written, entity)
    return written.getvalue()


def body_of_request(frame: bytes, key: int, version: int) -> tuple[memoryview, int]:
    view = memoryview(frame)
    assert int.from_bytes(view[:4]) == len(view) - 4
    header = frames.read_request_header(view, 4, len(view))
    assert header[:4] == (key, version, CORRELATION_ID, "client")
    return view, header.body


def body_of_response(frame: bytes, key: int, version: int) -> tuple[memoryview, int]:
    view = memoryview(frame)
    assert int.from_bytes(view[:4]) == len(view) - 4
    flexible = frames.has_flexible_response_header(key, version)
    correlation_id, body = frames.read_response_header(view, 4, len(view), flexible=flexible)
    assert correlation_id == CORRELATION_ID
    return view, body


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_produce_request_is_the_same_to_both_codecs(data):
    version = data.draw(versions(api.PRODUCE))
    transactional_id = data.draw(st.none() | texts)
    acks, timeout_ms = data.draw(int16s), data.draw(int32s)
    sent = data.draw(
        topics(version, produce.TOPIC_IDS_FROM, st.tuples(int32s, payloads)), label="topics"
    )
    frame = b"".join(
        produce.encode_request(
            CORRELATION_ID, "client", version, acks, timeout_ms, sent, transactional_id
        )
    )
    view, body = body_of_request(frame, api.PRODUCE, version)
    assert through_kio(api.PRODUCE, version, EntityType.request, frame[body:]) == frame[body:]
    # As in a connection's buffer, where the next request follows.
    longer = memoryview(frame + frame)
    read = produce.decode_request(longer, body, len(frame), version)
    assert read[:3] == (transactional_id, acks, timeout_ms)
    assert [
        (name, topic_id, [(at, None if a < 0 else bytes(view[a:b])) for at, a, b in partitions])
        for name, topic_id, partitions in read[3]
    ] == sent


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_produce_response_is_the_same_to_both_codecs(data):
    version = data.draw(versions(api.PRODUCE))
    leaders = st.none() | pairs if version >= produce.LEADER_HINTS_FROM else st.none()
    is_rich = version >= 8
    answer = st.tuples(
        int32s,
        codes,
        int64s,
        times_ms,
        int64s if version >= 5 else st.just(-1),
        st.none() | texts if is_rich else st.none(),
        leaders,
        st.lists(st.tuples(int32s, st.none() | texts), max_size=3 if is_rich else 0),
    )
    answers = data.draw(topics(version, produce.TOPIC_IDS_FROM, answer), label="topics")
    throttle_ms = data.draw(int32s)
    nodes = data.draw(endpoints) if version >= produce.LEADER_HINTS_FROM else []
    frame = produce.encode_response(CORRELATION_ID, version, answers, throttle_ms, nodes)
    view, body = body_of_response(frame, api.PRODUCE, version)
    assert through_kio(api.PRODUCE, version, EntityType.response, frame[body:]) == frame[body:]
    read = produce.decode_response(view, body, len(view), version)
    assert read == (answers, throttle_ms, nodes)


@settings(max_examples=100, deadline=None)
@given(
    versions(api.PRODUCE), names, ids, int32s, codes, int64s, int64s, int64s, st.integers(0, 10_000)
)
def test_the_short_way_to_one_answer_makes_the_same_frame(
    version, name, topic_id, partition, error, offset, time_ms, log_start, throttle_ms
):
    row = (partition, error, offset, time_ms, log_start, None, None, ())
    assert produce.encode_single(
        CORRELATION_ID,
        version,
        name,
        topic_id,
        partition,
        error,
        offset,
        time_ms,
        log_start,
        throttle_ms,
    ) == produce.encode_response(CORRELATION_ID, version, [(name, topic_id, [row])], throttle_ms)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_fetch_request_is_the_same_to_both_codecs(data):
    version = data.draw(versions(api.FETCH))
    by_id = version >= fetch.TOPIC_IDS_FROM
    topic = st.tuples(st.none() if by_id else names, ids if by_id else st.none())
    wanted = st.tuples(
        topic,
        int32s,
        int32s if version >= 9 else st.just(-1),
        int64s,
        int32s if version >= 12 else st.just(-1),
        int64s if version >= 5 else st.just(-1),
        int32s,
    ).map(lambda row: (*row[0], *row[1:]))
    gone = st.tuples(topic, int32s).map(lambda row: (*row[0], row[1]))
    request = fetch.FetchRequest(
        max_wait_ms=data.draw(int32s),
        min_bytes=data.draw(int32s),
        max_bytes=data.draw(int32s),
        isolation=data.draw(st.integers(-128, 127)),
        session_id=data.draw(int32s) if version >= 7 else 0,
        session_epoch=data.draw(int32s) if version >= 7 else -1,
        partitions=data.draw(st.lists(wanted, max_size=6)),
        forgotten=data.draw(st.lists(gone, max_size=4 if version >= 7 else 0)),
        rack=data.draw(texts) if version >= 11 else "",
        replica_id=data.draw(int32s),
        replica_epoch=data.draw(int64s) if version >= fetch.REPLICA_STATE_FROM else -1,
        cluster_id=data.draw(st.none() | texts) if version >= 12 else None,
    )
    if version >= 17:
        tag = st.tuples(ids, int64s if version >= 18 else st.just(fetch.INT64_MAX))
        count = len(request.partitions)
        request.replica_tags = {at: data.draw(tag) for at in range(0, count, 2)}
    frame = fetch.encode_request(CORRELATION_ID, "client", version, request)
    _, body = body_of_request(frame, api.FETCH, version)
    assert through_kio(api.FETCH, version, EntityType.request, frame[body:]) == frame[body:]
    read = fetch.decode_request(memoryview(frame + frame), body, len(frame), version)
    for slot in fetch.FetchRequest.__slots__:
        assert getattr(read, slot) == getattr(request, slot), slot


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_fetch_response_is_the_same_to_both_codecs_however_its_records_are_cut(data):
    version = data.draw(versions(api.FETCH))
    hints = st.none() | pairs if version >= 12 else st.none()

    def cut(payload: bytes | None) -> tuple[int, list[bytes]]:
        if payload is None:
            return -1, []
        at = data.draw(st.integers(0, len(payload)))
        return len(payload), [piece for piece in (payload[:at], payload[at:]) if piece]

    fetched = st.tuples(
        int32s,
        codes,
        int64s,
        int64s,
        int64s if version >= 5 else st.just(-1),
        st.none() | st.lists(st.tuples(int64s, int64s), max_size=3),
        int32s if version >= 11 else st.just(-1),
        hints,
        hints,
        payloads.map(cut),
    ).map(lambda row: (*row[:9], *row[9]))
    given_topics = data.draw(topics(version, fetch.TOPIC_IDS_FROM, fetched), label="topics")
    throttle_ms = data.draw(int32s)
    error, session_id = (data.draw(codes), data.draw(int32s)) if version >= 7 else (0, 0)
    nodes = data.draw(endpoints) if version >= fetch.NODE_ENDPOINTS_FROM else []
    joined = fetch.encode_response(
        CORRELATION_ID, version, throttle_ms, error, session_id, given_topics, nodes
    )
    frame = b"".join(joined)
    view, body = body_of_response(frame, api.FETCH, version)
    assert through_kio(api.FETCH, version, EntityType.response, frame[body:]) == frame[body:]

    class Range:
        """A piece that is not bytes, as a range of a file is."""

        def __init__(self, content: bytes) -> None:
            self.content = content

    apart = [
        (name, topic_id, [(*row[:10], [Range(piece) for piece in row[10]]) for row in rows])
        for name, topic_id, rows in given_topics
    ]
    pieces = fetch.encode_response(
        CORRELATION_ID, version, throttle_ms, error, session_id, apart, nodes
    )
    ranges = [piece for _, _, rows in apart for row in rows for piece in row[10]]
    assert [piece for piece in pieces if isinstance(piece, Range)] == ranges
    spliced = [piece if isinstance(piece, bytes) else piece.content for piece in pieces]
    assert b"".join(spliced) == frame

    read = fetch.decode_response(view, body, len(view), version)
    assert (read.throttle_ms, read.error, read.session_id) == (throttle_ms, error, session_id)
    assert read.node_endpoints == nodes
    assert [
        (
            name,
            topic_id,
            [(*row[:9], None if row.records is None else bytes(row.records)) for row in rows],
        )
        for name, topic_id, rows in read.topics
    ] == [
        (name, topic_id, [(*row[:9], None if row[9] < 0 else b"".join(row[10])) for row in rows])
        for name, topic_id, rows in given_topics
    ]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_list_offsets_is_the_same_to_both_codecs(data):
    version = data.draw(versions(api.LIST_OFFSETS))
    leader_epochs = int32s if version >= 4 else st.just(-1)
    asked = st.lists(
        st.tuples(names, st.lists(st.tuples(int32s, leader_epochs, int64s), max_size=4)), max_size=4
    )
    request = list_offsets.Request(
        data.draw(asked),
        data.draw(int32s),
        data.draw(st.integers(-128, 127)) if version >= 2 else 0,
        data.draw(int32s) if version >= 10 else 0,
    )
    frame = list_offsets.encode_request(CORRELATION_ID, "client", version, request)
    view, body = body_of_request(frame, api.LIST_OFFSETS, version)
    assert through_kio(api.LIST_OFFSETS, version, EntityType.request, frame[body:]) == frame[body:]
    assert list_offsets.decode_request(view, body, len(view), version) == request

    answer = st.tuples(int32s, codes, int64s, int64s, leader_epochs)
    answers = data.draw(st.lists(st.tuples(names, st.lists(answer, max_size=4)), max_size=4))
    throttle_ms = data.draw(int32s) if version >= 2 else 0
    frame = list_offsets.encode_response(CORRELATION_ID, version, answers, throttle_ms)
    view, body = body_of_response(frame, api.LIST_OFFSETS, version)
    assert through_kio(api.LIST_OFFSETS, version, EntityType.response, frame[body:]) == frame[body:]
    assert list_offsets.decode_response(view, body, len(view), version) == (answers, throttle_ms)


CONTROL = [
    pytest.param(types, version, f"{row.name}{suffix}", id=f"{row.name}{suffix}-v{version}")
    for row in api.TABLE
    if row.key not in (api.PRODUCE, api.FETCH, api.LIST_OFFSETS)
    for version in range(row.oldest, row.newest + 1)
    for suffix, types in (
        ("Request", (row.key, control.request_types)),
        ("Response", (row.key, control.response_types)),
    )
]


@pytest.mark.parametrize(("types", "version", "name"), CONTROL)
def test_our_reader_of_control_messages_gives_what_was_written_and_what_kio_reads(
    types, version, name
):
    key, module_of = types
    entity_type = getattr(module_of(key, version), name)
    read_by_kio, write = entity_reader(entity_type), entity_writer(entity_type)

    @settings(max_examples=10, deadline=None, database=None)
    @given(st.from_type(entity_type))
    def holds(entity):
        written = io.BytesIO()
        write(written, entity)
        body = written.getvalue()
        reader = Reader(memoryview(body), 0, len(body), flexible=entity_type.__flexible__)
        read = entities.entity_reader(entity_type)(reader)
        assert reader.position == len(body)
        assert read == read_by_kio(body, 0)[0]

    holds()
