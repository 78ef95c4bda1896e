"""Twin of streambus/protocol/coordinator_records.py; golden and property tests say the rest."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import coordinator_records as records
from streambus.protocol import wire
from streambus.protocol.coordinator_records import (
    GroupKey,
    GroupValue,
    MemberValue,
    OffsetKey,
    OffsetValue,
    Unknown,
)

OFFSET = OffsetValue(17, 4, "where", 1_700_000_000_000)
MEMBER = MemberValue("a-1", None, "a", "/10.0.0.1", 60_000, 10_000, b"sub", b"assigned")
GROUP = GroupValue("consumer", 3, "range", "a-1", 1_700_000_000_000, (MEMBER,))


@pytest.mark.parametrize("kind", [-1, 3, 17, 32_767])
@pytest.mark.parametrize("rest", [b"", b"\x00", b"anything at all"])
def test_a_key_of_another_type_is_unknown_whatever_follows(kind, rest):
    assert records.decode_key(wire.INT16.pack(kind) + rest) == Unknown(kind)


@pytest.mark.parametrize("key", [OffsetKey("g", "t", 1), GroupKey("g")])
def test_a_key_cut_anywhere_or_with_a_byte_more_is_malformed(key):
    encoded = records.encode_key(key)
    assert records.decode_key(encoded) == key
    for end in range(len(encoded)):
        with pytest.raises(Malformed):
            records.decode_key(encoded[:end])
    with pytest.raises(Malformed):
        records.decode_key(encoded + b"\x00")


@pytest.mark.parametrize(
    "key",
    [
        b"\x00\x01\xff\xff\x00\x01t\x00\x00\x00\x01",
        b"\x00\x01\x00\x01g\xff\xff\x00\x00\x00\x01",
        b"\x00\x01\xff\xfc\x00\x00\x00",
        b"\x00\x02\xff\xff",
    ],
    ids=["no group", "no topic", "a size that points back", "no group of members"],
)
def test_a_key_with_a_negative_size_is_malformed(key):
    with pytest.raises(Malformed):
        records.decode_key(key)


@pytest.mark.parametrize("key", [b"\x00\x01\x00\x01\xff\x00\x01t\0\0\0\1", b"\x00\x02\x00\x01\xff"])
def test_a_key_that_is_not_utf8_is_malformed(key):
    with pytest.raises(Malformed, match="UTF-8"):
        records.decode_key(key)


def test_an_offset_is_written_as_version_4_and_with_an_expiry_as_version_1():
    assert records.encode_value(OFFSET)[:2] == b"\x00\x04"
    expiring = OFFSET._replace(expire_timestamp=1_700_000_000_001)
    encoded = records.encode_value(expiring)
    assert encoded[:2] == b"\x00\x01"
    assert records.decode_offset_value(encoded) == expiring._replace(leader_epoch=-1)


def test_a_group_is_written_as_version_3():
    assert records.encode_value(GROUP)[:2] == b"\x00\x03"


def test_before_there_were_two_timeouts_the_one_of_the_session_was_for_both():
    member = b"\x00\x01a\x00\x00\x00\x00" + wire.INT32.pack(10_000) + bytes(8)
    value = b"\x00\x00\x00\x00" + wire.INT32.pack(1) + b"\xff\xff\xff\xff" + wire.INT32.pack(1)
    (decoded,) = records.decode_group_value(value + member).members
    assert (decoded.rebalance_timeout_ms, decoded.session_timeout_ms) == (10_000, 10_000)


@pytest.mark.parametrize("version", [-1, 5, 256])
def test_a_version_that_is_not_known_is_named(version):
    value = wire.INT16.pack(version) + bytes(100)
    with pytest.raises(Malformed, match=f"version {version}"):
        records.decode_offset_value(value)
    with pytest.raises(Malformed, match=f"version {version}"):
        records.decode_group_value(value)


@pytest.mark.parametrize("value", [b"", b"\x00"])
def test_a_value_without_a_version_is_malformed(value):
    with pytest.raises(Malformed, match="no version"):
        records.decode_offset_value(value)
    with pytest.raises(Malformed, match="no version"):
        records.decode_group_value(value)


def test_a_value_with_a_byte_more_is_malformed():
    for offset in (
        OFFSET,
        OFFSET._replace(topic_id=b"i" * 16),
        OFFSET._replace(metadata="m" * 200),
    ):
        with pytest.raises(Malformed, match="bytes follow"):
            records.decode_offset_value(records.encode_value(offset) + b"\x00")
    with pytest.raises(Malformed, match="bytes follow"):
        records.decode_group_value(records.encode_value(GROUP) + b"\x00")


def test_metadata_that_is_not_utf8_is_malformed_on_both_ways_through():
    for size in (1, 200):
        encoded = records.encode_value(OFFSET._replace(metadata="m" * size))
        with pytest.raises(Malformed, match="UTF-8"):
            records.decode_offset_value(encoded.replace(b"m" * size, b"\xff" * size))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_topic_id_of_another_size_is_malformed(size):
    encoded = records.encode_value(OFFSET)[:-1] + wire.encode_tags([(0, b"i" * size)])
    with pytest.raises(Malformed):
        records.decode_offset_value(encoded)


def test_a_topic_id_of_another_size_is_never_written():
    with pytest.raises(AssertionError, match="15 bytes"):
        records.encode_value(OFFSET._replace(topic_id=b"i" * 15))


def test_a_topic_id_of_zeros_is_none_and_tags_of_the_future_are_passed_over():
    encoded = records.encode_value(OFFSET)[:-1]
    assert records.decode_offset_value(encoded + wire.encode_tags([(0, bytes(16))])) == OFFSET
    future = wire.encode_tags([(0, b"i" * 16), (9, b"new")])
    assert records.decode_offset_value(encoded + future) == OFFSET._replace(topic_id=b"i" * 16)


def test_members_are_counted_before_room_is_made_for_them():
    encoded = records.encode_value(GROUP)
    at = encoded.index(b"\x00\x00\x00\x01\x00\x03a-1\xff\xff")
    for count in (2**31 - 1, 7, -1, -2):
        wrong = encoded[:at] + wire.INT32.pack(count) + encoded[at + 4 :]
        with pytest.raises(Malformed, match="array"):
            records.decode_group_value(wrong)


def test_bytes_that_are_null_are_malformed():
    encoded = records.encode_value(GROUP)
    for value in (b"sub", b"assigned"):
        wrong = encoded.replace(wire.INT32.pack(len(value)) + value, b"\xff\xff\xff\xff")
        with pytest.raises(Malformed, match="null"):
            records.decode_group_value(wrong)


LONG = "x" * (records.STRING_BYTES_MAX + 1)


@pytest.mark.parametrize("key", [GroupKey(LONG), OffsetKey(LONG, "t", 0), OffsetKey("g", LONG, 0)])
def test_a_key_that_its_fields_cannot_hold_is_refused(key):
    with pytest.raises(Malformed, match="does not fit"):
        records.encode_key(key)


@pytest.mark.parametrize(
    "value",
    [
        GroupValue(LONG, 1, None, None, -1, ()),
        GroupValue("consumer", 2**31, None, None, -1, ()),
        OffsetValue(2**63, -1, "", 0),
        OffsetValue(1, -1, LONG, 0, expire_timestamp=1),
    ],
    ids=["a string", "a generation", "an offset", "metadata beside an expiry"],
)
def test_a_value_that_its_fields_cannot_hold_is_refused(value):
    with pytest.raises(Malformed, match="does not fit"):
        records.encode_value(value)


def test_the_longest_strings_that_fit_come_back():
    text = LONG[1:]
    key = OffsetKey(text, text, 0)
    assert records.decode_key(records.encode_key(key)) == key
    group = GroupValue(text, 1, text, None, -1, ())
    assert records.decode_group_value(records.encode_value(group)) == group
