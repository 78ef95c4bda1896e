"""The manifest's journal: an append-only file of frames, each synced before anyone hears of it.

Owns    the bytes of `manifest/journal` (docs/manifest-format.md), torn tails, and the tale of rot.
Never   knows what an entry says; never rewrites a frame that was synced.
Trusts  the directory's lock, and that one lane makes all calls.

The file grows for ever now. It is small (a topic costs about 200 bytes) and a start reads it in one
pass; cutting what a snapshot covers comes with the replicated log, hence `base` in the header.
"""

import errno
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from crc32c import crc32c

from app.core.manifest.entries import Entry
from app.errors import Corrupt, StorageFailed, UpgradeNeeded
from app.model import ControllerTerm
from app.raft.consensus import Position
from app.telemetry import events
from app.world.ports import File, Files

MAGIC = b"SBMANIF\0"
VERSION = 1
HEADER = struct.Struct("<8sHHIII16sQQQ28s")
"""magic, version, header bytes, compatible flags, incompatible flags, key id, journal id; then of
what was cut off in front: last frame sequence, last index, its term; reserved. A CRC32C follows."""
HEADER_BYTES = HEADER.size + 4

FRAME_MAGIC = b"SBfj"
FRAME = struct.Struct("<4sIQQQQII16s")
"""magic, crc, sequence, synced_through, index, term, kind, payload bytes, proposal; the payload
follows. The CRC32C covers all after itself and is seeded with the journal id."""
_CRC_FROM = 8
ENTRY, TERM = 0, 1

_ASK = "which is not for a program to judge: restore it, or move the state away to rebuild that"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Opened:
    """What was found: entries that the state lacks, and what had to be cut."""

    journal_id: bytes
    entries: list[Entry]
    torn_bytes: int  # cut off the end: written, never synced, never answered


@dataclass(slots=True)
class _Scan:
    """How far a walk over the frames came."""

    position: int
    sequence: int
    synced_through: int
    index: int
    term: int
    unproven: deque[tuple[int, int]] = field(default_factory=deque)
    """(sequence, position) of accepted frames of which none says that they were synced."""


class Journal:
    def __init__(self, files: Files, directory: str, fresh_id: bytes) -> None:
        """`fresh_id`: 16 random bytes that name the journal, should it have to be made."""
        self._files = files
        self._directory = directory
        self._fresh_id = fresh_id
        self.path = f"{directory}/journal"
        self._file: File | None = None
        self._end = 0  # of the accepted frames
        self._sequence = 0  # of the newest frame
        self._synced_through = 0  # newest frame that a sync certainly covered
        self._seed = 0
        self._failure: OSError | None = None
        self.end_index = 0
        self.term = 0

    # Opening

    def open(self, state: Position) -> Opened:
        """Read and check everything, cut a torn tail, begin the next term, sync all of it.

        `state` says how far a state was folded from this journal: the entries after it are given.
        """
        self._files.make_directory(self._directory)
        if "journal" not in self._files.list(self._directory):
            if state.index:
                raise Corrupt(f"{self.path} is missing, {_ASK}")
            self._create()
        file = self._file = self._files.open(self.path)
        content = file.read(0, file.size())
        journal_id, scan = self._read_header(content)
        opened = Opened(journal_id, [], 0)
        term_at = self._walk(content, scan, state.index, opened.entries)
        opened.torn_bytes = len(content) - scan.position
        if opened.torn_bytes:
            self._refuse_rot(content, scan)
        # Before anything is cut: a state that knows more than the journal is the last evidence.
        if state.index and (journal_id, term_at) != (state.journal_id, state.term):
            raise Corrupt(
                f"{self.path} ends at entry {scan.index} and is not the journal that the state "
                f"beside it was made of, up to entry {state.index} of term {state.term}, {_ASK}"
            )
        if opened.torn_bytes:
            events.emit(
                "journal.cut",
                events.WARNING,
                path=self.path,
                position=scan.position,
                bytes=opened.torn_bytes,
            )
            file.resize(scan.position)
        self._end, self._sequence = scan.position, scan.sequence
        self._synced_through = scan.synced_through
        self.end_index, self.term = scan.index, scan.term
        # A tail that was accepted may never have been synced: one sync covers it and the new term
        # before anything of it is revealed. Where a sync had failed, the page cache shows bytes
        # that no later one writes, so the tail is written again first.
        if scan.unproven:
            tail = scan.unproven[0][1]
            file.write([content[tail : scan.position]], tail, durable=False)
        self._write([self._frame(TERM, self.end_index, self.term + 1, bytes(16), b"")], sync=True)
        self.term += 1
        return opened

    def _create(self) -> None:
        """All at once: a crash leaves either no journal or a whole, empty one."""
        header = HEADER.pack(
            MAGIC, VERSION, HEADER_BYTES, 0, 0, 0, self._fresh_id, 0, 0, 0, bytes(28)
        )
        temporary = f"{self.path}.new"
        file = self._files.open(temporary, create=True)
        try:
            file.resize(0)
            file.write([header, crc32c(header).to_bytes(4, "little")], 0, durable=True)
        finally:
            file.close()
        self._files.rename(temporary, self.path)
        self._files.sync_directory(self._directory)
        self._files.sync_directory(self._directory.rpartition("/")[0] or ".")

    def _read_header(self, content: bytes) -> tuple[bytes, _Scan]:
        if len(content) < HEADER_BYTES or content[:8] != MAGIC:
            raise Corrupt(f"{self.path}: this is not a StreamBus journal")
        (
            _,
            version,
            header_bytes,
            _,
            incompatible,
            key_id,
            journal_id,
            sequence,
            index,
            term,
            _,
        ) = HEADER.unpack_from(content)
        if version != VERSION or incompatible or key_id:
            raise UpgradeNeeded(
                f"{self.path}: format version {version}, flags {incompatible:#x}, key {key_id}; "
                f"this StreamBus reads version {VERSION} without flags or key: upgrade StreamBus"
            )
        stored = int.from_bytes(content[HEADER.size : HEADER_BYTES], "little")
        if header_bytes != HEADER_BYTES or crc32c(content[: HEADER.size]) != stored:
            raise Corrupt(f"{self.path}: the header's checksum is wrong")
        self._seed = crc32c(journal_id)
        return journal_id, _Scan(HEADER_BYTES, sequence, sequence, index, term)

    def _walk(self, content: bytes, scan: _Scan, after: int, entries: list[Entry]) -> int:
        """Advance `scan` over every frame that is valid and follows the one before; entries past
        index `after` are gathered. Returns the term of that index, 0 if it is not here."""
        term_at = scan.term if scan.index == after else 0
        while (frame := self._valid(content, scan.position)) is not None:
            sequence, synced_through, index, term, kind, length, proposal = frame
            follows = sequence == scan.sequence + 1 and term >= scan.term
            if not follows or index != scan.index + (kind == ENTRY):
                break
            if kind not in (ENTRY, TERM):
                raise UpgradeNeeded(f"{self.path}: frame of kind {kind}: upgrade StreamBus")
            start = scan.position + FRAME.size
            if kind == ENTRY:
                if index == after:
                    term_at = term
                elif index > after:
                    payload = content[start : start + length]
                    entries.append(Entry(index, ControllerTerm(term), proposal, payload))
            scan.unproven.append((sequence, scan.position))
            scan.position = start + length
            scan.sequence, scan.index, scan.term = sequence, index, term
            scan.synced_through = max(scan.synced_through, synced_through)
            while scan.unproven and scan.unproven[0][0] <= scan.synced_through:
                scan.unproven.popleft()
        return term_at

    def _valid(
        self, content: bytes, position: int
    ) -> tuple[int, int, int, int, int, int, bytes] | None:
        """A frame's fields if one stands here whole, with its checksum right."""
        if len(content) - position < FRAME.size:
            return None
        magic, crc, sequence, synced, index, term, kind, length, proposal = FRAME.unpack_from(
            content, position
        )
        end = position + FRAME.size + length
        if magic != FRAME_MAGIC or end > len(content):
            return None
        if crc32c(memoryview(content)[position + _CRC_FROM : end], self._seed) != crc:
            return None
        return sequence, synced, index, term, kind, length, proposal

    def _refuse_rot(self, content: bytes, scan: _Scan) -> None:
        """A frame after the invalid place knows whether that place was ever synced.

        A group of frames is one write, and a crash may keep its later pages without its earlier
        ones: that is a torn tail. But a frame that says a sync covered what is wrong here now
        proves that the disk, or somebody, changed bytes that we had answered for.
        """
        position = content.find(FRAME_MAGIC, scan.position)
        while position != -1:
            frame = self._valid(content, position)
            if frame is not None and frame[1] > scan.sequence:
                raise Corrupt(
                    f"{self.path}: the frame after sequence {scan.sequence}, at byte "
                    f"{scan.position}, is damaged, though it was synced (frame {frame[0]} at byte "
                    f"{position} says so): restore this file"
                )
            position = content.find(FRAME_MAGIC, position + 1)

    # Appending

    def append(self, entries: Sequence[Entry]) -> None:
        """All of them durable, by one write. Raises StorageFailed if none is, for certain."""
        frames = [
            self._frame(ENTRY, entry.index, entry.term, entry.proposal, entry.payload, ahead)
            for ahead, entry in enumerate(entries)
        ]
        assert [entry.index for entry in entries] == list(
            range(self.end_index + 1, self.end_index + 1 + len(entries))
        ), (self.end_index, entries[0].index)
        self._write(frames, sync=False)
        self.end_index += len(entries)

    def _frame(
        self, kind: int, index: int, term: int, proposal: bytes, payload: bytes, ahead: int = 0
    ) -> bytes:
        body = (
            FRAME.pack(
                FRAME_MAGIC,
                0,
                self._sequence + 1 + ahead,
                self._synced_through,
                index,
                term,
                kind,
                len(payload),
                proposal,
            )
            + payload
        )
        crc = crc32c(memoryview(body)[_CRC_FROM:], self._seed)
        return b"".join((FRAME_MAGIC, crc.to_bytes(4, "little"), body[_CRC_FROM:]))

    def _write(self, frames: list[bytes], *, sync: bool) -> None:
        """With `sync`, everything in the file becomes durable, else what is written here."""
        file = self._file
        if self._failure is not None or file is None:
            raise StorageFailed(f"{self.path}: {self._failure or 'closed'}; restart the broker")
        try:
            file.write(frames, self._end, durable=not sync)
            if sync:
                file.sync()
        except OSError as error:
            if error.errno in _NO_ROOM and not sync:
                self._cut_back(file, error)
                raise StorageFailed(f"{self.path}: {error.strerror}") from error
            # What a failed write or sync left on disk is not known, and asking again proves
            # nothing: the next start reads it.
            self._failure = error
            if sync:
                raise StorageFailed(
                    f"{self.path}: {error.strerror}; the broker cannot start"
                ) from error
            raise
        self._end += sum(map(len, frames))
        self._sequence += len(frames)
        self._synced_through = self._sequence

    def _cut_back(self, file: File, error: OSError) -> None:
        """No room for a write that nobody was told of: take back what it may have left."""
        try:
            file.resize(self._end)
            file.sync()
        except OSError as second:
            self._failure = second
            raise second from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
