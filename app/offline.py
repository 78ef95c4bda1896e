"""The log of a directory, read without a broker: what stands in it, and whether it is whole.

Owns    `inspect_*` (segments, blocks, frames) and `verify` (every checksum, and what recovery would
        find).
Never   writes: files are opened for reading alone, and what recovery would write goes nowhere.
Trusts  nothing of what it reads. Beside a running broker the end of the log may move meanwhile.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from crc32c import crc32c

from app.errors import Corrupt, StorageFailed
from app.model import PartitionKey
from app.partitions.fold import LogFold
from app.tiers.nvme import checkpoint, scan, sidecar
from app.tiers.nvme.block import Frame, FrameKind
from app.tiers.nvme.recovery import Outcome, Recovery
from app.tiers.nvme.scan import Found, Life, Window
from app.tiers.nvme.segment import (
    FREE_PREFIX,
    PAGE_BYTES,
    SIDECAR_SUFFIX,
    SUFFIX,
    Segment,
    sequence_of,
    sidecar_path,
)
from app.world.ports import Buffer, File, Files

ATTEMPTS_MAX = 3  # beside a broker, which may give segments back while they are read


class _Reading:
    """A file as it is. What is written to it goes nowhere."""

    def __init__(self, path: str, file: File | None) -> None:
        self.path = path
        self._file = file

    def read(self, position: int, length: int) -> bytes:
        return self._file.read(position, length) if self._file is not None else b""

    def read_cached(self, position: int, length: int) -> bytes | None:
        return self.read(position, length)

    def write(self, buffers: Sequence[Buffer], position: int, *, durable: bool) -> None:
        """Nowhere."""

    def sync(self) -> None:
        """Nothing was written."""

    def resize(self, length: int, *, allocate: bool = False) -> None:
        """Nothing is cut either."""

    def size(self) -> int:
        return self._file.size() if self._file is not None else 0

    def fileno(self) -> int:
        assert self._file is not None, f"{self.path}: only its name exists"
        return self._file.fileno()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class ReadOnlyFiles:
    """Directories as they are, for code that believes it may change them."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, path: str, *, create: bool = False, writable: bool = True) -> File:
        return _Reading(path, None if create else self._files.open(path, writable=False))

    def list(self, directory: str) -> list[str]:
        return self._files.list(directory)

    def rename(self, source: str, target: str) -> None:
        """Nothing moves."""

    def unlink(self, path: str) -> None:
        """Nothing goes."""

    def make_directory(self, path: str) -> None:
        """Nothing comes."""

    def sync_directory(self, path: str) -> None:
        """Nothing was written."""

    def space(self, path: str) -> tuple[int, int]:
        return self._files.space(path)

    def lock(self, path: str) -> Callable[[], None]:
        raise AssertionError(f"{path}: who only reads locks nothing")

    def database(self, path: str) -> sqlite3.Connection:
        raise AssertionError(f"{path}: a log has no database")


class NoLog(StorageFailed):
    """What was named is no directory of a broker."""


def wal_directory(files: Files, directory: str) -> str:
    """The log of a data directory, or the directory itself if it is one. Raises `NoLog`, or
    `StorageFailed` if that cannot be told."""
    directory = directory.rstrip("/") or "/"
    for candidate in (f"{directory}/wal", directory):
        try:
            names = files.list(candidate)
        except OSError as error:
            raise StorageFailed(f"cannot read {candidate}: {error.strerror}") from error
        if any(name.endswith((SUFFIX, SIDECAR_SUFFIX)) for name in names):
            return candidate
    raise NoLog(f"there is no log in {directory}: name the data directory of a broker, or its wal/")


def is_in_use(files: Files, wal: str) -> bool:
    """Whether a broker holds the directory now. Its lock is not kept, and not made."""
    data = wal.removesuffix("/wal")
    if data == wal or "lock" not in files.list(data):
        return False
    try:
        files.lock(f"{data}/lock")()
    except BlockingIOError:
        return True
    except OSError:
        return False  # not ours to lock: then no broker of ours runs there either
    return False


# What stands in it


@dataclass(frozen=True, slots=True)
class SegmentSeen:
    """`state`: `open` (the newest that was begun), `sealed`, `not begun` or `free`."""

    name: str
    sequence: int
    state: str
    file_bytes: int
    first_block: int = 0
    last_block: int = 0
    blocks: int = 0
    frames: int = 0
    end: int = 0
    sidecar: str = ""
    """`right`, `unreadable`, or "" where there is none."""
    damage: str = ""


@dataclass(frozen=True, slots=True)
class FrameSeen:
    segment: int
    block: int
    position: int
    key: PartitionKey
    kind: str
    base_offset: int
    end_offset: int
    leader_epoch: int
    append_ms: int
    batches: int
    bytes: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class BlockSeen:
    block: int
    position: int
    bytes: int
    synced_through: int
    frames: tuple[FrameSeen, ...]


def inspect_segments(files: Files, directory: str) -> list[SegmentSeen]:
    """Every segment file of a log, in the order of sequences; free ones last."""
    seen = []
    for name in files.list(directory):
        sequence = sequence_of(name.removeprefix(FREE_PREFIX), SUFFIX)
        if sequence is not None:
            one = _seen(files, directory, name, sequence)
            if one is not None:
                seen.append(one)
    newest = max((one.sequence for one in seen if one.state == "sealed"), default=0)
    for place, one in enumerate(seen):
        if one.sequence == newest and one.state == "sealed" and not one.sidecar:
            seen[place] = replace(one, state="open")
    return sorted(seen, key=lambda one: (one.state == "free", one.sequence))


def _seen(files: Files, directory: str, name: str, sequence: int) -> SegmentSeen | None:
    """None for a file that went while it was looked at."""
    path = f"{directory}/{name}"
    try:
        file = files.open(path, writable=False)
    except FileNotFoundError:
        return None
    try:
        window = Window(file)
        if name.startswith(FREE_PREFIX):
            return SegmentSeen(name, sequence, "free", window.size)
        life = scan.begun(window, sequence, path)
        if life is None:
            return SegmentSeen(name, sequence, "not begun", window.size)
        found = list(scan.blocks(window, sequence, life, path))
        segment = Segment(sequence, path, file, life.salt, max(life.first_block, 1))
        beside = sidecar_path(directory, sequence)
        has_sidecar = f"{sequence:016x}{SIDECAR_SUFFIX}" in files.list(directory)
        is_right = has_sidecar and sidecar.load(files, beside, segment) is not None
        return SegmentSeen(
            name,
            sequence,
            "sealed",
            window.size,
            first_block=found[0].block if found else life.first_block,
            last_block=found[-1].block if found else 0,
            blocks=len(found),
            frames=sum(one.frames for one in found),
            end=found[-1].position + found[-1].block_bytes if found else PAGE_BYTES,
            sidecar="right" if is_right else "unreadable" if has_sidecar else "",
            damage="the first page" if life.is_page_damaged else "",
        )
    finally:
        file.close()


def inspect_blocks(
    files: Files, directory: str, segment: int | None = None, key: PartitionKey | None = None
) -> Iterator[tuple[int, BlockSeen]]:
    """(segment, block) of one segment or of all; only with frames of `key` if it is given."""
    for name in files.list(directory):
        sequence = sequence_of(name, SUFFIX)
        if sequence is None or segment not in (None, sequence):
            continue
        path = f"{directory}/{name}"
        try:
            file = files.open(path, writable=False)
        except FileNotFoundError:
            continue
        try:
            window = Window(file)
            life = scan.begun(window, sequence, path)
            for found in scan.blocks(window, sequence, life, path) if life is not None else ():
                frames = tuple(
                    _frame_seen(sequence, found, frame, is_whole=is_whole)
                    for frame, is_whole in _frames(window, found)
                    if key in (None, frame.key)
                )
                if frames or key is None:
                    yield (
                        sequence,
                        BlockSeen(
                            found.block,
                            found.position,
                            found.block_bytes,
                            found.synced_through,
                            frames,
                        ),
                    )
        finally:
            file.close()


def _frames(window: Window, found: Found) -> Iterator[tuple[Frame, bool]]:
    """The frames of a block, and whether the bytes of each are what was written."""
    frames = scan.frames(window, found)
    body = window.get(found.position, found.block_bytes)
    for frame in frames:
        at = frame.position - found.position
        content = body[at : at + frame.length]
        yield frame, len(content) == frame.length and crc32c(content) == frame.crc


def _frame_seen(segment: int, found: Found, frame: Frame, *, is_whole: bool) -> FrameSeen:
    known = {kind.value: kind.name.lower().replace("_", " ") for kind in FrameKind}
    return FrameSeen(
        segment,
        found.block,
        frame.position,
        frame.key,
        known.get(frame.kind, f"kind {frame.kind}"),
        frame.base_offset,
        frame.end_offset,
        frame.leader_epoch,
        frame.append_ms,
        frame.batches,
        frame.length,
        is_whole,
    )


# Whether it is whole


@dataclass(slots=True)
class Verdict:
    """`damaged` had been acknowledged. `torn` was being written when the broker stopped: under
    `wal.sync=block` nobody had been told of it. `mendable` costs nothing: a start rebuilds it."""

    directory: str
    is_in_use: bool
    damaged: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    mendable: list[str] = field(default_factory=list)
    segments: int = 0
    blocks: int = 0
    frames: int = 0
    bytes: int = 0
    partitions: int = 0
    checkpoints: int = 0


def verify(files: Files, directory: str) -> Verdict:
    """Read all of a log and compare everything that can be compared."""
    reading = ReadOnlyFiles(files)
    in_use = is_in_use(files, directory)
    for attempt in range(ATTEMPTS_MAX):
        names = files.list(directory)
        try:
            verdict = _Verification(reading, directory, Verdict(directory, in_use)).run()
        except FileNotFoundError:
            if attempt + 1 == ATTEMPTS_MAX:
                raise StorageFailed(
                    f"{directory}: files go while they are read. Stop the broker, or try again"
                ) from None
            continue
        # A broker gives segments back and writes over their files: what then looks damaged is not.
        if not verdict.damaged or not in_use or files.list(directory) == names:
            break
    return verdict


class _Verification:
    def __init__(self, files: Files, directory: str, verdict: Verdict) -> None:
        self._files = files
        self._directory = directory
        self._verdict = verdict

    def run(self) -> Verdict:
        verdict = self._verdict
        fold = LogFold()
        outcome = Recovery(self._files, self._directory, fold).run()
        try:
            found = outcome.recovered
            verdict.damaged += found.corrupt
            verdict.torn += found.torn
            verdict.mendable += found.notes
            verdict.damaged += [
                f"{key}: quarantined: {reason}"
                for key, reason in found.quarantined.items()
                if not any(each in reason for each in found.corrupt)
            ]
            verdict.partitions = len(fold.partitions)
            for segment in outcome.segments:
                self._walk(segment, outcome)
            self._checkpoints()
        finally:
            for segment in outcome.segments:
                segment.file.close()
        return verdict

    def _walk(self, segment: Segment, outcome: Outcome) -> None:
        """Every block and frame. What recovery folded it has judged already: those are counted."""
        verdict, window = self._verdict, Window(segment.file)
        verdict.segments += 1
        life = scan.begun(window, segment.sequence, segment.path)
        expected = segment.first_block
        rows = {}
        for found in self._blocks(window, segment, life):
            if found.block != expected and segment.is_sealed:
                self._missing(segment, expected, found.block - 1)
            expected = found.block + 1
            verdict.blocks += 1
            for frame, is_whole in _frames(window, found):
                verdict.frames += 1
                verdict.bytes += frame.length
                rows[frame.position] = (frame.base_offset, frame.end_offset, frame.length)
                if not is_whole and segment.is_sealed:
                    self._damaged_frame(segment, found, frame, outcome)
        if segment.is_sealed and expected <= segment.last_block:
            self._missing(segment, expected, segment.last_block)
        if segment.has_sidecar and segment.is_sealed:
            self._rows(segment, rows)

    @staticmethod
    def _blocks(window: Window, segment: Segment, life: Life | None) -> Iterator[Found]:
        """Up to where the log ends: what stands behind it is nobody's."""
        if life is not None:
            for found in scan.blocks(window, segment.sequence, life, segment.path):
                if found.block > segment.last_block:
                    return
                yield found

    def _missing(self, segment: Segment, first: int, last: int) -> None:
        named = f"block {first}" if first == last else f"blocks {first} to {last}"
        text = f"{segment.path}: {named} had been synced and cannot be read"
        if not any(segment.path in known and named in known for known in self._verdict.damaged):
            self._tell(text, is_needed=segment.extents_live > 0)

    def _damaged_frame(
        self, segment: Segment, found: Found, frame: Frame, outcome: Outcome
    ) -> None:
        partition = outcome.index.partitions.get(frame.key)
        is_needed = any(
            extent.segment is segment
            and extent.start < frame.end_offset
            and frame.base_offset < extent.end
            for extent in (partition.extents if partition is not None else ())
        )
        where = f"{segment.path} at {frame.position}, block {found.block}"
        if any(known.startswith(where) for known in self._verdict.damaged):
            return
        self._tell(
            f"{where}: the bytes of {frame.key} from offset {frame.base_offset} to "
            f"{frame.end_offset} are damaged",
            is_needed=is_needed,
        )

    def _tell(self, text: str, *, is_needed: bool) -> None:
        if is_needed:
            self._verdict.damaged.append(text)
        else:
            self._verdict.mendable.append(f"{text}; nothing of it is needed any more")

    def _rows(self, segment: Segment, rows: dict[int, tuple[int, int, int]]) -> None:
        """Every row of the sidecar names a frame that stands in the segment."""
        path = sidecar_path(self._directory, segment.sequence)
        for extent in segment.extents:
            if extent.place is None:
                continue
            try:
                read = sidecar.read_rows(self._files, path, extent.place)
            except Corrupt as error:
                self._verdict.mendable.append(str(error))
                continue
            stated = zip(read.position, read.base, read.end, read.length, strict=True)
            for position, *row in stated:
                if rows.get(position) != tuple(row):
                    self._verdict.mendable.append(
                        f"{path}: its row of {extent.key} at {position} is not what stands in the "
                        "segment: move this file away and restart the broker, which rebuilds it"
                    )

    def _checkpoints(self) -> None:
        for name in self._files.list(self._directory):
            parsed = checkpoint.parse_name(name)
            if parsed is None:
                continue
            self._verdict.checkpoints += 1
            if checkpoint.load(self._files, self._directory, *parsed) is None:
                self._verdict.mendable.append(
                    f"{self._directory}/{name}: unreadable; a start uses an older one, or folds "
                    "more of the log"
                )
