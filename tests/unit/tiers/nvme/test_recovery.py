"""What recovery believes, what it cuts, and what it names."""

import pytest

from app.tiers.nvme import checkpoint, sidecar
from app.tiers.nvme.block import FrameKind
from app.tiers.nvme.checkpoint import Checkpoint, Entry
from app.tiers.nvme.file_header import WrittenByNewer
from app.tiers.nvme.recovery import UNKNOWN
from app.tiers.nvme.segment import PAGE_BYTES, segment_path, sidecar_path
from tests.unit.tiers.nvme.arrange import (
    DIRECTORY,
    A,
    B,
    C,
    ListFold,
    MemoryFiles,
    Scribe,
    joined,
    records,
    recover,
    stored,
)


def three_blocks() -> Scribe:
    scribe = Scribe(segment_bytes=1 << 14).begin()
    scribe.write((A, records()), (B, records(20)))
    scribe.write((A, records(30)))
    scribe.write((B, records(40)), (A, records(50)))
    return scribe


def flip(files: MemoryFiles, path: str, position: int) -> None:
    files.names[path][position] ^= 0x40


def seal(scribe: Scribe, fold: ListFold | None = None) -> None:
    """Write sidecars and a checkpoint, as the broker does after a seal."""
    outcome, fold = recover(scribe.files, fold)
    for segment in outcome.segments:
        if not segment.has_sidecar:
            sidecar.write(scribe.files, DIRECTORY, segment, segment.extents, segment.holds)
    taken = Checkpoint(
        scribe.segment, outcome.recovered.synced_through, outcome.recovered.append_ms, outcome.taken
    )
    if outcome.checkpoint is not None:
        taken.previous = outcome.checkpoint.sequence
        taken.deltas = outcome.checkpoint.deltas + 1
    checkpoint.add(scribe.files, DIRECTORY, taken, 16)


def test_everything_whole_is_folded_and_found() -> None:
    scribe = three_blocks()
    outcome, fold = recover(scribe.files)
    assert outcome.recovered.synced_through == 3
    assert outcome.recovered.append_ms == scribe.append_ms
    assert not outcome.recovered.torn
    assert not outcome.recovered.corrupt
    for key in (A, B):
        assert stored(outcome.index, key) == joined(scribe.contents[key])
        assert fold.position(key) == (0, scribe.end(key), 0)


def test_an_empty_directory_is_an_empty_log() -> None:
    outcome, fold = recover(MemoryFiles())
    assert outcome.recovered.synced_through == 0
    assert outcome.next_sequence == 1
    assert not fold.logs


def test_a_torn_last_block_is_cut_and_nobody_is_quarantined() -> None:
    scribe = three_blocks()
    last = scribe.blocks[-1]
    flip(scribe.files, scribe.path, last.position + last.length - 12)
    outcome, _ = recover(scribe.files)
    assert outcome.recovered.synced_through == 2
    assert len(outcome.recovered.torn) == 1
    assert not outcome.recovered.corrupt
    assert not outcome.recovered.quarantined
    assert stored(outcome.index, A) == joined(scribe.contents[A][:2])
    assert len(scribe.files.names[scribe.path]) == last.position


def test_a_damaged_frame_quarantines_its_partition_alone_and_is_named() -> None:
    scribe = three_blocks()
    block = scribe.blocks[0]
    flip(scribe.files, scribe.path, block.position + block.head + 70)  # in the frame of A
    outcome, fold = recover(scribe.files)
    assert set(outcome.recovered.quarantined) == {A}
    assert len(outcome.recovered.corrupt) == 1
    assert "block 1" in outcome.recovered.corrupt[0]
    assert scribe.path in outcome.recovered.corrupt[0]
    assert stored(outcome.index, A) == b""
    assert stored(outcome.index, B) == joined(scribe.contents[B])
    assert fold.position(B) == (0, 2, 0)


def test_a_damaged_header_makes_suspects_of_those_who_do_not_go_on_where_they_were() -> None:
    scribe = Scribe(segment_bytes=1 << 14).begin()
    scribe.write((A, records()), (B, records()), (C, records()))
    scribe.write((A, records()))
    scribe.write((A, records()), (B, records()))
    damaged = scribe.blocks[1]
    flip(scribe.files, scribe.path, damaged.position + 30)
    outcome, _ = recover(scribe.files)
    # A went on one further, B exactly where it was, of C nothing more is known.
    assert set(outcome.recovered.quarantined) == {A, C, UNKNOWN}
    assert "block 2 had been synced" in outcome.recovered.corrupt[0]
    assert outcome.recovered.synced_through == 3
    assert stored(outcome.index, B) == joined(scribe.contents[B])
    assert stored(outcome.index, A) == joined(scribe.contents[A][:1])


def test_damage_above_synced_through_is_a_torn_tail_though_valid_blocks_follow() -> None:
    scribe = Scribe(segment_bytes=1 << 14).begin()
    for n in range(6):  # nothing is truly synced after block 2, as with wal.sync=os
        scribe.write((A, records(n)), synced_through=min(n, 2))
    flip(scribe.files, scribe.path, scribe.blocks[3].position + 30)
    outcome, _ = recover(scribe.files)
    assert outcome.recovered.synced_through == 3
    assert len(outcome.recovered.torn) == 1
    assert not outcome.recovered.corrupt
    assert stored(outcome.index, A) == joined(scribe.contents[A][:3])
    again, _ = recover(scribe.files)
    assert not again.recovered.torn
    assert stored(again.index, A) == joined(scribe.contents[A][:3])


def test_a_segment_whose_first_block_is_torn_goes_and_the_log_ends_before_it() -> None:
    scribe = three_blocks()
    scribe.begin()
    torn = scribe.write((A, records(1)))
    flip(scribe.files, scribe.path, torn.position + torn.length - 12)
    outcome, fold = recover(scribe.files)
    assert outcome.recovered.synced_through == 3
    assert len(outcome.recovered.torn) == 1
    assert not outcome.recovered.corrupt
    assert scribe.path not in scribe.files.names
    assert fold.position(A) == (0, 3, 0)
    assert outcome.next_sequence == 3, "a sequence is never used twice"


def test_a_begun_segment_proves_that_the_one_before_it_was_synced() -> None:
    scribe = Scribe(segment_bytes=1 << 13).begin()
    scribe.write((A, records(1)))
    scribe.write((A, records(2)))
    damaged = scribe.blocks[1]
    scribe.begin()
    first = segment_path(DIRECTORY, 1)
    flip(scribe.files, first, damaged.position + 8)
    outcome, _ = recover(scribe.files)
    assert set(outcome.recovered.quarantined) == {A, UNKNOWN}
    assert outcome.recovered.corrupt
    assert first in scribe.files.names, "what is damaged is kept for whoever repairs it"


def test_a_recycled_segment_full_of_old_valid_blocks_gives_none_of_them() -> None:
    old = Scribe(segment_bytes=1 << 14).begin()
    for n in range(20):
        old.write((A, records(n, fill=1)))
    before = bytes(old.files.names[old.path])
    scribe = Scribe(segment_bytes=1 << 14, segment=1).begin(under=before)
    scribe.write((A, records(fill=2)))
    outcome, _ = recover(scribe.files)
    assert stored(outcome.index, A) == joined(scribe.contents[A])
    assert outcome.recovered.synced_through == 1
    assert not outcome.recovered.torn
    assert not outcome.recovered.corrupt


def test_a_prepared_segment_that_was_never_begun_is_free() -> None:
    scribe = three_blocks()
    old = bytes(scribe.files.names[scribe.path])
    prepared = segment_path(DIRECTORY, 2)
    scribe.files.names[prepared] = bytearray(old)
    outcome, _ = recover(scribe.files)
    assert outcome.free == [prepared]
    assert outcome.next_sequence == 3
    assert stored(outcome.index, A) == joined(scribe.contents[A])


def test_a_block_made_up_inside_a_record_is_not_believed() -> None:
    """Whoever writes records may know segment and block sequences, but not the salt."""
    forger = Scribe(segment_bytes=1 << 12).begin()
    forger.salt = 1
    forger.sequence = 3
    forged = forger.write((B, records(fill=66)), synced_through=3)
    block = bytes(forger.files.names[forger.path][forged.position : forger.position])
    scribe = Scribe(segment_bytes=1 << 14).begin()
    scribe.write((A, records()))
    payload = (b"".join(bytes(n) + block for n in range(8)),)
    value = batch_of(payload[0])
    torn = scribe.write((A, value))
    flip(scribe.files, scribe.path, torn.position + 20)
    outcome, fold = recover(scribe.files)
    assert B not in fold.logs
    assert not outcome.recovered.corrupt
    assert outcome.recovered.synced_through == 1


def batch_of(value: bytes) -> bytes:
    from streambus.protocol import batch

    return batch.build([(0, 0, None, value, ())])


def test_blocks_that_a_later_segment_supersedes_are_not_taken() -> None:
    """The cut of an earlier recovery was lost, but not the segment that it began."""
    scribe = three_blocks()
    scribe.sequence = 3
    scribe.contents[A].pop()
    scribe.contents[B].pop()
    scribe.begin()
    scribe.write((A, records(60, fill=9)))
    outcome, _ = recover(scribe.files)
    assert outcome.recovered.synced_through == 3
    assert stored(outcome.index, A) == joined(scribe.contents[A])
    assert stored(outcome.index, B) == joined(scribe.contents[B])
    assert not outcome.recovered.corrupt


@pytest.mark.parametrize("is_sealed", [False, True])
def test_nothing_truncated_moved_or_dropped_comes_back(is_sealed: bool) -> None:
    scribe = Scribe(segment_bytes=1 << 14).begin()
    for n in range(6):
        scribe.write((A, records(n)), (B, records(n)), (C, records(n)))
    if is_sealed:
        seal(scribe)
        scribe.begin()
    scribe.write((A, (FrameKind.TRUNCATED, 3)), epoch=1)
    scribe.write((A, records(99, fill=7)), epoch=1)
    scribe.write((B, (FrameKind.START_MOVED, 4)))
    scribe.write((C, (FrameKind.REPLICA_DROPPED, 0)))
    if is_sealed:
        seal(scribe)
        scribe.begin()
        scribe.write((A, records(5)), epoch=1)
    for _ in range(2):
        outcome, fold = recover(scribe.files)
        assert stored(outcome.index, A) == joined(scribe.contents[A])
        assert fold.position(A) == (0, scribe.end(A), 1)
        assert fold.position(B) == (4, 6, 0)
        assert stored(outcome.index, B, 4) == joined(scribe.contents[B][4:])
        assert C not in fold.logs
        assert C not in outcome.index.partitions
        assert not outcome.recovered.quarantined


def test_a_dropped_partition_that_comes_again_starts_anew() -> None:
    scribe = three_blocks()
    scribe.write((A, (FrameKind.REPLICA_DROPPED, 0)))
    scribe.write((A, records(7, fill=3)))
    outcome, fold = recover(scribe.files)
    assert stored(outcome.index, A) == joined(scribe.contents[A])
    assert fold.position(A) == (0, 1, 0)


def test_a_refold_stops_at_the_last_true_sync_whatever_the_file_shows() -> None:
    scribe = three_blocks()
    outcome, fold = recover(scribe.files, limit=2)
    assert outcome.recovered.synced_through == 2
    assert fold.position(A) == (0, 2, 0)
    assert not outcome.recovered.corrupt
    assert stored(outcome.index, A) == joined(scribe.contents[A][:2])
    assert len(scribe.files.names[scribe.path]) == scribe.blocks[2].position


def test_a_refold_names_what_was_synced_and_is_gone() -> None:
    scribe = three_blocks()
    flip(scribe.files, scribe.path, scribe.blocks[1].position + 8)
    outcome, _ = recover(scribe.files, limit=2)
    assert outcome.recovered.corrupt
    assert A in outcome.recovered.quarantined
    assert outcome.recovered.synced_through == 2


def test_a_damaged_page_costs_nothing_where_the_first_block_is_whole() -> None:
    scribe = three_blocks()
    flip(scribe.files, scribe.path, 30)
    outcome, _ = recover(scribe.files)
    assert outcome.recovered.synced_through == 3
    assert outcome.recovered.notes
    assert not outcome.recovered.corrupt


def test_a_newer_format_is_refused_and_nothing_is_touched() -> None:
    scribe = three_blocks()
    content = scribe.files.names[scribe.path]
    from app.tiers.nvme import file_header

    page = bytearray(content[: file_header.HEADER_BYTES])
    page[4:6] = (2).to_bytes(2, "little")
    page[60:64] = file_header.crc32c(bytes(page[:60])).to_bytes(4, "little")
    content[: len(page)] = page
    before = scribe.files.copy().names
    with pytest.raises(WrittenByNewer, match="newer StreamBus: upgrade"):
        recover(scribe.files)
    assert scribe.files.names == before


def test_only_what_follows_the_checkpoint_is_folded() -> None:
    scribe = three_blocks()
    seal(scribe)
    scribe.begin()
    scribe.write((A, records(70)))
    outcome, fold = recover(scribe.files)
    assert outcome.recovered.blocks_folded == 1
    assert fold.position(A) == (0, 4, 0)
    assert fold.position(B) == (0, 2, 0)
    assert outcome.recovered.append_ms == scribe.append_ms


@pytest.mark.parametrize("damage", ["missing", "directory", "header"])
def test_a_sidecar_that_is_missing_or_damaged_is_rebuilt_from_its_segment(damage: str) -> None:
    scribe = Scribe(segment_bytes=1 << 14).begin()
    for n in range(5):
        scribe.write((A, records(n)), (B, records(n)))
    seal(scribe)
    scribe.begin()
    scribe.write((A, (FrameKind.TRUNCATED, 2)), epoch=1)
    seal(scribe)
    path = sidecar_path(DIRECTORY, 1)
    if damage == "missing":
        del scribe.files.names[path]
    else:
        flip(scribe.files, path, 70 if damage == "directory" else 3)
    outcome, _ = recover(scribe.files)
    assert any("rebuilt" in note for note in outcome.recovered.notes)
    assert stored(outcome.index, A) == joined(scribe.contents[A])
    assert stored(outcome.index, B) == joined(scribe.contents[B])
    assert not outcome.recovered.corrupt


def test_rot_in_a_covered_segment_is_found_when_its_index_is_rebuilt() -> None:
    scribe = three_blocks()
    seal(scribe)
    del scribe.files.names[sidecar_path(DIRECTORY, 1)]
    flip(scribe.files, scribe.path, scribe.blocks[1].position + 20)
    outcome, _ = recover(scribe.files)
    assert outcome.recovered.corrupt
    assert set(outcome.recovered.quarantined) == {A}
    assert stored(outcome.index, B) == joined(scribe.contents[B])


def test_a_segment_that_is_gone_is_a_hole_and_its_partitions_are_quarantined() -> None:
    scribe = three_blocks()
    seal(scribe)
    scribe.begin()
    scribe.write((A, records()))
    seal(scribe)
    del scribe.files.names[segment_path(DIRECTORY, 1)]
    outcome, _ = recover(scribe.files)
    assert set(outcome.recovered.quarantined) == {A, B}
    assert any("stand in no segment" in text for text in outcome.recovered.corrupt)


def test_a_quarantine_outlives_the_restart_after_it() -> None:
    scribe = three_blocks()
    block = scribe.blocks[0]
    flip(scribe.files, scribe.path, block.position + block.head + 70)
    seal(scribe)
    scribe.begin()
    scribe.write((B, records()))
    outcome, _ = recover(scribe.files)
    assert set(outcome.recovered.quarantined) == {A}
    assert A in outcome.segments[0].holds
    scribe.write((A, (FrameKind.REPLICA_DROPPED, 0)))
    outcome, _ = recover(scribe.files)
    assert not outcome.recovered.quarantined


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one() -> None:
    scribe = three_blocks()
    seal(scribe)
    scribe.begin()
    scribe.write((A, records()))
    seal(scribe)
    scribe.begin()
    scribe.write((B, records()))
    flip(scribe.files, f"{DIRECTORY}/{checkpoint.name_of(2, checkpoint.DELTA)}", 70)
    outcome, fold = recover(scribe.files)
    assert outcome.recovered.blocks_folded == 2
    assert fold.position(A) == (0, 4, 0)
    assert fold.position(B) == (0, 3, 0)
    assert any("unreadable" in note for note in outcome.recovered.notes)
    assert not outcome.recovered.quarantined


def test_without_any_readable_checkpoint_nothing_given_back_is_invented() -> None:
    scribe = three_blocks()
    seal(scribe)
    scribe.begin()
    scribe.write((A, records()))
    flip(scribe.files, f"{DIRECTORY}/{checkpoint.name_of(1, checkpoint.FULL)}", 70)
    del scribe.files.names[segment_path(DIRECTORY, 1)]
    outcome, _ = recover(scribe.files)
    assert set(outcome.recovered.quarantined) == {A, UNKNOWN}


def test_both_witnesses_of_a_sealed_segment_gone_does_not_make_it_free() -> None:
    scribe = three_blocks()
    seal(scribe)
    flip(scribe.files, scribe.path, 30)
    flip(scribe.files, scribe.path, PAGE_BYTES + 10)
    outcome, _ = recover(scribe.files)
    assert not outcome.free
    assert stored(outcome.index, B)[-10:] == joined(scribe.contents[B])[-10:]


def test_a_sealed_segment_whose_blocks_cannot_be_told_apart_is_lost_by_name() -> None:
    scribe = three_blocks()
    seal(scribe)
    for name in scribe.files.list(DIRECTORY):
        if name.startswith(checkpoint.PREFIX):
            del scribe.files.names[f"{DIRECTORY}/{name}"]
    flip(scribe.files, scribe.path, 30)
    flip(scribe.files, scribe.path, PAGE_BYTES + 10)
    outcome, _ = recover(scribe.files)
    assert outcome.recovered.corrupt
    assert scribe.path in scribe.files.names


def test_a_log_start_above_whole_segments_needs_them_no_more() -> None:
    scribe = three_blocks()
    seal(scribe)
    scribe.begin()
    scribe.write((A, (FrameKind.START_MOVED, 3)), (B, (FrameKind.START_MOVED, 2)))
    seal(scribe)
    outcome, fold = recover(scribe.files)
    assert outcome.segments[0].extents_live == 0
    assert fold.position(A) == (3, 3, 0)
    del scribe.files.names[segment_path(DIRECTORY, 1)]
    outcome, _ = recover(scribe.files)
    assert not outcome.recovered.quarantined


def test_a_state_that_its_owner_cannot_read_quarantines_that_partition() -> None:
    scribe = three_blocks()
    seal(scribe)

    class Picky(ListFold):
        def restore(self, key, saved):  # type: ignore[no-untyped-def]
            if key == A:
                from app.errors import Corrupt

                raise Corrupt("not mine")
            super().restore(key, saved)

    outcome, _ = recover(scribe.files, Picky())
    assert set(outcome.recovered.quarantined) == {A}


def test_entries_of_a_checkpoint_survive_a_round_trip() -> None:
    files = MemoryFiles()
    entries = {A: Entry(b"abc", 5, ""), B: Entry(b"", 0, "lost"), C: Entry(None, 0, "")}
    checkpoint.write(files, DIRECTORY, Checkpoint(7, 70, 700, entries), checkpoint.FULL)
    loaded = checkpoint.load(files, DIRECTORY, 7, checkpoint.FULL)
    assert loaded is not None
    assert (loaded.sequence, loaded.block, loaded.append_ms) == (7, 70, 700)
    assert loaded.entries == entries


def test_a_segment_none_of_whose_blocks_can_be_told_apart_still_proves_the_one_before_it() -> None:
    scribe = three_blocks()
    last = scribe.blocks[-1]
    first = scribe.path
    scribe.begin()
    scribe.write((C, records()))
    scribe.write((C, records()))
    flip(scribe.files, scribe.path, 30)
    flip(scribe.files, scribe.path, PAGE_BYTES + 10)
    flip(scribe.files, first, last.position + last.length - 12)
    outcome, _ = recover(scribe.files)
    assert not outcome.recovered.torn
    assert len(outcome.recovered.corrupt) == 2, "a damaged frame, and a segment"
    assert {A, UNKNOWN} <= set(outcome.recovered.quarantined)
    assert scribe.path in scribe.files.names
