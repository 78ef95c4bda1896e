"""The files of a WAL directory: which are segments that were begun, which are free, which are
litter.

Owns    opening every segment at start, and cutting off what recovery did not accept.
Never   touches a byte of an accepted block.
Trusts  nothing but names and intact pages (scan.py). Blocking: on the `wal` lane.
"""

from dataclasses import dataclass

from app.tiers.nvme import scan
from app.tiers.nvme.scan import Life, Window
from app.tiers.nvme.segment import (
    FREE_PREFIX,
    SIDECAR_SUFFIX,
    SUFFIX,
    TEMPORARY_SUFFIX,
    Segment,
    segment_path,
    sequence_of,
)
from app.world.ports import Files


@dataclass(slots=True)
class Opened:
    segment: Segment
    window: Window
    life: Life


class Inventory:
    def __init__(self, files: Files, directory: str, notes: list[str]) -> None:
        self._files = files
        self._directory = directory
        self._notes = notes
        self.free: list[str] = []
        """Paths of files that hold nothing: they may be written over."""
        self.highest = 0
        """The highest sequence in any name: none is used twice."""

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
            if sequence is not None and sequence not in segments:
                files.unlink(f"{directory}/{name}")
        opened = (self._open_segment(sequence) for sequence in sorted(segments))
        return [one for one in opened if one is not None]

    def _open_segment(self, sequence: int) -> Opened | None:
        path = segment_path(self._directory, sequence)
        file = self._files.open(path)
        window = Window(file)
        life = scan.begun(window, sequence, path)
        if life is None:
            file.close()
            self.free.append(path)
            return None
        if life.is_page_damaged:
            self._notes.append(f"{path}: the first page is damaged, the blocks behind it are not")
        return Opened(Segment(sequence, path, file, life.salt, life.first_block), window, life)

    def settle(self, replayed: list[Opened], accepted: set[Segment], *, is_refold: bool) -> None:
        """Remove what was not accepted, and sync what was, before anyone sees it.

        In a refold the disk may be failing: there it is enough to have tried, because a later start
        judges by what it finds, and none of what is cut here was ever acknowledged."""
        for opened in reversed(replayed):
            segment = opened.segment
            try:
                if segment not in accepted:
                    segment.file.close()
                    self._files.unlink(segment.path)
                    continue
                if opened is replayed_last(replayed, accepted):
                    segment.file.resize(segment.end)
                segment.file.sync()
            except OSError as error:
                if not is_refold:
                    raise
                self._notes.append(f"{segment.path}: could not be cut at {segment.end}: {error}")
        if replayed:
            try:
                self._files.sync_directory(self._directory)
            except OSError as error:
                if not is_refold:
                    raise
                self._notes.append(f"{self._directory}: could not be synced: {error}")


def replayed_last(replayed: list[Opened], accepted: set[Segment]) -> Opened | None:
    """The one in which the log ends."""
    return next((one for one in reversed(replayed) if one.segment in accepted), None)
