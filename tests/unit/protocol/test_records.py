"""Whole batches: what the header means for the records in them."""

from typing import Any

import pytest

from streambus.errors import Malformed
from streambus.protocol import batch, compression, records

RECORDS = [
    (0, 0, b"a", b"1", ()),
    (1, 20, b"b", b"2", (("h", None),)),
    (4, 10, None, None, ()),
]
CODECS = pytest.mark.parametrize("codec", range(5), ids=compression.NAMES)


def made(codec: int = 0, **fields: Any) -> bytes:
    return batch.build(RECORDS, codec=codec, base_offset=100, base_timestamp=5_000, **fields)


@CODECS
def test_records_have_their_own_offsets_and_timestamps(codec: int) -> None:
    view = memoryview(b"xx" + made(codec) + b"yy")
    assert records.read_records(view, 2) == [
        (100, 5_000, b"a", b"1", ()),
        (101, 5_020, b"b", b"2", (("h", None),)),
        (104, 5_010, None, None, ()),
    ]


def test_under_log_append_time_every_record_has_the_batchs() -> None:
    encoded = made(log_append_time=True, max_timestamp=9_999)
    assert [record[1] for record in records.read_records(encoded)] == [9_999] * 3


def test_a_batch_is_checked_before_it_is_read() -> None:
    encoded = bytearray(made())
    encoded[-1] ^= 1
    with pytest.raises(batch.BadChecksum):
        records.read_records(encoded)


@CODECS
def test_a_batch_unpacks_to_no_more_than_its_bound(codec: int) -> None:
    encoded = batch.build([(0, 0, None, bytes(100_000), ())], codec=codec)
    assert len(records.read_records(encoded, 0, 101_000)) == 1
    if codec:
        with pytest.raises(Malformed, match="more than 99999 bytes"):
            records.read_records(encoded, 0, 99_999)


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_codec_is_malformed(codec: int) -> None:
    encoded = bytearray(made())
    encoded[22] |= codec
    batch.seal(encoded)
    with pytest.raises(Malformed, match=f"codec {codec}"):
        records.read_records(encoded)


def test_a_count_that_is_not_the_records_is_malformed() -> None:
    encoded = bytearray(made())
    for count in (2, 4, 2**31 - 1):
        encoded[57:61] = count.to_bytes(4, "big")
        batch.seal(encoded)
        with pytest.raises(Malformed):
            records.read_records(encoded)


def test_an_empty_batch_has_no_records() -> None:
    assert records.read_records(batch.build([], last_offset_delta=3)) == []


@CODECS
def test_a_section_without_a_codec_is_not_copied(codec: int) -> None:
    encoded = made(codec)
    section = records.read_section(encoded, batch.read_header(encoded))
    assert bytes(section) == records.encode(RECORDS)
    assert isinstance(section, bytes if codec else memoryview)


@CODECS
def test_a_timestamp_is_found_at_its_record(codec: int) -> None:
    encoded = made(codec)
    header = batch.read_header(encoded)

    def find(timestamp_ms: int, offset_min: int = 0) -> tuple[int, int] | None:
        return records.first_at_or_after(encoded, header, timestamp_ms, offset_min)

    assert find(0) == (100, 5_000)
    assert find(5_000) == (100, 5_000)
    assert find(5_001) == (101, 5_020)
    assert find(5_020) == (101, 5_020)
    assert find(5_021) is None
    assert find(5_000, 102) == (104, 5_010)
    assert find(5_015, 102) is None
    assert find(-(2**63)) == (100, 5_000)
    assert find(2**63 - 1) is None


def test_under_log_append_time_the_first_record_is_found() -> None:
    encoded = made(log_append_time=True, max_timestamp=9_999)
    header = batch.read_header(encoded)
    assert records.first_at_or_after(encoded, header, 9_999) == (100, 9_999)
    assert records.first_at_or_after(encoded, header, 1) == (100, 9_999)
    assert records.first_at_or_after(encoded, header, 10_000) is None
    assert records.first_at_or_after(encoded, header, 1, 102) == (104, 9_999)


def test_deltas_beyond_64_bits_find_nothing_and_break_nothing() -> None:
    encoded = batch.build(RECORDS, base_timestamp=-(2**63), max_timestamp=2**63 - 1)
    header = batch.read_header(encoded)
    assert records.first_at_or_after(encoded, header, 2**63 - 1) is None
    assert records.first_at_or_after(encoded, header, -(2**63)) == (0, -(2**63))
