"""Records of whole batches: unpacked, read, found by timestamp.

Owns    what a batch's header means for its records: codec, bases, log append time.
Never   unpacks more than its bound: the codecs and the kernel refuse what goes beyond.

The codec of a records section (`decode`, `encode`, ...) is in `record_codec`, given here as well.
"""

from streambus.protocol import batch, compression
from streambus.protocol.columns import Buffer, Headers, RecordColumns, RecordTuple
from streambus.protocol.record_codec import (
    KERNEL,
    decode,
    decode_columns,
    encode,
    encode_columns,
    encode_values,
    find_timestamp,
)

__all__ = [
    "KERNEL",
    "Headers",
    "RecordColumns",
    "RecordTuple",
    "decode",
    "decode_columns",
    "encode",
    "encode_columns",
    "encode_values",
    "first_at_or_after",
    "read_records",
    "read_section",
]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def read_section(
    view: Buffer,
    header: batch.BatchHeader,
    position: int = 0,
    decompressed_max: int = compression.DECOMPRESSED_BYTES_MAX,
) -> Buffer:
    """The unpacked records section of the batch at `position`; without a codec it is no copy."""
    section = memoryview(view)[position + batch.HEADER_BYTES : position + batch.batch_bytes(header)]
    codec = header[batch.ATTRIBUTES] & batch.Attributes.CODEC
    if codec == compression.NONE:
        return section
    return compression.decompress(codec, section, decompressed_max)


def read_records(
    view: Buffer,
    position: int = 0,
    decompressed_max: int = compression.DECOMPRESSED_BYTES_MAX,
) -> list[RecordTuple]:
    """The records of the batch at `position`, CRC checked, with their own offsets and timestamps.

    (offset, timestamp, key, value, headers): under log append time every record has the batch's.
    """
    header = batch.read_header(view, position)
    whole = memoryview(view)
    batch.verify(whole, position, header)
    stamped = header[batch.ATTRIBUTES] & batch.Attributes.LOG_APPEND_TIME
    return decode(
        read_section(whole, header, position, decompressed_max),
        header[batch.RECORDS_COUNT],
        header[batch.BASE_OFFSET],
        header[batch.BASE_TIMESTAMP],
        header[batch.MAX_TIMESTAMP] if stamped else None,
    )


def first_at_or_after(
    view: Buffer,
    header: batch.BatchHeader,
    timestamp_ms: int,
    offset_min: int = 0,
    decompressed_max: int = compression.DECOMPRESSED_BYTES_MAX,
) -> tuple[int, int] | None:
    """(offset, timestamp) of the first record of this batch from `timestamp_ms` on, or None.

    `view` starts at the batch. `offset_min` is for a log that starts inside it.
    """
    if header[batch.MAX_TIMESTAMP] < timestamp_ms:
        return None
    base_offset, base_timestamp = header[batch.BASE_OFFSET], header[batch.BASE_TIMESTAMP]
    stamped = header[batch.ATTRIBUTES] & batch.Attributes.LOG_APPEND_TIME
    # Under log append time every record is as late as the batch: any delta will do.
    delta_min = _INT64_MIN if stamped else timestamp_ms - base_timestamp
    found = find_timestamp(
        read_section(view, header, 0, decompressed_max),
        header[batch.RECORDS_COUNT],
        max(_INT64_MIN, min(_INT64_MAX, delta_min)),
        max(0, min(_INT64_MAX, offset_min - base_offset)),
    )
    if found is None:
        return None
    timestamp = header[batch.MAX_TIMESTAMP] if stamped else base_timestamp + found[1]
    return base_offset + found[0], timestamp
