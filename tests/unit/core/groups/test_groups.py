"""The machine of one partition: commands that concern whole groups, records, and time."""

import pytest

from app import limits
from app.core.coordinator import Record, Ticket
from app.core.groups.groups import Groups
from app.core.groups.values import (
    GroupSettings,
    HeartbeatRequest,
    LeaveRequest,
    OffsetToCommit,
    SyncRequest,
    TopicToFetch,
)
from app.errors import Corrupt
from streambus.protocol.coordinator_records import (
    GroupKey,
    GroupValue,
    OffsetKey,
    OffsetValue,
    decode_offset_value,
    encode_key,
    encode_value,
)
from tests.property.groups_scene import DAY_MS, NAMES, WALL_MS, Scene, offers

ORDERS, BILLS = OffsetToCommit("orders", 0, 5), OffsetToCommit("bills", 0, 6)


def test_requests_without_a_group_id_are_refused() -> None:
    """semantics.md, Groups: INVALID_GROUP_ID."""
    scene = Scene()
    assert scene.code(scene.join(group="")) == "INVALID_GROUP_ID"
    assert scene.code(scene.sync("a", 1, "")) == "INVALID_GROUP_ID"
    assert scene.heartbeat("a", 1, "") == "INVALID_GROUP_ID"
    assert NAMES[scene.leave("a", group="").code] == "INVALID_GROUP_ID"
    assert NAMES[scene.delete_offsets(("orders", 0), group="").code] == "INVALID_GROUP_ID"


def test_offsets_may_be_committed_without_a_group_id() -> None:
    """As in Kafka, for clients of old; such a group can be deleted, too."""
    scene = Scene()
    assert scene.commit(ORDERS, group="").codes == (0,)
    assert scene.offset("orders", group="") == 5
    assert scene.delete_groups("") == ["ok"]


@pytest.mark.parametrize("session_ms", [5_999, 1_800_001, -1])
def test_a_session_timeout_out_of_bounds_is_refused(session_ms: int) -> None:
    """semantics.md, Groups: INVALID_SESSION_TIMEOUT."""
    scene = Scene()
    ticket = scene.join("a", session_ms=session_ms)
    assert scene.code(ticket) == "INVALID_SESSION_TIMEOUT"
    assert scene.reply(ticket).member_id == "a"
    assert scene.state() == "Dead"


@pytest.mark.parametrize("session_ms", [6_000, 1_800_000])
def test_a_session_timeout_at_the_bounds_is_not(session_ms: int) -> None:
    scene = Scene()
    assert scene.code(scene.join(session_ms=session_ms)) == "MEMBER_ID_REQUIRED"


def test_what_a_record_has_no_room_for_is_refused_before_anything_changes() -> None:
    long = "x" * (limits.GROUP_STRING_CHARACTERS_MAX + 1)
    scene = Scene()
    assert scene.code(scene.join(group=long)) == "INVALID_GROUP_ID"
    assert NAMES[scene.commit(ORDERS, group=long).code] == "INVALID_GROUP_ID"
    assert scene.code(scene.join(new=long)) == "INVALID_REQUEST"
    assert scene.code(scene.join(instance=long)) == "INVALID_REQUEST"
    assert scene.code(scene.join(kind=long)) == "INVALID_REQUEST"
    assert scene.code(scene.join(protocols=offers(long))) == "INVALID_REQUEST"
    many = offers(*map(str, range(limits.GROUP_PROTOCOLS_MAX + 1)))
    assert scene.code(scene.join(protocols=many)) == "INVALID_REQUEST"
    assert scene.groups.list_groups() == () and not scene.log
    assert scene.code(scene.join(group="h", protocols=many[1:])) == "MEMBER_ID_REQUIRED"
    fits = "\U0001f600" * limits.GROUP_STRING_CHARACTERS_MAX
    scene.stable("a", group=fits, instance=fits)
    scene.reload()
    assert scene.state(fits) == "Stable"


def test_a_coordinator_has_room_for_so_many_groups() -> None:
    scene = Scene(groups_max=1)
    scene.commit(ORDERS)
    assert NAMES[scene.commit(ORDERS, group="h").code] == "POLICY_VIOLATION"
    assert scene.code(scene.join(group="h")) == "POLICY_VIOLATION"
    assert scene.code(scene.join()) == "MEMBER_ID_REQUIRED"


def test_a_commit_says_which_of_its_offsets_it_took() -> None:
    """semantics.md, Groups: OFFSET_METADATA_TOO_LARGE."""
    scene = Scene()
    fits = ORDERS._replace(metadata="é" * limits.OFFSET_METADATA_CHARACTERS_MAX)
    large = BILLS._replace(metadata="x" * (limits.OFFSET_METADATA_CHARACTERS_MAX + 1))
    reply = scene.commit(fits, large)
    assert [NAMES[each] for each in reply.codes] == ["ok", "OFFSET_METADATA_TOO_LARGE"]
    assert (scene.offset("orders"), scene.offset("bills")) == (5, -1)


def test_a_commit_of_which_nothing_was_taken_makes_no_group() -> None:
    scene = Scene()
    scene.commit(ORDERS._replace(metadata="x" * 5_000))
    assert scene.state() == "Dead"


def test_an_offset_is_recorded_as_it_was_committed() -> None:
    scene = Scene()
    scene.advance(77)
    topic_id = b"0123456789abcdef"
    scene.commit(OffsetToCommit("orders", 3, 5, 7, "here", topic_id))
    assert scene.log == [
        Record(
            encode_key(OffsetKey("g", "orders", 3)),
            encode_value(OffsetValue(5, 7, "here", WALL_MS + 77, None, topic_id)),
        )
    ]


def test_a_retention_that_is_asked_for_is_recorded() -> None:
    scene = Scene()
    scene.commit(ORDERS, retention_ms=0)
    value = scene.log[0].value
    assert value is not None and decode_offset_value(value).expire_timestamp == WALL_MS


def test_fetching_gives_what_was_asked_in_its_order() -> None:
    scene = Scene()
    scene.commit(ORDERS, BILLS)
    asked = [TopicToFetch("bills", (1, 0)), TopicToFetch("orders", (0,))]
    found = scene.groups.fetch_offsets("g", asked)
    assert [(each.topic, each.partition, each.offset) for each in found] == [
        ("bills", 1, -1),
        ("bills", 0, 6),
        ("orders", 0, 5),
    ]
    assert scene.groups.fetch_offsets("unheard") == ()


@pytest.mark.parametrize("kind", ["consumer", "connect"])
def test_offsets_in_use_are_not_deleted(kind: str) -> None:
    """semantics.md, Groups: KIP-496 OffsetDelete."""
    scene = Scene()
    scene.stable("a", kind=kind)
    scene.commit(ORDERS, BILLS, member_id="a", generation=1)
    reply = scene.delete_offsets(("orders", 0), ("bills", 0), ("bills", 9))
    if kind == "connect":
        assert NAMES[reply.code] == "NON_EMPTY_GROUP"
        return
    assert [NAMES[each] for each in reply.codes] == ["GROUP_SUBSCRIBED_TO_TOPIC", "ok", "ok"]
    assert (scene.offset("orders"), scene.offset("bills")) == (5, -1)


def test_offsets_of_no_group_are_not_found() -> None:
    assert NAMES[Scene().delete_offsets(("orders", 0)).code] == "GROUP_ID_NOT_FOUND"


def test_a_topic_that_is_deleted_leaves_tombstones_in_every_group() -> None:
    """semantics.md, Groups: tombstones on topic delete."""
    scene = Scene()
    scene.commit(ORDERS, BILLS)
    scene.commit(ORDERS, group="h")
    decided = scene.topics_deleted("orders", "unheard")
    assert [each.value for each in decided.records] == [None, None]
    scene.reload()
    assert scene.groups.fetch_offsets("h") == ()
    assert (scene.offset("orders"), scene.offset("bills")) == (-1, 6)


def test_nothing_is_remembered_of_a_topic_that_is_deleted() -> None:
    scene = Scene()
    scene.commit(ORDERS, BILLS)
    scene.topics_deleted("orders")
    assert len(scene.groups._topics) == 1


def test_only_groups_without_members_are_deleted() -> None:
    scene = Scene()
    scene.commit(ORDERS)
    scene.stable("a", group="h")
    assert scene.delete_groups("g", "h", "g", "i") == [
        "ok",
        "NON_EMPTY_GROUP",
        "GROUP_ID_NOT_FOUND",
        "GROUP_ID_NOT_FOUND",
    ]
    scene.reload()
    assert [each.group_id for each in scene.groups.list_groups()] == ["h"]


def test_who_was_pending_in_a_group_that_is_deleted_is_forgotten() -> None:
    scene = Scene()
    scene.join(new="a")
    assert scene.delete_groups("g") == ["ok"]
    scene.join(new="b")
    scene.advance(9_000)
    assert scene.code(scene.join("a")) == "UNKNOWN_MEMBER_ID"
    assert scene.code(scene.join("b")) == "ok"


def test_groups_are_listed_by_state_and_kind() -> None:
    scene = Scene()
    scene.commit(ORDERS)
    scene.stable("a", group="h", kind="connect")
    listed = scene.groups.list_groups
    assert [tuple(map(str, each)) for each in listed()] == [
        ("g", "", "Empty", "classic"),
        ("h", "connect", "Stable", "classic"),
    ]
    assert [each.group_id for each in listed(["STABLE", "dead"])] == ["h"]
    assert [each.group_id for each in listed(["empty"], ["Classic"])] == ["g"]
    assert listed((), ["consumer"]) == () and listed(["Dead"]) == ()


def test_a_group_is_described_with_what_its_members_work_by() -> None:
    scene = Scene()
    scene.stable("a")
    described = scene.groups.describe("g")
    assert (described.code, described.protocol_type, described.protocol) == (0, "consumer", "range")
    member = described.members[0]
    assert (member.client_id, member.client_host) == ("client-a", "/127.0.0.1")
    assert (member.metadata, member.assignment) == (offers("range")[0].metadata, b"for-a")
    scene.enter("b")
    described = scene.groups.describe("g")
    assert described.protocol == "" and [each.metadata for each in described.members] == [b"", b""]


def test_a_group_that_does_not_exist_is_dead() -> None:
    described = Scene().groups.describe("g")
    assert (NAMES[described.code], described.state) == ("GROUP_ID_NOT_FOUND", "Dead")
    assert Scene().groups.rebalances("g") == ()


def test_a_group_expires_with_its_last_offset() -> None:
    """semantics.md, Groups: offset expiry (KIP-211)."""
    scene = Scene(offsets_retention_ms=DAY_MS)
    scene.stable("a")
    scene.commit(ORDERS, member_id="a", generation=1)
    scene.advance(9_000)
    scene.leave("a")
    scene.advance(DAY_MS - 1_000)
    assert scene.offset("orders") == 5
    decided = scene.advance(1_000_000)
    assert [each.value for each in decided.records] == [None, None]
    assert scene.state() == "Dead"


def test_a_group_that_somebody_is_about_to_join_does_not_expire() -> None:
    scene = Scene()
    scene.advance(595_000)
    scene.join(new="a")
    scene.advance(9_000)
    assert scene.code(scene.join("a")) == "ok"


def test_expiry_is_looked_for_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OFFSETS_EXPIRED_PER_TURN", 10)
    scene = Scene(offsets_retention_ms=1_000)
    for number in range(20):
        scene.commit(ORDERS, BILLS, group=f"g{number}")
    scene.advance(599_999)
    assert scene.groups.due_ms() == 600_000
    scene.ms = 600_000
    turns = 0
    while scene.groups.list_groups():
        left = len(scene.groups.list_groups())
        scene.take(scene.groups.tick(scene.now))
        assert left - 5 <= len(scene.groups.list_groups()) < left
        due = scene.groups.due_ms()
        assert due is not None
        scene.ms, turns = due, turns + 1
    assert turns == 5
    assert scene.ms == 600_000 + 4 + 600_000


def test_a_group_that_is_deleted_during_a_round_of_expiry_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "OFFSETS_EXPIRED_PER_TURN", 1)
    scene = Scene()
    for number in range(3):
        scene.commit(ORDERS, group=f"g{number}")
    scene.advance(600_000)
    scene.delete_groups("g0", "g1", "g2")
    scene.advance(600_000)
    assert scene.groups.list_groups() == ()


def test_a_loaded_group_gives_its_members_a_full_session() -> None:
    scene = Scene()
    scene.stable("a", session_ms=20_000)
    scene.advance(19_000)
    scene.reload()
    scene.advance(19_999)
    assert scene.members() == ["a"]
    scene.advance(1)
    assert scene.members() == []


def test_a_group_that_is_over_capacity_when_it_is_loaded_calls_its_members() -> None:
    scene = Scene()
    scene.stable("a", "b")
    small = Scene(members_max=1)
    small.log = scene.log
    small.reload()
    assert small.state() == "PreparingRebalance"
    assert small.heartbeat("a", 2) == "REBALANCE_IN_PROGRESS"


def test_records_of_other_machines_survive_a_save() -> None:
    groups = Groups(GroupSettings())
    newer = Record(b"\x00\x09whatever", b"value")
    groups.replay(newer)
    groups.replay(Record(b"\x00\x0awhatever", b"value"))
    groups.replay(Record(b"\x00\x0awhatever", None))
    groups.replay(Record(b"\x00\x0bnever", None))
    assert list(groups.save()) == [newer]


@pytest.mark.parametrize(
    "record",
    [
        Record(b"\x00", b""),
        Record(b"\x00\x01\x00\x05g", b""),
        Record(encode_key(GroupKey("g")), b"\x00\x63"),
        Record(encode_key(GroupKey("g")), b"\x00\x03\x00"),
    ],
)
def test_bytes_that_are_no_record_are_corrupt(record: Record) -> None:
    with pytest.raises(Corrupt, match="record of a group"):
        Groups(GroupSettings()).replay(record)


def test_a_tombstone_of_a_group_takes_its_members_and_leaves_its_offsets() -> None:
    scene = Scene()
    scene.stable("a")
    scene.commit(ORDERS, member_id="a", generation=1)
    groups = Groups(GroupSettings())
    for record in [*scene.log, Record(encode_key(GroupKey("g")), None)]:
        groups.replay(record)
    assert groups.describe("g").members == ()
    assert groups.fetch_offsets("g")[0].offset == 5
    groups.replay(Record(encode_key(OffsetKey("g", "orders", 0)), None))
    assert groups.list_groups() == ()
    for key in (GroupKey("g"), OffsetKey("g", "orders", 0)):
        groups.replay(Record(encode_key(key), None))
    assert groups.list_groups() == ()


def test_members_of_versions_of_old_are_loaded() -> None:
    groups = Groups(GroupSettings())
    value = bytes.fromhex("0000 0008") + b"consumer" + bytes.fromhex("00000007 0005")
    value += b"range" + bytes.fromhex("0001") + b"a" + bytes.fromhex("00000001 0001") + b"a"
    value += bytes.fromhex("0001") + b"c" + bytes.fromhex("0001") + b"h"
    value += bytes.fromhex("00002710 00000001 73 00000001 61")
    groups.replay(Record(encode_key(GroupKey("g")), value))
    described = groups.describe("g")
    assert (described.state, described.generation) == ("Stable", 7)
    assert described.members[0].assignment == b"a"


def test_what_is_saved_while_commands_go_on_loads_from_where_it_began() -> None:
    scene = Scene()
    for number in range(3):
        scene.commit(ORDERS, BILLS, group=f"g{number}")
    start = len(scene.log)
    saving = scene.groups.save()
    scene.log.append(next(saving))
    scene.delete_groups("g0", "g1")
    scene.commit(ORDERS._replace(offset=9), group="g2")
    scene.commit(ORDERS, group="g3")
    scene.log.append(next(saving))
    scene.commit(BILLS._replace(offset=9), group="g2")
    scene.log += saving
    scene.commit(ORDERS, group="g1")
    scene.log = scene.log[start:]
    scene.reload()
    listed = [each.group_id for each in scene.groups.list_groups()]
    assert sorted(listed) == ["g1", "g2", "g3"]
    assert (scene.offset("orders", group="g2"), scene.offset("bills", group="g2")) == (9, 9)


def test_an_empty_record_of_a_group_is_of_the_one_that_has_just_been_made() -> None:
    scene = Scene()
    scene.join(new="a")
    assert scene.log == [
        Record(encode_key(GroupKey("g")), encode_value(GroupValue("", 0, None, None, WALL_MS, ())))
    ]


def test_requests_to_a_group_that_does_not_exist_make_none() -> None:
    groups = Groups(GroupSettings())
    now = Scene().now
    groups.heartbeat(Ticket(1), HeartbeatRequest("g", "a", None, 1), now)
    groups.sync(Ticket(2), SyncRequest("g", "a", None, 1, None, None, {}), now)
    groups.leave(Ticket(3), LeaveRequest("g", ()), now)
    groups.cancel(Ticket(9))
    assert groups.list_groups() == () and groups.due_ms() is None
