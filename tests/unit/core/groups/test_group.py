"""A group's members and generations, and what is stored of them."""

import pytest

from app.core.coordinator import Ticket
from app.core.groups.group import UNKNOWN_SINCE, Group
from app.core.groups.member import Member
from app.core.groups.offsets import Topics
from app.core.groups.states import LEGAL, State
from app.core.groups.values import JoinProtocol
from app.errors import FencedInstanceId, UnknownMemberId
from streambus.protocol.coordinator_records import GroupValue, MemberValue
from tests.property.groups_scene import offers, subscription


def member(
    name: str, *protocols: str, instance: str | None = None, topic: str = "orders"
) -> Member:
    made = Member(name, instance, f"client-{name}", "/host")
    made.protocols = offers(*(protocols or ("range",)), topics=(topic,))
    made.rebalance_timeout_ms, made.session_timeout_ms = 60_000, 10_000
    return made


def called(*members: Member) -> Group:
    """A group that prepares a generation, and in which all of `members` wait for it."""
    group = Group("g", 0, Topics())
    group.transit(State.PREPARING, 0)
    for number, each in enumerate(members):
        group.add(each, "consumer")
        group.joined(each, Ticket(number))
    return group


@pytest.mark.parametrize("since", State)
@pytest.mark.parametrize("to", State)
def test_only_legal_ways_are_taken(since: State, to: State) -> None:
    group = Group("g", 0, Topics())
    group.state = since
    if (since, to) in LEGAL:
        group.transit(to, 7)
        assert (group.state, group.state_since_ms) == (to, 7)
    else:
        with pytest.raises(AssertionError, match=f"{since} to {to}"):
            group.transit(to, 7)


def test_the_first_member_leads_and_sets_the_type() -> None:
    group = called(member("a"), member("b"))
    assert (group.leader, group.protocol_type) == ("a", "consumer")


def test_the_member_of_longest_standing_follows_a_leader_that_goes() -> None:
    a, b, c = member("a"), member("b"), member("c")
    group = called(a, b, c)
    group.remove(b)
    group.remove(a)
    assert group.leader == "c"
    group.remove(c)
    assert group.leader is None


def test_a_leader_that_did_not_join_is_followed_by_the_first_who_did() -> None:
    a, b, c = member("a"), member("b"), member("c")
    group = called(a, b, c)
    group.joined(a, None)
    group.joined(b, None)
    assert group.elect() and group.leader == "c"
    group.joined(c, None)
    assert not group.elect()
    assert group.leader == "c"


def test_all_have_joined_when_nobody_is_missing_or_pending() -> None:
    a, b = member("a"), member("b")
    group = called(a, b)
    assert group.has_all_joined
    group.joined(b, Ticket(9))  # once more: it still counts once
    assert group.has_all_joined
    group.joined(b, None)
    assert not group.has_all_joined
    group.remove(b)
    assert group.has_all_joined
    group.pending["c"] = None
    assert not group.has_all_joined


def test_the_slowest_member_decides_how_long_all_wait() -> None:
    slow = member("b")
    slow.rebalance_timeout_ms = 90_000
    assert called(member("a"), slow).rebalance_timeout_ms == 90_000
    assert called().rebalance_timeout_ms == 0


def test_a_generation_chooses_what_most_vote_for() -> None:
    group = called(member("a", "range", "sticky"), member("b", "sticky", "range"))
    group.next_generation(5)
    assert (group.generation, group.protocol, group.state) == (1, "range", State.COMPLETING)
    assert list(group.unsynced) == ["a", "b"]


def test_a_generation_without_members_is_empty() -> None:
    a = member("a")
    group = called(a)
    group.remove(a)
    group.next_generation(5)
    assert (group.generation, group.protocol, group.state) == (1, None, State.EMPTY)
    assert group.protocol_type == "consumer"
    assert not group.subscribes("orders")


def test_a_group_subscribes_to_what_any_of_its_members_does() -> None:
    group = called(member("a"), member("b", topic="bills"))
    group.next_generation(5)
    assert group.subscribes("orders") and group.subscribes("bills")
    assert not group.subscribes("others")


def test_consumers_that_we_cannot_read_subscribe_to_everything() -> None:
    strange = member("b")
    strange.protocols = (JoinProtocol("range", b"?"),)
    group = called(member("a"), strange)
    group.next_generation(5)
    assert group.subscribes("others")


def test_what_a_member_says_of_itself_is_checked_instance_first() -> None:
    """semantics.md, Groups: FENCED_INSTANCE_ID and UNKNOWN_MEMBER_ID are chosen exactly."""
    group = called(member("a", instance="x"), member("b"))
    assert group.refuses("a", "x") == 0
    assert group.refuses("a", None) == 0
    assert group.refuses("b", "x") == FencedInstanceId.code
    assert group.refuses("nobody", "x") == FencedInstanceId.code
    assert group.refuses("a", "y") == UnknownMemberId.code
    assert group.refuses("nobody", None) == UnknownMemberId.code


def test_a_static_member_that_comes_back_is_the_same_member() -> None:
    a = member("a", instance="x")
    a.assignment = b"mine"
    group = called(a, member("b"))
    group.joined(a, None)
    group.replace(a, "a2")
    assert list(group.members) == ["b", "a2"] and group.leader == "a2"
    assert group.members["a2"].assignment == b"mine"
    assert group.refuses("a", "x") == FencedInstanceId.code
    assert group.votes.candidates(2) == {"range"}


def test_an_empty_group_takes_any_type_but_none() -> None:
    group = Group("g", 0, Topics())
    assert group.supports("anything", offers("range"))
    assert not group.supports("", offers("range"))
    assert not group.supports("anything", ())
    assert not called(member("a")).supports("other", offers("range"))
    assert not called(member("a")).supports("consumer", offers("sticky"))
    assert called(member("a")).supports("consumer", offers("sticky", "range"))


STORED = GroupValue(
    "consumer",
    3,
    "range",
    "b",
    77,
    (
        MemberValue("a", "x", "client-a", "/h", 60_000, 10_000, subscription("orders"), b"1"),
        MemberValue("b", None, "client-b", "/h", 60_000, 10_000, subscription("bills"), b"2"),
    ),
)


def test_what_was_stored_is_stable_and_stored_alike() -> None:
    group = Group("g", 0, Topics())
    group.restore(STORED)
    assert group.state is State.STABLE
    assert group.value() == STORED
    assert group.refuses("a", "x") == 0 and group.subscribes("bills")


def test_a_stored_group_without_members_is_empty() -> None:
    group = Group("g", 0, Topics())
    stored = GroupValue("consumer", 3, None, None, 77, ())
    group.restore(stored)
    assert group.state is State.EMPTY
    assert group.value() == stored


def test_a_stored_leader_that_is_no_member_is_followed_by_one_that_is() -> None:
    group = Group("g", 0, Topics())
    group.restore(GroupValue("consumer", 3, "range", "gone", 77, STORED.members))
    assert group.leader == "a"


def test_a_tombstone_leaves_only_offsets() -> None:
    group = Group("g", 0, Topics())
    group.restore(STORED)
    group.offsets.put(("orders", 0), b"")
    group.forget_members()
    assert not group.members and group.state is State.EMPTY and group.protocol_type is None
    assert group.state_since_ms == UNKNOWN_SINCE and len(group.offsets) == 1
