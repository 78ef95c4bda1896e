"""Blocks: one group commit each, a header and table, then frames of one partition each.

Owns    the bytes of a block (docs/wal.md), the block that fills, its buffer, and how it is packed.
Never   does I/O, and never copies a batch twice: slices of the one buffer go to the disk as they
        are, joined only where there are more of them than one system call takes. A large batch in
        leased memory is not copied at all.
Trusts  that whoever appends gives whole batches whose CRC was verified, and that leased memory
        stays as it is until it is released.
"""

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from crc32c import crc32c

from app.limits import BLOCK_BYTES_MAX, INDEX_EVERY_BYTES, KIB
from app.model import PartitionKey, TopicId
from app.tiers.nvme.file_header import PLAIN_KEY_ID, VERSION, refuse_newer
from app.world.ports import Buffer, Lease
from streambus.protocol.produce_codec import extended_crc

if TYPE_CHECKING:
    from app.tiers.nvme.checkpoint import Checkpoint
    from app.tiers.nvme.segment import Segment

MAGIC = b"SBLK"
HEADER_BYTES = 64
ENTRY_BYTES = 104
ALIGNMENT = 8
BUFFERS_MAX = 1000  # below Linux's IOV_MAX of 1024, which one call takes
LARGE_BATCH_BYTES = 16 * KIB  # from here on CRCs are joined, not computed again
ROOM_BYTES_MAX = 64 * KIB  # kept free behind a frame's batches for more of them

# magic, version, entry bytes, compatible flags, incompatible flags, key id, frames,
# segment, block, synced_through, salt, block bytes | crc
_HEADER = struct.Struct("<4sHHIIIIQQQQI")
_CRC = struct.Struct("<I")
_CRC_AT = HEADER_BYTES - _CRC.size
_SEED = struct.Struct("<Q")
# topic id, partition, leader epoch, base, end, append_ms, max timestamp, length, crc, kind, flags,
# reserved, batches | nonce (12) and tag (16) of an encrypted frame, 4 of padding
_ENTRY = struct.Struct("<16siiqqqqIIBBHI32x")
assert _ENTRY.size == ENTRY_BYTES


class FrameKind(IntEnum):
    BATCHES = 0
    EPOCH_STARTED = 1  # offset = where the epoch starts
    TRUNCATED = 2  # offset = the new end
    START_MOVED = 3  # offset = the new start
    REPLICA_DROPPED = 4


BATCHES = int(FrameKind.BATCHES)


class Frame:
    """One run of one partition in a block, or one control frame (no bytes; `base_offset` is its
    offset).

    `runs` are start, end, start, end... in the block's buffer, complete once it is finished; the
    last one begins at `run_start`, reaches to `at`, and has room up to `limit`. A batch in leased
    memory is a run of its own: ~n, length for the n-th of the block's `leased`. `large` are start,
    end, ... of the batches in them that are not summed again, byte by byte. `marks` are base
    offset, position in the frame, newest timestamp, ... of the chunks of about INDEX_EVERY_BYTES
    that it is made of.
    """

    __slots__ = (
        "append_ms",
        "at",
        "base_offset",
        "batches",
        "chunk_base",
        "chunk_due",
        "chunk_position",
        "chunk_timestamp",
        "crc",
        "end_offset",
        "key",
        "kind",
        "large",
        "leader_epoch",
        "length",
        "limit",
        "marks",
        "max_timestamp",
        "position",
        "run_start",
        "runs",
    )

    def __init__(
        self, key: PartitionKey, kind: int, base_offset: int, leader_epoch: int, append_ms: int
    ) -> None:
        self.key = key
        self.kind = kind
        self.base_offset = base_offset
        self.end_offset = base_offset
        self.leader_epoch = leader_epoch
        self.append_ms = append_ms
        self.max_timestamp = -1
        self.length = 0
        self.batches = 0
        self.crc = 0
        self.position = 0  # in the segment, known when the block is placed
        self.runs: list[int] = []
        self.large: list[int] = []
        self.run_start = self.at = self.limit = 0
        self.marks: list[int] = []
        self.chunk_base = base_offset
        self.chunk_position = 0
        self.chunk_due = INDEX_EVERY_BYTES
        self.chunk_timestamp = -1

    def add(self, base_offset: int, end_offset: int, length: int, max_timestamp: int) -> None:
        """Count one more batch (`Stream.append` does the same inline)."""
        if self.length >= self.chunk_due:
            self.mark(base_offset, max_timestamp)
        elif max_timestamp > self.chunk_timestamp:
            self.chunk_timestamp = max_timestamp
        self.length += length
        self.end_offset = end_offset
        self.batches += 1

    def mark(self, base_offset: int, max_timestamp: int) -> None:
        """The chunk so far is long enough: the batch that follows begins another."""
        self.marks += (self.chunk_base, self.chunk_position, self.chunk_timestamp)
        self.chunk_base = base_offset
        self.chunk_position = self.length
        self.chunk_due = self.length + INDEX_EVERY_BYTES
        self.chunk_timestamp = max_timestamp

    def begin_run(self, start: int) -> None:
        """What follows stands elsewhere in the buffer."""
        if self.at > self.run_start:
            self.runs += (self.run_start, self.at)
        self.run_start = self.at = start

    def finish(self) -> None:
        """No batch follows: settle the last run, the newest timestamp and the last chunk."""
        self.begin_run(self.at)
        newest = self.chunk_timestamp
        if self.marks:
            self.marks += (self.chunk_base, self.chunk_position, self.chunk_timestamp)
            newest = max(self.marks[2::3])
        self.max_timestamp = newest


class BlockHeader(NamedTuple):
    frames: int
    block: int
    synced_through: int
    block_bytes: int


def crc_seed(segment: int) -> int:
    """Where the CRC of every header in this segment starts from."""
    return crc32c(_SEED.pack(segment))


class Block:
    """The block that fills: every batch is copied once, into `buffer`, next to others of its frame
    where there is room, or stays in leased memory. `used` is the end of what is taken, room
    included."""

    __slots__ = (
        "block_bytes",
        "buffer",
        "capacity",
        "frames",
        "full_at",
        "leased",
        "leased_bytes",
        "leases",
        "position",
        "seals",
        "segment",
        "sequence",
        "taken",
        "used",
        "view",
    )

    def __init__(self, sequence: int, buffer: bytearray) -> None:
        self.sequence = sequence
        self.buffer = buffer
        self.view = memoryview(buffer)
        self.capacity = len(buffer)
        self.used = 0
        self.full_at = BLOCK_BYTES_MAX  # `used` at which it closes
        self.leased: list[memoryview] = []
        self.leased_bytes = 0
        self.leases: list[Lease] = []
        self.frames: list[Frame] = []
        self.block_bytes = 0
        self.segment: Segment | None = None
        self.position = 0
        self.seals = False
        """The last of its segment; `taken` is then the checkpoint to be written after it."""
        self.taken: Checkpoint | None = None

    def make_room(self, frame: Frame, length: int) -> int:
        """Where `length` more bytes of the frame go. As much again as it has is kept free behind
        them: a frame of many small batches is then made of a few runs, not of one each."""
        if frame.limit == self.used:
            start = frame.at  # nobody came between
        else:
            start = self.used
            frame.begin_run(start)
        end = start + length
        if end > self.capacity:
            self._grow(end)
        room = min(frame.length, ROOM_BYTES_MAX, self.capacity - end)
        frame.limit = self.used = end + room
        return start

    def refer(self, frame: Frame, batch: memoryview, lease: Lease) -> None:
        """One more batch of the frame, which stays where it lies: the lease is held until
        `release`."""
        if not self.leases or self.leases[-1] is not lease:
            lease.hold()
            self.leases.append(lease)
        length = len(batch)
        frame.begin_run(frame.at)
        frame.runs += (~len(self.leased), length)
        self.leased.append(batch)
        self.leased_bytes += length
        self.full_at -= length

    def release(self) -> None:
        """Nothing of this block is read any more."""
        leases, self.leases = self.leases, []
        self.leased.clear()
        for lease in leases:
            lease.release()

    @property
    def held_bytes(self) -> int:
        """Of memory that is taken until it is written."""
        return self.used + self.leased_bytes

    def _grow(self, capacity: int) -> None:
        """A batch larger than what is left: this block gets a buffer of its own size."""
        buffer = bytearray(capacity)
        view = memoryview(buffer)
        view[: self.used] = self.view[: self.used]
        self.buffer, self.view, self.capacity = buffer, view, capacity

    def place(self, position: int) -> int:
        """No batch follows: the block is to stand at `position`. Gives the position after it."""
        at = position + HEADER_BYTES + ENTRY_BYTES * len(self.frames)
        for frame in self.frames:
            frame.finish()
            frame.position = at
            at += frame.length
        at += -at % ALIGNMENT
        self.block_bytes = at - position
        return at

    def pack(self, segment: int, salt: int, synced_through: int) -> list[Buffer]:
        """The block as buffers to be written one after another, at most BUFFERS_MAX."""
        view = self.view
        count = len(self.frames)
        head = bytearray(HEADER_BYTES + ENTRY_BYTES * count)
        buffers: list[Buffer] = [head]
        start = end = 0  # neighbours in memory and on disk are written as one
        at = HEADER_BYTES
        length = 0
        for frame in self.frames:
            frame.crc = self._crc(frame)
            runs = frame.runs
            for i in range(0, len(runs), 2):
                run_start, run_end = runs[i], runs[i + 1]
                if run_start < 0:
                    if end > start:
                        buffers.append(view[start:end])
                    buffers.append(self.leased[~run_start])
                    start = end = 0
                    continue
                if run_start != end:
                    if end > start:
                        buffers.append(view[start:end])
                    start = run_start
                end = run_end
            length += frame.length
            _pack_entry(head, at, frame)
            at += ENTRY_BYTES
        if end > start:
            buffers.append(view[start:end])
        if padding := self.block_bytes - len(head) - length:
            buffers.append(bytes(padding))
        _pack_header(head, count, segment, self.sequence, synced_through, salt, self.block_bytes)
        if len(buffers) <= BUFFERS_MAX:
            return buffers
        step = -(-len(buffers) // BUFFERS_MAX)
        return [b"".join(buffers[i : i + step]) for i in range(0, len(buffers), step)]

    def _crc(self, frame: Frame) -> int:
        """The CRC of the frame's bytes, from its large batches' own CRCs where it has any."""
        view, runs = self.view, frame.runs
        crc = 0
        large = 0
        for i in range(0, len(runs), 2):
            at, end = runs[i], runs[i + 1]
            if at < 0:
                crc = extended_crc(crc, self.leased[~at], 0, end)
                continue
            while large < len(frame.large) and frame.large[large] < end:
                batch_start, batch_end = frame.large[large : large + 2]
                if at < batch_start:
                    crc = crc32c(view[at:batch_start], crc)
                crc = extended_crc(crc, view, batch_start, batch_end)
                at = batch_end
                large += 2
            if at < end:
                crc = crc32c(view[at:end], crc)
        return crc


def _pack_entry(head: bytearray, at: int, frame: Frame) -> None:
    _ENTRY.pack_into(
        head,
        at,
        frame.key.topic_id,
        frame.key.partition,
        frame.leader_epoch,
        frame.base_offset,
        frame.end_offset,
        frame.append_ms,
        frame.max_timestamp,
        frame.length,
        frame.crc,
        frame.kind,
        0,
        0,
        frame.batches,
    )


def _pack_header(
    head: bytearray,
    frames: int,
    segment: int,
    block: int,
    synced_through: int,
    salt: int,
    block_bytes: int,
) -> None:
    _HEADER.pack_into(
        head,
        0,
        MAGIC,
        VERSION,
        ENTRY_BYTES,
        0,
        0,
        PLAIN_KEY_ID,
        frames,
        segment,
        block,
        synced_through,
        salt,
        block_bytes,
    )
    with memoryview(head) as view, view[:_CRC_AT] as fields, view[HEADER_BYTES:] as table:
        crc = crc32c(table, crc32c(fields, crc_seed(segment)))
    _CRC.pack_into(head, _CRC_AT, crc)


def claimed(raw: Buffer, at: int, segment: int) -> tuple[int, int] | None:
    """(salt, bytes of header and table) of what may be a header of this segment; its CRC is not
    checked yet, so nothing else of it is worth a look."""
    if len(raw) - at < HEADER_BYTES:
        return None
    magic, _, entry_bytes, _, _, _, frames, stated, _, _, salt, size = _HEADER.unpack_from(raw, at)
    if magic != MAGIC or stated != segment:
        return None
    head = HEADER_BYTES + frames * entry_bytes
    return (salt, head) if head <= size else None


def parse_header(raw: Buffer, at: int, head_bytes: int, path: str) -> BlockHeader | None:
    """The header at `at` if the CRC over it and its table (`head_bytes` in all) is right."""
    if len(raw) - at < head_bytes:
        return None
    fields = _HEADER.unpack_from(raw, at)
    _, version, entry_bytes, _, incompatible, key_id, frames, segment = fields[:8]
    block, synced_through, _, block_bytes = fields[8:]
    (crc,) = _CRC.unpack_from(raw, at + _CRC_AT)
    with memoryview(raw) as view:
        seeded = crc32c(view[at : at + _CRC_AT], crc_seed(segment))
        if crc32c(view[at + HEADER_BYTES : at + head_bytes], seeded) != crc:
            return None
    refuse_newer(path, version, incompatible, key_id)
    assert entry_bytes == ENTRY_BYTES, f"{path}: table entries of {entry_bytes} bytes"
    return BlockHeader(frames, block, synced_through, block_bytes)


def parse_table(raw: Buffer, at: int, frames: int, position: int) -> list[Frame]:
    """The frames of a checked table at `at`, whose block stands at `position` of its segment."""
    parsed = []
    after = position + HEADER_BYTES + ENTRY_BYTES * frames
    for i in range(frames):
        entry = _ENTRY.unpack_from(raw, at + HEADER_BYTES + ENTRY_BYTES * i)
        topic_id, partition, leader_epoch, base_offset, end_offset, append_ms = entry[:6]
        max_timestamp, length, crc, kind, _, _, batches = entry[6:]
        key = PartitionKey(TopicId(topic_id), partition)
        frame = Frame(key, kind, base_offset, leader_epoch, append_ms)
        frame.end_offset = end_offset
        frame.max_timestamp = max_timestamp
        frame.length = length
        frame.batches = batches
        frame.crc = crc
        frame.position = after
        after += length
        parsed.append(frame)
    return parsed
