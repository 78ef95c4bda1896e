"""RecordBatch v2 (KIP-98): its 61-byte header read, checked, patched and built, without a copy.

Owns    the layout of the header, and the CRC32C over everything after it.
Never   opens the records: the header says all that admission and storage need.

The header is a plain tuple and the view stays where the bytes arrived: the produce path makes
nothing else. The fields before the CRC (base offset, leader epoch) are the broker's to set;
everything from the attributes on is the producer's, and covered by the CRC.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeAlias, TypedDict, Unpack

from crc32c import crc32c

from streambus.errors import Malformed
from streambus.protocol import compression, record_codec
from streambus.protocol.columns import Buffer, RecordTuple

BatchHeader: TypeAlias = tuple[int, ...]

HEADER = struct.Struct(">qiibIhiqqqhii")
(
    BASE_OFFSET,
    BATCH_LENGTH,
    LEADER_EPOCH,
    MAGIC,
    CRC,
    ATTRIBUTES,
    LAST_OFFSET_DELTA,
    BASE_TIMESTAMP,
    MAX_TIMESTAMP,
    PRODUCER_ID,
    PRODUCER_EPOCH,
    BASE_SEQUENCE,
    RECORDS_COUNT,
) = range(13)

HEADER_BYTES = 61
LENGTH_PREFIX = 12  # base offset and length: what the length field does not count
CRC_START = 21  # the CRC covers everything from the attributes on
LENGTH_MIN = HEADER_BYTES - LENGTH_PREFIX

_LENGTH = struct.Struct(">i")
_LENGTH_AT = 8
_LEADER_EPOCH_AT = 12
_CRC_AT = 17
_MAX_TIMESTAMP_AT = 35
_pack_int32 = struct.Struct(">i").pack_into
_pack_uint32 = struct.Struct(">I").pack_into
_pack_int64 = struct.Struct(">q").pack_into
_AFTER_CRC = struct.Struct(">hiqqqhii")
_BEFORE_CRC = struct.Struct(">qiibI")
_unpack_header = HEADER.unpack_from


class BadChecksum(Malformed):
    """The bytes of a batch are not those that its producer summed."""

    code: ClassVar[int] = (
        2  # CORRUPT_MESSAGE: damage on the way, so the same batch may pass next time
    )
    retriable: ClassVar[bool] = True


class NotABatch(Malformed):
    """These bytes are no batch of any format."""

    code: ClassVar[int] = 2  # CORRUPT_MESSAGE
    retriable: ClassVar[bool] = True


class Attributes:
    """Bits of a batch's attributes."""

    CODEC = 0x07  # mask
    LOG_APPEND_TIME = 0x08
    TRANSACTIONAL = 0x10
    CONTROL = 0x20
    DELETE_HORIZON = 0x40


def read_header(view: Buffer, position: int = 0) -> BatchHeader:
    """The header of the batch at `position`, whose bytes all lie within the view."""
    try:
        header = _unpack_header(view, position)
    except struct.error:
        raise Malformed(
            f"a batch needs {HEADER_BYTES} bytes, {len(view) - position} left"
        ) from None
    length = header[1]
    if (
        header[3] != 2
        or length < LENGTH_MIN
        or position + LENGTH_PREFIX + length > len(view)
        or header[6] < 0
        or header[12] < 0
    ):
        raise _fault(view, position, header)
    return header


def _fault(view: Buffer, position: int, header: BatchHeader) -> Malformed:
    if header[MAGIC] != 2:
        known = header[MAGIC] in (0, 1)  # formats of another time, which Kafka refuses as records
        return (Malformed if known else NotABatch)(
            f"batch of magic {header[MAGIC]}, only 2 is read"
        )
    length, left = header[BATCH_LENGTH], len(view) - position - LENGTH_PREFIX
    if length < LENGTH_MIN:
        return NotABatch(f"batch of length {length}, its header alone takes {LENGTH_MIN}")
    if length > left:
        return Malformed(f"batch of length {length}, {left} bytes left")
    if header[LAST_OFFSET_DELTA] < 0:
        return Malformed(f"batch with last offset delta {header[LAST_OFFSET_DELTA]}")
    return Malformed(f"batch of {header[RECORDS_COUNT]} records")


def batch_bytes(header: BatchHeader) -> int:
    """How many bytes the whole batch takes."""
    return LENGTH_PREFIX + header[1]


def verify(view: Buffer, position: int, header: BatchHeader) -> None:
    """Check the CRC32C. Pass a memoryview: a slice of it is no copy."""
    if crc32c(view[position + CRC_START : position + LENGTH_PREFIX + header[1]]) != header[4]:
        raise BadChecksum(
            f"batch at offset {header[BASE_OFFSET]}: its CRC is not that of its bytes"
        )


def patch(
    buffer: bytearray | memoryview, position: int, base_offset: int, leader_epoch: int
) -> None:
    """Write what the broker assigns, in place; Kafka keeps both outside the CRC on purpose."""
    _pack_int64(buffer, position, base_offset)
    _pack_int32(buffer, position + _LEADER_EPOCH_AT, leader_epoch)


def patch_log_append_time(
    buffer: bytearray | memoryview, position: int, length: int, max_timestamp_ms: int
) -> None:
    """Make the batch of `length` bytes (all of it) carry the broker's time for its every record.

    These fields are inside the CRC, so it is computed anew: verify the batch before.
    """
    # The attributes' low byte: the whole field is two bytes, big-endian.
    buffer[position + CRC_START + 1] |= Attributes.LOG_APPEND_TIME
    _pack_int64(buffer, position + _MAX_TIMESTAMP_AT, max_timestamp_ms)
    seal(buffer, position, length)


def seal(buffer: bytearray | memoryview, position: int = 0, length: int | None = None) -> None:
    """Write the CRC of a batch of `length` bytes (all of it) whose fields were changed in place."""
    (stated,) = _LENGTH.unpack_from(buffer, position + _LENGTH_AT)
    if length is None:
        length = LENGTH_PREFIX + stated
    assert length == LENGTH_PREFIX + stated, f"{length} bytes given, the batch says {stated} + 12"
    with memoryview(buffer) as whole, whole[position + CRC_START : position + length] as summed:
        _pack_uint32(buffer, position + _CRC_AT, crc32c(summed))


def headers(
    view: Buffer, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, BatchHeader]]:
    """Walk consecutive batches: (position, header) of each. Malformed where one does not parse."""
    position = start
    end = len(view) if end is None else end
    while position < end:
        header = read_header(view, position)
        after = position + LENGTH_PREFIX + header[1]
        if after > end:
            raise Malformed(f"batch ends {after - end} bytes after the batches do")
        yield position, header
        position = after


class Fields(TypedDict, total=False):
    """What a batch states beside its records; each has the default of a plain producer."""

    codec: int
    level: int | None
    base_offset: int
    leader_epoch: int
    base_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    transactional: bool
    control: bool
    log_append_time: bool
    delete_horizon: bool


def build(
    records: Sequence[RecordTuple],
    *,
    max_timestamp: int | None = None,
    last_offset_delta: int | None = None,
    **fields: Unpack[Fields],
) -> bytes:
    """A whole batch of these records; deltas count from `base_offset` and `base_timestamp`."""
    if max_timestamp is None:
        latest = max((record[1] for record in records), default=None)
        max_timestamp = -1 if latest is None else fields.get("base_timestamp", 0) + latest
    if last_offset_delta is None:
        last_offset_delta = records[-1][0] if records else 0
    section = record_codec.encode(records)
    return assemble(section, len(records), last_offset_delta, max_timestamp, **fields)


def assemble(
    section: Buffer,
    count: int,
    last_offset_delta: int,
    max_timestamp: int,
    **fields: Unpack[Fields],
) -> bytes:
    """A whole batch around an encoded, not yet compressed, records section."""
    codec = fields.get("codec", compression.NONE)
    if codec != compression.NONE:
        section = compression.compress(codec, section, fields.get("level"))
    attributes = (
        codec
        | (Attributes.LOG_APPEND_TIME if fields.get("log_append_time") else 0)
        | (Attributes.TRANSACTIONAL if fields.get("transactional") else 0)
        | (Attributes.CONTROL if fields.get("control") else 0)
        | (Attributes.DELETE_HORIZON if fields.get("delete_horizon") else 0)
    )
    summed = _AFTER_CRC.pack(
        attributes,
        last_offset_delta,
        fields.get("base_timestamp", 0),
        max_timestamp,
        fields.get("producer_id", -1),
        fields.get("producer_epoch", -1),
        fields.get("base_sequence", -1),
        count,
    )
    before = _BEFORE_CRC.pack(
        fields.get("base_offset", 0),
        LENGTH_MIN + len(section),
        fields.get("leader_epoch", -1),
        2,
        crc32c(section, crc32c(summed)),
    )
    return b"".join((before, summed, section))
