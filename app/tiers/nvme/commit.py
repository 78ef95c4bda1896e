"""Group commit: everything that arrives while one block is written shares the next.

Owns    the block that fills, the closed ones that wait, the one in flight, and two numbers: what is
        as durable as `wal.sync` promises, and what is truly synced.
Never   awaits or does I/O in `append`; never retries a failed write or sync; after one, nothing
        that was not yet reported as synced ever is.
Trusts  that whoever appends changes its state and appends in one step, without an await between:
        the states taken when a block closes are then those of exactly the blocks up to it.
"""

import asyncio
from collections import deque
from functools import partial
from struct import Struct
from typing import Protocol

from app import limits
from app.core.hybrid_clock import HybridClock
from app.errors import InvalidConfig, StorageFailed
from app.model import PartitionKey
from app.telemetry import events
from app.telemetry.counts import Durations
from app.tiers.nvme import spares
from app.tiers.nvme.block import BATCHES, LARGE_BATCH_BYTES, Block, Frame, FrameKind
from app.tiers.nvme.failures import storage_failed
from app.tiers.nvme.segment import PAGE_BYTES, Segment, pack_page
from app.world.ports import Buffer, File, Files, Lease, World
from streambus.protocol.batch import LENGTH_PREFIX, patch_log_append_time

OPEN, FAILED, CLOSED = "open", "failed", "closed"
_BUFFER_BYTES = limits.BLOCK_BYTES_MAX + limits.BATCH_BYTES_MAX
_BUFFERS_KEPT = 2

# Where nobody waits for the disk, a small block goes to the page cache from the loop itself: that
# costs less than to wake a thread. A slow one (memory is short, or the journal is busy) means that
# the next ones take the lane for a while.
INLINE_BYTES_MAX = 64 * limits.KIB
INLINE_SLOW_NS = 1_000_000
INLINE_REST_NS = 100_000_000

# The first fields of a batch: base offset, length (of what follows it), leader epoch.
_pack_assigned = Struct(">qii").pack_into


class CommitOwner(Protocol):
    """What group commit asks of the WAL. Called on the loop."""

    def begin_segment(self, first_block: int) -> Segment: ...

    def half_full(self, segment: Segment) -> None: ...

    def sealed(self, block: Block, unsaved: dict[PartitionKey, bool]) -> bool:
        """`block` is closed, and the last of its segment. Whether the states were taken of all that
        is
        `unsaved` (true: dropped)."""

    def written(self, block: Block) -> None:
        """The block is as durable as `wal.sync` promises."""

    def failed(self, error: StorageFailed) -> None: ...

    def drained(self) -> None: ...


def parse_sync(text: str) -> tuple[str, int]:
    """`wal.sync` as (mode, milliseconds)."""
    mode, _, interval = text.partition(":")
    if text in ("block", "os"):
        return text, 0
    if mode == "interval" and interval.isdigit() and int(interval) > 0:
        return mode, int(interval)
    raise InvalidConfig(f"wal.sync: {text!r} is none of block, interval:<ms>, os")


class Stream:
    """One partition's way into the log: it knows where in the open block its batches go."""

    __slots__ = ("_commit", "frame", "key")

    def __init__(self, commit: "GroupCommit", key: PartitionKey) -> None:
        self._commit = commit
        self.key = key
        self.frame: Frame | None = None
        """Of the open block; None before the first batch there, and behind a control frame."""

    def append(
        self,
        batch: memoryview,
        base_offset: int,
        end_offset: int,
        leader_epoch: int,
        max_timestamp: int,
        lease: Lease | None = None,
    ) -> int:
        """Copy one batch into the open block, with what the broker assigns; a large one in leased
        memory stays there, and is assigned to there. Gives the block that makes it durable. Raises
        `StorageFailed` if nothing can be written now."""
        commit = self._commit
        frame = self.frame
        if (
            frame is None
            or frame.leader_epoch != leader_epoch
            or frame.end_offset != base_offset  # what is fetched for a repair may come in any order
        ):
            frame = commit.open_frame(self, base_offset, leader_epoch)
        block = commit.block
        length = len(batch)
        if lease is not None and length >= limits.LEASED_BATCH_BYTES_MIN:
            block.refer(frame, batch, lease)
            _pack_assigned(batch, 0, base_offset, length - LENGTH_PREFIX, leader_epoch)
        else:
            start = frame.at
            end = start + length
            if end > frame.limit:
                start = block.make_room(frame, length)
                end = start + length
            block.view[start:end] = batch
            _pack_assigned(block.buffer, start, base_offset, length - LENGTH_PREFIX, leader_epoch)
            frame.at = end
            if length >= LARGE_BATCH_BYTES:
                frame.large += (start, end)
        if frame.length >= frame.chunk_due:
            frame.mark(base_offset, max_timestamp)
        elif max_timestamp > frame.chunk_timestamp:
            frame.chunk_timestamp = max_timestamp
        frame.length += length
        frame.end_offset = end_offset
        frame.batches += 1
        if block.used >= block.full_at:
            commit.close_block()
        return block.sequence

    def append_stamped(
        self,
        batch: memoryview,
        base_offset: int,
        end_offset: int,
        leader_epoch: int,
        append_time_ms: int,
    ) -> int:
        """The same for a topic whose records carry the broker's time."""
        stamped = bytearray(batch)
        patch_log_append_time(stamped, 0, len(stamped), append_time_ms)
        with memoryview(stamped) as view:
            return self.append(view, base_offset, end_offset, leader_epoch, append_time_ms)


class GroupCommit:
    def __init__(
        self,
        world: World,
        directory: str,
        segment_bytes: int,
        sync: str,
        clock: HybridClock,
        owner: CommitOwner,
    ) -> None:
        self.state = CLOSED
        self.error: StorageFailed | None = None
        self.synced_through = 0
        self.true_through = 0
        self._world = world
        self._files: Files = world.files
        self._lane = world.lane("wal")
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._mode, self._interval_ms = parse_sync(sync)
        self._clock = clock
        self._owner = owner
        self._buffers: list[bytearray] = []
        self._queue: deque[Block] = deque()
        self._in_flight: Block | None = None
        self._is_kicked = False
        self._was_full = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._unsaved: dict[PartitionKey, bool] = {}
        self._segment: Segment | None = None
        self._written_to: Segment | None = None
        self._streams: dict[PartitionKey, Stream] = {}
        self._open: list[Stream] = []
        """Those that have a frame in the open block."""
        self._closed_bytes = 0
        self.blocks = self.written_bytes = self.syncs = 0
        self.took = Durations()
        """From a block given to the lane to the loop told of it: its write, with `wal.sync=block`
        its sync."""
        self._now_ns = world.clock.monotonic_ns
        self._submitted_ns = 0
        self._inline_from_ns = 0
        self.block = Block(1, bytearray())
        """The open one, which fills."""

    def recovered(self, through: int) -> None:
        """What the disk holds up to block `through` is truly synced, and is all there is."""
        self._loop = asyncio.get_running_loop()
        self.synced_through = self.true_through = through

    def begin(self, segment: Segment) -> None:
        """Go on in `segment`."""
        first_block = self.true_through + 1
        self.state, self.error = OPEN, None
        self._segment = segment
        self._written_to = None
        self._unsaved = {}
        self.block = Block(first_block, self._take_buffer())

    # Appending

    def stream(self, key: PartitionKey) -> Stream:
        """Where the partition's batches are appended. It is good until the replica is dropped."""
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(self, key)
        return stream

    def append_control(self, key: PartitionKey, kind: int, offset: int, leader_epoch: int) -> int:
        """Append one control frame: durable, folded and indexed in order with the batches."""
        self._add_frame(key, kind, offset, leader_epoch)
        block = self.block
        stream = self._streams.get(key)
        if stream is not None:
            stream.frame = None  # batches that follow stand behind it
        if kind == FrameKind.REPLICA_DROPPED:
            self._unsaved[key] = True
            self._streams.pop(key, None)
        if block.used >= block.full_at:
            self.close_block()
        return block.sequence

    @property
    def newest_block(self) -> int:
        """The block that anything appended until now is in, or an earlier one."""
        return self.block.sequence if self.block.frames else self.block.sequence - 1

    @property
    def waiters(self) -> int:
        """Operations that wait for a block, produce requests apart."""
        return len(self._waiters)

    @property
    def pending_bytes(self) -> int:
        """Of the buffers that hold what was appended and is not written yet."""
        return self._closed_bytes + self.block.held_bytes

    def open_frame(self, stream: Stream, base_offset: int, leader_epoch: int) -> Frame:
        """A frame for the stream's next batches in the open block."""
        frame = stream.frame = self._add_frame(stream.key, BATCHES, base_offset, leader_epoch)
        self._open.append(stream)
        return frame

    def _add_frame(self, key: PartitionKey, kind: int, offset: int, leader_epoch: int) -> Frame:
        if self.error is not None or self.state is not OPEN:
            raise self._refusal()
        append_ms = self._clock.stamp(self._world.clock.now_ms())
        frame = Frame(key, kind, offset, leader_epoch, append_ms)
        block = self.block
        block.frames.append(frame)
        if len(block.frames) >= limits.BLOCK_FRAMES_MAX:
            block.full_at = 0  # it closes behind what is appended now
        self._unsaved[key] = False
        self._kick_soon()
        return frame

    def _refusal(self) -> StorageFailed:
        error = self.error
        if error is None:
            return StorageFailed(f"{self._directory}: the log is not open")
        return type(error)(str(error))

    # Closing and writing blocks

    def _kick_soon(self) -> None:
        if not self._is_kicked:
            self._is_kicked = True
            self._loop.call_soon(self._kick)

    def _kick(self) -> None:
        self._is_kicked = False
        if self._in_flight is None and self.state is OPEN:
            self._write_next(inline=True)

    def close_block(self, *, seals: bool = False) -> None:
        """Give the open block its place; what is appended from here on goes into another."""
        block, segment = self.block, self._segment
        assert segment is not None
        was_below_half = segment.end < self._segment_bytes // 2
        block.segment = segment
        block.position = segment.end
        segment.end = block.place(segment.end)
        segment.last_block = block.sequence
        self._queue.append(block)
        self._closed_bytes += block.held_bytes
        self._begin_block(Block(block.sequence + 1, self._take_buffer()))
        self._kick_soon()
        # A segment may end a block late, never early: states are taken here and only here, when
        # everything that was appended is in closed blocks.
        block.seals = seals or self._segment_bytes - segment.end < block.block_bytes
        if block.seals:
            segment.is_sealed = True
            if self._owner.sealed(block, self._unsaved):
                self._unsaved = {}
            self._segment = self._owner.begin_segment(block.sequence + 1)
        elif was_below_half and segment.end >= self._segment_bytes // 2:
            self._owner.half_full(segment)

    def _begin_block(self, block: Block) -> None:
        for stream in self._open:
            stream.frame = None
        self._open.clear()
        self.block = block

    def seal(self) -> bool:
        """End the open segment, if it has anything. False if it has nothing."""
        segment = self._segment
        assert segment is not None
        if not self.block.frames and segment.last_block < segment.first_block:
            return False
        self.close_block(seals=True)
        return True

    def _write_next(self, *, inline: bool = False) -> None:
        """Write the oldest block that waits, or else the open one: on the lane, or if it is small
        and nobody waits for the disk, inline."""
        if not self._queue:
            if not self.block.frames:
                return
            self.close_block()
        block = self._in_flight = self._queue.popleft()
        segment = block.segment
        assert segment is not None
        buffers = block.pack(segment.sequence, segment.salt, self.true_through)
        position = block.position
        if position == PAGE_BYTES:
            buffers.insert(0, pack_page(segment.sequence, segment.first_block, segment.salt))
            position = 0
        # A segment is truly synced at its end, and at its start so that it is known to be begun.
        syncs = self._mode != "block" and (block.seals or block.position == PAGE_BYTES)
        job = partial(
            _write,
            partial(
                spares.create, self._files, self._directory, segment.sequence, self._segment_bytes
            ),
            segment.file if segment.has_file else None,
            buffers,
            position,
            durable=self._mode == "block",
            syncs=syncs,
        )
        began_ns = self._submitted_ns = self._now_ns()
        if (
            not inline
            or self._mode == "block"
            or syncs
            or block.block_bytes > INLINE_BYTES_MAX
            or began_ns < self._inline_from_ns
        ):
            self._lane.submit(job, self._written)
            return
        try:
            file = self._lane.inline(job)
        except Exception as error:  # as a lane does: whatever it is, the log has failed
            self._written(error)
            return
        if self._now_ns() - began_ns > INLINE_SLOW_NS:
            self._inline_from_ns = began_ns + INLINE_REST_NS
        self._written(file)

    def _written(self, result: File | BaseException) -> None:
        block, self._in_flight = self._in_flight, None
        assert block is not None
        if self.state is not OPEN or isinstance(result, BaseException):
            block.release()
            if isinstance(result, BaseException):
                self.fail(result)  # unless a sync failed meanwhile: this block was given up then
            return
        segment = block.segment
        assert segment is not None
        if not segment.has_file:
            segment.file, segment.has_file = result, True
        self._written_to = segment
        self.synced_through = block.sequence
        self.took.observe(self._now_ns() - self._submitted_ns)
        self.blocks += 1
        self.written_bytes += block.block_bytes
        if self._mode == "block" or block.seals or block.position == PAGE_BYTES:
            self.true_through = block.sequence
            self.syncs += 1
        elif self._mode == "interval" and self._timer is None:
            self._timer = self._world.call_later(self._interval_ms, self._sync_due)
        if self._mode == "block" or self.pending_bytes - block.held_bytes > INLINE_BYTES_MAX:
            self._write_next()  # the disk works on the next block while the loop tells of this one
        elif self._queue or self.block.frames:
            self._kick_soon()  # a write on the loop would be told of before this one
        if self.pending_bytes > limits.WAL_PENDING_BYTES_MAX:
            self._was_full = True
        self._closed_bytes -= block.held_bytes
        block.release()
        self._give_buffer(block)
        self._owner.written(block)
        waiters = self._waiters
        while waiters and waiters[0][0] <= block.sequence:
            _, future = waiters.popleft()
            if not future.done():
                future.set_result(None)
        if self._was_full and self.pending_bytes < limits.WAL_PENDING_BYTES_MAX // 2:
            self._was_full = False
            self._owner.drained()

    # True syncs where `wal.sync` does not wait for them

    def _sync_due(self) -> None:
        self._timer = None
        if self.state is OPEN:
            self._submit_sync(None)

    async def sync_truly(self) -> None:
        """Everything reported as synced until now is on stable storage, whatever `wal.sync`
        says."""
        if self.true_through < self.synced_through and self.state is OPEN:
            future: asyncio.Future[None] = self._loop.create_future()
            self._submit_sync(future)
            await future

    async def sync_written(self) -> None:
        """After a full disk: what was written before it, and reported where `wal.sync` promises
        less than a sync, is still whole. A sync that fails proves nothing: then it is given up."""
        segment, through = self._written_to, self.synced_through
        if segment is None or self.true_through >= through:
            return
        try:
            await self._lane.run(segment.file.sync)
        except OSError as error:
            events.emit("wal.not_synced", events.ERROR, segment=segment.sequence, error=error)
            return
        self.true_through = through

    def _submit_sync(self, future: "asyncio.Future[None] | None") -> None:
        segment, through = self._written_to, self.synced_through
        if segment is None:
            return

        def done(result: BaseException | None) -> None:
            if isinstance(result, BaseException):
                self.fail(result)
            elif self.error is None:
                self.true_through = max(self.true_through, through)
                self.syncs += 1
            if future is not None and not future.done():
                if self.error is not None:
                    future.set_exception(self._refusal())
                else:
                    future.set_result(None)

        self._lane.submit(segment.file.sync, done)

    async def synced(self, block: int) -> None:
        """Until `block` is as durable as `wal.sync` promises. Raises `StorageFailed` if it never
        is."""
        if block <= self.synced_through:
            return
        if self.error is not None or self.state is not OPEN:
            raise self._refusal()
        future: asyncio.Future[None] = self._loop.create_future()
        if self._waiters and self._waiters[-1][0] > block:
            block = self._waiters[-1][0]
        self._waiters.append((block, future))
        await future

    # The end

    def fail(self, error: BaseException) -> None:
        """A write or sync failed: once and for all of this life."""
        if self.error is not None:
            return
        self.error = storage_failed(error, self._directory)
        self.state = FAILED
        self._give_up()
        self._owner.failed(self.error)
        if self._was_full:
            self._was_full = False
            self._owner.drained()

    def close(self) -> None:
        self.state = CLOSED
        self._give_up()

    def _give_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for block in (*self._queue, self.block):  # the one in flight is still read
            block.release()
        self._queue.clear()
        self._buffers.clear()
        self._begin_block(Block(self.block.sequence, bytearray()))
        self._closed_bytes = 0
        while self._waiters:
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_exception(self._refusal())

    def _take_buffer(self) -> bytearray:
        return self._buffers.pop() if self._buffers else bytearray(_BUFFER_BYTES)

    def _give_buffer(self, block: Block) -> None:
        if len(self._buffers) < _BUFFERS_KEPT and block.capacity == _BUFFER_BYTES:
            self._buffers.append(block.buffer)


def _write(
    create: "partial[File]",
    file: File | None,
    buffers: list[Buffer],
    position: int,
    *,
    durable: bool,
    syncs: bool,
) -> File:
    """One round, on the `wal` lane."""
    if file is None:
        file = create()
    file.write(buffers, position, durable=durable)
    if syncs:
        file.sync()
    return file
