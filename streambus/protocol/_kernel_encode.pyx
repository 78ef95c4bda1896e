# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, infer_types=False
"""Records to bytes, compiled: every write is held against the room that is there.

Owns    the encoding functions of `_records_python`, with the same results and the same errors.
Never   reads or writes out of bounds, whatever the columns say and whoever changes them meanwhile.

The column path releases the GIL where that is worth it.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    PyObject* PyList_GET_ITEM(object items, Py_ssize_t index)
    # On borrowed references, so that the fast path counts none.
    bint is_bytes "PyBytes_Check"(PyObject* field)
    Py_ssize_t borrowed_size "PyBytes_GET_SIZE"(PyObject* field)
    char* borrowed_data "PyBytes_AS_STRING"(PyObject* field)
    int leading_zeros "__builtin_clzll"(uint64_t value) noexcept nogil

from streambus.errors import Malformed
from streambus.protocol.record_faults import column_short, fault

# As numbered in record_faults.py; a test compares them.
cdef enum:
    OFFSET_DELTA = 4
    OVERFLOW = 8
    COLUMN_OFFSETS = 9
    TOO_LARGE = 10
    CHANGED = 11

# Below this, handing the GIL over costs more than the work.
cdef Py_ssize_t RELEASE_RECORDS_MIN = 512


cdef inline uint8_t* write_varint(uint8_t* at, int64_t value) noexcept nogil:
    cdef uint64_t raw = (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)
    while raw > 0x7F:
        at[0] = <uint8_t>(raw | 0x80)
        at += 1
        raw >>= 7
    at[0] = <uint8_t>raw
    return at + 1


cdef inline int varint_bytes(int64_t value) noexcept nogil:
    cdef uint64_t raw = (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)
    # One byte per seven bits, rounded up, without a division: exact for up to 64 bits.
    return ((64 - leading_zeros(raw | 1)) * 9 + 64) >> 6


cdef inline int64_t field_bytes(int64_t length) noexcept nogil:
    return 1 if length < 0 else varint_bytes(length) + length


cdef inline uint8_t* write_field(
    uint8_t* at, const uint8_t* field, int64_t length
) noexcept nogil:
    """A length (-1 for null) and as many bytes."""
    at = write_varint(at, length)
    if length > 0:
        memcpy(at, field, length)
        at += length
    return at


# ---- tuples -> records ---------------------------------------------------------------------

cdef class Sink:
    """Bytes that grow; given back as one bytes object."""

    cdef uint8_t* data
    cdef Py_ssize_t used
    cdef Py_ssize_t size

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef uint8_t* reserve(self, Py_ssize_t needed) except NULL:
        cdef Py_ssize_t size = self.size
        cdef uint8_t* grown
        if needed > size - self.used:
            size = max(2 * size, self.used + needed, 512)
            grown = <uint8_t*>PyMem_Realloc(self.data, size)
            if grown == NULL:
                raise MemoryError
            self.data = grown
            self.size = size
        return self.data + self.used

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(<char*>self.data, self.used)


def encode(records):
    """Tuples of (offset delta, timestamp delta, key, value, headers) as a records section."""
    cdef Sink sink = Sink()
    cdef Py_ssize_t index = 0
    cdef object offset_delta, timestamp_delta, key, value, headers
    for offset_delta, timestamp_delta, key, value, headers in records:
        encode_record(sink, index, offset_delta, timestamp_delta, key, value, headers)
        index += 1
    return sink.taken()


cdef int encode_record(
    Sink sink, Py_ssize_t index, object offset_object, object timestamp_object, object key,
    object value, object headers
) except -1:
    cdef int64_t offset_delta, timestamp_delta, body
    cdef list encoded = None
    cdef int64_t header_count = 0
    cdef uint8_t* at
    if not isinstance(offset_object, int) or not isinstance(timestamp_object, int):
        raise TypeError("offset and timestamp deltas are int")
    try:
        offset_delta = offset_object
    except OverflowError:
        offset_delta = -1
    if offset_delta < 0 or offset_delta > INT32_MAX:
        raise fault(index, OFFSET_DELTA)
    try:
        timestamp_delta = timestamp_object
    except OverflowError:
        raise fault(index, OVERFLOW) from None
    cdef int64_t key_length = length_of(key)
    cdef int64_t value_length = length_of(value)
    body = (
        1
        + varint_bytes(timestamp_delta)
        + varint_bytes(offset_delta)
        + field_bytes(key_length)
        + field_bytes(value_length)
    )
    if headers:
        encoded = encoded_headers(headers)
        header_count = len(encoded) >> 1
        body += sum([field_bytes(length_of(field)) for field in encoded])
    body += varint_bytes(header_count)
    if body > INT32_MAX or sink.used + varint_bytes(body) + body > INT32_MAX:
        raise fault(index, TOO_LARGE)
    at = sink.reserve(body + 5)
    at = write_varint(at, body)
    at[0] = 0
    at = write_varint(at + 1, timestamp_delta)
    at = write_varint(at, offset_delta)
    at = write_object(at, key, key_length)
    at = write_object(at, value, value_length)
    at = write_varint(at, header_count)
    if encoded is not None:
        for field in encoded:
            at = write_object(at, field, length_of(field))
    sink.used = at - sink.data
    return 0


cdef inline int64_t length_of(object field) except -2:
    if field is None:
        return -1
    if not isinstance(field, bytes):
        raise TypeError(
            f"a key, value or header value is bytes or None, not {type(field).__name__}"
        )
    return PyBytes_GET_SIZE(field)


cdef inline uint8_t* write_object(uint8_t* at, object field, int64_t length) noexcept:
    if length < 0:
        return write_varint(at, -1)
    return write_field(at, <const uint8_t*>PyBytes_AS_STRING(field), length)


cdef list encoded_headers(object headers):
    """Names and values in turn."""
    cdef list fields = []
    for name, value in headers:
        if not isinstance(name, str):
            raise TypeError(f"a header name is str, not {type(name).__name__}")
        length_of(value)
        fields.append((<str>name).encode("utf-8", "surrogateescape"))
        fields.append(value)
    return fields


def encode_values(values):
    """Values alone (no key, no headers, timestamp delta 0) as a records section: the fast path."""
    # Between the two passes no Python code runs, so the list stays as it was measured.
    cdef list items = values if type(values) is list else list(values)
    cdef Py_ssize_t count = len(items)
    cdef Py_ssize_t index
    cdef int64_t length, body, size = 0
    cdef bytes section
    cdef uint8_t* at
    cdef PyObject* value
    for index in range(count):
        value = PyList_GET_ITEM(items, index)
        length = borrowed_size(value) if is_bytes(value) else length_of(<object>value)
        body = 4 + varint_bytes(index) + field_bytes(length)
        size += varint_bytes(body) + body
        if body > INT32_MAX or size > INT32_MAX:
            raise fault(index, TOO_LARGE)
    section = PyBytes_FromStringAndSize(NULL, size)
    at = <uint8_t*>PyBytes_AS_STRING(section)
    for index in range(count):
        value = PyList_GET_ITEM(items, index)
        length = borrowed_size(value) if is_bytes(value) else -1
        at = write_varint(at, 4 + varint_bytes(index) + field_bytes(length))
        at[0] = 0
        at[1] = 0
        at = write_varint(at + 2, index)
        at[0] = 1
        at = write_varint(at + 1, length)
        if length > 0:
            memcpy(at, borrowed_data(value), length)
            at += length
        at[0] = 0
        at += 1
    return section


# ---- columns -> records --------------------------------------------------------------------

cdef class Held:
    """A buffer of a column, held for as long as this object lives."""

    cdef Py_buffer buffer

    def __cinit__(self, column, str name, int64_t needed):
        PyObject_GetBuffer(column, &self.buffer, PyBUF_SIMPLE)
        if self.buffer.len < needed:
            raise column_short(name, self.buffer.len, needed)

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)


cdef struct Column:
    const uint8_t* offsets  # int32, perhaps not aligned
    const uint8_t* data
    int64_t data_bytes
    const uint8_t* validity

cdef struct Source:
    const uint8_t* offset_deltas
    const uint8_t* timestamp_deltas
    Column keys
    Column values
    const uint8_t* header_offsets
    int64_t header_rows
    Column names
    Column header_values
    int64_t bad_record  # where a fault was found

cdef struct Record:
    int64_t offset_delta
    int64_t timestamp_delta
    const uint8_t* key
    int64_t key_length  # -1: null
    const uint8_t* value
    int64_t value_length
    int64_t header_start
    int64_t header_end
    int64_t body  # the bytes it takes, its length not counted


def encode_columns(columns):
    """A records section of `RecordColumns`: sliced columns (offsets not from 0) are fine."""
    cdef int64_t count = columns.count
    cdef Source source
    cdef bytes section
    cdef uint8_t* start
    cdef int64_t size = 0
    cdef int wrong
    cdef list held = []
    if count < 0:
        raise Malformed(f"columns of {count} records")
    if count == 0:
        return b""
    hold_columns(columns, count, &source, held)
    if count >= RELEASE_RECORDS_MIN:
        with nogil:
            wrong = measure_columns(&source, count, &size)
    else:
        wrong = measure_columns(&source, count, &size)
    if wrong:
        raise fault(source.bad_record, wrong)
    section = PyBytes_FromStringAndSize(NULL, size)
    start = <uint8_t*>PyBytes_AS_STRING(section)
    if count >= RELEASE_RECORDS_MIN:
        with nogil:
            wrong = write_columns(&source, count, start, start + size)
    else:
        wrong = write_columns(&source, count, start, start + size)
    if wrong:
        raise fault(source.bad_record, wrong)
    return section


cdef int hold_columns(object columns, int64_t count, Source* source, list held) except -1:
    cdef int64_t rows
    source.offset_deltas = hold(columns.offset_deltas, "offset_deltas", 4 * count, held)
    source.timestamp_deltas = hold(columns.timestamp_deltas, "timestamp_deltas", 8 * count, held)
    hold_column(
        &source.keys, "key", columns.key_offsets, columns.key_data,
        columns.key_validity, count, held,
    )
    hold_column(
        &source.values, "value", columns.value_offsets, columns.value_data,
        columns.value_validity, count, held,
    )
    source.header_offsets = hold(columns.header_offsets, "header_offsets", 4 * (count + 1), held)
    rows = load32(source.header_offsets, count)
    source.header_rows = max(rows, <int64_t>0)
    hold_column(
        &source.names, "name", columns.name_offsets, columns.name_data, None,
        source.header_rows, held,
    )
    hold_column(
        &source.header_values, "header_value", columns.header_value_offsets,
        columns.header_value_data, columns.header_value_validity, source.header_rows, held,
    )
    return 0


cdef const uint8_t* hold(object buffer, str name, int64_t needed, list held) except? NULL:
    cdef Held column = Held(buffer, name, needed)
    held.append(column)
    return <const uint8_t*>column.buffer.buf


cdef int hold_column(
    Column* column, str name, object offsets, object data, object validity, int64_t rows, list held
) except -1:
    column.offsets = hold(offsets, f"{name}_offsets", 4 * (rows + 1), held)
    column.data = hold(data, f"{name}_data", 0, held)
    column.data_bytes = (<Held>held[len(held) - 1]).buffer.len
    column.validity = NULL
    if validity is not None:
        column.validity = hold(validity, f"{name}_validity", (rows + 7) >> 3, held)
    return 0


cdef inline int64_t load32(const uint8_t* column, int64_t index) noexcept nogil:
    cdef int32_t value
    memcpy(&value, column + 4 * index, 4)
    return value


cdef inline int64_t load64(const uint8_t* column, int64_t index) noexcept nogil:
    cdef int64_t value
    memcpy(&value, column + 8 * index, 8)
    return value


cdef inline int row(
    const Column* column, int64_t index, const uint8_t** field, int64_t* length
) noexcept nogil:
    """The bytes of one row; length -1 where it is null."""
    cdef int64_t start = load32(column.offsets, index)
    cdef int64_t end = load32(column.offsets, index + 1)
    if start < 0 or end < start or end > column.data_bytes:
        return COLUMN_OFFSETS
    field[0] = column.data + start
    length[0] = end - start
    if column.validity != NULL and not (column.validity[index >> 3] >> (index & 7)) & 1:
        length[0] = -1
    return 0


cdef inline int read_row(const Source* source, int64_t index, Record* record) noexcept nogil:
    """One record out of the columns, checked and measured."""
    cdef int wrong
    record.offset_delta = load32(source.offset_deltas, index)
    if record.offset_delta < 0:
        return OFFSET_DELTA
    record.timestamp_delta = load64(source.timestamp_deltas, index)
    wrong = row(&source.keys, index, &record.key, &record.key_length)
    if wrong:
        return wrong
    wrong = row(&source.values, index, &record.value, &record.value_length)
    if wrong:
        return wrong
    record.header_start = load32(source.header_offsets, index)
    record.header_end = load32(source.header_offsets, index + 1)
    if (
        record.header_start < 0
        or record.header_end < record.header_start
        or record.header_end > source.header_rows
    ):
        return COLUMN_OFFSETS
    record.body = (
        1
        + varint_bytes(record.timestamp_delta)
        + varint_bytes(record.offset_delta)
        + field_bytes(record.key_length)
        + field_bytes(record.value_length)
        + varint_bytes(record.header_end - record.header_start)
    )
    if record.header_end != record.header_start:
        return measure_headers(source, record)
    return 0


cdef int measure_headers(const Source* source, Record* record) noexcept nogil:
    cdef const uint8_t* field
    cdef int64_t index, length
    for index in range(record.header_start, record.header_end):
        if row(&source.names, index, &field, &length):
            return COLUMN_OFFSETS
        record.body += field_bytes(length)
        if row(&source.header_values, index, &field, &length):
            return COLUMN_OFFSETS
        record.body += field_bytes(length)
    return 0


cdef int measure_columns(Source* source, int64_t count, int64_t* size) noexcept nogil:
    cdef Record record
    cdef int64_t index, total = 0
    cdef int wrong
    for index in range(count):
        wrong = read_row(source, index, &record)
        if wrong:
            source.bad_record = index
            return wrong
        total += varint_bytes(record.body) + record.body
        if total > INT32_MAX:
            source.bad_record = index
            return TOO_LARGE
    size[0] = total
    return 0


cdef int write_columns(
    const Source* held, int64_t count, uint8_t* at, const uint8_t* end
) noexcept nogil:
    """The columns are read anew, so each record is held against the room that was measured."""
    cdef Source source = held[0]  # a copy of its own: writing bytes cannot have changed it
    cdef Record record
    cdef uint8_t* record_end
    cdef int64_t index
    cdef int wrong
    for index in range(count):
        wrong = read_row(&source, index, &record)
        if wrong or varint_bytes(record.body) + record.body > end - at:
            return CHANGED
        at = write_varint(at, record.body)
        record_end = at + record.body
        at[0] = 0
        at = write_varint(at + 1, record.timestamp_delta)
        at = write_varint(at, record.offset_delta)
        at = write_field(at, record.key, record.key_length)
        at = write_field(at, record.value, record.value_length)
        at = write_varint(at, record.header_end - record.header_start)
        if record.header_end != record.header_start:
            wrong = write_headers(&source, &record, record_end, &at)
            if wrong:
                return wrong
        if at != record_end:
            return CHANGED
    return 0 if at == end else CHANGED


cdef int write_headers(
    const Source* source, const Record* record, const uint8_t* record_end, uint8_t** at
) noexcept nogil:
    cdef const uint8_t* name
    cdef const uint8_t* value
    cdef int64_t index, name_length, value_length
    for index in range(record.header_start, record.header_end):
        if row(&source.names, index, &name, &name_length):
            return CHANGED
        if row(&source.header_values, index, &value, &value_length):
            return CHANGED
        if field_bytes(name_length) + field_bytes(value_length) > record_end - at[0]:
            return CHANGED
        at[0] = write_field(at[0], name, name_length)
        at[0] = write_field(at[0], value, value_length)
    return 0
