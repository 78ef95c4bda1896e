"""Producers. The sequence rules are told by tests/transcripts and judged by the oracle."""

import struct
import sys

import pytest

from app import limits
from app.core.producers import BATCHES_KEPT, CELL_BYTES, Producers
from app.errors import Corrupt

GAP, FENCED = -45, -47


def filled(count: int, capacity: int = 100) -> Producers:
    """Producer n appended one record at offset n, at n ms."""
    producers = Producers(capacity)
    for number in range(count):
        assert producers.admit(number, 0, 0, 0, number, number) == number
    return producers


def test_as_many_batches_are_held_as_kafka_holds() -> None:
    assert BATCHES_KEPT == 5


def test_a_producer_takes_a_fixed_and_small_cell() -> None:
    assert CELL_BYTES == 152
    assert len(filled(7).save()) == 7 * CELL_BYTES


def test_ten_thousand_idle_partitions_remember_no_producer_for_little_memory() -> None:
    empty = Producers()
    parts = (empty, empty._at, empty._cells)
    assert sum(map(sys.getsizeof, parts)) < 300


def test_a_newer_producer_epoch_drops_what_the_older_had() -> None:
    producers = Producers()
    producers.admit(7, 1, 0, 0, 0, 10)
    producers.admit(7, 1, 1, 0, 1, 10)
    assert producers.admit(7, 2, 0, 4, 2, 11) == 2
    assert producers.state_of(7) == (2, 4, 11, -1, [(4, 4, 2, 11)])
    assert producers.admit(7, 1, 2, 0, 7, 12) == FENCED


def test_a_refusal_changes_nothing() -> None:
    producers = filled(3)
    before = producers.save()
    assert producers.admit(1, 0, 5, 0, 9, 99) == GAP
    assert producers.admit(1, 1, 5, 0, 9, 99) == GAP
    assert producers.admit(1, 0, 0, 0, 9, 99) == 1  # a repetition: it is not used by that either
    assert producers.save() == before


def test_what_a_leader_admitted_is_absorbed_whatever_it_says() -> None:
    producers = Producers()
    producers.absorb(7, 3, 0, 0, 0, 1)
    producers.absorb(7, 3, 50, 0, 1, 2)
    producers.absorb(7, 2, 9, 0, 2, 3)
    assert producers.state_of(7) == (2, 9, 3, -1, [(9, 0, 2, 3)])


def test_admitting_and_absorbing_leave_the_same() -> None:
    leading, following = Producers(), Producers()
    for number in range(30):
        producer_id, sequence = number % 3, number // 3 * 2
        assert leading.admit(producer_id, 0, sequence, 1, number * 2, number) == number * 2
        following.absorb(producer_id, 0, sequence, 1, number * 2, number)
    assert leading == following
    assert leading.save() == following.save()


def test_over_the_limit_the_longest_idle_is_forgotten() -> None:
    producers = filled(8, capacity=8)
    producers.admit(0, 0, 1, 0, 8, 100)  # the oldest comes back
    assert producers.admit(50, 0, 0, 0, 9, 101) == 9
    assert len(producers) == 8
    assert producers.state_of(1) is None
    assert producers.state_of(0) is not None
    assert producers.evicted == 1


def test_over_a_large_limit_a_sixteenth_is_forgotten_at_once() -> None:
    producers = filled(64, capacity=64)
    producers.admit(99, 0, 0, 0, 64, 64)
    assert (len(producers), producers.evicted) == (61, 4)
    assert [each for each in range(64) if producers.state_of(each) is None] == [0, 1, 2, 3]


def test_the_limit_is_the_one_of_limits() -> None:
    assert Producers().capacity == limits.PRODUCERS_PER_PARTITION_MAX


def test_a_lowered_limit_holds_from_the_next_new_producer_on() -> None:
    lowered = Producers.load(filled(20).save(), capacity=4)
    assert len(lowered) == 20
    lowered.admit(99, 0, 0, 0, 20, 20)
    assert len(lowered) == 4


def test_producers_expire_from_the_time_of_their_last_append() -> None:
    producers = filled(5)
    assert producers.expire(now_ms=103, expiration_ms=100) == 4  # exactly as long counts as idle
    assert producers.state_of(4) is not None
    assert producers.expire(now_ms=103, expiration_ms=100) == 0


def test_forgetting_one_leaves_the_others_where_they_can_be_found() -> None:
    producers = filled(5)
    expected = {each: producers.state_of(each) for each in (0, 2, 3, 4)}
    producers.admit(1, 0, 1, 0, 5, 1)
    producers._remove(1)
    assert {each: producers.state_of(each) for each in (0, 2, 3, 4)} == expected
    assert len(producers.save()) == 4 * CELL_BYTES


def test_a_cut_drops_the_batches_above_it() -> None:
    producers = Producers()
    for number in range(7):
        producers.admit(7, 0, number * 2, 1, number * 2, number)
    assert producers.truncate(10) == 0
    assert producers.state_of(7) == (0, 9, 4, -1, [(5, 1, 4, 2), (7, 1, 6, 3), (9, 1, 8, 4)])
    assert producers.admit(7, 0, 10, 1, 10, 9) == 10
    assert producers.admit(7, 0, 4, 1, 12, 9) == 4
    assert producers.admit(7, 0, 2, 1, 12, 9) == GAP  # pushed out by what was cut


def test_a_cut_counts_the_producers_of_which_nothing_is_left() -> None:
    producers = filled(5)
    assert producers.truncate(3) == 2
    assert [each for each in range(5) if producers.state_of(each)] == [0, 1, 2]


def test_the_time_of_a_held_batch_can_be_asked() -> None:
    producers = filled(3)
    assert producers.appended_ms(2, 2) == 2
    assert producers.appended_ms(2, 1) == -1
    assert producers.appended_ms(9, 1) == -1


def test_equality_does_not_depend_on_where_cells_lie() -> None:
    one, other = Producers(), Producers()
    for order, producers in (((1, 2), one), ((2, 1), other)):
        for producer_id in order:
            producers.admit(producer_id, 0, 0, 0, producer_id, 0)
    assert one == other
    assert one.save() != other.save()
    other.admit(1, 0, 1, 0, 9, 0)
    assert one != other
    assert one != object()
    assert "Producers({1: (0, 0, 0, -1" in repr(one)


@pytest.mark.parametrize(
    ("position", "form", "value"),
    [
        (0, "<q", -1),  # a negative producer id
        (8, "<h", -1),  # a negative epoch
        (10, "<B", 5),  # the next slot outside the ring
        (10, "<B", 3),  # not after the slots in use
        (11, "<B", 0),  # no batches at all
        (11, "<B", 6),  # more than the ring holds
        (12, "<i", 44),  # a last sequence that is not the newest batch's
        (24, "<q", -2),  # a transaction before the log
        (36, "<i", -1),  # a batch that ends before it begins
        (40, "<q", -1),  # a batch below offset 0
    ],
)
def test_cells_that_no_history_leaves_are_corrupt(position: int, form: str, value: int) -> None:
    saved = bytearray(filled(1).save())
    assert Producers.load(bytes(saved)) == filled(1)
    struct.pack_into(form, saved, position, value)
    with pytest.raises(Corrupt):
        Producers.load(bytes(saved))


def test_a_producer_cannot_be_saved_twice_nor_half() -> None:
    saved = filled(1).save()
    for wrong in (saved + saved, saved[:-1], saved + b"\0"):
        with pytest.raises(Corrupt):
            Producers.load(wrong)
