"""Sidecars: the index of a sealed segment, believed only when whole."""

import pytest

from app.errors import Corrupt
from app.tiers.nvme import sidecar
from app.tiers.nvme.index import Rows
from app.tiers.nvme.segment import Segment, sidecar_path
from tests.unit.tiers.nvme.arrange import DIRECTORY, A, B, Scribe, records, recover

PATH = sidecar_path(DIRECTORY, 1)


def written() -> tuple[Scribe, Segment]:
    scribe = Scribe().begin()
    for n in range(30):
        scribe.write((B, records(n)), (A, records(900)), *[(A, records(900))] * 9)
    outcome, _ = recover(scribe.files)
    segment = outcome.segments[0]
    segment.cuts = {A: 7, B: 0}
    sidecar.write(scribe.files, DIRECTORY, segment, segment.live_extents(), {B})
    return scribe, segment


def test_directory_and_rows_come_back_as_they_were() -> None:
    scribe, segment = written()
    found = sidecar.load(scribe.files, PATH, segment)
    assert found is not None
    assert (found.last_block, found.end) == (30, segment.end)
    assert found.cuts == {A: 7, B: 0}
    assert found.holds == {B}
    assert [extent.key for extent in found.extents] == [A, B]
    live = {extent.key: extent for extent in segment.live_extents()}
    for extent in found.extents:
        kept = live[extent.key]
        assert (extent.start, extent.end, extent.bytes) == (kept.start, kept.end, kept.bytes)
        assert extent.max_timestamp == kept.max_timestamp
        assert extent.place is not None
        rows = sidecar.read_rows(scribe.files, PATH, extent.place)
        assert kept.rows is not None
        for name in (*Rows.FRAME_COLUMNS, *Rows.MARK_COLUMNS):
            assert getattr(rows, name) == getattr(kept.rows, name), name
    assert len(live[A].rows.mark_base) > 0  # type: ignore[union-attr]


def test_damage_to_the_directory_makes_it_none() -> None:
    scribe, segment = written()
    content = scribe.files.names[PATH]
    for position in range(64 + 2 * 72 + 3 * 32):
        content[position] ^= 1
        assert sidecar.load(scribe.files, PATH, segment) is None, position
        content[position] ^= 1
    for length in (0, 10, 64, 100):
        cut = scribe.files.copy()
        del cut.names[PATH][length:]
        assert sidecar.load(cut, PATH, segment) is None


def test_damage_to_rows_is_seen_when_they_are_read() -> None:
    scribe, segment = written()
    found = sidecar.load(scribe.files, PATH, segment)
    assert found is not None
    place = found.extents[0].place
    assert place is not None
    scribe.files.names[PATH][place[0] + 11] ^= 1
    with pytest.raises(Corrupt, match="move this file away and restart"):
        sidecar.read_rows(scribe.files, PATH, place)
    del scribe.files.names[PATH]
    with pytest.raises(Corrupt, match="gone"):
        sidecar.read_rows(scribe.files, PATH, place)


def test_the_sidecar_of_another_segment_is_not_taken() -> None:
    scribe, _ = written()
    other = Segment(2, "2", None, 0, 1)
    assert sidecar.load(scribe.files, PATH, other) is None
