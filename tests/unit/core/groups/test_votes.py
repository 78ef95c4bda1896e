"""semantics.md, Groups: protocol selection by votes."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.groups.values import JoinProtocol
from app.core.groups.votes import Votes, winner


def offers(*names: str) -> tuple[JoinProtocol, ...]:
    return tuple(JoinProtocol(name, b"") for name in names)


def test_candidates_are_supported_by_all() -> None:
    votes = Votes()
    votes.add(offers("range", "sticky"))
    votes.add(offers("sticky", "odd"))
    assert votes.candidates(2) == {"sticky"}
    assert votes.has_common(offers("odd", "sticky"), 2)
    assert not votes.has_common(offers("odd", "range"), 2)


def test_whoever_goes_takes_its_support_along() -> None:
    votes = Votes()
    votes.add(offers("range"))
    votes.add(offers("sticky"))
    votes.withdraw(offers("sticky"))
    assert votes.candidates(1) == {"range"}


def test_a_name_that_is_offered_twice_counts_once() -> None:
    votes = Votes()
    votes.add(offers("range", "range"))
    assert votes.candidates(1) == {"range"} and not votes.candidates(2)
    votes.withdraw(offers("range", "range"))
    assert votes.candidates(1) == frozenset()


def test_the_most_votes_win_and_of_equals_the_first() -> None:
    assert winner(["a", "b", "b"]) == "b"
    assert winner(["b", "a", "a", "b"]) == "b"


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=6), st.data())
def test_support_is_what_is_left_of_all_who_came_and_went(
    all_offers: list[list[str]], data: st.DataObject
) -> None:
    votes = Votes()
    stayed = []
    for names in all_offers:
        votes.add(offers(*names))
        stayed.append(names)
        if data.draw(st.booleans()):
            votes.withdraw(offers(*stayed.pop(0)))
    if stayed:
        common = set.intersection(*map(set, stayed))
        assert votes.candidates(len(stayed)) == common
