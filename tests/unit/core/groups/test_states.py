"""States. That a group never takes another way is asserted by the group itself: test_group.py."""

from app.core.groups.states import LEGAL, LOADED, State


def test_every_state_can_be_reached_from_the_first() -> None:
    reached = {State.EMPTY}
    for _ in State:
        reached |= {to for (since, to) in LEGAL if since in reached}
    assert reached == set(State)


def test_nothing_comes_back_from_the_dead() -> None:
    assert not [since for (since, _) in LEGAL if since is State.DEAD]


def test_a_generation_begins_only_by_calling_everybody() -> None:
    assert {since for (since, to) in LEGAL if to is State.COMPLETING} == {State.PREPARING}
    assert {since for (since, to) in LEGAL if to is State.STABLE} == {State.COMPLETING}


def test_every_way_says_why_it_is_taken() -> None:
    assert all(LEGAL.values())
    assert not set(LOADED) & {State.PREPARING, State.COMPLETING, State.DEAD}


def test_states_are_spelled_as_kafka_spells_them() -> None:
    assert [*map(str, State)] == [
        "Empty",
        "PreparingRebalance",
        "CompletingRebalance",
        "Stable",
        "Dead",
    ]
