"""Segment files before and after their life in the WAL: prepared ahead of need, used again.

Owns    which file becomes the next segment, the sequence it gets, and the files of retired ones.
Never   makes the loop or a block wait: a segment that is not prepared in time is a plain file.
Trusts  that a file given back is pinned by nobody and was lent to nobody who has not read it.

Overwriting blocks that exist costs a fraction of the sync latency of growing a file (ADR 2), so a
retired file is preferred, then one filled with zeros; where blocks arrive too fast for zeros to be
written beside them, the next file is only allocated.
"""

from functools import partial

from app.limits import MIB, SEGMENTS_FREE_MAX, SEGMENTS_FREE_MIN, SEGMENTS_FREE_MS
from app.telemetry import events
from app.tiers.nvme.segment import (
    FREE_PAGE,
    Segment,
    free_path,
    segment_path,
    sidecar_path,
)
from app.world.ports import File, Files, World

FILL_PAYS_MS = 4_000  # half a segment in less: zeros would double what the disk has to write
_ZEROS = bytes(MIB)


class Spares:
    """All state is of the loop; its jobs run on the `roll` lane."""

    def __init__(self, world: World, directory: str, segment_bytes: int) -> None:
        self._clock = world.clock
        self._files = world.files
        self._lane = world.lane("roll")
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._free: list[str] = []
        self._next = 1
        self._freeing = 0  # on the lane, to be kept or removed
        self._needed_ms = 0  # when a file came or went last
        self._is_preparing = False
        self._ready: tuple[int, File] | None = None

    @property
    def free(self) -> int:
        """Files that wait to be used again, the prepared one included."""
        return len(self._free) + (self._ready is not None)

    def begin(self, free: list[str], next_sequence: int) -> list[str]:
        """What recovery found. Gives the free files that are more than are kept: unlink them."""
        self._next = max(self._next, next_sequence)
        self._needed_ms = self._clock.monotonic_ms()
        self._free, excess = free[:SEGMENTS_FREE_MAX], free[SEGMENTS_FREE_MAX:]
        return excess

    def next_sequence(self) -> int:
        """A sequence that no file has had."""
        sequence, self._next = self._next, self._next + 1
        return sequence

    def want(self, *, is_fast: bool) -> None:
        """The open segment is half full: prepare the next one, unless that is under way."""
        if self._is_preparing or self._ready is not None:
            return
        self._is_preparing = True
        self._needed_ms = self._clock.monotonic_ms()
        job = partial(
            prepare,
            self._files,
            self._directory,
            self.next_sequence(),
            self._segment_bytes,
            self._free.pop() if self._free else None,
            fill=not is_fast,
        )
        self._lane.submit(job, self._prepared)

    def take(self) -> tuple[int, File] | None:
        """The prepared segment (sequence, file), None if there is none yet."""
        ready, self._ready = self._ready, None
        return ready

    def _prepared(self, result: tuple[int, File] | BaseException) -> None:
        self._is_preparing = False
        if isinstance(result, BaseException):
            # Not an error before the file is needed: then creating it says what is wrong.
            events.emit("segment.not_prepared", events.WARNING, error=result)
            return
        sequence, file = result
        if sequence != self._next - 1:
            # Others were begun meanwhile: this file must come after them, under another name.
            self._is_preparing = True
            job = partial(
                _rename, self._files, self._directory, file, sequence, self.next_sequence()
            )
            self._lane.submit(job, self._prepared)
            return
        self._ready = result

    def recycle(self, segment: Segment) -> None:
        """A retired segment that nobody reads: its file is used again, or removed."""
        keeps = (
            len(self._free) + self._freeing < SEGMENTS_FREE_MAX
            and segment.end <= self._segment_bytes * 2
        )
        self._freeing += 1
        self._needed_ms = self._clock.monotonic_ms()
        job = partial(
            _free, self._files, self._directory, segment, self._segment_bytes, keeps=keeps
        )
        self._lane.submit(job, self._freed)

    def trim(self) -> None:
        """Called now and then: of the files that nobody has needed for long only a few stay."""
        if self._clock.monotonic_ms() - self._needed_ms >= SEGMENTS_FREE_MS:
            excess = self._free[SEGMENTS_FREE_MIN:]
            del self._free[SEGMENTS_FREE_MIN:]
            for path in excess:
                self._lane.submit(partial(self._files.unlink, path), self._removed)

    def remove(self, segment: Segment) -> None:
        """A retired segment that someone still reads, or may: its name goes, its bytes stay until
        the
        last reader is done."""
        self._lane.submit(partial(_remove, self._files, self._directory, segment), self._removed)

    def _freed(self, result: str | BaseException | None) -> None:
        self._freeing -= 1
        if isinstance(result, BaseException):
            self._removed(result)
        elif result is not None:
            self._free.append(result)

    def _removed(self, result: BaseException | None) -> None:
        if isinstance(result, BaseException):
            events.emit("segment.not_removed", events.WARNING, error=result)

    async def release(self) -> None:
        """Let the prepared file go (at close, before a refold): the next start finds it free."""
        while self._is_preparing:
            await self._lane.run(partial(int))
        ready = self.take()
        if ready is not None:
            await self._lane.run(ready[1].close)


def create(files: Files, directory: str, sequence: int, segment_bytes: int) -> File:
    """A plain file, its blocks reserved: on the `wal` lane, when nothing better is ready."""
    path = segment_path(directory, sequence)
    file = files.open(path, create=True)
    try:
        file.resize(segment_bytes, allocate=True)
        file.write([FREE_PAGE], 0, durable=False)
        files.sync_directory(directory)
    except BaseException:
        file.close()
        files.unlink(path)
        raise
    return file


def prepare(
    files: Files,
    directory: str,
    sequence: int,
    segment_bytes: int,
    source: str | None,
    *,
    fill: bool,
) -> tuple[int, File]:
    """The file of a coming segment. It stays 'not begun' until its first page and block are
    written."""
    path = segment_path(directory, sequence)
    if source is not None:
        files.rename(source, path)
    file = files.open(path, create=True)
    try:
        size = file.size()
        if size < segment_bytes:
            file.resize(segment_bytes, allocate=True)
            if fill:
                for position in range(size, segment_bytes, MIB):
                    zeros = memoryview(_ZEROS)[: min(MIB, segment_bytes - position)]
                    file.write([zeros], position, durable=False)
        if not size:
            file.write([FREE_PAGE], 0, durable=False)
        file.sync()
        files.sync_directory(directory)
    except BaseException:
        file.close()
        files.unlink(path)
        raise
    return sequence, file


def _rename(
    files: Files, directory: str, file: File, sequence: int, target: int
) -> tuple[int, File]:
    path = segment_path(directory, target)
    file.close()
    files.rename(segment_path(directory, sequence), path)
    files.sync_directory(directory)
    return target, files.open(path)


def _free(
    files: Files, directory: str, segment: Segment, segment_bytes: int, *, keeps: bool
) -> str | None:
    """The path under which the file waits for its next life, None if it was removed."""
    size = segment.file.size()
    segment.file.close()
    path = free_path(directory, segment.sequence)
    if keeps and size >= segment_bytes:
        files.rename(segment.path, path)
    else:
        files.unlink(segment.path)
        path = ""
    _remove_sidecar(files, directory, segment)
    files.sync_directory(directory)
    return path or None


def _remove(files: Files, directory: str, segment: Segment) -> None:
    files.unlink(segment.path)
    _remove_sidecar(files, directory, segment)
    files.sync_directory(directory)


def _remove_sidecar(files: Files, directory: str, segment: Segment) -> None:
    if segment.has_sidecar:
        files.unlink(sidecar_path(directory, segment.sequence))
