"""Where a new topic's partitions go."""

from collections import Counter

import pytest

from app.core.placement import place


@pytest.mark.parametrize("brokers", [1, 2, 3, 5])
def test_replicas_of_a_partition_are_on_different_brokers(brokers: int) -> None:
    for factor in range(1, brokers + 1):
        for row in place(3 * brokers, factor, range(brokers), first=7):
            assert len(row) == factor == len(set(row))


def test_leaders_and_replicas_are_spread_evenly() -> None:
    rows = place(60, 3, [4, 1, 3, 2, 9], first=2)
    assert set(Counter(row[0] for row in rows).values()) == {12}
    assert set(Counter(broker for row in rows for broker in row).values()) == {36}


def test_a_lost_broker_is_replaced_by_more_than_one_other() -> None:
    rows = place(60, 2, [1, 2, 3, 4], first=0)
    assert {row[1] for row in rows if row[0] == 1} == {2, 3, 4}


def test_topics_begin_at_different_brokers() -> None:
    assert [place(1, 1, [1, 2, 3], first=n)[0][0] for n in range(4)] == [1, 2, 3, 1]


@pytest.mark.parametrize("brokers", [1, 2, 3, 5])
def test_a_wide_topic_goes_round_and_round(brokers: int) -> None:
    """Leaders and shifts of followers begin again after so many partitions."""
    length = brokers * max(brokers - 1, 1)
    rows = place(1_000, brokers, range(brokers), first=7)
    assert len(rows) == 1_000
    assert [rows[at] for at in range(length, 1_000)] == list(rows[: 1_000 - length])
    if brokers > 2:
        assert len(set(rows)) == length


def test_one_broker_gets_everything() -> None:
    assert place(3, 1, [7], first=5) == ((7,), (7,), (7,))


def test_more_replicas_than_brokers_is_the_callers_bug() -> None:
    with pytest.raises(AssertionError):
        place(1, 2, [1], first=0)
