"""Why did my group rebalance: the history of one group."""

from app import limits
from app.core.coordinator import Now
from app.core.groups.member import Member
from app.core.groups.rebalances import Cause, Rebalance, Rebalances

MEMBER = Member("a", "x", "client", "/host")


def test_a_rebalance_says_who_caused_it_and_how_long_it_took() -> None:
    history = Rebalances()
    history.begin(Cause.MEMBER_LEFT, MEMBER, "closing", 3, Now(1_000, 50))
    assert history.ended() == ()
    history.reached(4, 2)
    history.end(Now(999, 75))  # wall time may go back, and is not measured with
    assert history.ended() == (
        Rebalance(1_000, Cause.MEMBER_LEFT, "a", "client", "/host", "x", "closing", 3, 4, 2, 25),
    )


def test_a_member_that_is_replaced_later_is_told_as_it_was() -> None:
    history = Rebalances()
    member = Member("a", "x", "client", "/host")
    history.begin(Cause.MEMBER_JOINED, member, "", 0, Now(0, 0))
    member.id = "b"
    history.end(Now(0, 1))
    assert history.ended()[0].member_id == "a"


def test_one_that_nobody_caused_names_nobody() -> None:
    history = Rebalances()
    history.begin(Cause.OVER_CAPACITY, None, "", 1, Now(0, 0))
    history.end(Now(0, 0))
    assert history.ended()[0][2:7] == ("", "", "", None, "")


def test_what_a_load_interrupted_is_not_known() -> None:
    history = Rebalances()
    history.reached(2, 1)
    history.end(Now(0, 0))
    assert history.ended() == ()


def test_only_the_last_are_kept() -> None:
    history = Rebalances()
    for generation in range(limits.REBALANCES_KEPT + 5):
        history.begin(Cause.LEADER_REJOINED, MEMBER, "", generation, Now(0, 0))
        history.end(Now(0, 0))
    kept = [each.from_generation for each in history.ended()]
    assert kept == list(range(5, limits.REBALANCES_KEPT + 5))
