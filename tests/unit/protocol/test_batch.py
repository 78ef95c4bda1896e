"""The 61-byte header: read, refused, checked, patched, built."""

import struct
from typing import Any

import pytest
from crc32c import crc32c

from streambus.errors import Malformed, Rejected
from streambus.protocol import batch, compression

RECORDS = [(0, 0, b"k", b"v", ()), (1, 3, None, b"w", (("h", b"x"),))]


def made(**fields: Any) -> bytearray:
    return bytearray(batch.build(RECORDS, base_timestamp=1_000, **fields))


def damaged(offset: int, code: str, value: int) -> bytearray:
    encoded = made()
    struct.pack_into(code, encoded, offset, value)
    return encoded


def test_a_header_is_read_where_it_lies() -> None:
    encoded = made(
        base_offset=7, leader_epoch=3, producer_id=9, producer_epoch=2, base_sequence=11, codec=4
    )
    header = batch.read_header(memoryview(b"before" + encoded + b"after"), 6)
    assert header == (
        7,
        len(encoded) - 12,
        3,
        2,
        crc32c(encoded[21:]),
        4,
        1,
        1_000,
        1_003,
        9,
        2,
        11,
        2,
    )
    assert batch.batch_bytes(header) == len(encoded)
    assert type(header) is tuple


def test_names_index_the_header() -> None:
    header = batch.read_header(made(transactional=True, control=True))
    assert header[batch.BASE_OFFSET] == 0
    assert header[batch.MAGIC] == 2
    assert header[batch.LAST_OFFSET_DELTA] == 1
    assert header[batch.BASE_TIMESTAMP] == 1_000
    assert header[batch.MAX_TIMESTAMP] == 1_003
    assert header[batch.PRODUCER_ID] == -1
    assert header[batch.PRODUCER_EPOCH] == -1
    assert header[batch.BASE_SEQUENCE] == -1
    assert header[batch.RECORDS_COUNT] == 2
    assert header[batch.ATTRIBUTES] == batch.Attributes.TRANSACTIONAL | batch.Attributes.CONTROL


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (made()[:60], "60 left"),
        (bytearray(), "0 left"),
        (made()[:-1], "bytes left"),
        (damaged(16, ">b", 1), "magic 1"),
        (damaged(8, ">i", 48), "length 48"),
        (damaged(8, ">i", -1), "length -1"),
        (damaged(8, ">i", 2**31 - 1), "length 2147483647"),
        (damaged(23, ">i", -1), "last offset delta -1"),
        (damaged(57, ">i", -1), "-1 records"),
    ],
)
def test_what_is_no_batch_is_malformed(encoded: bytearray, words: str) -> None:
    for view in (encoded, bytes(encoded), memoryview(encoded)):
        with pytest.raises(Malformed, match=words):
            batch.read_header(view)


@pytest.mark.parametrize(
    ("encoded", "code"),
    [
        (damaged(16, ">b", 3), 2),
        (damaged(16, ">b", -1), 2),
        (damaged(8, ">i", 48), 2),
        (damaged(16, ">b", 1), 87),
        (damaged(8, ">i", 2**31 - 1), 87),
    ],
)
def test_what_is_no_format_at_all_is_a_corrupt_message(encoded: bytearray, code: int) -> None:
    with pytest.raises(Malformed) as caught:
        batch.read_header(encoded)
    assert caught.value.code == code


def test_an_empty_batch_keeps_its_offsets() -> None:
    encoded = batch.build([], last_offset_delta=4, base_offset=10)
    header = batch.read_header(encoded)
    assert header[batch.RECORDS_COUNT] == 0
    assert header[batch.LAST_OFFSET_DELTA] == 4
    assert header[batch.MAX_TIMESTAMP] == -1
    assert len(encoded) == batch.HEADER_BYTES


def test_any_changed_bit_under_the_checksum_is_found() -> None:
    encoded = made(codec=3)
    header = batch.read_header(encoded)
    batch.verify(memoryview(encoded), 0, header)
    for position in range(batch.CRC_START, len(encoded)):
        encoded[position] ^= 0x10
        with pytest.raises(batch.BadChecksum):
            batch.verify(memoryview(encoded), 0, header)
        encoded[position] ^= 0x10


def test_a_bad_checksum_is_a_corrupt_message_that_may_be_sent_again() -> None:
    assert issubclass(batch.BadChecksum, Rejected)
    assert (batch.BadChecksum.code, batch.BadChecksum.retriable) == (2, True)


def test_offset_and_leader_epoch_are_outside_the_checksum() -> None:
    encoded = bytearray(b"xx") + made()
    batch.patch(memoryview(encoded), 2, 2**40, 77)
    header = batch.read_header(encoded, 2)
    assert header[batch.BASE_OFFSET] == 2**40
    assert header[batch.LEADER_EPOCH] == 77
    batch.verify(encoded, 2, header)
    untouched = made()
    assert encoded[2 + 16 :] == untouched[16:]
    assert encoded[2 + 8 : 2 + 12] == untouched[8:12]


@pytest.mark.parametrize("view", [bytearray, memoryview])
def test_log_append_time_is_under_a_new_checksum(view: type) -> None:
    encoded = bytearray(b"xx") + made(codec=2, transactional=True) + b"next"
    target = view(encoded)
    batch.patch_log_append_time(target, 2, len(encoded) - 6, 123_456)
    header = batch.read_header(target, 2)
    assert header[batch.ATTRIBUTES] == 2 | 0x10 | batch.Attributes.LOG_APPEND_TIME
    assert header[batch.MAX_TIMESTAMP] == 123_456
    assert header[batch.BASE_TIMESTAMP] == 1_000
    batch.verify(target, 2, header)
    assert bytes(target[-4:]) == b"next"


def test_a_length_that_is_not_the_batchs_is_our_bug() -> None:
    encoded = made()
    with pytest.raises(AssertionError):
        batch.patch_log_append_time(encoded, 0, len(encoded) - 12, 1)


def test_a_batch_changed_in_place_is_sealed_again() -> None:
    encoded = made()
    struct.pack_into(">q", encoded, 43, 99)
    batch.seal(encoded)
    header = batch.read_header(encoded)
    assert header[batch.PRODUCER_ID] == 99
    batch.verify(encoded, 0, header)


def test_consecutive_batches_are_walked() -> None:
    first, second = made(base_offset=5), made(base_offset=7, codec=1)
    view = memoryview(b"xx" + first + second + b"yyy")
    end = len(view) - 3
    assert [
        (position, header[batch.BASE_OFFSET]) for position, header in batch.headers(view, 2, end)
    ] == [(2, 5), (2 + len(first), 7)]
    assert list(batch.headers(b"")) == []


def test_a_walk_stops_with_malformed_at_what_is_no_batch() -> None:
    first = made()
    walk = batch.headers(first + b"\0" * 61)
    assert next(walk)[0] == 0
    with pytest.raises(Malformed, match="magic 0"):
        next(walk)
    with pytest.raises(Malformed, match="5 bytes after"):
        list(batch.headers(first, 0, len(first) - 5))


@pytest.mark.parametrize(
    ("field", "bit"),
    [
        ("log_append_time", 0x08),
        ("transactional", 0x10),
        ("control", 0x20),
        ("delete_horizon", 0x40),
    ],
)
def test_each_attribute_is_its_bit(field: str, bit: int) -> None:
    assert batch.read_header(made(**{field: True}))[batch.ATTRIBUTES] == bit


def test_records_encoded_elsewhere_make_the_same_batch() -> None:
    from streambus.protocol import records

    section = records.encode(RECORDS)
    encoded = batch.assemble(section, 2, 1, 1_003, base_timestamp=1_000, codec=compression.GZIP)
    assert encoded == made(codec=compression.GZIP)
