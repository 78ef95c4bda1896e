"""Random records of `__consumer_offsets`: nothing is lost, and no bytes do worse than Malformed."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streambus.errors import Malformed
from streambus.protocol import coordinator_records as records
from streambus.protocol import wire
from streambus.protocol.coordinator_records import (
    GroupKey,
    GroupValue,
    MemberValue,
    OffsetKey,
    OffsetValue,
)

int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=160)
keys = st.builds(OffsetKey, texts, texts, int32s) | st.builds(GroupKey, texts)
ids = st.binary(min_size=16, max_size=16).filter(any)
offsets = st.builds(OffsetValue, int64s, int32s, texts, int64s, st.none(), st.none() | ids)
# -1 is how an expiry says that there is none.
expiring = st.builds(
    OffsetValue, int64s, st.just(-1), texts, int64s, int64s.filter(lambda at: at != -1), st.none()
)
payloads = st.binary(max_size=100)
members = st.builds(
    MemberValue, texts, st.none() | texts, texts, texts, int32s, int32s, payloads, payloads
)
groups = st.builds(
    GroupValue,
    texts,
    int32s,
    st.none() | texts,
    st.none() | texts,
    int64s,
    st.lists(members, max_size=4).map(tuple),
)


def compact(text: str | None) -> bytes:
    return wire.encode_string(text, flexible=True)


def group_4(group: GroupValue) -> bytes:
    """Version 4, which nobody writes yet."""
    parts = [
        b"\x00\x04",
        compact(group.protocol_type),
        wire.INT32.pack(group.generation),
        compact(group.protocol),
        compact(group.leader),
        wire.INT64.pack(group.current_state_timestamp),
        wire.uvarint(len(group.members) + 1),
    ]
    for member in group.members:
        parts += (
            compact(member.member_id),
            compact(member.group_instance_id),
            compact(member.client_id),
            compact(member.client_host),
            wire.INT32.pack(member.rebalance_timeout_ms),
            wire.INT32.pack(member.session_timeout_ms),
            wire.encode_name(member.subscription, flexible=True),
            wire.encode_name(member.assignment, flexible=True),
            b"\x00",
        )
    return b"".join(parts) + b"\x00"


def offset_3(offset: OffsetValue) -> bytes:
    return b"".join(
        (
            b"\x00\x03",
            wire.INT64.pack(offset.offset),
            wire.INT32.pack(offset.leader_epoch),
            wire.encode_string(offset.metadata, flexible=False),
            wire.INT64.pack(offset.commit_timestamp),
        )
    )


def decoded(decode: Any, data: bytes) -> Any:
    """What `decode` says, None for Malformed: any other exception is the test's failure."""
    try:
        return decode(data)
    except Malformed:
        return None


@settings(max_examples=300, deadline=None)
@given(keys)
def test_a_key_comes_back_as_it_went(key):
    assert records.decode_key(records.encode_key(key)) == key


@settings(max_examples=300, deadline=None)
@given(offsets | expiring)
def test_an_offset_comes_back_as_it_went(offset):
    assert records.decode_offset_value(records.encode_value(offset)) == offset


@settings(max_examples=200, deadline=None)
@given(offsets)
def test_an_offset_of_version_3_is_read_but_for_what_it_lacks(offset):
    assert records.decode_offset_value(offset_3(offset)) == offset._replace(topic_id=None)


@settings(max_examples=200, deadline=None)
@given(groups)
def test_a_group_comes_back_as_it_went(group):
    assert records.decode_group_value(records.encode_value(group)) == group
    assert records.decode_group_value(group_4(group)) == group


@settings(max_examples=200, deadline=None)
@given(groups, st.data())
def test_a_value_that_is_cut_is_malformed(group, data):
    for encoded in (records.encode_value(group), group_4(group)):
        end = data.draw(st.integers(0, len(encoded) - 1))
        assert decoded(records.decode_group_value, encoded[:end]) is None


@settings(max_examples=200, deadline=None)
@given(offsets | expiring, st.data())
def test_an_offset_that_is_cut_is_malformed(offset, data):
    encoded = records.encode_value(offset)
    end = data.draw(st.integers(0, len(encoded) - 1))
    assert decoded(records.decode_offset_value, encoded[:end]) is None


@settings(max_examples=500, deadline=None)
@given(st.integers(-1, 6), st.binary(max_size=80))
def test_random_bytes_are_malformed_or_values_that_come_back(version, rest):
    data = wire.INT16.pack(version) + rest
    key = decoded(records.decode_key, data)
    if isinstance(key, OffsetKey | GroupKey):
        assert records.encode_key(key)[2:] == rest
    offset = decoded(records.decode_offset_value, data)
    if offset is not None:
        assert decoded(records.decode_offset_value, records.encode_value(offset)) == offset
    group = decoded(records.decode_group_value, data)
    if group is not None:
        assert records.decode_group_value(records.encode_value(group)) == group


def by_cursor(data: bytes) -> OffsetValue:
    """Version 4 field by field."""
    reader = wire.Reader(memoryview(data), 2, len(data), flexible=True)
    offset, epoch = reader.int64(), reader.int32()
    metadata, timestamp = reader.string(), reader.int64()
    tags = {tag: (field.end - field.position, field) for tag, field in reader.tagged()}
    if reader.position != reader.end or (0 in tags and tags[0][0] != 16):
        raise Malformed("not to the last byte")
    topic_id = tags[0][1].uuid() if 0 in tags else bytes(16)
    named = topic_id if any(topic_id) else None
    return OffsetValue(offset, epoch, metadata, timestamp, None, named)


@settings(max_examples=500, deadline=None)
@given(offsets, st.data())
def test_the_short_way_through_an_offset_sees_what_a_cursor_sees(offset, data):
    written = records.encode_value(offset)
    at = data.draw(st.integers(2, len(written)) | st.integers(len(written) - 20, len(written)))
    kept = data.draw(st.integers(0, 2))
    changed = written[:at] + data.draw(st.binary(max_size=2)) + written[at + kept :]
    assert decoded(records.decode_offset_value, changed) == decoded(by_cursor, changed)


@settings(max_examples=300, deadline=None)
@given(offsets, groups, st.data())
def test_a_changed_byte_is_malformed_or_a_value_that_comes_back(offset, group, data):
    encoded = bytearray(records.encode_value(offset))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    read = decoded(records.decode_offset_value, bytes(encoded))
    if read is not None:
        again = decoded(records.decode_offset_value, records.encode_value(read))
        assert again == read
    written = bytearray(group_4(group))
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    found = decoded(records.decode_group_value, bytes(written))
    if found is not None:
        assert records.decode_group_value(records.encode_value(found)) == found
