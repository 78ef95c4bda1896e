"""The journal: durable before anyone hears, torn tails cut, rot named."""

import errno
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from app.core.manifest.entries import Entry
from app.errors import Corrupt, StorageFailed, UpgradeNeeded
from app.model import ControllerTerm
from app.raft.consensus import Position
from app.raft.journal import FRAME, HEADER, HEADER_BYTES, Journal
from app.world.files import DiskFile, DiskFiles
from app.world.ports import Buffer

NOTHING = Position(bytes(16), 0, 0)
ID = bytes(range(16))


def journal(directory: Path, files: DiskFiles | None = None) -> Journal:
    return Journal(files or DiskFiles(), str(directory), ID)


def entries(start: int, count: int, term: int, size: int = 20) -> list[Entry]:
    return [
        Entry(index, ControllerTerm(term), index.to_bytes(16, "big"), bytes([index % 256]) * size)
        for index in range(start, start + count)
    ]


def filled(directory: Path, groups: Sequence[int] = (1, 3, 2)) -> list[Entry]:
    """A journal of some groups, closed; gives what is in it."""
    one = journal(directory)
    one.open(NOTHING)
    for group in groups:
        one.append(entries(one.end_index + 1, group, one.term))
    one.close()
    return reopened(directory)


def reopened(directory: Path, state: Position = NOTHING) -> list[Entry]:
    one = journal(directory)
    try:
        return one.open(state).entries
    finally:
        one.close()


def test_entries_come_back_in_order_with_their_terms(tmp_path: Path) -> None:
    first = filled(tmp_path)
    assert first == entries(1, 6, term=1)
    one = journal(tmp_path)
    one.open(NOTHING)
    one.append(entries(7, 1, one.term))
    one.close()
    assert reopened(tmp_path) == [*first, *entries(7, 1, term=3)]


def test_each_opening_begins_a_new_term(tmp_path: Path) -> None:
    terms = []
    for _ in range(3):
        one = journal(tmp_path)
        one.open(NOTHING)
        terms.append(one.term)
        one.close()
    assert terms == [1, 2, 3]


def test_only_entries_that_the_state_lacks_are_given(tmp_path: Path) -> None:
    filled(tmp_path)
    assert [e.index for e in reopened(tmp_path, Position(ID, 4, 1))] == [5, 6]
    assert reopened(tmp_path, Position(ID, 6, 1)) == []


@pytest.mark.parametrize(
    "state", [Position(ID, 7, 1), Position(ID, 6, 2), Position(bytes(16), 6, 1)]
)
def test_a_state_of_another_journal_is_refused_before_anything_is_cut(
    tmp_path: Path, state: Position
) -> None:
    filled(tmp_path)
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes()[:-3])
    before = path.read_bytes()
    with pytest.raises(Corrupt, match="not the journal"):
        reopened(tmp_path, state)
    assert path.read_bytes() == before


def test_a_missing_journal_beside_a_state_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="missing"):
        reopened(tmp_path, Position(ID, 1, 1))
    assert not (tmp_path / "journal").exists()


def test_a_file_cut_anywhere_gives_a_prefix_and_goes_on(tmp_path: Path) -> None:
    whole = filled(tmp_path)
    path = tmp_path / "journal"
    content = path.read_bytes()
    for end in range(HEADER_BYTES, len(content)):
        path.write_bytes(content[:end])
        one = journal(tmp_path)
        opened = one.open(NOTHING)
        assert opened.entries == whole[: len(opened.entries)]
        more = entries(one.end_index + 1, 1, one.term)
        one.append(more)
        one.close()
        assert reopened(tmp_path) == [*opened.entries, *more]


def test_a_byte_changed_anywhere_never_gives_a_wrong_entry(tmp_path: Path) -> None:
    whole = filled(tmp_path, groups=(2, 1, 1))
    path = tmp_path / "journal"
    content = path.read_bytes()
    corrupt = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x41
        path.write_bytes(changed)
        try:
            found = reopened(tmp_path)
        except (Corrupt, UpgradeNeeded):
            corrupt += 1
        else:
            # Only the last group, and the term after it, can pass for a torn tail.
            assert found == whole[: len(found)] and len(found) >= 3, position
    assert corrupt >= len(content) - 2 * FRAME.size - 20


def test_rot_below_what_was_synced_is_named_and_nothing_is_cut(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "journal"
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + FRAME.size + 30] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=r"sequence 1.*byte 160"):
        reopened(tmp_path)
    assert path.read_bytes() == content


def test_a_group_of_which_the_disk_kept_only_the_end_is_a_torn_tail(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.open(NOTHING)
    one.append(entries(1, 1, 1))
    kept = (tmp_path / "journal").stat().st_size
    one.append(entries(2, 4, 1))
    one.close()
    content = bytearray((tmp_path / "journal").read_bytes())
    content[kept : kept + FRAME.size + 20] = bytes(FRAME.size + 20)
    (tmp_path / "journal").write_bytes(content)
    assert reopened(tmp_path) == entries(1, 1, 1)


def test_zeros_or_noise_after_the_end_are_cut(tmp_path: Path) -> None:
    for tail in (bytes(5000), Random(1).randbytes(5000), b"SBfj" * 100):
        whole = filled(tmp_path / tail[:4].hex())
        path = tmp_path / tail[:4].hex() / "journal"
        size = path.stat().st_size
        with path.open("ab") as file:
            file.write(tail)
        one = journal(path.parent)
        opened = one.open(NOTHING)
        one.close()
        assert opened.entries == whole
        assert opened.torn_bytes == len(tail)
        assert path.stat().st_size == size + FRAME.size  # the next term


def test_frames_of_another_journal_are_not_taken(tmp_path: Path) -> None:
    filled(tmp_path / "one")
    other = Journal(DiskFiles(), str(tmp_path / "other"), bytes(16))
    other.open(NOTHING)
    other.append(entries(1, 6, 1))
    other.close()
    content = (tmp_path / "one" / "journal").read_bytes()
    path = tmp_path / "other" / "journal"
    path.write_bytes(path.read_bytes()[:HEADER_BYTES] + content[HEADER_BYTES:])
    assert reopened(path.parent) == []


@pytest.mark.parametrize(
    ("place", "error"), [(8, UpgradeNeeded), (16, UpgradeNeeded), (20, UpgradeNeeded), (0, Corrupt)]
)
def test_another_format_is_refused(tmp_path: Path, place: int, error: type[Exception]) -> None:
    filled(tmp_path)
    path = tmp_path / "journal"
    content = bytearray(path.read_bytes())
    content[place] = 99
    path.write_bytes(content)
    with pytest.raises(error):
        reopened(tmp_path)
    assert path.read_bytes() == content


def test_a_half_made_journal_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "journal.new").write_bytes(b"half a header, and more than a header is long" * 9)
    assert filled(tmp_path) == entries(1, 6, 1)
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(Corrupt):
        reopened(tmp_path)


class WeakFile(DiskFile):
    """Fails when told to."""

    def write(self, buffers: Sequence[Buffer], position: int, *, durable: bool) -> None:
        error, WeakFiles.write_error = WeakFiles.write_error, 0
        if error:
            super().write([b"".join(buffers)[:30]], position, durable=False)
            raise OSError(error, "as the test wants it")
        super().write(buffers, position, durable=durable)

    def sync(self) -> None:
        error, WeakFiles.sync_error = WeakFiles.sync_error, 0
        if error:
            raise OSError(error, "as the test wants it")
        super().sync()


class WeakFiles(DiskFiles):
    write_error = 0
    sync_error = 0

    def open(self, path: str, *, create: bool = False, writable: bool = True) -> DiskFile:
        opened = super().open(path, create=create, writable=writable)
        return WeakFile(path, opened.fileno())


def test_a_full_disk_takes_the_write_back_and_the_journal_goes_on(tmp_path: Path) -> None:
    one = journal(tmp_path, WeakFiles())
    one.open(NOTHING)
    one.append(entries(1, 1, 1))
    size = (tmp_path / "journal").stat().st_size
    WeakFiles.write_error = errno.ENOSPC
    with pytest.raises(StorageFailed):
        one.append(entries(2, 1, 1))
    assert (tmp_path / "journal").stat().st_size == size
    one.append(entries(2, 2, 1))
    one.close()
    assert reopened(tmp_path) == entries(1, 3, 1)


def test_after_a_failed_write_the_journal_takes_nothing_more(tmp_path: Path) -> None:
    one = journal(tmp_path, WeakFiles())
    one.open(NOTHING)
    one.append(entries(1, 1, 1))
    WeakFiles.write_error = errno.EIO
    with pytest.raises(OSError, match="as the test wants it") as caught:
        one.append(entries(2, 1, 1))
    assert not isinstance(caught.value, StorageFailed)
    with pytest.raises(StorageFailed, match="restart"):
        one.append(entries(2, 1, 1))
    one.close()
    assert reopened(tmp_path) == entries(1, 1, 1)


def test_when_a_write_cannot_be_taken_back_the_journal_takes_nothing_more(tmp_path: Path) -> None:
    one = journal(tmp_path, WeakFiles())
    one.open(NOTHING)
    WeakFiles.write_error, WeakFiles.sync_error = errno.ENOSPC, errno.EIO
    with pytest.raises(OSError, match="as the test wants it"):
        one.append(entries(1, 1, 1))
    with pytest.raises(StorageFailed, match="restart"):
        one.append(entries(1, 1, 1))
    one.close()


def test_a_start_that_cannot_sync_reveals_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    WeakFiles.sync_error = errno.EIO
    with pytest.raises(StorageFailed, match="cannot start"):
        journal(tmp_path, WeakFiles()).open(NOTHING)


def test_the_sizes_in_the_docs_are_the_sizes_in_the_file() -> None:
    assert (HEADER.size, HEADER_BYTES, FRAME.size) == (92, 96, 64)
