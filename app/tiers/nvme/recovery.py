"""Recovery: what of the WAL is believed after a crash, a failed disk, or years of rot.

Owns    the rules of docs/wal.md: where the log ends, what is torn, what is corrupt, who is
        quarantined.
Never   serves what it cannot vouch for, and never loses an acknowledged block without naming it.
Trusts  `synced_through` of valid blocks, pages of segments, and checkpoints: each says that
        everything up to some block had truly been synced.

Runs as one job on the `wal` lane, before anything can be appended.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from crc32c import crc32c

from app.errors import Corrupt
from app.limits import CHECKPOINT_DELTAS_MAX
from app.model import NO_TOPIC_ID, PartitionKey
from app.tiers.nvme import block, checkpoint, scan, sidecar
from app.tiers.nvme.block import BATCHES, Frame, FrameKind
from app.tiers.nvme.checkpoint import Checkpoint, Entry
from app.tiers.nvme.index import Extent, Index
from app.tiers.nvme.inventory import Ending, Inventory, Opened
from app.tiers.nvme.ports import Fold
from app.tiers.nvme.scan import Found
from app.tiers.nvme.segment import Segment, sidecar_path
from app.world.ports import Files
from streambus.errors import Malformed
from streambus.protocol import batch

UNKNOWN = PartitionKey(NO_TOPIC_ID, -1)
"""Stands in `Recovered.quarantined` for every partition of which nothing was recovered: where a
block is lost, it may have held all that there was of one. Whoever knows what should exist must not
begin such a partition anew."""


@dataclass(slots=True)
class Recovered:
    """What was found. `torn` was never acknowledged under `wal.sync=block`; `corrupt` is lost."""

    torn: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Damage that cost nothing: a page whose blocks vouch for it, a checkpoint passed over."""
    quarantined: dict[PartitionKey, str] = field(default_factory=dict)
    synced_through: int = 0
    append_ms: int = 0
    segments: int = 0
    blocks_folded: int = 0


@dataclass(slots=True)
class Outcome:
    """What the WAL goes on from."""

    recovered: Recovered
    index: Index
    segments: list[Segment]
    free: list[str]
    """Files that are in no use: prepared but not begun, or retired."""
    next_sequence: int
    checkpoint: Checkpoint | None
    taken: dict[PartitionKey, Entry]
    """What changed since that checkpoint: the content of the next one."""


_ALL = 1 << 63  # above every block


@dataclass(slots=True)
class _Step:
    """A segment begins (`found` is None), or a block in it. `vouched`: what this and all later
    steps
    say was synced; `vouched_after`: what later ones alone say."""

    opened: Opened
    first: int
    found: Found | None
    vouched: int = 0
    vouched_after: int = 0


class Recovery:
    """One run. `limit`: the last block that counts (a refold knows what was truly synced)."""

    def __init__(self, files: Files, directory: str, fold: Fold, limit: int | None = None) -> None:
        self._files = files
        self._directory = directory
        self._fold = fold
        self._limit = limit
        self._index = Index()
        self._recovered = Recovered()
        self._inventory = Inventory(files, directory, self._recovered.notes)
        self._keys: set[PartitionKey] = set()
        self._changed: set[PartitionKey] = set()
        self._suspect: dict[PartitionKey, tuple[str, Segment]] = {}
        self._has_loss = False
        self._proven = 0
        """The last block that anything says was truly synced, but for what its successors say."""

    def run(self) -> Outcome:
        fold, recovered = self._fold, self._recovered
        fold.reset()
        opened = self._inventory.open()
        restored, passed = checkpoint.newest(self._files, self._directory)
        recovered.notes += passed
        if passed and restored is None:
            self._has_loss = True  # segments may have been given back since
            self._quarantine(UNKNOWN, "no checkpoint can be read", None)
        covered: list[Opened] = []
        through = 0
        if restored is not None:
            through = recovered.synced_through = restored.block
            recovered.append_ms = restored.append_ms
            covered = [one for one in opened if one.segment.sequence <= restored.sequence]
            self._restore(restored, covered)
        replayed = opened[len(covered) :]
        end = self._replay(replayed, through if restored else None)
        self._settle_suspects()
        self._quarantine_holes()
        is_refold = self._limit is not None
        self._inventory.sync(replayed, end, is_refold=is_refold)
        kept = [one.segment for one in replayed if one.segment.sequence <= end.sequence]
        if recovered.corrupt and kept and not is_refold:
            restored = self._record_loss(kept, restored)
        self._inventory.cut(replayed, end, is_refold=is_refold)
        segments = [one.segment for one in covered] + kept
        recovered.segments = len(segments)
        return Outcome(
            recovered,
            self._index,
            segments,
            self._inventory.free,
            max(self._inventory.highest, restored.sequence if restored else 0) + 1,
            restored,
            self._taken(),
        )

    # Up to the checkpoint: states from it, the index from sidecars

    def _restore(self, restored: Checkpoint, covered: list[Opened]) -> None:
        for opened in covered:
            self._cover(opened, restored.block)
        for key in [key for key in self._index.partitions if key not in restored.entries]:
            self._index.drop(key)
        for key, entry in restored.entries.items():
            self._keys.add(key)
            self._index.start_moved(key, entry.start)
            if entry.quarantined:
                self._recovered.quarantined[key] = entry.quarantined
            if entry.saved:
                try:
                    self._fold.restore(key, entry.saved)
                except Corrupt as error:
                    self._quarantine(key, f"checkpoint {restored.sequence:#x}: {error}", None)

    def _cover(self, opened: Opened, through: int) -> None:
        segment = opened.segment
        segment.is_sealed = True
        path = sidecar_path(self._directory, segment.sequence)
        found = sidecar.load(self._files, path, segment)
        if found is None:
            self._recovered.notes.append(f"{path}: not usable, rebuilt from its segment")
            self._rebuild(opened, through)
            return
        segment.has_sidecar = True
        segment.last_block, segment.end = found.last_block, found.end
        segment.cuts, segment.holds = found.cuts, found.holds
        for key, offset in found.cuts.items():
            self._index.cut(key, offset)
        if opened.window.size < found.end:
            self._lose_beyond(opened, path, found.extents)
        for extent in found.extents:
            try:
                self._index.insert(extent)
            except Corrupt as error:
                self._quarantine(extent.key, str(error), segment)

    def _lose_beyond(self, opened: Opened, path: str, extents: list[Extent]) -> None:
        """The file is shorter than it was when it was sealed."""
        segment, size = opened.segment, opened.window.size
        for extent in extents:
            assert extent.place is not None, extent
            try:
                rows = sidecar.read_rows(self._files, path, extent.place)
                is_whole = rows.position[-1] + rows.length[-1] <= size
            except Corrupt:
                is_whole = False  # nobody knows how far it went
            if not is_whole:
                reason = f"{segment.path}: has {size} bytes, {extent} went further"
                self._recovered.corrupt.append(reason)
                self._quarantine(extent.key, reason, segment)

    def _rebuild(self, opened: Opened, through: int) -> None:
        """The index of a segment that the checkpoint covers: all its blocks had been synced."""
        segment = opened.segment
        for found in scan.blocks(opened.window, segment.sequence, opened.life, segment.path):
            if found.block > through:
                break
            if found.block != segment.last_block + 1:
                self._lose(segment, segment.last_block + 1, found.block - 1)
            segment.last_block = found.block
            segment.end = found.position + found.block_bytes
            for frame, content in self._frames(opened, found):
                self._keys.add(frame.key)
                if content is None:
                    self._lose_frame(segment, found, frame)
                else:
                    self._index_frame(segment, frame, content)

    # After the checkpoint: every block

    def _steps(self, replayed: list[Opened]) -> list[_Step]:
        """All that was found, in order, without what a later segment supersedes: a segment is begun
        only when it is settled where the one before it ends."""
        steps: list[_Step] = []
        ceiling = self._limit + 1 if self._limit is not None else _ALL
        vouched = self._proven = self._limit or 0
        for opened in reversed(replayed):
            segment = opened.segment
            path = sidecar_path(self._directory, segment.sequence)
            sealed = sidecar.load(self._files, path, segment)
            if sealed is not None:  # written when all its blocks had been synced
                self._proven = max(self._proven, min(sealed.last_block, ceiling - 1))
            vouched = max(vouched, self._proven)
            here = [
                _Step(opened, found.block, found)
                for found in scan.blocks(opened.window, segment.sequence, opened.life, segment.path)
                if found.block < ceiling
            ]
            first = opened.life.first_block
            if first != scan.UNKNOWN and first < ceiling:
                here.insert(0, _Step(opened, first, None))
                ceiling = min(ceiling, first)
            for step in reversed(here):
                step.vouched_after = vouched
                claim = step.found.synced_through if step.found is not None else first - 1
                step.vouched = vouched = max(vouched, claim)
            steps[:0] = here
            if first == scan.UNKNOWN and self._limit is None:
                vouched = _ALL  # it was begun, so everything before it had been synced
        return steps

    def _replay(self, replayed: list[Opened], through: int | None) -> Ending:
        """Fold what is whole, name what is lost, stop where the log ends."""
        end = Ending()
        steps = self._steps(replayed)
        # Without a checkpoint nothing was ever given back: the log begins at block 1. But where one
        # was there and cannot be read, it begins with what is left.
        expected = (through or 0) + 1
        if through is None and self._has_loss and steps:
            expected = steps[0].first
        last: Segment | None = None
        for step in steps:
            segment = step.opened.segment
            if step.first < expected:
                continue
            if step.first > expected:
                lost_end = max(expected, min(step.first, step.vouched + 1))
                if lost_end > expected:
                    self._lose(last or segment, expected, lost_end - 1)
                    end.lost(last or segment)
                if lost_end < step.first:
                    expected = lost_end
                    self._tear(last or segment, lost_end)
                    break
                expected = step.first
            if step.found is None:
                last = segment
                continue
            if not self._fold_block(step.opened, step.found, step.vouched_after):
                self._tear(segment, step.first)
                break
            end.accepted(step.opened, step.found, is_proven=step.first <= step.vouched_after)
            last = segment
            expected = step.first + 1
            segment.last_block = step.first
            segment.end = step.found.position + step.found.block_bytes
        else:
            if expected <= self._proven and replayed:
                self._lose(replayed[-1].segment, expected, self._proven)
                end.lost(replayed[-1].segment)
                expected = self._proven + 1
            elif replayed and replayed[-1].life.first_block == scan.UNKNOWN:
                # It had blocks; how many, and which were synced, nobody can say.
                self._lose(replayed[-1].segment, expected, expected)
                end.lost(replayed[-1].segment)
                expected += 1
            elif steps and self._limit is None:
                self._look_behind(steps[-1].opened, expected)
        self._recovered.synced_through = expected - 1
        return end

    def _look_behind(self, opened: Opened, expected: int) -> None:
        """The log ends where nothing valid follows; say so if something had been begun there."""
        segment = opened.segment
        raw = opened.window.get(segment.end, block.HEADER_BYTES)
        claim = block.claimed(raw, 0, segment.sequence)
        if claim is not None and claim[0] == segment.salt:
            self._tear(segment, expected)

    def _fold_block(self, opened: Opened, found: Found, vouched_after: int) -> bool:
        """False if the block is not whole and nothing says that it ever was."""
        frames = list(self._frames(opened, found))
        if found.block > vouched_after and any(content is None for _, content in frames):
            return False
        self._recovered.blocks_folded += 1
        segment = opened.segment
        for frame, content in frames:
            key = frame.key
            self._keys.add(key)
            self._changed.add(key)
            if content is None:
                self._lose_frame(segment, found, frame)
                continue
            self._recovered.append_ms = max(self._recovered.append_ms, frame.append_ms)
            if self._admits(segment, frame) and self._index_frame(segment, frame, content):
                try:
                    self._fold_frame(frame, content)
                except (Corrupt, Malformed) as error:
                    where = f"{segment.path} at {frame.position}, block {found.block}"
                    self._recovered.corrupt.append(f"{where}: {error}")
                    self._quarantine(key, f"{where}: {error}", segment)
        return True

    def _frames(self, opened: Opened, found: Found) -> Iterator[tuple[Frame, memoryview | None]]:
        """Each frame with its bytes; None where these are not what was written."""
        window = opened.window
        frames = scan.frames(window, found)
        body = window.get(found.position, found.block_bytes)
        for frame in frames:
            at = frame.position - found.position
            content = body[at : at + frame.length]
            is_whole = len(content) == frame.length and crc32c(content) == frame.crc
            yield frame, content if is_whole else None

    def _fold_frame(self, frame: Frame, content: memoryview) -> None:
        fold = self._fold
        if frame.kind == BATCHES:
            for _, header in batch.headers(content):
                fold.batch(frame.key, header, frame.append_ms)
        else:
            fold.control(frame.key, frame.kind, frame.base_offset, frame.leader_epoch)

    def _index_frame(self, segment: Segment, frame: Frame, content: memoryview) -> bool:
        """Put one whole frame into the index; False if it does not fit there."""
        key, offset = frame.key, frame.base_offset
        if frame.kind == BATCHES:
            try:
                self._index.add(segment, _with_chunks(frame, content))
            except (Corrupt, Malformed) as error:
                self._recovered.corrupt.append(f"{segment.path} at {frame.position}: {error}")
                self._quarantine(key, str(error), segment)
                return False
        elif frame.kind == FrameKind.TRUNCATED:
            self._index.cut(key, offset)
            segment.cut(key, offset)
        elif frame.kind == FrameKind.START_MOVED:
            self._index.start_moved(key, offset)
        elif frame.kind == FrameKind.REPLICA_DROPPED:
            self._index.drop(key)
            segment.cut(key, 0)
        return True

    # Loss

    def _admits(self, segment: Segment, frame: Frame) -> bool:
        """Whether this frame continues what is known of its partition. A quarantined one takes
        nothing
        until it is dropped, or cut to what is known to be right."""
        key = frame.key
        if frame.kind == FrameKind.REPLICA_DROPPED:
            self._suspect.pop(key, None)
            self._recovered.quarantined.pop(key, None)
            return True
        position = self._fold.position(key)
        if frame.kind == FrameKind.TRUNCATED and position and frame.base_offset <= position[1]:
            self._suspect.pop(key, None)
            self._recovered.quarantined.pop(key, None)
            return True
        if key in self._recovered.quarantined:
            segment.holds.add(key)
            return False
        suspicion = self._suspect.get(key)
        if suspicion is not None and position is not None:
            if frame.kind == FrameKind.START_MOVED:
                return True
            epoch_is_new = frame.kind == FrameKind.EPOCH_STARTED
            if frame.base_offset == position[1] and (
                epoch_is_new or frame.leader_epoch == position[2]
            ):
                del self._suspect[key]
                return True
            reason, damaged = self._suspect.pop(key)
            self._quarantine(
                key,
                f"{reason}; it ended at {position[1]} before and goes on at {frame.base_offset}",
                damaged,
            )
            segment.holds.add(key)
            return False
        if self._has_loss and position is None and frame.base_offset > 0:
            self._quarantine(key, f"{segment.path}: what came before it is lost", segment)
            return False
        return True

    def _lose(self, segment: Segment, first: int, last: int) -> None:
        """Blocks that had been synced are not there. Any partition may have been in them."""
        named = f"block {first}" if first == last else f"blocks {first} to {last}"
        reason = f"{segment.path} at {segment.end}: {named} had been synced and cannot be read"
        self._recovered.corrupt.append(reason)
        self._has_loss = True
        if not segment.is_sealed:  # what a checkpoint covers is known from it
            self._quarantine(UNKNOWN, f"{reason}; it may have held all of a partition", None)
        for key in self._keys:
            if key not in self._recovered.quarantined and self._fold.position(key) is not None:
                self._suspect.setdefault(key, (reason, segment))

    def _lose_frame(self, segment: Segment, found: Found, frame: Frame) -> None:
        reason = (
            f"{segment.path} at {frame.position}, block {found.block}: the bytes of {frame.key} "
            f"from offset {frame.base_offset} to {frame.end_offset} are damaged"
        )
        self._recovered.corrupt.append(reason)
        self._quarantine(frame.key, reason, segment)

    def _tear(self, segment: Segment, first: int) -> None:
        self._recovered.torn.append(
            f"{segment.path} at {segment.end}: block {first} was being written when the broker "
            "stopped; the log ends before it"
        )

    def _quarantine(self, key: PartitionKey, reason: str, segment: Segment | None) -> None:
        self._recovered.quarantined.setdefault(key, reason)
        self._changed.add(key)
        if segment is not None:
            segment.holds.add(key)

    def _record_loss(self, kept: list[Segment], restored: Checkpoint | None) -> Checkpoint:
        """Write what was found before anything is cut: what is cut may be what proves the loss, and
        a
        crash right after must not make a torn tail of it."""
        for segment in kept:
            places = sidecar.write(
                self._files, self._directory, segment, segment.live_extents(), segment.holds
            )
            for extent, place in places:
                extent.place = place
            segment.has_sidecar = True
        taken = Checkpoint(
            kept[-1].sequence,
            self._recovered.synced_through,
            self._recovered.append_ms,
            self._taken(),
        )
        if restored is not None:
            taken.previous, taken.deltas = restored.sequence, restored.deltas + 1
        taken.deltas = checkpoint.add(self._files, self._directory, taken, CHECKPOINT_DELTAS_MAX)
        self._changed.clear()
        return taken

    def _settle_suspects(self) -> None:
        """No later frame vouches for these."""
        for key, (reason, segment) in self._suspect.items():
            self._quarantine(key, f"{reason}; it may have held records of this partition", segment)

    def _quarantine_holes(self) -> None:
        """What a log says it holds must stand somewhere."""
        for key in sorted(self._keys):
            position = self._fold.position(key)
            if position is None or key in self._recovered.quarantined:
                continue
            hole = self._index.hole(key, position[0], position[1])
            if hole is not None:
                reason = f"{key}: offsets {hole[0]} to {hole[1]} stand in no segment"
                self._recovered.corrupt.append(reason)
                self._quarantine(key, reason, None)

    def _taken(self) -> dict[PartitionKey, Entry]:
        taken = {}
        for key in self._changed:
            saved = self._fold.save(key)
            reason = self._recovered.quarantined.get(key, "")
            if saved is None and reason:
                saved = b""
            partition = self._index.partitions.get(key)
            taken[key] = Entry(saved, partition.start if partition else 0, reason)
        return taken


def _with_chunks(frame: Frame, content: memoryview) -> Frame:
    """The frame as it was when it was appended, its chunks included: they are not on disk."""
    whole = Frame(frame.key, frame.kind, frame.base_offset, frame.leader_epoch, frame.append_ms)
    for _, header in batch.headers(content):
        base_offset = header[batch.BASE_OFFSET]
        whole.add(
            base_offset,
            base_offset + header[batch.LAST_OFFSET_DELTA] + 1,
            batch.batch_bytes(header),
            header[batch.MAX_TIMESTAMP],
        )
    whole.finish()
    whole.position = frame.position
    whole.crc = frame.crc
    if whole.end_offset != frame.end_offset:
        raise Corrupt(f"a frame of {frame.key} ends at {whole.end_offset}, not {frame.end_offset}")
    return whole
