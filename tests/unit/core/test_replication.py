"""Replication."""

import pytest

from app.core.replication import Replication

LEADER, SECOND, THIRD = 1, 2, 3
TRIO = (LEADER, SECOND, THIRD)


def test_alone_what_is_synced_is_committed() -> None:
    alone = Replication((LEADER,), LEADER)
    assert [alone.synced(end) for end in (5, 5, 3, 9)] == [5, 5, 5, 9]
    assert alone.synced_end == 9


def test_leadership_begins_where_the_last_one_was_committed() -> None:
    assert Replication((LEADER,), LEADER, 7).high_watermark == 7


def test_the_slowest_replica_in_sync_decides() -> None:
    replication = Replication(TRIO, LEADER)
    assert replication.synced(10) == 0
    assert replication.reported(SECOND, 8, 0) == 0
    assert replication.reported(THIRD, 6, 0) == 6
    assert replication.reported(THIRD, 9, 0) == 8


def test_the_leader_itself_may_be_the_slowest() -> None:
    replication = Replication((LEADER, SECOND), LEADER)
    assert replication.reported(SECOND, 10, 0) == 0
    assert replication.synced(4) == 4


def test_a_follower_that_is_not_in_sync_holds_nothing_back() -> None:
    replication = Replication((LEADER, SECOND), LEADER)
    replication.synced(10)
    replication.reported(THIRD, 1, 0)
    assert replication.reported(SECOND, 10, 0) == 10


def test_a_follower_that_lost_its_log_moves_no_watermark_back() -> None:
    replication = Replication((LEADER, SECOND), LEADER)
    replication.synced(10)
    replication.reported(SECOND, 10, 0)
    assert replication.reported(SECOND, 0, 1) == 10
    assert replication.end_of(SECOND) == 0
    assert replication.synced(20) == 10
    assert replication.reported(SECOND, 20, 2) == 20


def test_dropping_the_slowest_commits_what_the_rest_has() -> None:
    replication = Replication(TRIO, LEADER)
    replication.synced(10)
    replication.reported(SECOND, 8, 0)
    assert replication.change_isr((LEADER, SECOND)) == 8
    assert replication.change_isr((LEADER,)) == 10


def test_admitting_a_slower_one_moves_nothing_back() -> None:
    replication = Replication((LEADER,), LEADER)
    replication.synced(10)
    assert replication.change_isr((LEADER, SECOND)) == 10
    assert replication.synced(20) == 10


def test_nothing_is_committed_while_the_isr_is_too_small() -> None:
    replication = Replication((LEADER, SECOND), LEADER, min_isr=2)
    replication.synced(5)
    replication.reported(SECOND, 5, 0)
    replication.change_isr((LEADER,))
    assert replication.synced(9) == 5
    replication.reported(SECOND, 9, 1)
    assert replication.change_isr((LEADER, SECOND)) == 9


def test_one_that_is_always_a_batch_behind_is_in_sync() -> None:
    replication = Replication((LEADER, SECOND), LEADER)
    for turn in range(1, 50):
        replication.synced(turn * 10)
        replication.reported(SECOND, turn * 10 - 10, turn * 100)
    assert replication.lagging(4_900, 300) == ()


def test_one_that_reports_but_never_catches_up_lags() -> None:
    replication = Replication((LEADER, SECOND), LEADER)
    for turn in range(1, 50):
        replication.synced(turn * 10)
        replication.reported(SECOND, turn * 5, turn * 100)
    assert replication.lagging(4_900, 300) == (SECOND,)


def test_one_that_has_everything_never_lags_however_long_it_is_silent() -> None:
    replication = Replication((LEADER, SECOND), LEADER)
    replication.synced(10)
    replication.reported(SECOND, 10, 0)
    assert replication.lagging(1_000_000, 300) == ()
    replication.synced(11)
    assert replication.lagging(1_000_000, 300) == (SECOND,)


def test_a_new_leader_gives_its_followers_time() -> None:
    replication = Replication(TRIO, LEADER, now_ms=1_000)
    replication.synced(10)
    replication.reported(SECOND, 10, 1_200)
    assert replication.lagging(1_300, 300) == ()
    assert replication.lagging(1_301, 300) == (THIRD,)


def test_a_follower_may_join_when_it_has_all_that_is_committed() -> None:
    replication = Replication((LEADER,), LEADER)
    replication.synced(10)
    replication.reported(SECOND, 9, 0)
    assert not replication.can_join(SECOND)
    replication.reported(SECOND, 10, 1)
    assert replication.can_join(SECOND)
    replication.change_isr((LEADER, SECOND))
    assert not replication.can_join(SECOND)


@pytest.mark.parametrize("isr", [(SECOND,), (), (LEADER, SECOND, SECOND)])
def test_an_isr_that_cannot_be_is_our_bug(isr: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        Replication(isr, LEADER)


def test_a_leader_that_reports_to_itself_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        Replication((LEADER,), LEADER).reported(LEADER, 5, 0)


@pytest.mark.parametrize(("isr", "is_under"), [((LEADER,), True), ((LEADER, SECOND), False)])
def test_an_isr_below_the_minimum_is_told(isr: tuple[int, ...], is_under: bool) -> None:
    assert Replication(isr, LEADER, min_isr=2).is_under_min_isr is is_under


def test_requiring_more_in_sync_holds_back_and_requiring_fewer_commits() -> None:
    replication = Replication((LEADER,), LEADER)
    assert replication.synced(5) == 5
    assert replication.require(2) == 5 and replication.is_under_min_isr
    assert replication.synced(9) == 5
    assert replication.require(1) == 9 and not replication.is_under_min_isr
    assert replication.synced(11) == 11
    replication.require(2)
    replication.change_isr((LEADER, SECOND))
    assert replication.synced(12) == 11
    assert replication.reported(SECOND, 12, 0) == 12
