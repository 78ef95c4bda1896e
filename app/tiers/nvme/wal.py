"""The write-ahead log: one for all partitions of the broker, the newest window of their data.

Owns    the life of the log (open, refold, reopen, close), its segments, its index, and what is
        retired.
Never   blocks the loop; never gives a byte of a block that is not durable as `wal.sync` promises.
Trusts  commit.py for what is durable, recovery.py for what a disk holds, the listener to keep
        states.

Loop side. Blocking work is on lanes: blocks on `wal`, whole files on `roll`, cold reads on
`reader`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, TypeVar

from app.core.hybrid_clock import HybridClock
from app.errors import Corrupt, StorageFailed
from app.model import PartitionKey
from app.telemetry import events
from app.telemetry.counts import Durations
from app.tiers.nvme import sidecar, spares
from app.tiers.nvme.block import BATCHES, Block, Frame, FrameKind
from app.tiers.nvme.checkpoint import Checkpoint, Entry
from app.tiers.nvme.commit import CLOSED, FAILED, OPEN, GroupCommit
from app.tiers.nvme.failures import DiskFull, storage_failed
from app.tiers.nvme.index import Index
from app.tiers.nvme.lookup import Cold, Lookup, Slice, Warm
from app.tiers.nvme.ports import Fold, WalListener, WalSettings
from app.tiers.nvme.recovery import Outcome, Recovered, Recovery
from app.tiers.nvme.sealing import Sealing
from app.tiers.nvme.segment import Segment, segment_path, sidecar_path
from app.tiers.nvme.spares import FILL_PAYS_MS, Spares
from app.world.ports import File, Files, World

__all__ = ["DiskFull", "Fold", "Recovered", "Slice", "Wal", "WalListener", "WalSettings"]

T = TypeVar("T")
_NOTHING_WARM = Warm()


class WalCounts(NamedTuple):
    """What a log has done in this life, and has now."""

    blocks: int
    syncs: int
    written_bytes: int
    took: Durations
    waiters: int
    pending_bytes: int
    segments_open: int
    segments_sealed: int
    segments_free: int
    has_failed: bool


class Wal:
    """`stream`, `append_control`: see `GroupCommit`. A failed log (`state`) reads on and takes
    nothing:
    `refold` it, and after a full disk `reopen` it."""

    def __init__(
        self,
        world: World,
        directory: str,
        settings: WalSettings,
        clock: HybridClock,
        listener: WalListener,
    ) -> None:
        self._world = world
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._listener = listener
        self._commit = GroupCommit(
            world, directory, settings.segment_bytes, settings.sync, clock, self
        )
        self.stream = self._commit.stream
        self.append_control = self._commit.append_control
        self.synced = self._commit.synced
        self._spares = Spares(world, directory, settings.segment_bytes)
        self._lookup = Lookup()
        self._sealing = Sealing(world, directory, self._lookup.adopt)
        self._index = Index()
        self._segments: list[Segment] = []
        self._quarantined: dict[PartitionKey, str] = {}
        self._outcome: Outcome | None = None
        self._retire_after = 0
        self._begun_ms = 0

    # Life

    async def open(self, fold: Fold) -> Recovered:
        """Recover and fold what the directory holds, then begin a new segment: stale blocks can
        never
        follow. Raises `StorageFailed` naming a directory that cannot be used; a full disk is no
        error
        here: then the log is `failed` from the start, and reads go on."""
        outcome = await self._recover(fold, None)
        try:
            await self._begin(outcome)
        except DiskFull as error:
            self._commit.fail(error)
        return outcome.recovered

    async def refold(self, fold: Fold) -> Recovered:
        """After a failure: cut the log at the last true sync and fold it again from disk, up to
        there
        only, whatever the page cache shows. The log stays failed."""
        assert self.state == FAILED, self.state
        for lane in ("wal", "roll"):
            await self._world.lane(lane).run(partial(int))  # its jobs so far have ended then
        await self._spares.release()
        if isinstance(self._commit.error, DiskFull):
            await self._commit.sync_written()
        outcome = await self._recover(fold, self._commit.true_through)
        return outcome.recovered

    async def reopen(self) -> None:
        """Go on after a full disk, in a new segment. Raises `DiskFull` while there is no room."""
        assert self.state == FAILED and self._outcome is not None, "refold first"
        if not isinstance(self._commit.error, DiskFull):
            raise StorageFailed(str(self._commit.error))
        await self._begin(self._outcome)

    async def close(self) -> None:
        """Write and sync what was appended, seal it so that the next start folds nothing, close."""
        if self.state == CLOSED:
            return
        commit = self._commit
        try:
            if self.state == OPEN:
                commit.seal()
                await commit.synced(commit.newest_block)
                await self._world.lane("roll").run(partial(int))
        finally:
            commit.close()
            files: list[File] = [s.file for s in self._segments if s.has_file and not s.pins]
            await self._spares.release()
            await self._world.lane("roll").run(partial(_close_all, files))

    async def _recover(self, fold: Fold, limit: int | None) -> Outcome:
        files, directory = self._world.files, self._directory

        def job() -> Outcome:
            files.make_directory(directory)
            return Recovery(files, directory, fold, limit).run()

        try:
            outcome = await self._world.lane("wal").run(job)
        except OSError as error:
            raise storage_failed(error, directory) from error
        self._adopt(outcome)
        return outcome

    def _adopt(self, outcome: Outcome) -> None:
        """The segments and index of a recovery, in place of those of a life that ended."""
        ended = {segment.sequence: segment for segment in self._segments}
        for segment in outcome.segments:
            segment.is_sealed = True
            if segment.has_sidecar:
                segment.extents = []
            before = ended.get(segment.sequence)
            if before is not None and (before.pins or before.tainted):
                segment.taint()  # its bytes are lent, under a pin that this object does not count
        for segment in ended.values():
            if segment.has_file:
                self._close_unpinned(segment)
        self._outcome = outcome
        self._index = outcome.index
        self._segments = list(outcome.segments)
        self._quarantined = dict(outcome.recovered.quarantined)
        self._lookup = Lookup()
        self._sealing = Sealing(self._world, self._directory, self._lookup.adopt)
        self._sealing.begin(outcome.checkpoint)
        self._clock.observe(outcome.recovered.append_ms)
        self._commit.recovered(outcome.recovered.synced_through)
        excess = self._spares.begin(outcome.free, outcome.next_sequence)
        if excess:
            self._world.lane("roll").submit(
                partial(_unlink_all, self._world.files, excess), _ignore_litter
            )

    async def _begin(self, outcome: Outcome) -> None:
        """Begin a segment that nothing can stand in, and write what the recovered ones lack."""
        first_block = outcome.recovered.synced_through + 1
        sequence = self._spares.next_sequence()
        try:
            file = await self._world.lane("wal").run(
                partial(
                    spares.create,
                    self._world.files,
                    self._directory,
                    sequence,
                    self._settings.segment_bytes,
                )
            )
        except OSError as error:
            raise storage_failed(error, self._directory) from error
        self._outcome = None
        self._commit.begin(self._new_segment(sequence, file, first_block))
        unsealed = [segment for segment in outcome.segments if not segment.has_sidecar]
        folded = [
            segment
            for segment in unsealed
            if outcome.checkpoint is None or segment.sequence > outcome.checkpoint.sequence
        ]
        for segment in unsealed:
            taken = None
            if folded and segment is folded[-1]:
                taken = Checkpoint(
                    segment.sequence,
                    outcome.recovered.synced_through,
                    outcome.recovered.append_ms,
                    outcome.taken,
                )
            self._sealing.submit(segment, taken)

    # What commit.py asks and tells

    def begin_segment(self, first_block: int) -> Segment:
        prepared = self._spares.take()
        if prepared is not None:
            return self._new_segment(prepared[0], prepared[1], first_block)
        return self._new_segment(self._spares.next_sequence(), None, first_block)

    def _new_segment(self, sequence: int, file: File | None, first_block: int) -> Segment:
        salt = int.from_bytes(self._world.randomness.bytes(8), "little")
        path = segment_path(self._directory, sequence)
        segment = Segment(sequence, path, file, salt, first_block)
        self._segments.append(segment)
        self._begun_ms = self._world.clock.monotonic_ms()
        return segment

    def half_full(self, segment: Segment) -> None:
        elapsed_ms = self._world.clock.monotonic_ms() - self._begun_ms
        self._spares.want(is_fast=elapsed_ms < FILL_PAYS_MS)

    def sealed(self, block: Block, unsaved: dict[PartitionKey, bool]) -> bool:
        segment = block.segment
        assert segment is not None
        states = dict(self._listener.checkpoint_states(list(unsaved)))
        entries = {}
        for key, is_dropped in unsaved.items():
            saved = states.get(key)
            if saved is None and not is_dropped:
                return False  # of a partition that is not there yet: the next seal takes it
            partition = self._index.partitions.get(key)
            reason = self._quarantined.get(key, "")
            entries[key] = Entry(saved, partition.start if partition else 0, reason)
        block.taken = Checkpoint(segment.sequence, block.sequence, self._clock.latest, entries)
        return True

    def written(self, block: Block) -> None:
        segment = block.segment
        assert segment is not None
        index = self._index
        for frame in block.frames:
            if frame.kind == BATCHES:
                index.add(segment, frame)
            else:
                self._apply_control(segment, frame)
        self._listener.on_synced(block.frames, block.sequence)
        if block.seals:
            events.emit("segment.sealed", events.DEBUG, segment=segment.sequence, bytes=segment.end)
            self._sealing.submit(segment, block.taken)

    def _apply_control(self, segment: Segment, frame: Frame) -> None:
        key, offset = frame.key, frame.base_offset
        if frame.kind == FrameKind.TRUNCATED:
            self._index.cut(key, offset)
            segment.cut(key, offset)
            self._quarantined.pop(key, None)
        elif frame.kind == FrameKind.START_MOVED:
            self._index.start_moved(key, offset)
        elif frame.kind == FrameKind.REPLICA_DROPPED:
            self._index.drop(key)
            segment.cut(key, 0)
            self._quarantined.pop(key, None)

    def failed(self, error: StorageFailed) -> None:
        self._listener.on_failed(error)

    def drained(self) -> None:
        self._listener.on_drained()

    # Numbers

    def counts(self) -> WalCounts:
        """For metrics."""
        commit, spares = self._commit, self._spares
        is_open = self.state == OPEN
        return WalCounts(
            blocks=commit.blocks,
            syncs=commit.syncs,
            written_bytes=commit.written_bytes,
            took=commit.took,
            waiters=commit.waiters,
            pending_bytes=commit.pending_bytes,
            segments_open=int(is_open),
            segments_sealed=len(self._segments) - is_open,
            segments_free=spares.free,
            has_failed=self.state == FAILED,
        )

    @property
    def state(self) -> str:
        return self._commit.state

    @property
    def error(self) -> StorageFailed | None:
        return self._commit.error

    @property
    def synced_through(self) -> int:
        """The newest block that is as durable as `wal.sync` promises."""
        return self._commit.synced_through

    @property
    def pending_bytes(self) -> int:
        """Appended, not yet synced. Above limits.WAL_PENDING_BYTES_MAX: read no more connections
        until
        `on_drained`."""
        return self._commit.pending_bytes

    def extents(self, key: PartitionKey) -> list[tuple[int, int, int, int]]:
        """(start, end, bytes, newest timestamp) of the partition's runs, oldest first."""
        partition = self._index.partitions.get(key)
        if partition is None:
            return []
        return [(e.start, e.end, e.bytes, e.max_timestamp) for e in partition.extents]

    def bytes_of(self, key: PartitionKey) -> int:
        """How many bytes the partition's batches take here, frames cut by the log start whole."""
        partition = self._index.partitions.get(key)
        return 0 if partition is None else sum([each.bytes for each in partition.extents])

    # Reading

    def try_slices(
        self, key: PartitionKey, offset: int, end_max: int, bytes_max: int, at_least_one: bool
    ) -> list[Slice] | None:
        """Where the batches stand from the one that holds `offset` to the last edge at or below
        `end_max` and within `bytes_max` (with `at_least_one` the first whatever its size). None if
        finding out would block. Pin a slice's segment before the next await."""
        partition = self._index.partitions.get(key)
        if partition is None:
            return []
        try:
            return self._lookup.slices(
                partition, offset, end_max, bytes_max, at_least_one, _NOTHING_WARM
            )
        except Cold:
            return None

    async def slices(
        self, key: PartitionKey, offset: int, end_max: int, bytes_max: int, at_least_one: bool
    ) -> list[Slice]:
        """The same, reading what is cold on the `reader` lane."""

        def look(warm: Warm) -> list[Slice]:
            partition = self._index.partitions.get(key)
            if partition is None:
                return []
            return self._lookup.slices(partition, offset, end_max, bytes_max, at_least_one, warm)

        return await self._look(look)

    async def locate_timestamp(
        self, key: PartitionKey, timestamp_ms: int, start: int, end: int
    ) -> Slice | None:
        """The first piece of `start`..`end` in which some batch has a record at or after the
        time."""

        def look(warm: Warm) -> Slice | None:
            partition = self._index.partitions.get(key)
            if partition is None:
                return None
            return self._lookup.first_in_time(partition, timestamp_ms, start, end, warm)

        return await self._look(look)

    async def max_timestamp(
        self, key: PartitionKey, start: int, end: int
    ) -> tuple[int, Slice] | None:
        """(timestamp, batch) of the newest batch of `start`..`end`, the first of equals."""

        def look(warm: Warm) -> tuple[int, Slice] | None:
            partition = self._index.partitions.get(key)
            if partition is None:
                return None
            return self._lookup.newest_in_time(partition, start, end, warm)

        return await self._look(look)

    async def _look(self, look: Callable[[Warm], T]) -> T:
        warm = Warm()
        while True:
            try:
                return look(warm)
            except Cold as cold:
                await self._warm(cold, warm)

    async def _warm(self, cold: Cold, warm: Warm) -> None:
        """Read on the `reader` lane what a look-up lacks; pinned, so that it cannot be recycled."""
        segment, extent = cold.segment, cold.extent
        lane = self._world.lane("reader")
        segment.pin()
        try:
            if extent is None:
                warm.put(
                    cold, await lane.run(partial(segment.file.read, cold.position, cold.length))
                )
                return
            path = sidecar_path(self._directory, segment.sequence)
            assert extent.place is not None, extent
            rows = await lane.run(partial(sidecar.read_rows, self._world.files, path, extent.place))
            warm.rows[extent] = rows
            self._lookup.hold(extent, rows)
        except OSError as error:
            raise StorageFailed(f"{segment.path}: reading failed: {error}") from error
        except Corrupt:
            if extent is None or extent.is_live:
                raise
            # Retired while we read: the next look does not come here again.
        finally:
            segment.unpin()

    # Giving back

    def drop(self, key: PartitionKey) -> None:
        """The partition is gone from the manifest: forget where its batches are. Its
        REPLICA_DROPPED
        frame is appended right after."""
        self._index.drop(key)
        self._retire_after = max(self._retire_after, self._commit.newest_block + 1)

    def start_moved(self, key: PartitionKey, offset: int) -> None:
        """Nothing below `offset` will be read. (The durable frame does the same.)"""
        self._index.start_moved(key, offset)

    def seal(self, reason: str) -> None:
        """End the open segment, so that what it holds can be retired when it is garbage."""
        if self.state == OPEN and self._commit.seal():
            events.emit("segment.seal_asked", events.DEBUG, reason=reason)

    async def retire(self) -> list[int]:
        """Give back the segments in which nothing is live; gives their sequences."""
        if self.state != OPEN:
            return []
        self._spares.trim()
        if not self._garbage():
            return []
        try:
            # What makes them garbage has to survive whatever happens next.
            await self._commit.synced(min(self._retire_after, self._commit.newest_block))
            await self._commit.sync_truly()
        except StorageFailed:
            return []  # the listener has been told
        garbage = self._garbage()
        for segment in garbage:
            self._segments.remove(segment)
            if segment.pins or segment.tainted:
                self._spares.remove(segment)
                self._close_unpinned(segment)
            else:
                self._spares.recycle(segment)
        await self._world.lane("roll").run(partial(int))  # the lane is serial: all is done
        return [segment.sequence for segment in garbage]

    def _garbage(self) -> list[Segment]:
        garbage = []
        is_oldest = True
        for segment in self._segments:
            if (
                segment.has_sidecar
                and not segment.extents_live
                and segment.sequence <= self._sealing.durable
                and not self._is_held(segment.holds)
                # What its frames cut off in older segments would be back without it.
                and (is_oldest or not segment.cuts)
            ):
                garbage.append(segment)
            else:
                is_oldest = False
        return garbage

    def _is_held(self, holds: Iterable[PartitionKey]) -> bool:
        return any(key in self._quarantined for key in holds)

    def _close_unpinned(self, segment: Segment) -> None:
        """Close its file now, or when the last reader is done. On the `roll` lane: closing an
        unlinked
        file frees its blocks."""

        def close(segment: Segment) -> None:
            segment.closing = None
            self._world.lane("roll").submit(segment.file.close, _ignore_litter)

        if segment.pins:
            segment.closing = close
        else:
            close(segment)


def _close_all(files: list[File]) -> None:
    for file in files:
        file.close()


def _unlink_all(files: Files, paths: list[str]) -> None:
    for path in paths:
        files.unlink(path)


def _ignore_litter(result: BaseException | None) -> None:
    """A file that could not be closed or removed holds nothing: the next start finds it."""
    if isinstance(result, BaseException):
        events.emit("segment.not_removed", events.WARNING, error=result)
