"""Reading a segment from the start: which blocks are really there, and where they cannot be.

Owns    the walk from block to block, and the search for later ones behind an invalid one.
Never   believes a block of another segment, of the file's former life, or made up inside a record:
        header and table must have the CRC seeded with this segment's sequence, and carry its salt,
        which nobody could know when the bytes underneath were written.
Trusts  nothing else of what it reads. Blocking: call it on a lane.
"""

from collections.abc import Iterator
from typing import NamedTuple

from app.limits import MIB
from app.tiers.nvme import block, file_header
from app.tiers.nvme.block import Frame
from app.tiers.nvme.segment import PAGE_BYTES
from app.world.ports import File

WINDOW_BYTES = 4 * MIB
UNKNOWN = 0  # blocks are counted from 1


class Window:
    """A file read in large pieces: parsing small blocks costs no system call each."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.size = file.size()
        self._start = 0
        self._held = memoryview(b"")

    def get(self, position: int, length: int) -> memoryview:
        """The bytes at `position`, fewer at the end of the file."""
        at = position - self._start
        if at < 0 or at + length > len(self._held):
            self._held = memoryview(self.file.read(position, max(length, WINDOW_BYTES)))
            self._start, at = position, 0
        return self._held[at : at + length]


class Found(NamedTuple):
    """A block whose header and table are right; its frames are not looked at yet."""

    position: int
    block: int
    synced_through: int
    block_bytes: int
    frames: int


class Life(NamedTuple):
    """What says that a segment file was begun: its page, or the block behind it, or both."""

    salt: int
    first_block: int
    """UNKNOWN where both are gone: then no block of the segment can be told from one that was made
    up inside a record."""
    is_page_damaged: bool


def begun(window: Window, sequence: int, path: str) -> Life | None:
    """Whether the file holds this segment, or is only prepared for it (or was never written).

    Page and first block are written together, over a page that says that the file is free or was
    another segment. So one of the three pages is there, unless it rotted: then any block of this
    segment behind it shows that there was one, but not which of its blocks are real."""
    raw = bytes(window.get(0, PAGE_BYTES))
    page = file_header.parse(raw, file_header.SEGMENT, path)
    if page is not None and page.sequence == sequence:
        return Life(page.b, page.a, is_page_damaged=False)
    first = _any_block_at(window, PAGE_BYTES, sequence, path)
    if first is not None:
        return Life(first[0], first[1].block, is_page_damaged=True)
    if page is None and _search(window, PAGE_BYTES, sequence, None, path) >= 0:
        return Life(salt=0, first_block=UNKNOWN, is_page_damaged=True)
    return None


def blocks(window: Window, sequence: int, life: Life, path: str) -> Iterator[Found]:
    """Every valid block of the segment in order: one after another, and across whatever is not
    one."""
    if life.first_block == UNKNOWN:
        return
    position = PAGE_BYTES
    newest = life.first_block - 1
    while position >= 0:
        found = _block_at(window, position, sequence, life.salt, path)
        if found is not None and found.block > newest:
            yield found
            newest = found.block
            position += found.block_bytes
        else:
            position = _search(window, position + block.ALIGNMENT, sequence, life.salt, path)


def frames(window: Window, found: Found) -> list[Frame]:
    """The frames of a block, as its table says."""
    head_bytes = block.HEADER_BYTES + block.ENTRY_BYTES * found.frames
    raw = window.get(found.position, head_bytes)
    return block.parse_table(raw, 0, found.frames, found.position)


def _block_at(window: Window, position: int, sequence: int, salt: int, path: str) -> Found | None:
    found = _any_block_at(window, position, sequence, path, salt)
    return found[1] if found is not None else None


def _any_block_at(
    window: Window, position: int, sequence: int, path: str, salt: int | None = None
) -> tuple[int, Found] | None:
    """(salt, block) at this position; with `salt`, only if it carries that one."""
    raw = window.get(position, block.HEADER_BYTES)
    claim = block.claimed(raw, 0, sequence)
    if claim is None or position + claim[1] > window.size or salt not in (None, claim[0]):
        return None
    raw = window.get(position, claim[1])
    header = block.parse_header(raw, 0, claim[1], path)
    if header is None:
        return None
    found = Found(position, header.block, header.synced_through, header.block_bytes, header.frames)
    return claim[0], found


def _search(window: Window, position: int, sequence: int, salt: int | None, path: str) -> int:
    """The next position from `position` on where a valid block stands, -1 if there is none."""
    overlap = len(block.MAGIC) - 1
    while position + block.HEADER_BYTES <= window.size:
        read = window.file.read(position, WINDOW_BYTES)
        at = read.find(block.MAGIC)
        while at >= 0:
            candidate = position + at
            if candidate % block.ALIGNMENT == 0 and (
                _any_block_at(window, candidate, sequence, path, salt) is not None
            ):
                return candidate
            at = read.find(block.MAGIC, at + 1)
        position += max(len(read) - overlap, 1)
    return -1
