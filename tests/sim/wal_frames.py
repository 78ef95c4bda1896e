"""The frames of a WAL as a simulated disk holds them, read by docs/wal.md and not by the broker."""

import struct
from typing import NamedTuple

from tests.sim.files import Disk

PAGE_BYTES = 4096
# magic, version, entry bytes, flags, flags, key id, frames, segment, block, synced through, salt,
# block bytes, crc
BLOCK = struct.Struct("<4sHHIIIIQQQQI")
# topic id, partition, leader epoch, base, end, append ms, newest timestamp, bytes, crc, kind
FRAME = struct.Struct("<16siiqqqqIIB")


class StoredFrame(NamedTuple):
    block: int
    topic_id: bytes
    partition: int
    leader_epoch: int
    base_offset: int
    end_offset: int
    append_ms: int
    kind: int


def stored_frames(disk: Disk, directory: str) -> list[StoredFrame]:
    """Every frame in the order in which it was written, as far as the segments are kept."""
    found: list[StoredFrame] = []
    for name in sorted(disk.directories[directory].names):
        if name.endswith(".segment") and not name.startswith("free-"):
            found += _of_segment(disk.read(f"{directory}/{name}"), int(name.split(".")[0], 16))
    return found


def _of_segment(content: bytes, sequence: int) -> list[StoredFrame]:
    found: list[StoredFrame] = []
    position, newest = PAGE_BYTES, 0
    while position + BLOCK.size <= len(content):
        magic, _, entry_bytes, _, _, _, frames, segment, block, _, _, size = BLOCK.unpack_from(
            content, position
        )[:12]
        if magic != b"SBLK" or segment != sequence or block <= newest:
            break
        for number in range(frames):
            at = position + 64 + number * entry_bytes
            topic_id, partition, epoch, base, end, append_ms, _, _, _, kind = FRAME.unpack_from(
                content, at
            )
            found.append(StoredFrame(block, topic_id, partition, epoch, base, end, append_ms, kind))
        position, newest = position + size, block
    return found
