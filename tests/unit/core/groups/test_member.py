"""A member: what it offers, what it is excused from, and what is stored of it."""

from dataclasses import replace

from app.core.coordinator import Ticket
from app.core.groups.member import Member
from app.core.groups.values import JoinProtocol, JoinRequest
from streambus.protocol.coordinator_records import MemberValue


def request(rebalance_timeout_ms: int = 60_000) -> JoinRequest:
    protocols = (JoinProtocol("range", b"r"), JoinProtocol("sticky", b"s"))
    return JoinRequest(
        "g", "a", "x", "client", "/host", "consumer", protocols, 10_000, rebalance_timeout_ms, "", 9
    )


def member() -> Member:
    made = Member("a", "x", "client", "/host")
    made.take(request())
    return made


def test_it_votes_for_what_it_likes_best_among_the_candidates() -> None:
    assert member().vote({"sticky", "range"}) == "range"
    assert member().vote({"sticky"}) == "sticky"


def test_each_protocol_has_its_own_metadata() -> None:
    assert member().metadata("sticky") == b"s"


def test_without_a_rebalance_timeout_the_session_is_it() -> None:
    """JoinGroup 0 has no other timeout."""
    old = member()
    old.take(request(rebalance_timeout_ms=-1))
    assert old.rebalance_timeout_ms == 10_000
    old.take(request(rebalance_timeout_ms=0))
    assert old.rebalance_timeout_ms == 0


def test_whoever_waits_for_us_is_excused_from_heartbeats() -> None:
    waiting = member()
    assert not waiting.is_excused
    waiting.joining = Ticket(1)
    assert waiting.is_excused
    waiting.joining, waiting.syncing = None, Ticket(1)
    assert waiting.is_excused


def test_a_new_member_is_not_excused_for_ever() -> None:
    waiting = member()
    waiting.joining, waiting.is_new = Ticket(1), True
    assert not waiting.is_excused


def test_a_stored_member_comes_back_with_what_was_chosen_of_its_offers() -> None:
    stored = member().value("sticky")
    assert stored == MemberValue("a", "x", "client", "/host", 60_000, 10_000, b"s", b"")
    back = Member.restored(stored, "sticky")
    assert back.protocols == (JoinProtocol("sticky", b"s"),)
    assert back.value("sticky") == stored


def test_a_member_stored_without_a_rebalance_timeout_has_that_of_its_session() -> None:
    stored = MemberValue("a", None, "client", "/host", -1, 10_000, b"", b"")
    assert Member.restored(stored, "range").rebalance_timeout_ms == 10_000
    at_once = replace(stored, rebalance_timeout_ms=0)
    assert Member.restored(at_once, "range").rebalance_timeout_ms == 0
