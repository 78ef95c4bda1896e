"""The files of a WAL directory: which are segments that were begun, which are free, which are
litter.

Owns    opening every segment at start, and cutting off what recovery did not accept.
Never   touches a byte of an accepted block.
Trusts  nothing but names and intact pages (scan.py). Blocking: on the `wal` lane.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.tiers.nvme import scan
from app.tiers.nvme.scan import Found, Life, Window
from app.tiers.nvme.segment import (
    FREE_PREFIX,
    PAGE_BYTES,
    SIDECAR_SUFFIX,
    SUFFIX,
    TEMPORARY_SUFFIX,
    Segment,
    pack_page,
    segment_path,
    sequence_of,
)
from app.world.ports import Files


@dataclass(slots=True)
class Opened:
    segment: Segment
    window: Window
    life: Life


@dataclass(slots=True)
class Ending:
    """Where recovery says that the log ends: in segment `sequence`. Later ones hold nothing."""

    sequence: int = 0
    is_cut: bool = False
    """Behind the last accepted block of that segment is nothing that anyone could repair."""
    unproven: dict[int, list[Found]] = field(default_factory=dict)
    """By segment: accepted blocks of which nothing says that they had been synced."""

    def accepted(self, opened: Opened, found: Found, *, is_proven: bool) -> None:
        self.sequence, self.is_cut = opened.segment.sequence, True
        if not is_proven:
            self.unproven.setdefault(self.sequence, []).append(found)

    def lost(self, segment: Segment) -> None:
        """Blocks of this segment are lost: what is left of them is kept."""
        if segment.sequence >= self.sequence:
            self.sequence, self.is_cut = segment.sequence, False


class Inventory:
    def __init__(self, files: Files, directory: str, notes: list[str]) -> None:
        self._files = files
        self._directory = directory
        self._notes = notes
        self.free: list[str] = []
        """Paths of files that hold nothing: they may be written over."""
        self.highest = 0
        """The highest sequence in any name: none is used twice."""
        self._has_sidecar: set[int] = set()

    def open(self) -> list[Opened]:
        """Every segment that was begun, in order."""
        files, directory = self._files, self._directory
        names = files.list(directory)
        segments = set()
        for name in names:
            path = f"{directory}/{name}"
            sequence = sequence_of(name.removeprefix(FREE_PREFIX), SUFFIX)
            if name.endswith(TEMPORARY_SUFFIX):
                files.unlink(path)
            elif sequence is not None:
                self.highest = max(self.highest, sequence)
                if name.startswith(FREE_PREFIX):
                    self.free.append(path)
                else:
                    segments.add(sequence)
        for name in names:
            sequence = sequence_of(name, SIDECAR_SUFFIX)
            if sequence is not None:
                if sequence in segments:
                    self._has_sidecar.add(sequence)
                else:
                    files.unlink(f"{directory}/{name}")
        opened = (self._open_segment(sequence) for sequence in sorted(segments))
        return [one for one in opened if one is not None]

    def _open_segment(self, sequence: int) -> Opened | None:
        path = segment_path(self._directory, sequence)
        file = self._files.open(path)
        window = Window(file)
        life = scan.begun(window, sequence, path)
        if life is None and sequence in self._has_sidecar:
            # It was begun and sealed: both witnesses at its start are gone, not what follows.
            life = Life(salt=0, first_block=scan.UNKNOWN, is_page_damaged=True)
        if life is None:
            file.close()
            self.free.append(path)
            return None
        if life.is_page_damaged:
            self._notes.append(f"{path}: the first page is damaged")
        first_block = max(life.first_block, 1)
        return Opened(Segment(sequence, path, file, life.salt, first_block), window, life)

    def sync(self, replayed: list[Opened], end: Ending, *, is_refold: bool) -> None:
        """Everything accepted reaches stable storage, before anyone sees it."""
        for opened in replayed:
            segment = opened.segment
            if segment.sequence <= end.sequence:
                with self._tolerating(is_refold, f"{segment.path}: could not be synced"):
                    self._write_again(opened, end)
                    segment.file.sync()

    def cut(self, replayed: list[Opened], end: Ending, *, is_refold: bool) -> None:
        """Nothing stands behind the end of the log any more."""
        for opened in reversed(replayed):
            segment = opened.segment
            with self._tolerating(is_refold, f"{segment.path}: could not be cut at {segment.end}"):
                if segment.sequence > end.sequence:
                    segment.file.close()
                    self._files.unlink(segment.path)
                elif segment.sequence == end.sequence and end.is_cut:
                    segment.file.resize(segment.end)
                    segment.file.sync()
        if replayed:
            with self._tolerating(is_refold, f"{self._directory}: could not be synced"):
                self._files.sync_directory(self._directory)

    @contextmanager
    def _tolerating(self, is_refold: bool, what: str) -> Iterator[None]:
        """In a refold the disk may be failing: there it is enough to have tried, because a later
        start judges by what it finds, and none of what is cut was ever acknowledged."""
        try:
            yield
        except OSError as error:
            if not is_refold:
                raise
            self._notes.append(f"{what}: {error}")

    @staticmethod
    def _write_again(opened: Opened, end: Ending) -> None:
        """After a failed sync the page cache may show bytes that no later sync will write: what
        nothing proves to have been synced becomes dirty again."""
        segment = opened.segment
        for found in end.unproven.get(segment.sequence, ()):
            content = bytes(opened.window.get(found.position, found.block_bytes))
            segment.file.write([content], found.position, durable=False)
            if found.position == PAGE_BYTES:
                page = pack_page(segment.sequence, segment.first_block, segment.salt)
                segment.file.write([page], 0, durable=False)
