"""The record codec in plain Python: what runs without a compiler, and what the kernel is held to.

Owns    records <-> tuples, records <-> columns, as KIP-98 lays records out.
Never   differs from the compiled kernel, in results or in errors: one set of tests runs over both.

The loop over records reads ahead of its checks: bytes may be read past a record's end, but only
forward, so a record that was overrun cannot end where it should. Whatever looks wrong is read
again by `_strict`, which checks every step in the kernel's order and names the fault.
"""

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NoReturn

from streambus.errors import Malformed
from streambus.protocol import record_faults as faults
from streambus.protocol import varint
from streambus.protocol.columns import Buffer, Headers, RecordColumns, RecordTuple
from streambus.protocol.record_faults import check_count, column_short, fault, left_over

_INT32_MAX = 2**31 - 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_NO_HEADERS: Headers = ()


# ---- reading -------------------------------------------------------------------------------


def decode(
    section: Buffer,
    count: int,
    base_offset: int = 0,
    base_timestamp: int = 0,
    timestamp: int | None = None,
) -> list[RecordTuple]:
    """The records as tuples; offsets and timestamps count from the bases.

    With `timestamp` every record has that one.
    """
    data = bytes(section)
    check_count(count, len(data))
    records: list[RecordTuple] = []
    start = 0
    for index in range(count):
        try:
            record, after = _read(data, start)
        except IndexError:
            _strict(data, start, index)
        if record is None:
            _strict(data, start, index)
        start = after
        offset, stamp = base_offset + record[0], base_timestamp + record[1]
        if timestamp is not None:
            stamp = timestamp
        if offset > _INT64_MAX or not _INT64_MIN <= stamp <= _INT64_MAX:
            raise fault(index, faults.OVERFLOW)
        records.append((offset, stamp, record[2], record[3], record[4]))
    if start != len(data):
        raise left_over(count, len(data) - start)
    return records


def _long(data: bytes, position: int, raw: int, shift_max: int) -> tuple[int, int]:
    """The rest of a varint whose first byte said that there is more; IndexError if too long."""
    raw &= 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return raw, position
        shift += 7
        if shift > shift_max:
            raise IndexError


def _read(data: bytes, position: int) -> tuple[RecordTuple | None, int]:
    """(record, position after it), or None or an IndexError for one that `_strict` must explain."""
    raw = data[position]
    position += 1
    if raw > 0x7F:
        raw, position = _long(data, position, raw, 28)
    end = position + (raw >> 1)
    if raw & 1 or raw >> 32 or end > len(data):
        return None, 0
    raw = data[position + 1]
    position += 2
    if raw > 0x7F:
        raw, position = _long(data, position, raw, 63)
        if raw >> 64:
            return None, 0
    timestamp_delta = (raw >> 1) ^ -(raw & 1)
    raw = data[position]
    position += 1
    if raw > 0x7F:
        raw, position = _long(data, position, raw, 28)
    offset_delta = raw >> 1
    if raw & 1 or raw >> 32:
        return None, 0
    key: bytes | None = None
    raw = data[position]
    position += 1
    if raw > 0x7F:
        raw, position = _long(data, position, raw, 28)
    if raw != 1:  # zigzag of -1: null
        length = raw >> 1
        if raw & 1 or raw >> 32 or length > end - position:
            return None, 0
        key = data[position : position + length]
        position += length
    value: bytes | None = None
    raw = data[position]
    position += 1
    if raw > 0x7F:
        raw, position = _long(data, position, raw, 28)
    if raw != 1:
        length = raw >> 1
        if raw & 1 or raw >> 32 or length > end - position:
            return None, 0
        value = data[position : position + length]
        position += length
    headers = _NO_HEADERS
    if data[position]:
        headers, position = _read_headers(data, position, end)
    else:
        position += 1
    if position != end:
        return None, 0
    return (offset_delta, timestamp_delta, key, value, headers), end


def _read_headers(data: bytes, position: int, end: int) -> tuple[Headers, int]:
    """(headers, position after them); the position is -1 where `_strict` must explain."""
    headers: list[tuple[str, bytes | None]] = []
    try:
        count, position = _varint(data, position, end)
        if not 0 <= count <= (end - position) >> 1:
            return _NO_HEADERS, -1
        for _ in range(count):
            name, position = _field(data, position, end)
            value, position = _field(data, position, end)
            if name is None:
                return _NO_HEADERS, -1
            headers.append((name.decode("utf-8", "surrogateescape"), value))
    except _Wrong:
        return _NO_HEADERS, -1
    return tuple(headers), position


def _field(data: bytes, position: int, end: int) -> tuple[bytes | None, int]:
    length, position = _varint(data, position, end)
    if length < -1 or length > end - position:
        raise _Wrong(faults.FIELD_LENGTH)
    if length < 0:
        return None, position
    return data[position : position + length], position + length


class _Wrong(Exception):
    """A fault, on its way to where the record's index is known."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _varint(data: bytes, position: int, end: int, bits: int = 32) -> tuple[int, int]:
    try:
        return varint.read(data, position, end, bits)
    except varint.CutOff:
        raise _Wrong(faults.SHORT) from None
    except Malformed:
        raise _Wrong(faults.VARINT) from None


def _strict(data: bytes, start: int, index: int) -> NoReturn:
    """Name what is wrong with the record at `start`."""
    try:
        _check(data, start)
    except _Wrong as wrong:
        raise fault(index, wrong.number) from None
    raise AssertionError(f"record {index}: nothing is wrong with it")


def _check(data: bytes, position: int) -> None:
    length, position = _varint(data, position, len(data))
    end = position + length
    if length < 0 or end > len(data):
        raise _Wrong(faults.RECORD_LENGTH)
    if position >= end:
        raise _Wrong(faults.SHORT)
    _, position = _varint(data, position + 1, end, 64)
    offset_delta, position = _varint(data, position, end)
    if offset_delta < 0:
        raise _Wrong(faults.OFFSET_DELTA)
    _, position = _field(data, position, end)
    _, position = _field(data, position, end)
    count, position = _varint(data, position, end)
    if not 0 <= count <= (end - position) >> 1:
        raise _Wrong(faults.HEADER_COUNT)
    for _ in range(count):
        name, position = _field(data, position, end)
        if name is None:
            raise _Wrong(faults.FIELD_LENGTH)
        _, position = _field(data, position, end)
    if position != end:
        raise _Wrong(faults.LEFT_OVER)


def find_timestamp(
    section: Buffer, count: int, timestamp_delta_min: int, offset_delta_min: int = 0
) -> tuple[int, int] | None:
    """(offset delta, timestamp delta) of the first record at or after both, or None."""
    data = bytes(section)
    check_count(count, len(data))
    start = 0
    for index in range(count):
        try:
            record, after = _read(data, start)
        except IndexError:
            _strict(data, start, index)
        if record is None:
            _strict(data, start, index)
        start = after
        if record[1] >= timestamp_delta_min and record[0] >= offset_delta_min:
            return record[0], record[1]
    return None


def decode_columns(section: Buffer, count: int) -> RecordColumns:
    """The records as columns."""
    records = decode(section, count)
    key_offsets, key_data, key_validity = _column([record[2] for record in records])
    value_offsets, value_data, value_validity = _column([record[3] for record in records])
    headers = [header for record in records for header in record[4]]
    names = [name.encode("utf-8", "surrogateescape") for name, _ in headers]
    name_offsets, name_data, _ = _column(names)
    worth_offsets, worth_data, worth_validity = _column([value for _, value in headers])
    return RecordColumns(
        count,
        offset_deltas=bytearray(array("i", [record[0] for record in records])),
        timestamp_deltas=bytearray(array("q", [record[1] for record in records])),
        key_offsets=key_offsets,
        key_data=key_data,
        key_validity=key_validity,
        value_offsets=value_offsets,
        value_data=value_data,
        value_validity=value_validity,
        header_offsets=_offsets([len(record[4]) for record in records]),
        name_offsets=name_offsets,
        name_data=name_data,
        header_value_offsets=worth_offsets,
        header_value_data=worth_data,
        header_value_validity=worth_validity,
    )


def _offsets(lengths: Iterable[int]) -> bytearray:
    return bytearray(array("i", accumulate(lengths, initial=0)))


def _column(fields: Sequence[bytes | None]) -> tuple[bytearray, bytearray, bytearray | None]:
    """(offsets, data, validity) of a column of bytes."""
    offsets = _offsets(0 if field is None else len(field) for field in fields)
    data = bytearray(b"".join(field for field in fields if field is not None))
    if None not in fields:
        return offsets, data, None
    validity = bytearray((len(fields) + 7) >> 3)
    for row, field in enumerate(fields):
        if field is not None:
            validity[row >> 3] |= 1 << (row & 7)
    return offsets, data, validity


# ---- writing -------------------------------------------------------------------------------


def encode(records: Iterable[RecordTuple]) -> bytes:
    """Tuples of (offset delta, timestamp delta, key, value, headers) as a records section."""
    pieces: list[bytes] = []
    used = 0
    for index, (offset_delta, timestamp_delta, key, value, headers) in enumerate(records):
        if not 0 <= offset_delta <= _INT32_MAX:
            raise fault(index, faults.OFFSET_DELTA)
        if not _INT64_MIN <= timestamp_delta <= _INT64_MAX:
            raise fault(index, faults.OVERFLOW)
        body = [b"\0", varint.write(timestamp_delta), varint.write(offset_delta)]
        _append_field(body, key)
        _append_field(body, value)
        body.append(varint.write(len(headers)) if headers else b"\0")
        for name, worth in headers or _NO_HEADERS:
            if not isinstance(name, str):
                raise TypeError(f"a header name is str, not {type(name).__name__}")
            _append_field(body, name.encode("utf-8", "surrogateescape"))
            _append_field(body, worth)
        used = _append_record(pieces, body, used, index)
    return b"".join(pieces)


def _append_field(body: list[bytes], field: bytes | None) -> None:
    if field is None:
        body.append(b"\x01")
        return
    if not isinstance(field, bytes):
        raise TypeError(
            f"a key, value or header value is bytes or None, not {type(field).__name__}"
        )
    body.append(varint.write(len(field)))
    body.append(field)


def _append_record(pieces: list[bytes], body: list[bytes], used: int, index: int) -> int:
    size = sum(map(len, body))
    length = varint.write(size) if size <= _INT32_MAX else b""
    used += len(length) + size
    if not length or used > _INT32_MAX:
        raise fault(index, faults.TOO_LARGE)
    pieces.append(length)
    pieces += body
    return used


def encode_values(values: Iterable[bytes | None]) -> bytes:
    """Values alone (no key, no headers, timestamp delta 0) as a records section: the fast path."""
    pieces: list[bytes] = []
    used = 0
    for index, value in enumerate(values):
        body = [b"\0\0", varint.write(index), b"\x01"]
        _append_field(body, value)
        body.append(b"\0")
        used = _append_record(pieces, body, used, index)
    return b"".join(pieces)


class _Column:
    """A column of bytes, its rows cut out on demand and checked there."""

    __slots__ = ("data", "offsets", "validity")

    def __init__(
        self, name: str, offsets: Buffer, data: Buffer, validity: Buffer | None, rows: int
    ) -> None:
        self.offsets = _trimmed(f"{name}_offsets", offsets, 4 * (rows + 1)).cast("i")
        self.data = memoryview(data).cast("B")
        self.validity: memoryview | None = None
        if validity is not None:
            self.validity = _trimmed(f"{name}_validity", validity, (rows + 7) >> 3)

    def row(self, index: int) -> bytes | None:
        start, end = self.offsets[index], self.offsets[index + 1]
        if not 0 <= start <= end <= len(self.data):
            raise _Wrong(faults.COLUMN_OFFSETS)
        if self.validity is not None and not self.validity[index >> 3] >> (index & 7) & 1:
            return None
        return bytes(self.data[start:end])


def _trimmed(name: str, column: Buffer, needed: int) -> memoryview:
    view = memoryview(column).cast("B")
    if len(view) < needed:
        raise column_short(name, len(view), needed)
    return view[:needed]


def encode_columns(columns: RecordColumns) -> bytes:
    """A records section of `RecordColumns`: sliced columns (offsets not from 0) are fine."""
    count = columns.count
    if count < 0:
        raise Malformed(f"columns of {count} records")
    if count == 0:
        return b""
    offset_deltas = _trimmed("offset_deltas", columns.offset_deltas, 4 * count).cast("i")
    timestamps = _trimmed("timestamp_deltas", columns.timestamp_deltas, 8 * count)
    timestamp_deltas = timestamps.cast("q")
    keys = _Column("key", columns.key_offsets, columns.key_data, columns.key_validity, count)
    values = _Column(
        "value", columns.value_offsets, columns.value_data, columns.value_validity, count
    )
    header_offsets = _trimmed("header_offsets", columns.header_offsets, 4 * (count + 1)).cast("i")
    header_rows = max(header_offsets[count], 0)
    names = _Column("name", columns.name_offsets, columns.name_data, None, header_rows)
    worths = _Column(
        "header_value",
        columns.header_value_offsets,
        columns.header_value_data,
        columns.header_value_validity,
        header_rows,
    )
    pieces: list[bytes] = []
    used = 0
    for index in range(count):
        try:
            if offset_deltas[index] < 0:
                raise _Wrong(faults.OFFSET_DELTA)
            body = [
                b"\0",
                varint.write(timestamp_deltas[index]),
                varint.write(offset_deltas[index]),
            ]
            _append_field(body, keys.row(index))
            _append_field(body, values.row(index))
            start, end = header_offsets[index], header_offsets[index + 1]
            if not 0 <= start <= end <= header_rows:
                raise _Wrong(faults.COLUMN_OFFSETS)
            body.append(varint.write(end - start))
            for header in range(start, end):
                _append_field(body, names.row(header))
                _append_field(body, worths.row(header))
        except _Wrong as wrong:
            raise fault(index, wrong.number) from None
        used = _append_record(pieces, body, used, index)
    return b"".join(pieces)
