"""Kafka frames for the load generator, made with plain arithmetic: no code shared with us."""

import struct
import time
from functools import cache


@cache
def _crc_table() -> list[int]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


def crc32c(octets: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4), one byte at a time."""
    table, value = _crc_table(), 0xFFFFFFFF
    for octet in octets:
        value = table[(value ^ octet) & 255] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def varint(number: int) -> bytes:
    """Zigzag varint of a record batch (KIP-98)."""
    number = (number << 1) ^ (number >> 63)
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def batch(records: int, record_bytes: int) -> bytes:
    """A RecordBatch v2 of `records` records with `record_bytes` of value each, no key, no codec."""
    section = bytearray()
    for index in range(records):
        body = b"\0" + varint(0) + varint(index) + varint(-1)
        body += varint(record_bytes) + b"x" * record_bytes + varint(0)
        section += varint(len(body)) + body
    now_ms = int(time.time() * 1000)
    tail = struct.pack(">hiqqqhii", 0, records - 1, now_ms, now_ms, -1, -1, -1, records) + section
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail)) + tail


def produce_frame(
    topic: str, partitions: int, records: int, record_bytes: int
) -> tuple[bytes, tuple[int, int, int]]:
    """A Produce v3 request (acks=all) with one batch for each partition of `topic`.

    Returns the frame and where its answer carries error codes: (first, how many, bytes apart).
    """
    name = topic.encode()
    payload = batch(records, record_bytes)
    body = struct.pack(">hhih", 0, 3, 0, 5) + b"bench" + struct.pack(">hhi", -1, -1, 30_000)
    body += struct.pack(">ih", 1, len(name)) + name + struct.pack(">i", partitions)
    for partition in range(partitions):
        body += struct.pack(">ii", partition, len(payload)) + payload
    first_error = 4 + 4 + 4 + 2 + len(name) + 4 + 4
    return struct.pack(">i", len(body)) + body, (first_error, partitions, 22)
