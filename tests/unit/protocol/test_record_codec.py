"""One set of tests over the compiled kernel and its plain twin, and the choice between them."""

import importlib
import struct
import sys
from types import SimpleNamespace

import pytest

from streambus.errors import Malformed
from streambus.protocol import record_codec, varint
from streambus.protocol.columns import RecordColumns, RecordTuple
from tests.unit.protocol.codecs import KERNEL_MISSING, both_codecs

Codec = SimpleNamespace

SOME: list[RecordTuple] = [
    (0, 0, None, b"value", ()),
    (1, -5, b"key", None, (("h", b"x"), ("null", None), ("", b""))),
    (300, 1 << 40, b"", b"v" * 300, ()),
]


def record(*fields: int | bytes, length: int | None = None) -> bytes:
    """A record out of varints (ints) and raw bytes, under its true length or a false one."""
    body = b"".join(varint.write(f) if isinstance(f, int) else f for f in fields)
    return varint.write(len(body) if length is None else length) + body


GOOD = record(b"\0", 0, 0, -1, 1, b"v", 0)


@both_codecs
def test_records_come_back_as_they_went(codec: Codec) -> None:
    section = codec.encode(SOME)
    for view in (section, bytearray(section), memoryview(b"ab" + section)[2:]):
        assert codec.decode(view, 3) == SOME


@both_codecs
def test_no_records_are_no_bytes(codec: Codec) -> None:
    assert codec.encode([]) == b""
    assert codec.encode_values([]) == b""
    assert codec.decode(b"", 0) == []
    columns = codec.decode_columns(b"", 0)
    assert columns.count == 0
    assert codec.encode_columns(columns) == b""


@both_codecs
def test_bases_are_added_and_a_stamp_replaces_every_timestamp(codec: Codec) -> None:
    section = codec.encode(SOME)
    moved = codec.decode(section, 3, 1000, 50)
    assert [(r[0], r[1]) for r in moved] == [(1000, 50), (1001, 45), (1300, 50 + (1 << 40))]
    stamped = codec.decode(section, 3, 1000, 50, 77)
    assert [(r[0], r[1]) for r in stamped] == [(1000, 77), (1001, 77), (1300, 77)]


@both_codecs
def test_values_alone_are_records_without_keys(codec: Codec) -> None:
    values = [b"a", None, b"", b"b" * 200]
    assert codec.encode_values(values) == codec.encode(
        [(offset, 0, None, value, ()) for offset, value in enumerate(values)]
    )
    assert codec.encode_values(tuple(values)) == codec.encode_values(iter(values))


@both_codecs
def test_a_header_name_that_is_not_utf_8_survives(codec: Codec) -> None:
    section = record(b"\0", 0, 0, -1, -1, 1, 2, b"\xff\x41", -1)
    [(_, _, _, _, headers)] = read = codec.decode(section, 1)
    assert headers == (("\udcffA", None),)
    assert codec.encode(read) == section


MALFORMED = {
    "empty section": (b"", 1, "cannot hold"),
    "more records than bytes": (GOOD, 2**31 - 1, "cannot hold"),
    "negative count": (GOOD, -1, "cannot hold"),
    "second record missing": (GOOD + GOOD[:1], 2, "cannot hold"),
    "bytes after the last": (GOOD + b"\0", 1, "1 bytes left over after 1 records"),
    "length negative": (record(b"\0", 0, 0, -1, -1, 0, length=-1), 1, "its length does not fit"),
    "length past the end": (record(b"\0" * 8, length=9), 1, "its length does not fit"),
    "length of six bytes": (b"\x80\x80\x80\x80\x80\x00" + GOOD, 1, "varint is longer"),
    "length over 32 bits": (b"\xff\xff\xff\xff\x1f" + GOOD, 1, "varint is longer"),
    "length cut off": (b"\x80" * 4 + b"\x80" * 3, 1, "varint is longer"),
    "no attributes": (b"\0" + GOOD, 1, "a field runs past the end"),
    "timestamp of eleven bytes": (
        record(b"\0", b"\xff" * 10 + b"\x01", 0, -1, -1, 0),
        1,
        "varint is longer",
    ),
    "timestamp over 64 bits": (
        record(b"\0", b"\xff" * 9 + b"\x02", 0, -1, -1, 0),
        1,
        "varint is longer",
    ),
    "timestamp cut off": (record(b"\0", b"\xff" * 6), 1, "a field runs past the end"),
    "offset delta negative": (record(b"\0", 0, -1, -1, -1, 0), 1, "offset delta"),
    "offset delta over 31 bits": (record(b"\0", 0, 1 << 31, -1, -1, 0), 1, "varint is longer"),
    "key length below -1": (record(b"\0", 0, 0, -2, -1, 0), 1, "a key, value or header"),
    "key past the record": (record(b"\0", 0, 0, 4, b"k", -1, 0), 1, "a key, value or header"),
    "key length of 2 GiB": (record(b"\0", 0, 0, 2**31 - 1, -1, 0), 1, "a key, value or header"),
    "value length below -1": (record(b"\0", 0, 0, -1, -2, 0), 1, "a key, value or header"),
    "value past the record": (record(b"\0", 0, 0, -1, 2, b"v"), 1, "a key, value or header"),
    "header count negative": (record(b"\0", 0, 0, -1, -1, -1), 1, "header count"),
    "header count huge": (record(b"\0", 0, 0, -1, -1, 2**31 - 1), 1, "header count"),
    "header without a name": (record(b"\0", 0, 0, -1, -1, 1, -1, -1), 1, "a key, value or header"),
    "header name past the record": (
        record(b"\0", 0, 0, -1, -1, 1, 9, b"n", -1),
        1,
        "a key, value or header",
    ),
    "header value past the record": (
        record(b"\0", 0, 0, -1, -1, 1, 0, 1),
        1,
        "a key, value or header",
    ),
    "headers stop early": (record(b"\0", 0, 0, -1, -1, 2, 2, b"ab", 0), 1, "runs past the end"),
    "bytes after the headers": (record(b"\0", 0, 0, -1, -1, 1, 0, 0, b"x"), 1, "leaves bytes"),
    "bytes after no headers": (record(b"\0", 0, 0, -1, -1, 0, b"x"), 1, "leaves bytes over"),
    "value missing": (record(b"\0", 0, 0, 2, b"kk"), 1, "a field runs past the end"),
}


@both_codecs
@pytest.mark.parametrize("name", MALFORMED)
def test_hostile_bytes_are_malformed_whichever_way_they_are_read(codec: Codec, name: str) -> None:
    section, count, words = MALFORMED[name]
    for read in (codec.decode, codec.decode_columns):
        with pytest.raises(Malformed, match=words):
            read(section, count)
    if name != "bytes after the last":  # a look-up asks nothing about what follows
        with pytest.raises(Malformed, match=words):
            codec.find_timestamp(section, count, 2**63 - 1)


@both_codecs
def test_a_fault_names_its_record(codec: Codec) -> None:
    with pytest.raises(Malformed, match=r"^record 2: "):
        codec.decode(GOOD + GOOD + record(b"\0" * 8, length=99), 3)


@both_codecs
def test_varints_longer_than_need_be_are_read(codec: Codec) -> None:
    # Java writes none, and reads them.
    section = record(b"\0", b"\x80\x00", b"\x82\x00", b"\x81\x00", b"\x81\x80\x00", b"\x80\x00")
    assert codec.decode(section, 1) == [(1, 0, None, None, ())]


@both_codecs
def test_offsets_and_timestamps_stay_within_64_bits(codec: Codec) -> None:
    section = codec.encode([(1, 1, None, None, ())])
    top = 2**63 - 1
    assert codec.decode(section, 1, top - 1, top - 1)[0][:2] == (top, top)
    for offset, timestamp in ((top, 0), (0, top)):
        with pytest.raises(Malformed, match="64 bits"):
            codec.decode(section, 1, offset, timestamp)
    below = codec.encode([(1, -1, None, None, ())])
    with pytest.raises(Malformed, match="64 bits"):
        codec.decode(below, 1, 0, -(2**63))


@both_codecs
@pytest.mark.parametrize(
    ("made", "error"),
    [
        ((-1, 0, None, None, ()), Malformed),
        ((2**31, 0, None, None, ()), Malformed),
        ((2**80, 0, None, None, ()), Malformed),
        ((0, 2**63, None, None, ()), Malformed),
        ((0, -(2**63) - 1, None, None, ()), Malformed),
        ((0, 0, "key", None, ()), TypeError),
        ((0, 0, None, 5, ()), TypeError),
        ((0, 0, None, bytearray(b"v"), ()), TypeError),
        ((0, 0, None, None, ((b"name", None),)), TypeError),
        ((0, 0, None, None, (("name", "value"),)), TypeError),
        (("0", 0, None, None, ()), TypeError),
        ((1.5, 0, None, None, ()), TypeError),
        ((0, 2.0, None, None, ()), TypeError),
        ((0, 0, None, None), ValueError),
    ],
)
def test_records_that_cannot_be_written_are_refused(
    codec: Codec, made: tuple[object, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        codec.encode([made])


@both_codecs
def test_a_value_that_is_no_bytes_is_refused(codec: Codec) -> None:
    with pytest.raises(TypeError, match="not str"):
        codec.encode_values([b"a", "b"])


@both_codecs
def test_a_timestamp_is_found_at_its_record(codec: Codec) -> None:
    section = codec.encode([(delta, delta * 10, None, b"v", ()) for delta in range(100)])
    assert codec.find_timestamp(section, 100, -5) == (0, 0)
    assert codec.find_timestamp(section, 100, 500) == (50, 500)
    assert codec.find_timestamp(section, 100, 501) == (51, 510)
    assert codec.find_timestamp(section, 100, 501, 70) == (70, 700)
    assert codec.find_timestamp(section, 100, 991) is None


@both_codecs
def test_columns_are_laid_out_as_arrow_has_them(codec: Codec) -> None:
    columns = codec.decode_columns(codec.encode(SOME), 3)
    assert columns.count == 3
    assert struct.unpack("3i", columns.offset_deltas) == (0, 1, 300)
    assert struct.unpack("3q", columns.timestamp_deltas) == (0, -5, 1 << 40)
    assert struct.unpack("4i", columns.key_offsets) == (0, 0, 3, 3)
    assert columns.key_data == b"key"
    assert columns.key_validity == b"\x06"
    assert struct.unpack("4i", columns.value_offsets) == (0, 5, 5, 305)
    assert columns.value_data == b"value" + b"v" * 300
    assert columns.value_validity == b"\x05"
    assert struct.unpack("4i", columns.header_offsets) == (0, 0, 3, 3)
    assert struct.unpack("4i", columns.name_offsets) == (0, 1, 5, 5)
    assert columns.name_data == b"hnull"
    assert struct.unpack("4i", columns.header_value_offsets) == (0, 1, 1, 1)
    assert columns.header_value_data == b"x"
    assert columns.header_value_validity == b"\x05"


@both_codecs
def test_a_column_without_nulls_has_no_bitmap(codec: Codec) -> None:
    columns = codec.decode_columns(codec.encode([(0, 0, b"k", b"v", (("h", b"x"),))]), 1)
    assert columns.key_validity is None
    assert columns.value_validity is None
    assert columns.header_value_validity is None


@both_codecs
def test_columns_are_what_arrow_reads(codec: Codec) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is an extra: pip install streambus[arrow]")
    columns = codec.decode_columns(codec.encode(SOME), 3)
    validity = pa.py_buffer(columns.key_validity)
    keys = pa.Array.from_buffers(
        pa.binary(),
        3,
        [validity, pa.py_buffer(columns.key_offsets), pa.py_buffer(columns.key_data)],
    )
    assert keys.to_pylist() == [made[2] for made in SOME]


@both_codecs
def test_columns_become_the_records_they_came_from(codec: Codec) -> None:
    section = codec.encode(SOME * 50)
    assert codec.encode_columns(codec.decode_columns(section, 150)) == section


@both_codecs
def test_large_sections_take_the_path_without_the_gil(codec: Codec) -> None:
    made = [
        (delta, -delta, b"%d" % delta if delta % 3 else None, b"v" * (delta % 90), headers)
        for delta in range(2_000)
        for headers in [((("h", b"%d" % delta),) if delta % 5 == 0 else ())]
    ]
    section = codec.encode(made)
    assert len(section) > 64 << 10
    assert codec.decode(section, 2_000) == made
    assert codec.encode_columns(codec.decode_columns(section, 2_000)) == section


@both_codecs
def test_a_slice_of_columns_is_encoded_alone(codec: Codec) -> None:
    """As Arrow slices: offsets that do not begin at 0, over the data of the whole."""
    whole = codec.decode_columns(codec.encode(SOME), 3)
    part = RecordColumns(
        1,
        offset_deltas=whole.offset_deltas[8:],
        timestamp_deltas=whole.timestamp_deltas[16:],
        key_offsets=memoryview(whole.key_offsets)[8:],
        key_data=whole.key_data,
        key_validity=None,
        value_offsets=memoryview(whole.value_offsets)[8:],
        value_data=whole.value_data,
        value_validity=None,
        header_offsets=whole.header_offsets[8:],
        name_offsets=whole.name_offsets,
        name_data=whole.name_data,
        header_value_offsets=whole.header_value_offsets,
        header_value_data=whole.header_value_data,
        header_value_validity=whole.header_value_validity,
    )
    assert codec.decode(codec.encode_columns(part), 1) == [SOME[2]]


COLUMNS = [slot for slot in RecordColumns.__slots__ if slot != "count"]


@both_codecs
@pytest.mark.parametrize("name", [name for name in COLUMNS if not name.endswith("_data")])
def test_a_column_that_is_too_short_is_malformed(codec: Codec, name: str) -> None:
    columns = codec.decode_columns(codec.encode(SOME), 3)
    setattr(columns, name, getattr(columns, name)[:-1])
    with pytest.raises(Malformed, match=f"column {name} has"):
        codec.encode_columns(columns)


@both_codecs
@pytest.mark.parametrize("name", [name for name in COLUMNS if name.endswith("_data")])
def test_offsets_past_the_data_are_malformed(codec: Codec, name: str) -> None:
    columns = codec.decode_columns(codec.encode(SOME), 3)
    setattr(columns, name, getattr(columns, name)[:-1])
    with pytest.raises(Malformed, match="the offsets of a column"):
        codec.encode_columns(columns)


@both_codecs
@pytest.mark.parametrize("value", [-1, -(2**31), 2**31 - 1])
@pytest.mark.parametrize("name", [name for name in COLUMNS if name.endswith("_offsets")])
def test_offsets_that_make_no_sense_are_malformed(codec: Codec, name: str, value: int) -> None:
    columns = codec.decode_columns(codec.encode(SOME), 3)
    struct.pack_into("i", getattr(columns, name), 4, value)
    with pytest.raises(Malformed):
        codec.encode_columns(columns)


@both_codecs
def test_a_negative_count_of_columns_is_malformed(codec: Codec) -> None:
    columns = codec.decode_columns(b"", 0)
    columns.count = -1
    with pytest.raises(Malformed):
        codec.encode_columns(columns)


def test_the_kernel_is_chosen_if_it_is_there() -> None:
    assert ("python" if KERNEL_MISSING else "compiled") == record_codec.KERNEL


def test_without_the_kernel_the_plain_twin_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    from streambus.protocol import _records_python

    monkeypatch.setitem(sys.modules, "streambus.protocol._kernel_decode", None)
    try:
        chosen = importlib.reload(record_codec)
        assert chosen.KERNEL == "python"
        assert chosen.decode is _records_python.decode
        assert chosen.encode is _records_python.encode
    finally:
        monkeypatch.undo()
        importlib.reload(record_codec)
