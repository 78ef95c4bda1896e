"""A segment's name, page and readers."""

import pytest

from app.tiers.nvme import file_header, segment
from app.tiers.nvme.segment import FREE_PAGE, PAGE_BYTES, Segment, sequence_of, write_file
from tests.unit.tiers.nvme.arrange import DIRECTORY, A, MemoryFiles, Stopped


def test_the_page_says_which_segment_this_is_and_where_its_blocks_begin() -> None:
    page = segment.pack_page(5, 77, 0xABC)
    assert len(page) == PAGE_BYTES
    header = file_header.parse(page, file_header.SEGMENT, "f")
    assert header is not None
    assert (header.sequence, header.a, header.b) == (5, 77, 0xABC)
    free = file_header.parse(FREE_PAGE, file_header.SEGMENT, "f")
    assert free is not None
    assert free.sequence == 0, "the first segment is 1, so this one is nobody's"


def test_names_sort_as_their_sequences_do() -> None:
    paths = [segment.segment_path("d", n) for n in (1, 9, 10, 255, 4_096, 1 << 40)]
    assert paths == sorted(paths)
    for n in (1, 255, 1 << 40):
        name = segment.segment_path("d", n).removeprefix("d/")
        assert sequence_of(name, ".segment") == n
        assert sequence_of(name, ".sidecar") is None


@pytest.mark.parametrize("name", ["x", "1.segment", "free-0000000000000001.segment", ".segment"])
def test_other_names_are_not_segments(name: str) -> None:
    assert sequence_of(name, ".segment") is None


def test_a_segment_that_is_to_be_closed_waits_for_its_last_reader() -> None:
    one = Segment(1, "1", None, 0, 1)
    closed = []
    one.pin()
    one.pin()
    one.closing = closed.append
    one.unpin()
    assert not closed
    one.unpin()
    assert closed == [one]
    with pytest.raises(AssertionError, match="unpinned more often"):
        one.unpin()


def test_cuts_of_one_partition_add_up_to_the_lowest() -> None:
    one = Segment(1, "1", None, 0, 1)
    for offset in (30, 10, 20):
        one.cut(A, offset)
    assert one.cuts == {A: 10}


def test_a_small_file_is_old_or_new_whatever_stops_its_writing() -> None:
    for steps in range(8):
        files = MemoryFiles()
        write_file(files, DIRECTORY, "f", [b"old"])
        files.steps_left = steps
        try:
            write_file(files, DIRECTORY, "f", [b"n", b"ew"])
        except Stopped:
            assert files.names[f"{DIRECTORY}/f"] in (b"old", b"new")
        else:
            assert files.names[f"{DIRECTORY}/f"] == b"new"
