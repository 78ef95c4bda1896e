"""Slices end at batch edges and miss nothing: against a list that looks at every batch."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import StorageFailed
from app.tiers.nvme import sidecar
from app.tiers.nvme.index import Index
from app.tiers.nvme.lookup import Cold, Lookup, Slice, Warm
from app.tiers.nvme.segment import Segment
from streambus.protocol import batch
from tests.unit.tiers.nvme.arrange import (
    DIRECTORY,
    A,
    Scribe,
    content_of,
    records,
    recover,
    warm_up,
)


@dataclass
class Shelf:
    """A partition in a few segments, some of whose rows are only in sidecars."""

    index: Index
    batches: list[tuple[int, int, bytes]]
    stamps: list[int]
    lookup: Lookup = field(default_factory=Lookup)

    def look(self, name: str, *arguments: object) -> object:
        warm = Warm()
        while True:
            try:
                partition = self.index.partitions[A]
                return getattr(self.lookup, name)(partition, *arguments, warm)
            except Cold as cold:
                warm_up(cold, warm)

    def slices(self, offset: int, end: int, room: int, at_least_one: bool) -> list[Slice]:
        found = self.look("slices", offset, end, room, at_least_one)
        assert isinstance(found, list)
        return found


def shelf(random: Random) -> Shelf:
    scribe = Scribe().begin()
    stamps = []
    for _ in range(random.randrange(1, 40)):
        steps = []
        for _ in range(random.choice((1, 2, 40))):
            stamp = random.randrange(1_000)
            count = random.randrange(1, 4)
            stamps += [stamp]
            steps.append((A, records(random.randrange(700), count=count, timestamp=stamp)))
        scribe.write(*steps)
        if random.random() < 0.2:
            scribe.begin()
    outcome, _ = recover(scribe.files)
    for segment in outcome.segments:
        if random.random() < 0.5:
            give_up_rows(scribe, segment)
    scribe.files.is_cold = random.random() < 0.5
    return Shelf(outcome.index, scribe.contents[A], stamps)


def give_up_rows(scribe: Scribe, segment: Segment) -> None:
    extents = segment.live_extents()
    for extent, place in sidecar.write(scribe.files, DIRECTORY, segment, extents, set()):
        extent.place, extent.rows = place, None


def expected(
    batches: list[tuple[int, int, bytes]], offset: int, end: int, room: int, at_least_one: bool
) -> bytes:
    taken = b""
    for start, stop, content in batches:
        if stop <= offset:
            continue
        fits = len(taken) + len(content) <= room or (at_least_one and not taken)
        if stop > end or not fits:
            break
        taken += content
        assert start >= 0
    return taken


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32))
def test_slices_are_what_a_list_would_give(seed: int) -> None:
    random = Random(seed)
    log = shelf(random)
    last = log.batches[-1][1]
    edges = [stop for _, stop, _ in log.batches]
    for _ in range(12):
        offset = random.randrange(last)
        end = random.choice((*edges[-3:], random.choice(edges), random.randrange(last + 5)))
        room = random.choice((0, 1, 100, 2_000, 20_000, 1 << 30, random.randrange(5_000)))
        at_least_one = random.random() < 0.5
        found = log.slices(offset, end, room, at_least_one)
        content = b"".join(content_of(piece) for piece in found)
        assert content == expected(log.batches, offset, end, room, at_least_one)
        for piece in found:
            heads = [header for _, header in batch.headers(content_of(piece))]
            assert piece.base_offset == heads[0][batch.BASE_OFFSET]
            tail = heads[-1]
            assert piece.end_offset == (tail[batch.BASE_OFFSET] + tail[batch.LAST_OFFSET_DELTA] + 1)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_cut_log_gives_nothing_beyond_the_cut(seed: int) -> None:
    random = Random(seed)
    log = shelf(random)
    cut = random.choice([0, *(stop for _, stop, _ in log.batches)])
    log.index.cut(A, cut)
    kept = [one for one in log.batches if one[1] <= cut]
    found = log.slices(0, 1 << 40, 1 << 40, True)
    assert b"".join(content_of(p) for p in found) == b"".join(one[2] for one in kept)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_the_first_place_in_time_is_never_too_late(seed: int) -> None:
    random = Random(seed)
    log = shelf(random)
    last = log.batches[-1][1]
    for _ in range(10):
        wanted = random.randrange(1_001)
        start = random.randrange(last)
        end = random.choice(log.batches)[1]
        right = next(
            (
                one
                for one, stamp in zip(log.batches, log.stamps, strict=True)
                if stamp >= wanted and one[1] > start and one[1] <= end
            ),
            None,
        )
        piece = log.look("first_in_time", wanted, start, end)
        while right is None and piece is not None:
            # A chunk may promise what only batches at its other end have: then the next is asked.
            assert isinstance(piece, Slice)
            heads = [h for _, h in batch.headers(content_of(piece))]
            assert not any(
                h[batch.MAX_TIMESTAMP] >= wanted
                and start < h[batch.BASE_OFFSET] + h[batch.LAST_OFFSET_DELTA] + 1 <= end
                for h in heads
            )
            start = piece.end_offset
            piece = log.look("first_in_time", wanted, start, end)
        if right is not None:
            assert isinstance(piece, Slice)
            assert piece.base_offset <= right[0]
            assert start < piece.end_offset <= end
            if right[1] > piece.end_offset:  # looked at in vain, and nothing is jumped over
                assert not has_time(piece, wanted, start, end)


def has_time(piece: Slice, wanted: int, start: int, end: int) -> bool:
    return any(
        h[batch.MAX_TIMESTAMP] >= wanted
        and start < h[batch.BASE_OFFSET] + h[batch.LAST_OFFSET_DELTA] + 1 <= end
        for _, h in batch.headers(content_of(piece))
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_the_newest_batch_is_the_first_of_the_newest(seed: int) -> None:
    random = Random(seed)
    log = shelf(random)
    last = log.batches[-1][1]
    for _ in range(6):
        start, end = random.randrange(last), random.choice(log.batches)[1]
        stamped = [
            (stamp, -one[0])
            for one, stamp in zip(log.batches, log.stamps, strict=True)
            if one[1] > start and one[1] <= end
        ]
        found = log.look("newest_in_time", start, end)
        if not stamped:
            assert found is None
        else:
            assert isinstance(found, tuple)
            assert (found[0], -found[1].base_offset) == max(stamped)


def test_nothing_is_given_of_what_is_not_there() -> None:
    log = shelf(Random(3))
    last = log.batches[-1][1]
    assert log.slices(last, last + 10, 1 << 20, True) == []
    assert log.slices(0, 0, 1 << 20, True) == []
    assert log.slices(0, last, 0, False) == []


def test_rows_of_sealed_segments_stay_within_their_bound() -> None:
    scribe = Scribe()
    for _ in range(6):
        scribe.begin()
        for _ in range(50):
            scribe.write((A, records(2)))
    outcome, _ = recover(scribe.files)
    for segment in outcome.segments:
        give_up_rows(scribe, segment)
    extents = outcome.index.partitions[A].extents
    lookup = Lookup(bytes_max=5_000)
    log = Shelf(outcome.index, scribe.contents[A], [], lookup)
    for extent in extents:
        warm = Warm()
        warm_up(Cold(extent, extent.segment), warm)
        lookup.hold(extent, warm.rows[extent])
        assert sum(e.rows.bytes_held for e in extents if e.rows is not None) <= 5_000
    found = log.slices(0, 1 << 40, 1 << 40, True)
    assert sum(piece.length for piece in found) == sum(len(one[2]) for one in log.batches)


def test_a_disk_that_cannot_be_read_is_a_storage_error() -> None:
    scribe = Scribe().begin()
    scribe.write((A, records(count=3)), (A, records(count=3)))
    outcome, _ = recover(scribe.files)
    segment = outcome.segments[0]

    def broken(position: int, length: int) -> bytes:
        raise OSError(5, "input/output error")

    segment.file.read_cached = broken  # type: ignore[method-assign]
    with pytest.raises(StorageFailed, match="reading failed"):
        Lookup().slices(outcome.index.partitions[A], 4, 6, 1 << 20, True, Warm())
