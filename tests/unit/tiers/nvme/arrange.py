"""Logs written, damaged and read back without a loop: files in memory, a fold that is a list."""

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from app.errors import Corrupt
from app.model import PartitionKey, TopicId
from app.tiers.nvme import sidecar
from app.tiers.nvme.block import BATCHES, Block, Frame, FrameKind
from app.tiers.nvme.commit import Stream
from app.tiers.nvme.index import Index
from app.tiers.nvme.lookup import Cold, Lookup, Slice, Warm
from app.tiers.nvme.recovery import Outcome, Recovery
from app.tiers.nvme.segment import PAGE_BYTES, pack_page, segment_path, sidecar_path
from app.world.ports import Buffer
from streambus.protocol import batch

DIRECTORY = "wal"
LARGE = 1 << 62


def key(number: int, partition: int = 0) -> PartitionKey:
    return PartitionKey(TopicId(bytes([number]) * 16), partition)


A, B, C = key(1), key(2), key(3)


def records(size: int = 10, *, count: int = 1, timestamp: int = 1_000, fill: int = 120) -> bytes:
    """A batch as a producer sends it, of `count` records, each with a value of `size` bytes."""
    return batch.build(
        [(n, 0, None, bytes([fill]) * size, ()) for n in range(count)], base_timestamp=timestamp
    )


@dataclass
class MemoryFile:
    path: str
    content: bytearray
    files: "MemoryFiles"
    is_closed: bool = False

    def read(self, position: int, length: int) -> bytes:
        return bytes(self.content[position : position + length])

    def read_cached(self, position: int, length: int) -> bytes | None:
        return None if self.files.is_cold else self.read(position, length)

    def write(self, buffers: Sequence[Buffer], position: int, *, durable: bool) -> None:
        self.files.step("write", self.path)
        written = b"".join(buffers)
        if position > len(self.content):
            self.content.extend(bytes(position - len(self.content)))
        self.content[position : position + len(written)] = written

    def sync(self) -> None:
        self.files.step("sync", self.path)

    def resize(self, length: int, *, allocate: bool = False) -> None:
        self.files.step("resize", self.path)
        if length < len(self.content):
            del self.content[length:]
        self.content.extend(bytes(length - len(self.content)))

    def size(self) -> int:
        return len(self.content)

    def fileno(self) -> int:
        raise OSError(errno.EBADF, "no descriptor in memory")

    def close(self) -> None:
        self.is_closed = True


class Stopped(Exception):
    """The process ended in the middle of a job."""


class MemoryFiles:
    """Directories do not matter here: names are whole paths. `steps_left` ends the process before
    that
    many more changes."""

    def __init__(self) -> None:
        self.names: dict[str, bytearray] = {}
        self.is_cold = False
        self.steps_left: int | None = None

    def step(self, what: str, path: str) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise Stopped(f"{what} {path}")

    def copy(self) -> "MemoryFiles":
        copied = MemoryFiles()
        copied.names = {name: bytearray(content) for name, content in self.names.items()}
        return copied

    def open(self, path: str, *, create: bool = False, writable: bool = True) -> MemoryFile:
        if path not in self.names:
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self.step("create", path)
            self.names[path] = bytearray()
        return MemoryFile(path, self.names[path], self)

    def list(self, directory: str) -> list[str]:
        prefix = f"{directory}/"
        return sorted(n.removeprefix(prefix) for n in self.names if n.startswith(prefix))

    def rename(self, source: str, target: str) -> None:
        self.step("rename", source)
        self.names[target] = self.names.pop(source)

    def unlink(self, path: str) -> None:
        self.step("unlink", path)
        del self.names[path]

    def make_directory(self, path: str) -> None:
        pass

    def sync_directory(self, path: str) -> None:
        self.step("sync_directory", path)

    def lock(self, path: str) -> Callable[[], None]:
        raise AssertionError("the WAL takes no lock")

    def database(self, path: str) -> "Iterator[None]":
        raise AssertionError("the WAL has no database")


@dataclass
class Log:
    """One partition as a list: (base offset, end offset, bytes as stored)."""

    start: int = 0
    end: int = 0
    epoch: int = -1
    append_ms: int = 0


class ListFold:
    """`Fold`, as plain as can be."""

    def __init__(self) -> None:
        self.logs: dict[PartitionKey, Log] = {}

    def reset(self) -> None:
        self.logs = {}

    def restore(self, key: PartitionKey, saved: bytes) -> None:
        self.logs[key] = Log(*json.loads(saved))

    def batch(self, key: PartitionKey, header: batch.BatchHeader, append_ms: int) -> None:
        log = self.logs.setdefault(key, Log())
        if header[batch.BASE_OFFSET] != log.end:
            raise Corrupt(f"{key}: offset {header[batch.BASE_OFFSET]} after {log.end}")
        assert append_ms >= log.append_ms, "append time went back"
        log.end += header[batch.LAST_OFFSET_DELTA] + 1
        log.epoch = header[batch.LEADER_EPOCH]
        log.append_ms = append_ms

    def control(self, key: PartitionKey, kind: int, offset: int, leader_epoch: int) -> None:
        if kind == FrameKind.REPLICA_DROPPED:
            self.logs.pop(key, None)
            return
        log = self.logs.setdefault(key, Log())
        if kind == FrameKind.EPOCH_STARTED:
            log.epoch = leader_epoch
        elif kind == FrameKind.TRUNCATED:
            if offset > log.end:
                raise Corrupt(f"{key}: truncated to {offset}, ended at {log.end}")
            log.end = offset
        elif kind == FrameKind.START_MOVED:
            log.start = max(log.start, offset)

    def position(self, key: PartitionKey) -> tuple[int, int, int] | None:
        log = self.logs.get(key)
        return None if log is None else (log.start, log.end, log.epoch)

    def save(self, key: PartitionKey) -> bytes | None:
        log = self.logs.get(key)
        if log is None:
            return None
        return json.dumps([log.start, log.end, log.epoch, log.append_ms]).encode()


@dataclass
class Written:
    """A block as it was written: where it stands, what it holds."""

    segment: int
    sequence: int
    position: int
    length: int
    head: int
    synced_through: int
    frames: list[Frame]


@dataclass
class Scribe:
    """Writes blocks as the WAL does, in one go. `contents` is what each partition holds after all
    of it:
    (base offset, end offset, bytes) of each batch."""

    files: MemoryFiles = field(default_factory=MemoryFiles)
    segment_bytes: int = 0
    blocks: list[Written] = field(default_factory=list)
    contents: dict[PartitionKey, list[tuple[int, int, bytes]]] = field(default_factory=dict)
    starts: dict[PartitionKey, int] = field(default_factory=dict)
    segment: int = 0
    salt: int = 0
    sequence: int = 1
    position: int = 0
    append_ms: int = 1_000

    def begin(self, segment: int | None = None, *, under: bytes = b"") -> "Scribe":
        """The next blocks go into a new segment; `under` is what its file holds already."""
        self.segment = self.segment + 1 if segment is None else segment
        self.salt = 0x5A17_0000 + self.segment
        content = self.files.names[self.path] = bytearray(under)
        content.extend(bytes(max(0, self.segment_bytes - len(content))))
        content[:PAGE_BYTES] = pack_page(self.segment, self.sequence, self.salt)
        self.position = PAGE_BYTES
        return self

    @property
    def path(self) -> str:
        return segment_path(DIRECTORY, self.segment)

    def write(
        self,
        *steps: tuple[PartitionKey, bytes | tuple[FrameKind, int]],
        epoch: int = 0,
        synced_through: int | None = None,
    ) -> Written:
        """One block: a batch or a control frame for each step, in order."""
        open_block = OpenBlock(self.sequence, 1 << 12)
        block = open_block.block
        for step_key, content in steps:
            self.append_ms += 1
            if isinstance(content, bytes):
                self._batch(open_block, step_key, content, epoch)
            else:
                kind, offset = content
                open_block.streams.pop(step_key, None)
                block.frames.append(Frame(step_key, kind, offset, epoch, self.append_ms))
                self._control(step_key, kind, offset)
        end = block.place(self.position)
        synced = self.sequence - 1 if synced_through is None else synced_through
        packed = b"".join(block.pack(self.segment, self.salt, synced))
        content = self.files.names[self.path]
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[self.position : end] = packed
        head = block.frames[0].position - self.position if block.frames else len(packed)
        written = Written(
            self.segment, self.sequence, self.position, len(packed), head, synced, block.frames
        )
        self.blocks.append(written)
        self.position = end
        self.sequence += 1
        return written

    def _batch(
        self, open_block: "OpenBlock", step_key: PartitionKey, content: bytes, epoch: int
    ) -> None:
        log = self.contents.setdefault(step_key, [])
        base = self.end(step_key)
        header = batch.read_header(content)
        end = base + header[batch.LAST_OFFSET_DELTA] + 1
        open_block.append(step_key, content, base, end, epoch, self.append_ms)
        stored = bytearray(content)
        batch.patch(stored, 0, base, epoch)
        log.append((base, end, bytes(stored)))

    def _control(self, step_key: PartitionKey, kind: FrameKind, offset: int) -> None:
        if kind == FrameKind.TRUNCATED:
            log = self.contents.get(step_key, [])
            self.contents[step_key] = [one for one in log if one[1] <= offset]
        elif kind == FrameKind.START_MOVED:
            self.starts[step_key] = offset
        elif kind == FrameKind.REPLICA_DROPPED:
            self.contents.pop(step_key, None)
            self.starts.pop(step_key, None)

    def end(self, step_key: PartitionKey) -> int:
        log = self.contents.get(step_key)
        return log[-1][1] if log else 0


class Loan:
    """A lease that counts who holds it."""

    def __init__(self) -> None:
        self.holders = self.held = 0

    def hold(self) -> None:
        self.holders += 1
        self.held += 1

    def release(self) -> None:
        self.holders -= 1
        assert self.holders >= 0, "released more often than held"


class OpenBlock:
    """What streams ask of group commit, over one block that never closes."""

    def __init__(self, sequence: int, capacity: int) -> None:
        self.block = Block(sequence, bytearray(capacity))
        self.block.full_at = 1 << 62
        self.streams: dict[PartitionKey, Stream] = {}
        self._append_ms = 0

    def append(
        self,
        stream_key: PartitionKey,
        content: bytes,
        base: int,
        end: int,
        epoch: int,
        append_ms: int,
        lease: "Loan | None" = None,
    ) -> None:
        self._append_ms = append_ms
        stream = self.streams.setdefault(stream_key, Stream(self, stream_key))
        timestamp = batch.read_header(content)[batch.MAX_TIMESTAMP]
        stream.append(memoryview(bytearray(content)), base, end, epoch, timestamp, lease)

    def open_frame(self, stream: Stream, base: int, epoch: int) -> Frame:
        frame = stream.frame = Frame(stream.key, BATCHES, base, epoch, self._append_ms)
        self.block.frames.append(frame)
        return frame


def recover(
    files: MemoryFiles, fold: ListFold | None = None, limit: int | None = None
) -> tuple[Outcome, ListFold]:
    fold = fold or ListFold()
    return Recovery(files, DIRECTORY, fold, limit).run(), fold


def stored(index: Index, step_key: PartitionKey, start: int = 0) -> bytes:
    """Every byte of a partition that a reader would be given, from offset `start` on."""
    partition = index.partitions.get(step_key)
    if partition is None:
        return b""
    warm = Warm()
    while True:
        try:
            slices = Lookup().slices(partition, start, LARGE, LARGE, True, warm)
            return b"".join(content_of(piece) for piece in slices)
        except Cold as cold:
            warm_up(cold, warm)


def warm_up(cold: Cold, warm: Warm) -> None:
    """What the WAL does on the `reader` lane."""
    file = cold.segment.file
    if cold.extent is None:
        warm.put(cold, file.read(cold.position, cold.length))
        return
    assert isinstance(file, MemoryFile)
    assert cold.extent.place is not None
    path = sidecar_path(DIRECTORY, cold.segment.sequence)
    warm.rows[cold.extent] = sidecar.read_rows(file.files, path, cold.extent.place)


def content_of(piece: Slice) -> bytes:
    return piece.segment.file.read(piece.position, piece.length)


def joined(contents: Iterable[tuple[int, int, bytes]]) -> bytes:
    return b"".join(one[2] for one in contents)
