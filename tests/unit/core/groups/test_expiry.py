"""semantics.md, Groups: offset expiry only after the group is Empty, standalone by last commit."""

from app.core.coordinator import Ticket
from app.core.groups.expiry import Since, expired, since
from app.core.groups.group import UNKNOWN_SINCE, Group
from app.core.groups.member import Member
from app.core.groups.offsets import Topics
from app.core.groups.states import State
from app.core.groups.values import JoinProtocol
from streambus.protocol.coordinator_records import GroupValue, OffsetValue, encode_value
from tests.property.groups_scene import subscription

RETENTION_MS = 1_000
OLD, NEW = ("orders", 0), ("orders", 1)


def group(kind: str | None = None, *topics: str, metadata: bytes | None = None) -> Group:
    """With members if it subscribes to anything."""
    made = Group("g", 5_000, Topics())
    made.restore(GroupValue(kind or "", 1, None, None, 5_000, ()))
    if topics or metadata is not None:
        member = Member("a", None, "client", "/host")
        offered = subscription(*topics) if metadata is None else metadata
        member.protocols = (JoinProtocol("range", offered),)
        made.add(member, kind or "consumer")
        made.transit(State.PREPARING, 5_000)
        made.joined(member, Ticket(1))
        made.next_generation(5_000)
        made.transit(State.STABLE, 5_000)
    made.offsets.put(OLD, encode_value(OffsetValue(1, -1, "", 4_000)))
    made.offsets.put(NEW, encode_value(OffsetValue(1, -1, "", 4_500)))
    return made


def test_those_of_a_simple_group_by_their_last_commit() -> None:
    assert since(group()) is Since.COMMITTED
    assert expired(group(), 4_999, RETENTION_MS) == []
    assert expired(group(), 5_000, RETENTION_MS) == [OLD]
    assert expired(group(), 5_500, RETENTION_MS) == [OLD, NEW]


def test_those_of_an_empty_group_together() -> None:
    assert since(group("consumer")) is Since.EMPTY
    assert expired(group("consumer"), 5_999, RETENTION_MS) == []
    assert expired(group("consumer"), 6_000, RETENTION_MS) == [OLD, NEW]


def test_a_group_that_does_not_know_since_when_goes_by_commits() -> None:
    """Records of Kafka before 2.1 do not say it."""
    unknown = group("consumer")
    unknown.state_since_ms = UNKNOWN_SINCE
    assert expired(unknown, 5_000, RETENTION_MS) == [OLD]


def test_a_stable_group_keeps_what_it_subscribes_to() -> None:
    assert expired(group("consumer", "orders"), 9_000, RETENTION_MS) == []
    assert expired(group("consumer", "bills"), 9_000, RETENTION_MS) == [OLD, NEW]


def test_nothing_expires_of_a_group_whose_members_we_cannot_read() -> None:
    assert since(group("connect", "orders")) is Since.NEVER
    assert since(group("consumer", metadata=b"\x00")) is Since.NEVER
    assert expired(group("connect", "bills"), 9_000, RETENTION_MS) == []


def test_nothing_expires_while_members_are_called() -> None:
    called = group("consumer", "bills")
    called.transit(State.PREPARING, 5_000)
    assert expired(called, 9_000, RETENTION_MS) == []


def test_an_expiry_that_was_asked_for_decides_alone() -> None:
    asked = group()
    asked.offsets.put(OLD, encode_value(OffsetValue(1, -1, "", 4_000, 20_000)))
    asked.offsets.put(NEW, encode_value(OffsetValue(1, -1, "", 4_500, 4_600)))
    assert expired(asked, 4_600, RETENTION_MS) == [NEW]
    assert expired(asked, 19_999, RETENTION_MS) == [NEW]
    assert expired(asked, 20_000, RETENTION_MS) == [OLD, NEW]
