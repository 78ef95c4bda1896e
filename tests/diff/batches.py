"""Record batches by the format's description, right or wrong on purpose, and their reading back.

Independent of the broker's batch code; of Kafka's old formats it knows one message of magic 0 or 1.
"""

import gzip
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import cramjam
import crc32c
import lz4.frame
import zstandard

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL, DELETE_HORIZON = 8, 16, 32, 64
TIME = 1_700_000_000_000
HEADER = ">qiiBIhiqqqhii"
HEADER_BYTES = struct.calcsize(HEADER)

Row = tuple[bytes | None, bytes | None]


def varint(value: int) -> bytes:
    """Zig-zag."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def record(
    key: bytes | None,
    value: bytes | None,
    *,
    offset_delta: int,
    time_delta: int = 0,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    attributes: int = 0,
) -> bytes:
    body = bytes([attributes]) + varint(time_delta) + varint(offset_delta)
    body += sized(key) + sized(value) + varint(len(headers))
    for name, held in headers:
        body += sized(name) + sized(held)
    return varint(len(body)) + body


def compress(codec: int, payload: bytes) -> bytes:
    if codec == GZIP:
        return gzip.compress(payload, mtime=0)
    if codec == SNAPPY:
        return bytes(cramjam.snappy.compress_raw(payload))
    if codec == LZ4:
        return bytes(lz4.frame.compress(payload, content_checksum=False, block_linked=False))
    if codec == ZSTD:
        return zstandard.ZstdCompressor().compress(payload)
    return payload


def decompress(codec: int, payload: bytes) -> bytes:
    if codec == GZIP:
        return gzip.decompress(payload)
    if codec == SNAPPY:
        if not payload.startswith(b"\x82SNAPPY\x00"):
            return bytes(cramjam.snappy.decompress_raw(payload))
        out, at = bytearray(), 16
        while at < len(payload):
            (size,) = struct.unpack_from(">i", payload, at)
            out += bytes(cramjam.snappy.decompress_raw(payload[at + 4 : at + 4 + size]))
            at += 4 + size
        return bytes(out)
    if codec == LZ4:
        return bytes(lz4.frame.decompress(payload))
    if codec == ZSTD:
        return zstandard.ZstdDecompressor().decompressobj().decompress(payload)
    return payload


def batch(
    rows: Sequence[Row] = ((None, b"v"),),
    *,
    times: Sequence[int] | None = None,
    payload: bytes | None = None,
    codec: int = NONE,
    codec_bits: int | None = None,
    attributes: int = 0,
    base_offset: int = 0,
    leader_epoch: int = -1,
    magic: int = 2,
    last_offset_delta: int | None = None,
    base_timestamp: int | None = None,
    max_timestamp: int | None = None,
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
    count: int | None = None,
    crc: int | None = None,
    length: int | None = None,
) -> bytes:
    """One batch of format 2; every field of its header can be made to lie."""
    times = times if times is not None else [TIME] * len(rows)
    first = base_timestamp if base_timestamp is not None else (times[0] if times else TIME)
    if payload is None:
        payload = b"".join(
            record(key, value, offset_delta=n, time_delta=times[n] - first)
            for n, (key, value) in enumerate(rows)
        )
    payload = compress(codec, payload)
    after_crc = struct.pack(
        ">hiqqqhii",
        attributes | (codec if codec_bits is None else codec_bits),
        len(rows) - 1 if last_offset_delta is None else last_offset_delta,
        first,
        max(times, default=first) if max_timestamp is None else max_timestamp,
        producer_id,
        epoch,
        sequence,
        len(rows) if count is None else count,
    )
    checked = crc32c.crc32c(after_crc + payload) if crc is None else crc
    size = 9 + len(after_crc) + len(payload) if length is None else length
    start = struct.pack(">qiiBI", base_offset, size, leader_epoch, magic, checked)
    return start + after_crc + payload


def old_message(magic: int, value: bytes = b"v") -> bytes:
    """One message of the formats before batches."""
    body = struct.pack(">bb", magic, 0)
    body += struct.pack(">q", TIME) if magic else b""
    body += struct.pack(">i", -1) + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(message)) + message


class Cursor:
    def __init__(self, source: bytes) -> None:
        self.source, self.at = source, 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.source[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return (value >> 1) ^ -(value & 1)

    def sized(self) -> str | None:
        size = self.varint()
        if size < 0:
            return None
        self.at += size
        held = self.source[self.at - size : self.at]
        return held.decode("latin-1") if size <= 40 else f"{size} bytes, CRC {zlib.crc32(held)}"


def read_records(payload: bytes, count: int, base_offset: int, base_time: int) -> list[Any]:
    cursor, read = Cursor(payload), []
    for _ in range(count):
        cursor.varint()
        cursor.at += 1
        time_ms, offset = base_time + cursor.varint(), base_offset + cursor.varint()
        key, value = cursor.sized(), cursor.sized()
        headers = [[cursor.sized(), cursor.sized()] for _ in range(cursor.varint())]
        read.append([offset, time_ms, key, value, *headers])
    return read


def read_batches(source: bytes | None) -> list[dict[str, Any]] | None:
    """What a Fetch answer holds: header fields and records of each batch, and a cut tail's size."""
    if source is None:
        return None
    read: list[dict[str, Any]] = []
    at = 0
    while at < len(source):
        size = struct.unpack_from(">i", source, at + 8)[0] + 12 if at + 12 <= len(source) else 0
        if size < HEADER_BYTES or at + size > len(source):
            read.append({"cut": len(source) - at})
            break
        fields = struct.unpack_from(HEADER, source, at)
        base_offset, _, leader_epoch, magic, crc, attributes, last, base_time = fields[:8]
        payload = source[at + HEADER_BYTES : at + size]
        plain = decompress(attributes & 7, payload)
        held: dict[str, Any] = {
            "BaseOffset": base_offset,
            "LeaderEpoch": leader_epoch,
            "Magic": magic,
            "Attributes": attributes,
            "LastOffsetDelta": last,
            "BaseTimestamp": base_time,
            "MaxTimestamp": fields[8],
            "ProducerId": fields[9],
            "ProducerEpoch": fields[10],
            "BaseSequence": fields[11],
            "IsCrcRight": crc == crc32c.crc32c(source[at + 21 : at + size]),
        }
        if not attributes & CONTROL:
            held["Records"] = read_records(plain, fields[12], base_offset, base_time)
        read.append(held)
        at += size
    return read
