# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, infer_types=False
"""Records from bytes, compiled: pointers, and a check before every one of them moves.

Owns    the decoding functions of `_records_python`, with the same results and the same `Malformed`.
Never   reads or writes out of bounds, whatever the bytes say and whoever changes them meanwhile:
        each length is read once, and compared with what is left before it is used.

The column path releases the GIL on sections that are worth it.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char* text, Py_ssize_t size, const char* errors)
    bytearray PyByteArray_FromStringAndSize(const char* text, Py_ssize_t size)

from streambus.protocol.columns import RecordColumns
from streambus.protocol.record_faults import check_count, fault, left_over

# As numbered in record_faults.py; a test compares them.
cdef enum:
    SHORT = 1
    VARINT = 2
    RECORD_LENGTH = 3
    OFFSET_DELTA = 4
    FIELD_LENGTH = 5
    HEADER_COUNT = 6
    LEFT_OVER = 7
    OVERFLOW = 8
    CHANGED = 11

# Below this, handing the GIL over costs more than the work.
cdef Py_ssize_t RELEASE_BYTES_MIN = 32 << 10

cdef struct Record:
    int64_t timestamp_delta
    int64_t offset_delta
    const uint8_t* key
    int64_t key_length  # -1: null
    const uint8_t* value
    int64_t value_length
    int64_t header_count
    const uint8_t* headers
    const uint8_t* end

# What the records hold together, and where the first fault is.
cdef struct Survey:
    int wrong
    int64_t bad_record
    int64_t left  # bytes after the last record
    int64_t null_keys
    int64_t null_values
    int64_t headers
    int64_t name_bytes
    int64_t header_value_bytes
    int64_t null_header_values

cdef struct Header:
    const uint8_t* name
    int64_t name_length
    const uint8_t* value
    int64_t value_length


cdef inline int read_varint(
    const uint8_t** at, const uint8_t* end, int bits, int64_t* value
) noexcept nogil:
    """One zigzag varint of at most `bits` (32 or 64) bits; moves `at` behind it."""
    cdef const uint8_t* p = at[0]
    cdef uint64_t raw, byte
    cdef int shift = 7
    if p >= end:
        return SHORT
    raw = p[0]
    p += 1
    if raw >= 0x80:
        raw &= 0x7F
        while True:
            if p >= end:
                return SHORT
            byte = p[0]
            p += 1
            # The tenth byte of a 64-bit varint holds one bit.
            if shift == 63 and byte > 1:
                return VARINT
            raw |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= bits:
                return VARINT
        if bits == 32 and raw >> 32:
            return VARINT
    value[0] = <int64_t>(raw >> 1) ^ -<int64_t>(raw & 1)
    at[0] = p
    return 0


cdef inline int read_field(
    const uint8_t** at, const uint8_t* end, int64_t length_min, const uint8_t** field,
    int64_t* length
) noexcept nogil:
    """A length and as many bytes: `length_min` is -1 where null is allowed, else 0."""
    cdef int wrong = read_varint(at, end, 32, length)
    if wrong:
        return wrong
    if length[0] < length_min or length[0] > end - at[0]:
        return FIELD_LENGTH
    field[0] = at[0]  # for null: where it would be
    if length[0] > 0:
        at[0] += length[0]
    return 0


cdef inline int read_record(
    const uint8_t** at, const uint8_t* section_end, Record* record
) noexcept nogil:
    """One record up to its headers; moves `at` behind the whole record."""
    cdef int64_t length
    cdef const uint8_t* p
    cdef const uint8_t* end
    cdef int wrong = read_varint(at, section_end, 32, &length)
    if wrong:
        return wrong
    p = at[0]
    if length < 0 or length > section_end - p:
        return RECORD_LENGTH
    end = p + length
    if p >= end:
        return SHORT
    p += 1  # attributes: Kafka defines none
    wrong = read_varint(&p, end, 64, &record.timestamp_delta)
    if wrong:
        return wrong
    wrong = read_varint(&p, end, 32, &record.offset_delta)
    if wrong:
        return wrong
    if record.offset_delta < 0:
        return OFFSET_DELTA
    wrong = read_field(&p, end, -1, &record.key, &record.key_length)
    if wrong:
        return wrong
    wrong = read_field(&p, end, -1, &record.value, &record.value_length)
    if wrong:
        return wrong
    wrong = read_varint(&p, end, 32, &record.header_count)
    if wrong:
        return wrong
    # A header takes two bytes at least.
    if record.header_count < 0 or record.header_count > (end - p) >> 1:
        return HEADER_COUNT
    if record.header_count == 0 and p != end:
        return LEFT_OVER
    record.headers = p
    record.end = end
    at[0] = end
    return 0


cdef inline int read_header(
    const uint8_t** at, const uint8_t* end, Header* header
) noexcept nogil:
    cdef int wrong = read_field(at, end, 0, &header.name, &header.name_length)
    if wrong:
        return wrong
    return read_field(at, end, -1, &header.value, &header.value_length)


# ---- records -> tuples ---------------------------------------------------------------------


def decode(
    section, Py_ssize_t count, int64_t base_offset=0, int64_t base_timestamp=0, timestamp=None
):
    """The records as tuples; offsets and timestamps count from the bases.

    With `timestamp` every record has that one.
    """
    cdef Py_buffer held
    PyObject_GetBuffer(section, &held, PyBUF_SIMPLE)
    try:
        check_count(count, held.len)
        return decode_held(
            <const uint8_t*>held.buf, held.len, count, base_offset, base_timestamp, timestamp
        )
    finally:
        PyBuffer_Release(&held)


cdef list decode_held(
    const uint8_t* start, Py_ssize_t size, Py_ssize_t count, int64_t base_offset,
    int64_t base_timestamp, object timestamp
):
    cdef const uint8_t* at = start
    cdef const uint8_t* end = start + size
    cdef Record record
    cdef Py_ssize_t index
    cdef int wrong
    cdef bint stamped = timestamp is not None
    cdef int64_t stamp = timestamp if stamped else 0
    cdef list records = []
    cdef object key, value
    cdef tuple headers
    for index in range(count):
        wrong = read_record(&at, end, &record)
        if wrong:
            raise fault(index, wrong)
        headers = () if record.header_count == 0 else decode_headers(&record, index)
        if not stamped:
            if adds_over(base_timestamp, record.timestamp_delta):
                raise fault(index, OVERFLOW)
            stamp = base_timestamp + record.timestamp_delta
        if adds_over(base_offset, record.offset_delta):
            raise fault(index, OVERFLOW)
        key = None
        if record.key_length >= 0:
            key = PyBytes_FromStringAndSize(<const char*>record.key, record.key_length)
        value = None
        if record.value_length >= 0:
            value = PyBytes_FromStringAndSize(<const char*>record.value, record.value_length)
        records.append((base_offset + record.offset_delta, stamp, key, value, headers))
    if at != end:
        raise left_over(count, end - at)
    return records


cdef tuple decode_headers(Record* record, Py_ssize_t index):
    cdef const uint8_t* at = record.headers
    cdef Header header
    cdef int64_t position
    cdef int wrong
    cdef list headers = []
    cdef object value
    for position in range(record.header_count):
        wrong = read_header(&at, record.end, &header)
        if wrong:
            raise fault(index, wrong)
        value = None
        if header.value_length >= 0:
            value = PyBytes_FromStringAndSize(<const char*>header.value, header.value_length)
        headers.append((
            PyUnicode_DecodeUTF8(<const char*>header.name, header.name_length, "surrogateescape"),
            value,
        ))
    if at != record.end:
        raise fault(index, LEFT_OVER)
    return tuple(headers)


cdef inline bint adds_over(int64_t base, int64_t delta) noexcept nogil:
    if delta >= 0:
        return base > INT64_MAX - delta
    return base < INT64_MIN - delta


def find_timestamp(
    section, Py_ssize_t count, int64_t timestamp_delta_min, int64_t offset_delta_min=0
):
    """(offset delta, timestamp delta) of the first record at or after both, or None."""
    cdef Py_buffer held
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef Record record
    cdef Survey survey
    cdef Py_ssize_t index
    cdef int wrong
    memset(&survey, 0, sizeof(Survey))
    PyObject_GetBuffer(section, &held, PyBUF_SIMPLE)
    try:
        check_count(count, held.len)
        at = <const uint8_t*>held.buf
        end = at + held.len
        for index in range(count):
            wrong = read_record(&at, end, &record)
            if wrong == 0 and record.header_count:
                wrong = measure_headers(&record, &survey)
            if wrong:
                raise fault(index, wrong)
            if (
                record.timestamp_delta >= timestamp_delta_min
                and record.offset_delta >= offset_delta_min
            ):
                return record.offset_delta, record.timestamp_delta
        return None
    finally:
        PyBuffer_Release(&held)


# ---- records -> columns --------------------------------------------------------------------

cdef struct Columns:
    int32_t* offset_deltas
    int64_t* timestamp_deltas
    int32_t* key_offsets
    uint8_t* key_validity
    int32_t* value_offsets
    uint8_t* value_validity
    int32_t* header_offsets
    int32_t* key_positions  # where in the section a field begins
    int32_t* value_positions

cdef struct HeaderColumns:
    int32_t* name_offsets
    uint8_t* name_data
    int32_t* value_offsets
    uint8_t* value_data
    uint8_t* value_validity


def decode_columns(section, Py_ssize_t count):
    """The records as columns.

    First everything of fixed width is written, and with it where each field lies; then buffers of
    the exact size take the fields. The second step rests on what the first wrote, not on the
    section's lengths, so it stays within bounds whoever changes the section meanwhile.
    """
    cdef Py_buffer held
    PyObject_GetBuffer(section, &held, PyBUF_SIMPLE)
    try:
        check_count(count, held.len)
        return decode_columns_held(<const uint8_t*>held.buf, held.len, count)
    finally:
        PyBuffer_Release(&held)


cdef object decode_columns_held(const uint8_t* start, Py_ssize_t size, Py_ssize_t count):
    cdef Survey survey
    cdef Columns columns
    cdef bytearray offset_deltas = blank(4 * count)
    cdef bytearray timestamp_deltas = blank(8 * count)
    cdef bytearray key_offsets = blank(4 * (count + 1))
    cdef bytearray value_offsets = blank(4 * (count + 1))
    cdef bytearray header_offsets = blank(4 * (count + 1))
    cdef bytearray key_positions = blank(4 * count)
    cdef bytearray value_positions = blank(4 * count)
    # Every row is null until it is found to be there.
    cdef bytearray key_validity = bytearray((count + 7) >> 3)
    cdef bytearray value_validity = bytearray((count + 7) >> 3)
    columns.offset_deltas = <int32_t*>PyByteArray_AS_STRING(offset_deltas)
    columns.timestamp_deltas = <int64_t*>PyByteArray_AS_STRING(timestamp_deltas)
    columns.key_offsets = <int32_t*>PyByteArray_AS_STRING(key_offsets)
    columns.key_validity = <uint8_t*>PyByteArray_AS_STRING(key_validity)
    columns.value_offsets = <int32_t*>PyByteArray_AS_STRING(value_offsets)
    columns.value_validity = <uint8_t*>PyByteArray_AS_STRING(value_validity)
    columns.header_offsets = <int32_t*>PyByteArray_AS_STRING(header_offsets)
    columns.key_positions = <int32_t*>PyByteArray_AS_STRING(key_positions)
    columns.value_positions = <int32_t*>PyByteArray_AS_STRING(value_positions)
    if size >= RELEASE_BYTES_MIN:
        with nogil:
            survey.wrong = write_fixed(start, size, count, &columns, &survey)
    else:
        survey.wrong = write_fixed(start, size, count, &columns, &survey)
    if survey.wrong:
        raise fault(survey.bad_record, survey.wrong)
    if survey.left:
        raise left_over(count, survey.left)

    cdef bytearray key_data = blank(columns.key_offsets[count])
    cdef bytearray value_data = blank(columns.value_offsets[count])
    gather_released(
        start, size, columns.key_positions, columns.key_offsets, count,
        <uint8_t*>PyByteArray_AS_STRING(key_data),
    )
    gather_released(
        start, size, columns.value_positions, columns.value_offsets, count,
        <uint8_t*>PyByteArray_AS_STRING(value_data),
    )
    headers = header_columns(start, size, count, &columns, &survey)
    return RecordColumns(
        count,
        offset_deltas=offset_deltas,
        timestamp_deltas=timestamp_deltas,
        key_offsets=key_offsets,
        key_data=key_data,
        key_validity=key_validity if survey.null_keys else None,
        value_offsets=value_offsets,
        value_data=value_data,
        value_validity=value_validity if survey.null_values else None,
        header_offsets=header_offsets,
        name_offsets=headers[0],
        name_data=headers[1],
        header_value_offsets=headers[2],
        header_value_data=headers[3],
        header_value_validity=headers[4],
    )


cdef bytearray blank(Py_ssize_t size):
    """Not zeroed: whoever asks fills all of it."""
    return PyByteArray_FromStringAndSize(NULL, size)


cdef int write_fixed(
    const uint8_t* start, Py_ssize_t size, Py_ssize_t count, const Columns* held, Survey* survey
) noexcept nogil:
    cdef Columns columns = held[0]  # a copy of its own: writing bytes cannot have changed it
    cdef const uint8_t* at = start
    cdef const uint8_t* end = start + size
    cdef Record record
    cdef Py_ssize_t index
    cdef int64_t key_bytes = 0, value_bytes = 0, null_keys = 0, null_values = 0
    cdef int wrong
    memset(survey, 0, sizeof(Survey))
    columns.key_offsets[0] = 0
    columns.value_offsets[0] = 0
    columns.header_offsets[0] = 0
    for index in range(count):
        wrong = read_record(&at, end, &record)
        if wrong == 0 and record.header_count:
            wrong = measure_headers(&record, survey)
        if wrong:
            survey.bad_record = index
            return wrong
        columns.offset_deltas[index] = <int32_t>record.offset_delta
        columns.timestamp_deltas[index] = record.timestamp_delta
        columns.key_positions[index] = <int32_t>(record.key - start)
        if record.key_length < 0:
            null_keys += 1
        else:
            key_bytes += record.key_length
            columns.key_validity[index >> 3] |= 1 << (index & 7)
        columns.key_offsets[index + 1] = <int32_t>key_bytes
        columns.value_positions[index] = <int32_t>(record.value - start)
        if record.value_length < 0:
            null_values += 1
        else:
            value_bytes += record.value_length
            columns.value_validity[index >> 3] |= 1 << (index & 7)
        columns.value_offsets[index + 1] = <int32_t>value_bytes
        columns.header_offsets[index + 1] = <int32_t>survey.headers
    survey.left = end - at
    survey.null_keys = null_keys
    survey.null_values = null_values
    return 0


cdef int measure_headers(const Record* record, Survey* survey) noexcept nogil:
    cdef const uint8_t* at = record.headers
    cdef Header header
    cdef int64_t position
    cdef int wrong
    for position in range(record.header_count):
        wrong = read_header(&at, record.end, &header)
        if wrong:
            return wrong
        survey.name_bytes += header.name_length
        if header.value_length >= 0:
            survey.header_value_bytes += header.value_length
        else:
            survey.null_header_values += 1
    survey.headers += record.header_count
    return 0 if at == record.end else LEFT_OVER


cdef void gather_released(
    const uint8_t* start, Py_ssize_t size, const int32_t* positions, const int32_t* offsets,
    Py_ssize_t count, uint8_t* data
):
    if offsets[count] == 0:
        return
    if size >= RELEASE_BYTES_MIN:
        with nogil:
            gather(start, positions, offsets, count, data)
    else:
        gather(start, positions, offsets, count, data)


cdef void gather(
    const uint8_t* start, const int32_t* positions, const int32_t* offsets, Py_ssize_t count,
    uint8_t* data
) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(count):
        memcpy(data + offsets[index], start + positions[index], offsets[index + 1] - offsets[index])


cdef tuple header_columns(
    const uint8_t* start, Py_ssize_t size, Py_ssize_t count, const Columns* columns,
    const Survey* survey
):
    """(name offsets, name data, value offsets, value data, value validity)"""
    cdef HeaderColumns headers
    cdef int wrong
    cdef bytearray name_offsets = blank(4 * (survey.headers + 1))
    cdef bytearray name_data = blank(survey.name_bytes)
    cdef bytearray value_offsets = blank(4 * (survey.headers + 1))
    cdef bytearray value_data = blank(survey.header_value_bytes)
    cdef bytearray value_validity = bytearray((survey.headers + 7) >> 3)
    headers.name_offsets = <int32_t*>PyByteArray_AS_STRING(name_offsets)
    headers.name_data = <uint8_t*>PyByteArray_AS_STRING(name_data)
    headers.value_offsets = <int32_t*>PyByteArray_AS_STRING(value_offsets)
    headers.value_data = <uint8_t*>PyByteArray_AS_STRING(value_data)
    headers.value_validity = <uint8_t*>PyByteArray_AS_STRING(value_validity)
    if size >= RELEASE_BYTES_MIN:
        with nogil:
            wrong = write_headers(start, start + size, count, columns, survey, &headers)
    else:
        wrong = write_headers(start, start + size, count, columns, survey, &headers)
    if wrong:
        raise fault(count, wrong)
    return (
        name_offsets, name_data, value_offsets, value_data,
        value_validity if survey.null_header_values else None,
    )


cdef int write_headers(
    const uint8_t* start, const uint8_t* end, Py_ssize_t count, const Columns* columns,
    const Survey* survey, HeaderColumns* headers
) noexcept nogil:
    """Headers are parsed anew, so each is held against the room that was measured."""
    cdef const uint8_t* at
    cdef Header header
    cdef Py_ssize_t index
    cdef int64_t rows, row = 0, name_bytes = 0, value_bytes = 0, header_count
    headers.name_offsets[0] = 0
    headers.value_offsets[0] = 0
    if survey.headers == 0:
        return 0
    for index in range(count):
        rows = columns.header_offsets[index + 1]
        if rows == row:
            continue
        at = (
            start + columns.value_positions[index]
            + (columns.value_offsets[index + 1] - columns.value_offsets[index])
        )
        if read_varint(&at, end, 32, &header_count):
            return CHANGED
        while row < rows:
            if read_header(&at, end, &header):
                return CHANGED
            if (
                header.name_length > survey.name_bytes - name_bytes
                or header.value_length > survey.header_value_bytes - value_bytes
            ):
                return CHANGED
            memcpy(headers.name_data + name_bytes, header.name, header.name_length)
            name_bytes += header.name_length
            if header.value_length >= 0:
                memcpy(headers.value_data + value_bytes, header.value, header.value_length)
                value_bytes += header.value_length
                headers.value_validity[row >> 3] |= 1 << (row & 7)
            row += 1
            headers.name_offsets[row] = <int32_t>name_bytes
            headers.value_offsets[row] = <int32_t>value_bytes
    if name_bytes != survey.name_bytes or value_bytes != survey.header_value_bytes:
        return CHANGED
    return 0
