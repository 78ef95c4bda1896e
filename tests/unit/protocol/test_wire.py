"""Twin of streambus/protocol/wire.py."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import wire
from streambus.protocol.wire import Reader


def reader(data: bytes, *, flexible: bool = True) -> Reader:
    return Reader(memoryview(data), 0, len(data), flexible=flexible)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16_383, 16_384, 2**31, 2**32 - 1])
def test_a_varint_comes_back_as_it_went(value):
    encoded = wire.uvarint(value)
    assert wire.read_uvarint(memoryview(encoded), 0) == (value, len(encoded))


@pytest.mark.parametrize(
    "data", [b"\x80" * 6, b"\xff\xff\xff\xff\x1f", b"\xff\xff\xff\xff\xff\x01"]
)
def test_a_varint_of_more_than_32_bits_is_malformed(data):
    with pytest.raises(Malformed):
        reader(data).uvarint()


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff\xff\xff"])
def test_a_varint_that_does_not_end_is_malformed(data):
    with pytest.raises(Malformed):
        reader(data).uvarint()


@pytest.mark.parametrize("text", [None, "", "a", "é€😀", "x" * 126, "x" * 127, "x" * 20_000])
def test_a_string_in_either_encoding_is_read_to_its_end(text):
    plain = memoryview(wire.encode_string(text, flexible=False) + b"\x01\x02")
    assert wire.read_string(plain, 0) == (text, len(plain) - 2)
    compact = memoryview(wire.encode_string(text, flexible=True) + b"\x01\x02")
    assert wire.read_compact_string(compact, 0) == (text, len(compact) - 2)


def test_a_string_that_is_cut_ends_past_the_end():
    assert wire.read_string(memoryview(b"\x00\x05abc"), 0)[1] == 7
    assert wire.read_compact_string(memoryview(b"\x06abc"), 0)[1] == 6


def test_a_string_of_less_than_nothing_is_malformed():
    with pytest.raises(Malformed, match="-2 bytes"):
        wire.read_string(memoryview(b"\xff\xfe\x00\x00"), 0)


def test_a_reader_never_looks_beyond_its_end():
    view = memoryview(b"\x00\x00\x00\x05hello")
    with pytest.raises(Malformed):
        Reader(view, 0, 3, flexible=False).int32()
    with pytest.raises(Malformed):
        Reader(view, 0, 6, flexible=False).nullable_bytes()
    with pytest.raises(Malformed):
        Reader(memoryview(b"\x80\x01"), 0, 1, flexible=True).uvarint()
    with pytest.raises(Malformed):
        Reader(view, 4, 10, flexible=False)


@pytest.mark.parametrize("flexible", [False, True])
@pytest.mark.parametrize("text", [None, "", "a", "ünï", "x" * 300])
def test_a_string_comes_back_in_either_encoding(text, flexible):
    data = wire.encode_string(text, flexible=flexible)
    assert reader(data, flexible=flexible).nullable_string() == text


@pytest.mark.parametrize(
    "read", [Reader.string, Reader.name, Reader.count], ids=["string", "name", "count"]
)
def test_null_is_malformed_where_it_may_not_be(read):
    with pytest.raises(Malformed, match="null"):
        read(reader(b"\x00"))


def test_a_string_that_is_not_utf8_is_malformed():
    with pytest.raises(Malformed, match="UTF-8"):
        reader(b"\x03\xff\xfe").string()


def test_a_negative_size_other_than_null_is_malformed():
    with pytest.raises(Malformed):
        reader(b"\xff\xfe", flexible=False).nullable_string()
    with pytest.raises(Malformed):
        reader(b"\xff\xff\xff\xfe", flexible=False).nullable_count()


def test_a_count_that_the_bytes_cannot_hold_is_malformed_before_anything_is_made():
    with pytest.raises(Malformed, match="does not fit"):
        reader(b"\x7f\xff\xff\xff" + bytes(100), flexible=False).count()
    with pytest.raises(Malformed, match="does not fit"):
        reader(b"\x00\x00\x00\x06" + bytes(20), flexible=False).count(4)
    assert reader(b"\x00\x00\x00\x05" + bytes(20), flexible=False).count(4) == 5


def test_the_elements_of_all_arrays_together_are_bounded():
    half = wire.encode_count(wire.ENTRIES_MAX // 2 + 1, flexible=False)
    reading = reader(half + half + bytes(wire.ENTRIES_MAX), flexible=False)
    reading.count()
    with pytest.raises(Malformed, match="array elements"):
        reading.count()


def test_unknown_tags_are_stepped_over():
    data = wire.encode_tags([(3, b"abc"), (900, b"")]) + b"\x00\x00\x00\x07"
    reading = reader(data)
    reading.skip_tagged()
    assert reading.int32() == 7
    assert wire.skip_tags(memoryview(data), 0, len(data)) == len(data) - 4


def test_a_tagged_field_is_read_within_its_own_bytes():
    ((tag, field),) = reader(wire.encode_tags([(1, b"\x00\x00")])).tagged()
    assert tag == 1
    with pytest.raises(Malformed):
        field.int32()


@pytest.mark.parametrize("data", [b"\x01\x00\x7f", b"\x01", b"\x7f" + bytes(300)])
def test_tags_that_run_over_the_end_or_are_too_many_are_malformed(data):
    with pytest.raises(Malformed):
        reader(data).skip_tagged()
    with pytest.raises((Malformed, IndexError)):
        wire.skip_tags(memoryview(data), 0, len(data))


def test_endpoints_come_back_as_they_went():
    nodes = [(1, "127.0.0.1", 9092, None), (2, "host", 9093, "rack")]
    assert wire.read_endpoints(reader(wire.encode_endpoints(nodes))) == nodes


def test_as_many_tagged_fields_as_the_limit_are_read_and_no_more():
    sections = [wire.encode_tags([(tag, b"") for tag in range(count)]) for count in (32, 33)]
    assert [tag for tag, _ in reader(sections[0]).tagged()] == list(range(32))
    assert wire.skip_tags(memoryview(sections[0]), 0, len(sections[0])) == len(sections[0])
    with pytest.raises(Malformed, match="33 tagged fields"):
        reader(sections[1]).skip_tagged()
    with pytest.raises(Malformed, match="33 tagged fields"):
        wire.skip_tags(memoryview(sections[1]), 0, len(sections[1]))
