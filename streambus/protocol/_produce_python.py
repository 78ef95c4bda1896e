"""What producers send, read in plain Python: the twin of the compiled `_kernel_produce`.

Owns    the quick readings of the produce path: each gives what it read, or None if anything is
        unusual. None is no verdict: whoever called looks closer, and finds what is wrong.
Never   raises on what the bytes say.
"""

import struct
from typing import TypeAlias

from crc32c import crc32c

BatchHeader: TypeAlias = tuple[int, ...]
PartitionSent: TypeAlias = tuple[int, int, int]
TopicSent: TypeAlias = tuple[bytes | None, bytes | None, list[PartitionSent]]
Request: TypeAlias = tuple[str | None, int, int, list[TopicSent]]

HEADER_BYTES = 61
LENGTH_PREFIX = 12
CRC_START = 21
LENGTH_MIN = HEADER_BYTES - LENGTH_PREFIX
RECORD_BYTES_MIN = 7  # length, attributes, two deltas, key and value length, header count
FLEXIBLE_FROM = 9

_NO_TIMESTAMP = -1
_CODEC, _CODEC_MAX = 0x07, 4
_NOT_FROM_PLAIN_PRODUCERS = 0x78  # LogAppendTime, transactional, control, delete horizon

_header = struct.Struct(">qiibIhiqqqhii").unpack_from
_ONE_HEAD = struct.Struct(">hhiih")  # transactional id's size, acks, timeout, topics, name's size
_ONE_REST = struct.Struct(">iii")  # partitions, partition, size of its records


def read_sent(
    view: memoryview,
    start: int,
    end: int,
    bytes_max: int,
    records_max: int,
    oldest_ms: int,
    newest_ms: int,
) -> BatchHeader | None:
    """The header of the one batch at `view[start:end]`, as a producer without transactions sends
    it: whole, its CRC right, its counts and sequence plausible, within `bytes_max`, its timestamps
    within `oldest_ms`..`newest_ms`; compressed, it may claim up to `records_max` records."""
    if start < 0 or end - start < HEADER_BYTES or end > len(view):
        return None
    header = _header(view, start)
    (
        base_offset,
        length,
        _,
        magic,
        crc,
        attributes,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    ) = header
    codec = attributes & _CODEC
    if (
        length + LENGTH_PREFIX == end - start <= bytes_max
        and magic == 2
        and base_offset == 0
        and codec <= _CODEC_MAX
        and not attributes & _NOT_FROM_PLAIN_PRODUCERS
        and 0 < count <= (records_max if codec else (length - LENGTH_MIN) // RECORD_BYTES_MIN)
        and last_offset_delta == count - 1
        and (producer_id < 0 or (base_sequence >= 0 and producer_epoch >= 0))
        and max_timestamp <= newest_ms
        and (oldest_ms <= base_timestamp <= newest_ms or base_timestamp == _NO_TIMESTAMP)
        and crc32c(view[start + CRC_START : end]) == crc
    ):
        return header
    return None


def extended_crc(crc: int, view: memoryview, start: int, end: int) -> int:
    """The CRC-32C of what had `crc`, followed by the batch at `view[start:end]`, whose own CRC is
    known to be right: so the kernel has to look at its first bytes only."""
    return crc32c(view[start:end], crc)


def decode_usual(view: memoryview, position: int, end: int, version: int) -> Request | None:
    """A ProduceRequest for one partition, of a version before 9; the twin knows all that have no
    transactional id and no tags."""
    if version >= FLEXIBLE_FROM:
        return None
    try:
        size, acks, timeout_ms, topics, name_bytes = _ONE_HEAD.unpack_from(view, position)
        if size != -1 or topics != 1 or name_bytes < 0:
            return None
        name_at = position + _ONE_HEAD.size
        name_end = name_at + name_bytes
        partitions, partition, size = _ONE_REST.unpack_from(view, name_end)
    except struct.error:
        return None
    start = name_end + _ONE_REST.size
    stop = start + size
    if partitions != 1 or size < 0 or stop > end:
        return None
    return (
        None,
        acks,
        timeout_ms,
        [(bytes(view[name_at:name_end]), None, [(partition, start, stop)])],
    )
