"""Segments: the files of the WAL, shared by all partitions of the broker.

Owns    a segment's name, its first page, who reads it, and whether its file may be used again.
Never   decides when: the WAL seals, retires and recycles.
Trusts  that pins are taken and given back on the loop.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.model import PartitionKey
from app.tiers.nvme import file_header
from app.world.ports import File, Files

if TYPE_CHECKING:
    from app.tiers.nvme.index import Extent

PAGE_BYTES = 4096  # the first page: a file header, then zeros. Blocks follow.
SUFFIX, SIDECAR_SUFFIX, TEMPORARY_SUFFIX = ".segment", ".sidecar", ".tmp"
FREE_PREFIX = "free-"


def segment_path(directory: str, sequence: int) -> str:
    return f"{directory}/{sequence:016x}{SUFFIX}"


def sidecar_path(directory: str, sequence: int) -> str:
    return f"{directory}/{sequence:016x}{SIDECAR_SUFFIX}"


def free_path(directory: str, sequence: int) -> str:
    """The name of a retired segment's file until it is used again."""
    return f"{directory}/{FREE_PREFIX}{sequence:016x}{SUFFIX}"


def sequence_of(name: str, suffix: str) -> int | None:
    """The sequence in the name of a segment or sidecar, None for any other name."""
    digits, found, rest = name.partition(".")
    if found + rest != suffix or len(digits) != 16:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


def pack_page(sequence: int, first_block: int, salt: int) -> bytes:
    """The first page. It is written with the first block: until then the file is not begun."""
    header = file_header.pack(file_header.SEGMENT, sequence=sequence, a=first_block, b=salt)
    return header.ljust(PAGE_BYTES, b"\0")


FREE_PAGE = pack_page(0, 0, 0)
"""The first page of a file that was prepared and never begun."""


class Segment:
    """One segment that holds blocks, or is about to. `end` is where the next block goes.

    A pin keeps its file as it is: pinned, it is neither written over nor closed. `sendfile` lends
    page-cache pages until the peer has read them, so a range lent to a connection that died may
    still
    be on its way: such a segment is tainted, and its file is never used again.
    """

    __slots__ = (
        "closing",
        "cuts",
        "end",
        "extents",
        "extents_live",
        "file",
        "first_block",
        "has_file",
        "has_sidecar",
        "holds",
        "is_sealed",
        "last_block",
        "path",
        "pins",
        "salt",
        "sequence",
        "tainted",
    )

    def __init__(
        self, sequence: int, path: str, file: File | None, salt: int, first_block: int
    ) -> None:
        self.sequence = sequence
        self.path = path
        self.file: File
        self.has_file = file is not None
        if file is not None:  # else its first block makes it, on the lane
            self.file = file
        self.salt = salt
        self.first_block = first_block
        self.last_block = first_block - 1
        self.end = PAGE_BYTES
        self.pins = 0
        self.tainted = False
        self.closing: Callable[[Segment], None] | None = None
        self.is_sealed = False
        self.has_sidecar = False
        self.extents: list[Extent] = []
        """All that were ever indexed here, until the sidecar is written."""
        self.extents_live = 0
        self.cuts: dict[PartitionKey, int] = {}
        """Where frames of this segment cut what older segments hold (0: the replica was
        dropped)."""
        self.holds: set[PartitionKey] = set()
        """Partitions quarantined for what is wrong here: the file is kept for whoever repairs
        it."""

    def __repr__(self) -> str:
        return f"Segment({self.sequence:#x}, end={self.end}, pins={self.pins})"

    def pin(self) -> None:
        self.pins += 1

    def unpin(self) -> None:
        self.pins -= 1
        assert self.pins >= 0, f"{self.path}: unpinned more often than pinned"
        if not self.pins and self.closing is not None:
            self.closing(self)

    def taint(self) -> None:
        """A range of this segment was lent to a connection that died before it proved to have read
        it."""
        self.tainted = True

    def live_extents(self) -> "list[Extent]":
        """Of this segment, until its sidecar is written."""
        return [extent for extent in self.extents if extent.is_live]

    def cut(self, key: PartitionKey, offset: int) -> None:
        self.cuts[key] = min(self.cuts.get(key, offset), offset)


def write_file(files: Files, directory: str, name: str, parts: list[bytes]) -> None:
    """A whole small file: temporary, synced, then renamed into place, durably. A crash at any step
    leaves the old file or the new one, and at most a temporary that the next start removes."""
    path = f"{directory}/{name}"
    temporary = path + TEMPORARY_SUFFIX
    file = files.open(temporary, create=True)
    try:
        file.resize(0)
        file.write(parts, 0, durable=False)
        file.sync()
    finally:
        file.close()
    files.rename(temporary, path)
    files.sync_directory(directory)
