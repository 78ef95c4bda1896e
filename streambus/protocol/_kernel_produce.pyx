# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, infer_types=False
"""What producers send, compiled: a check before every pointer moves.

Owns    the functions of `_produce_python`, with the same results; `decode_usual` knows more.
Never   reads out of bounds, whatever the bytes say; never raises on what they say: None is
        "unusual", and whoever called looks closer.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from crc32c import crc32c

# As in _produce_python.py and wire.py; a test compares them.
cdef enum:
    HEADER_BYTES = 61
    LENGTH_PREFIX = 12
    CRC_START = 21
    LENGTH_MIN = 49
    RECORD_BYTES_MIN = 7
    NOT_FROM_PLAIN_PRODUCERS = 0x78
    FLEXIBLE_FROM = 9
    TOPIC_IDS_FROM = 13
    ENTRIES_MAX = 200_000


cdef inline uint16_t uint16_at(const uint8_t* p) noexcept nogil:
    return <uint16_t>((p[0] << 8) | p[1])


cdef inline uint32_t uint32_at(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline int64_t int64_at(const uint8_t* p) noexcept nogil:
    return <int64_t>((<uint64_t>uint32_at(p) << 32) | uint32_at(p + 4))


cdef inline int64_t uvarint(const uint8_t** at, const uint8_t* end) noexcept nogil:
    """An unsigned varint of at most 32 bits; moves `at` behind it. -1: cut short, or longer."""
    cdef const uint8_t* p = at[0]
    cdef uint64_t value = 0
    cdef int shift = 0
    while p < end and shift <= 28:
        value |= <uint64_t>(p[0] & 127) << shift
        p += 1
        if (p - 1)[0] < 128:
            if value >> 32:
                return -1
            at[0] = p
            return <int64_t>value
        shift += 7
    return -1


def read_sent(
    view,
    Py_ssize_t start,
    Py_ssize_t end,
    int64_t bytes_max,
    int64_t records_max,
    int64_t oldest_ms,
    int64_t newest_ms,
):
    cdef Py_buffer buffer
    cdef const uint8_t* p
    cdef int64_t base_timestamp, max_timestamp, producer_id
    cdef int32_t length, delta, base_sequence, count
    cdef int16_t attributes, producer_epoch
    cdef uint32_t crc
    cdef tuple header
    if start < 0 or end - start < HEADER_BYTES:
        return None
    PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE)
    try:
        if end > buffer.len:
            return None
        p = <const uint8_t*>buffer.buf + start
        length = <int32_t>uint32_at(p + 8)
        crc = uint32_at(p + 17)
        attributes = <int16_t>uint16_at(p + 21)
        delta = <int32_t>uint32_at(p + 23)
        base_timestamp = int64_at(p + 27)
        max_timestamp = int64_at(p + 35)
        producer_id = int64_at(p + 43)
        producer_epoch = <int16_t>uint16_at(p + 51)
        base_sequence = <int32_t>uint32_at(p + 53)
        count = <int32_t>uint32_at(p + 57)
        if <int64_t>length + LENGTH_PREFIX != end - start or end - start > bytes_max:
            return None
        if p[16] != 2 or int64_at(p) != 0:
            return None
        if attributes & NOT_FROM_PLAIN_PRODUCERS or attributes & 7 > 4:
            return None
        if attributes & 7:
            if count > records_max:
                return None
        elif count > (length - LENGTH_MIN) // RECORD_BYTES_MIN:
            return None
        if count <= 0 or delta != count - 1:
            return None
        if producer_id >= 0 and (base_sequence < 0 or producer_epoch < 0):
            return None
        if max_timestamp > newest_ms:
            return None
        if base_timestamp != -1 and not oldest_ms <= base_timestamp <= newest_ms:
            return None
        header = (
            0,
            length,
            <int32_t>uint32_at(p + 12),
            2,
            crc,
            attributes,
            delta,
            base_timestamp,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            count,
        )
    finally:
        PyBuffer_Release(&buffer)
    return header if crc32c(view[start + CRC_START : end]) == crc else None


def extended_crc(uint32_t crc, view, Py_ssize_t start, Py_ssize_t end):
    cdef Py_buffer buffer
    cdef uint32_t own
    assert end - start >= HEADER_BYTES
    crc = crc32c(view[start : start + CRC_START], crc)
    PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE)
    try:
        if start < 0 or end > buffer.len:
            raise IndexError(f"a batch at {start}..{end} of {buffer.len} bytes")
        own = uint32_at(<const uint8_t*>buffer.buf + start + 17)
    finally:
        PyBuffer_Release(&buffer)
    # What was summed before counts as if so many zeros had followed it: times x^(8 * length).
    return times(power(end - start - CRC_START), crc) ^ own


# Polynomials over GF(2) modulo CRC-32C's, the highest bit for x^0 (Adler's crc32_combine).
cdef uint32_t POLYNOMIAL = 0x82F63B78
cdef uint32_t[32] SQUARES  # x^(2^n)


cdef uint32_t times(uint32_t a, uint32_t b) noexcept nogil:
    cdef uint32_t product = 0
    while a:
        if a >> 31:
            product ^= b
        a <<= 1
        b = (b >> 1) ^ (POLYNOMIAL if b & 1 else 0)
    return product


cdef uint32_t power(uint64_t octets) noexcept nogil:
    """x^(8 * octets)."""
    cdef uint32_t result = <uint32_t>1 << 31
    cdef int n = 3
    while octets:
        if octets & 1:
            result = times(SQUARES[n & 31], result)
        octets >>= 1
        n += 1
    return result


cdef int _n
SQUARES[0] = <uint32_t>1 << 30
for _n in range(1, 32):
    SQUARES[_n] = times(SQUARES[_n - 1], SQUARES[_n - 1])


def decode_usual(view, Py_ssize_t position, Py_ssize_t end, int version):
    cdef Py_buffer buffer
    cdef const uint8_t* start
    PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE)
    try:
        if not 0 <= position <= end <= buffer.len:
            return None
        start = <const uint8_t*>buffer.buf
        if version >= FLEXIBLE_FROM:
            return flexible(start, start + position, start + end, version >= TOPIC_IDS_FROM)
        return plain(start, start + position, start + end)
    finally:
        PyBuffer_Release(&buffer)


cdef plain(const uint8_t* start, const uint8_t* p, const uint8_t* end):
    cdef int32_t topics, partitions, partition, size
    cdef int16_t acks, name_bytes
    cdef int32_t timeout_ms
    cdef int64_t entries_left
    cdef list sent, requested = []
    cdef bytes name
    if end - p < 12 or uint16_at(p) != 0xFFFF:
        return None  # with a transactional id
    acks = <int16_t>uint16_at(p + 2)
    timeout_ms = <int32_t>uint32_at(p + 4)
    topics = <int32_t>uint32_at(p + 8)
    p += 12
    entries_left = <int64_t>ENTRIES_MAX - topics
    if topics < 0 or entries_left < 0:
        return None
    for _ in range(topics):
        if end - p < 2:
            return None
        name_bytes = <int16_t>uint16_at(p)
        p += 2
        if name_bytes < 0 or end - p < <Py_ssize_t>name_bytes + 4:
            return None
        name = p[:name_bytes]
        p += name_bytes
        partitions = <int32_t>uint32_at(p)
        p += 4
        entries_left -= partitions
        if partitions < 0 or entries_left < 0:
            return None
        sent = []
        for _ in range(partitions):
            if end - p < 8:
                return None
            partition = <int32_t>uint32_at(p)
            size = <int32_t>uint32_at(p + 4)
            p += 8
            if size < 0 or end - p < size:
                return None
            sent.append((partition, p - start, p - start + size))
            p += size
        requested.append((name, None, sent))
    return None, acks, timeout_ms, requested


cdef flexible(const uint8_t* start, const uint8_t* p, const uint8_t* end, bint by_id):
    cdef int64_t topics, partitions, size, entries_left
    cdef int32_t partition, timeout_ms
    cdef int16_t acks
    cdef list sent, requested = []
    cdef bytes name = None, topic_id = None
    if end - p < 8 or p[0] != 0:
        return None  # with a transactional id
    acks = <int16_t>uint16_at(p + 1)
    timeout_ms = <int32_t>uint32_at(p + 3)
    p += 7
    topics = uvarint(&p, end)
    entries_left = ENTRIES_MAX - topics
    if topics <= 0 or entries_left < 0:
        return None
    for _ in range(topics - 1):
        if by_id:
            if end - p < 16:  # a UUID
                return None
            topic_id = p[:16]
            p += 16
        else:
            size = uvarint(&p, end) - 1
            if size < 0 or end - p < size:
                return None
            name = p[:size]
            p += size
        partitions = uvarint(&p, end)
        entries_left -= partitions
        if partitions <= 0 or entries_left < 0:
            return None
        sent = []
        for _ in range(partitions - 1):
            if end - p < 4:
                return None
            partition = <int32_t>uint32_at(p)
            p += 4
            size = uvarint(&p, end) - 1
            if size < 0 or end - p <= size:
                return None  # behind the records there is the number of tags
            sent.append((partition, p - start, p - start + size))
            p += size
            if p[0] != 0:
                return None
            p += 1
        if p >= end or p[0] != 0:
            return None
        p += 1
        requested.append((name, topic_id, sent))
    if p >= end or p[0] != 0:
        return None
    return None, acks, timeout_ms, requested
