"""Extents by offset, whatever the order in which frames come."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Corrupt
from app.tiers.nvme.block import BATCHES, Frame
from app.tiers.nvme.index import Index
from app.tiers.nvme.segment import Segment
from tests.unit.tiers.nvme.arrange import A, B


def segment(sequence: int) -> Segment:
    return Segment(sequence, f"{sequence}", None, 0, 1)


def frame(start: int, end: int, *, position: int = 4096, timestamp: int = 0) -> Frame:
    made = Frame(A, BATCHES, start, 0, 0)
    made.add(start, end, 100 * (end - start), timestamp)
    made.finish()
    made.position = position
    return made


def spans(index: Index) -> list[tuple[int, int, int]]:
    partition = index.partitions.get(A)
    extents = partition.extents if partition else []
    return [(e.segment.sequence, e.start, e.end) for e in extents]


def test_frames_that_follow_each_other_in_a_segment_are_one_extent() -> None:
    index, first = Index(), segment(1)
    for start in range(0, 50, 5):
        index.add(first, frame(start, start + 5, timestamp=start))
    assert spans(index) == [(1, 0, 50)]
    extent = index.partitions[A].extents[0]
    assert (extent.bytes, extent.max_timestamp) == (5_000, 45)
    assert first.extents_live == 1


@given(st.integers(0, 1 << 32))
def test_order_in_the_files_does_not_matter(seed: int) -> None:
    random = Random(seed)
    edges = sorted(random.sample(range(1_000), random.randrange(2, 30)))
    frames = [frame(start, end) for start, end in pairwise(edges)]
    random.shuffle(frames)
    index = Index()
    segments = [segment(n) for n in range(1, 4)]
    for n, one in enumerate(frames):
        index.add(segments[n * 3 // len(frames)], one)
    found = spans(index)
    assert [s for _, s, _ in found] == sorted(s for _, s, _ in found)
    assert index.hole(A, edges[0], edges[-1]) is None
    for offset in range(edges[0], edges[-1]):
        extent = index.partitions[A].extents[index.partitions[A].find(offset)]
        assert extent.start <= offset < extent.end
        rows = extent.rows
        assert rows is not None
        row, _ = rows.span(offset, offset + 1)
        assert rows.base[row] <= offset < rows.end[row]
    assert sum(s.extents_live for s in segments) == len(found)


def test_what_overlaps_is_refused() -> None:
    index, first = Index(), segment(1)
    index.add(first, frame(10, 20))
    for start, end in ((5, 11), (19, 25), (12, 13), (0, 100)):
        with pytest.raises(Corrupt, match="overlaps"):
            index.add(segment(2), frame(start, end))
    assert spans(index) == [(1, 10, 20)]


def test_a_cut_may_fall_anywhere_and_what_follows_is_another_extent() -> None:
    for at in range(45):
        index, first, second = Index(), segment(1), segment(2)
        for start in range(0, 20, 5):
            index.add(first, frame(start, start + 5))
        for start in range(20, 40, 5):
            index.add(second, frame(start, start + 5))
        index.cut(A, at)
        end = min(at, 40)
        assert index.end(A) == (end or None)
        assert index.hole(A, 0, end) is None
        index.add(second, frame(end, end + 3))
        assert index.end(A) == end + 3
        assert first.extents_live + second.extents_live == len(spans(index))


def test_a_moved_start_lets_whole_extents_go_and_no_more() -> None:
    index = Index()
    segments = [segment(n) for n in range(4)]
    for n, one in enumerate(segments):
        index.add(one, frame(n * 10, n * 10 + 10))
    index.start_moved(A, 25)
    assert spans(index) == [(2, 20, 30), (3, 30, 40)]
    assert [s.extents_live for s in segments] == [0, 0, 1, 1]
    index.start_moved(A, 5)
    assert index.partitions[A].start == 25


def test_a_dropped_partition_leaves_nothing() -> None:
    index, first = Index(), segment(1)
    index.add(first, frame(0, 10))
    index.drop(A)
    index.drop(B)
    assert first.extents_live == 0
    assert index.end(A) is None
    index.add(first, frame(0, 3))
    assert spans(index) == [(1, 0, 3)]


def test_a_hole_is_found() -> None:
    index = Index()
    index.add(segment(1), frame(0, 10))
    index.add(segment(2), frame(15, 20))
    assert index.hole(A, 0, 20) == (10, 15)
    assert index.hole(A, 16, 20) is None
    assert index.hole(A, 0, 25) == (10, 15)
    assert index.hole(A, 15, 25) == (20, 25)
    assert index.hole(B, 0, 5) == (0, 5)
    assert index.hole(B, 5, 5) is None
