"""PartitionLog. Its decisions are told by tests/transcripts and judged by the oracle."""

import struct
import sys
from collections.abc import Callable

import pytest

from app.core.partition_log import PartitionLog
from app.errors import Corrupt, Fenced
from streambus.protocol import batch

NOW = 1_700_000_000_000


def header(
    count: int = 1, producer_id: int = -1, epoch: int = -1, sequence: int = -1
) -> tuple[int, ...]:
    return (0, 200, -1, 2, 0, 0, count - 1, NOW, NOW, producer_id, epoch, sequence, count)


def led(*batches: tuple[int, ...]) -> PartitionLog:
    log = PartitionLog()
    log.lead(0)
    for each in batches:
        assert log.admit(each, NOW) >= 0
    return log


def busy() -> PartitionLog:
    log = led(header(3), header(2, 7, 0, 0), header(2, 8, 1, 5), header(1, 7, 0, 2))
    log.lead(4)
    log.admit(header(9, 7, 0, 3), NOW + 1)
    log.move_start(2)
    return log


def test_the_header_is_the_tuple_that_the_protocol_reads() -> None:
    built = batch.build(
        [(0, 0, None, b"value", ())], producer_id=7, producer_epoch=0, base_sequence=0
    )
    log = led()
    read = batch.read_header(memoryview(built))
    assert (log.admit(read, NOW), log.end) == (0, 1)
    assert log.admit(read, NOW) == 0
    assert log.end == 1


def test_offsets_are_given_one_after_another() -> None:
    log = led()
    assert [log.admit(header(count), NOW) for count in (3, 1, 10)] == [0, 3, 4]
    assert (log.start, log.end) == (0, 14)


def test_nothing_is_admitted_before_someone_leads() -> None:
    with pytest.raises(AssertionError):
        PartitionLog().admit(header(), NOW)


def test_a_leader_that_truncated_must_lead_anew() -> None:
    log = led(header())
    log.truncate(0)
    with pytest.raises(AssertionError):
        log.admit(header(), NOW)


def test_leading_again_at_the_same_epoch_changes_nothing() -> None:
    log = led(header())
    log.lead(0)
    assert log.epochs.entries() == [(0, 0)]


def test_a_fenced_leader_changes_nothing() -> None:
    log = busy()
    before = log.save()
    with pytest.raises(Fenced):
        log.lead(3)
    with pytest.raises(Fenced):
        log.start_epoch(0, log.end)
    assert log.save() == before


def test_an_epoch_starts_nowhere_but_at_the_end() -> None:
    log = led(header(5))
    for offset in (4, 6):
        with pytest.raises(Corrupt):
            log.start_epoch(1, offset)
    log.start_epoch(1, 5)
    assert (log.leader_epoch, log.end_offset_for(1)) == (1, (1, 5))


def test_a_batch_that_does_not_continue_the_log_is_corrupt() -> None:
    log = led(header(5))
    before = log.save()
    for base_offset, leader_epoch in ((4, 0), (6, 0)):
        with pytest.raises(Corrupt):
            log.absorb(header(), base_offset, leader_epoch, NOW)
    log.start_epoch(2, 5)
    with pytest.raises(Corrupt):
        log.absorb(header(), 5, 1, NOW)
    assert PartitionLog.load(before).end == log.end == 5


def test_a_batch_without_a_sequence_leaves_its_producer_alone() -> None:
    log = led(header(1, 7, 3, 0))
    before = log.producers.state_of(7)
    log.absorb(header(1, 7, 9, -1), 1, 0, NOW + 5)
    assert log.producers.state_of(7) == before
    assert log.end == 2


def test_producers_are_absorbed_with_the_append_time_of_the_frame() -> None:
    log = PartitionLog()
    log.absorb(header(1, 7, 0, 0), 0, 0, 55)
    assert log.expire_producers(154, 100) == 0
    assert log.expire_producers(155, 100) == 1


def test_a_cut_at_the_end_drops_only_the_epoch_that_wrote_nothing() -> None:
    log = led(header(5, 7, 0, 0))
    log.lead(3)
    assert log.truncate(5) == 0
    assert log.epochs.entries() == [(0, 0)]
    assert log.leader_epoch == 0
    log.absorb(header(), 5, 2, NOW)


@pytest.mark.parametrize("end", [1, 18])
def test_a_cut_outside_the_log_is_our_bug(end: int) -> None:
    log = busy()
    assert (log.start, log.end) == (2, 17)
    with pytest.raises(AssertionError):
        log.truncate(end)


def test_the_start_moves_forward_only_and_never_beyond_the_end() -> None:
    log = led(header(5))
    log.move_start(3)
    log.move_start(1)
    assert log.start == 3
    with pytest.raises(Corrupt):
        log.move_start(6)
    log.move_start(5)
    assert (log.start, log.end, log.epochs.entries()) == (5, 5, [(0, 5)])


def test_a_saved_log_is_loaded_as_it_was() -> None:
    for log in (PartitionLog(), led(), busy()):
        saved = log.save()
        for stored in (saved, bytearray(saved), memoryview(saved)):
            assert PartitionLog.load(stored) == log


def test_a_loaded_log_goes_on_as_the_saved_one_would() -> None:
    log = busy()
    loaded = PartitionLog.load(log.save())
    assert loaded.admit(header(1, 7, 0, 12), NOW) == log.admit(header(1, 7, 0, 12), NOW) == 17
    assert loaded.admit(header(2, 8, 1, 5), NOW) == 5
    assert loaded.leader_epoch == 4
    assert loaded.save() == log.save()


def test_logs_are_equal_by_everything_they_hold() -> None:
    assert busy() == busy()
    changes: tuple[Callable[[PartitionLog], object], ...] = (
        lambda log: log.admit(header(), NOW),
        lambda log: log.lead(9),
        lambda log: log.move_start(4),
        lambda log: log.expire_producers(NOW, 0),
    )
    for change in changes:
        changed = busy()
        change(changed)
        assert changed != busy()
    assert busy() != object()
    assert repr(busy()).startswith("PartitionLog(2..17, EpochHistory([(0, 2), (4, 8)])")


def test_an_idle_partition_takes_less_than_a_kilobyte() -> None:
    log = led(header())
    parts = (
        log,
        log.epochs,
        log.epochs._epochs,
        log.epochs._starts,
        log.producers,
        log.producers._at,
        log.producers._cells,
    )
    assert sum(map(sys.getsizeof, parts)) < 1_000


def test_every_cut_of_a_saved_log_is_corrupt() -> None:
    saved = busy().save()
    for length in range(len(saved)):
        with pytest.raises(Corrupt):
            PartitionLog.load(saved[:length])
    with pytest.raises(Corrupt):
        PartitionLog.load(saved + b"\0")


@pytest.mark.parametrize(
    ("position", "form", "value"),
    [
        (0, "<B", 0x51),  # another magic
        (1, "<B", 2),  # a version of the future
        (2, "<q", -1),  # the log starts below 0
        (2, "<q", 18),  # or above its end
        (10, "<q", 1),  # the end is below the start
        (18, "<I", 3),  # more epochs than there are bytes
        (22, "<I", 0),  # fewer bytes of producers
        (26, "<i", -1),  # an epoch below 0
        (26, "<i", 4),  # two epochs alike
        (30, "<q", 8),  # two epochs that start at one offset
        (42, "<q", 18),  # an epoch that starts above the end
    ],
)
def test_a_saved_log_that_no_history_leaves_is_corrupt(
    position: int, form: str, value: int
) -> None:
    saved = bytearray(busy().save())
    struct.pack_into(form, saved, position, value)
    with pytest.raises(Corrupt):
        PartitionLog.load(saved)


def test_a_flipped_bit_is_corrupt_or_leaves_a_log_that_can_be_saved() -> None:
    saved = busy().save()
    for position in range(len(saved)):
        for bit in range(8):
            flipped = bytearray(saved)
            flipped[position] ^= 1 << bit
            try:
                loaded = PartitionLog.load(flipped)
            except Corrupt:
                continue
            assert PartitionLog.load(loaded.save()) == loaded
