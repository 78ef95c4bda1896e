"""Laws of the record codecs, compiled and plain: what is written is read, and both always agree."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streambus.errors import Malformed
from streambus.protocol import batch, compression, records, varint
from streambus.protocol.columns import RecordTuple
from tests.unit.protocol.codecs import both_codecs, compiled, needs_kernel, plain

Codec = SimpleNamespace

fields = st.none() | st.binary(max_size=300)
# Any str that can come out of a header name: text, and bytes that are not UTF-8 as surrogates.
names = st.text(max_size=20) | st.binary(max_size=20).map(
    lambda name: name.decode("utf-8", "surrogateescape")
)
headers = st.lists(st.tuples(names, fields), max_size=4).map(tuple)
made = st.tuples(
    st.integers(0, 2**31 - 1), st.integers(-(2**63), 2**63 - 1), fields, fields, headers
)
batches = st.lists(made, max_size=12)


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Malformed as malformed:
        return str(malformed)


@both_codecs
@given(written=batches)
def test_what_is_encoded_is_decoded(codec: Codec, written: list[RecordTuple]) -> None:
    assert codec.decode(codec.encode(written), len(written)) == written


@both_codecs
@given(written=batches)
def test_columns_hold_the_records(codec: Codec, written: list[RecordTuple]) -> None:
    section = codec.encode(written)
    columns = codec.decode_columns(section, len(written))
    assert codec.encode_columns(columns) == section


@both_codecs
@given(values=st.lists(fields, max_size=40))
def test_values_alone_are_records_without_keys(codec: Codec, values: list[bytes | None]) -> None:
    assert codec.encode_values(values) == codec.encode(
        [(offset, 0, None, value, ()) for offset, value in enumerate(values)]
    )


@both_codecs
@given(written=batches, timestamp=st.integers(-(2**63), 2**63 - 1), offset=st.integers(0, 2**31))
def test_a_look_up_finds_the_first_that_qualifies(
    codec: Codec, written: list[RecordTuple], timestamp: int, offset: int
) -> None:
    found = codec.find_timestamp(codec.encode(written), len(written), timestamp, offset)
    expected = [(r[0], r[1]) for r in written if r[1] >= timestamp and r[0] >= offset]
    assert found == (expected[0] if expected else None)


@both_codecs
@given(section=st.binary(max_size=120), count=st.integers(-1, 20))
def test_any_bytes_are_records_or_malformed(codec: Codec, section: bytes, count: int) -> None:
    read = outcome(codec.decode, section, count)
    if not isinstance(read, str):
        assert codec.decode(codec.encode(read), count) == read


@both_codecs
@given(data=st.data(), written=batches)
def test_a_cut_section_is_always_malformed(
    codec: Codec, data: st.DataObject, written: list[RecordTuple]
) -> None:
    section = codec.encode(written)
    if section:
        end = data.draw(st.integers(0, len(section) - 1))
        for read in (codec.decode, codec.decode_columns):
            with pytest.raises(Malformed):
                read(section[:end], len(written))


@needs_kernel
@given(written=batches)
def test_both_codecs_write_the_same_bytes(written: list[RecordTuple]) -> None:
    section = plain.encode(written)
    assert compiled.encode(written) == section
    columns = plain.decode_columns(section, len(written))
    assert compiled.decode_columns(section, len(written)) == columns


@needs_kernel
@settings(max_examples=300)
@given(data=st.data(), written=batches)
def test_both_codecs_say_the_same_of_damaged_bytes(
    data: st.DataObject, written: list[RecordTuple]
) -> None:
    section = bytearray(plain.encode(written))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(section)))
        section[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.integers(-(2**63), 2**63 - 1).map(varint.write)
        )
    count = len(written)
    assert outcome(compiled.decode, section, count) == outcome(plain.decode, section, count)
    assert outcome(compiled.decode_columns, section, count) == outcome(
        plain.decode_columns, section, count
    )


@given(
    written=batches,
    codec=st.integers(0, 4),
    base_offset=st.integers(0, 2**62),
    base_timestamp=st.integers(0, 2**42),
)
def test_a_batch_comes_back_whole(
    written: list[RecordTuple], codec: int, base_offset: int, base_timestamp: int
) -> None:
    bounded = [(r[0], r[1] % 2**42, *r[2:]) for r in written]
    encoded = batch.build(
        bounded, codec=codec, base_offset=base_offset, base_timestamp=base_timestamp
    )
    assert records.read_records(encoded) == [
        (base_offset + r[0], base_timestamp + r[1], *r[2:]) for r in bounded
    ]
    assert len(list(batch.headers(encoded * 3))) == 3


@given(section=st.binary(max_size=2_000), codec=st.integers(0, 4))
def test_a_section_comes_back_and_keeps_its_bound(section: bytes, codec: int) -> None:
    packed = compression.compress(codec, section)
    assert compression.decompress(codec, packed, len(section)) == section
    if section:
        with pytest.raises(Malformed):
            compression.decompress(codec, packed, len(section) - 1)


@settings(max_examples=300)
@given(data=st.data(), section=st.binary(max_size=200), codec=st.integers(1, 4))
def test_damaged_compressed_bytes_unpack_within_the_bound_or_are_malformed(
    data: st.DataObject, section: bytes, codec: int
) -> None:
    packed = bytearray(compression.compress(codec, section * 20))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    unpacked = outcome(compression.decompress, codec, packed, 1_000)
    assert isinstance(unpacked, str) or len(unpacked) <= 1_000


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_a_varint_comes_back_in_the_size_foretold(value: int) -> None:
    written = varint.write(value)
    assert len(written) == varint.size(value)
    assert varint.read(written, 0, len(written), 64) == (value, len(written))
    with pytest.raises(varint.CutOff):
        varint.read(written, 0, len(written) - 1, 64)
