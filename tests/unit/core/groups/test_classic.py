"""semantics.md, Groups: which code a member gets, in every state, for everything that it may ask.

"REBALANCE_IN_PROGRESS vs ILLEGAL_GENERATION vs UNKNOWN_MEMBER_ID chosen exactly": clients retry,
ask again, or start anew by it.
"""

import pytest

from app import limits
from app.core.groups.values import LeavingMember, OffsetToCommit
from tests.property.groups_scene import NAMES, Scene, offers

OFFSET = OffsetToCommit("orders", 0, 5)


def scene_in(state: str) -> Scene:
    """A group with the static member `a` (instance `x`), who leads, and `b`."""
    scene = Scene()
    if state == "Dead":
        return scene
    scene.join(new="a", instance="x")
    scene.enter("b")
    if state == "PreparingRebalance":
        return scene
    scene.join("a", instance="x")
    if state == "CompletingRebalance":
        return scene
    scene.sync("a", 2, instance="x", a="1", b="2")
    scene.sync("b", 2)
    if state == "Empty":
        scene.leave("a", "b")
    return scene


ALL = ("Dead", "Empty", "PreparingRebalance", "CompletingRebalance", "Stable")


@pytest.mark.parametrize("state", ALL)
def test_the_scenes_are_what_they_say(state: str) -> None:
    assert scene_in(state).state() == state


@pytest.mark.parametrize(
    ("state", "known", "old_generation", "stranger"),
    [
        ("Dead", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        ("Empty", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        ("PreparingRebalance", "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"),
        ("CompletingRebalance", "ok", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"),
        ("Stable", "ok", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"),
    ],
)
def test_a_heartbeat_is_answered_exactly(
    state: str, known: str, old_generation: str, stranger: str
) -> None:
    scene = scene_in(state)
    generation = scene.generation()
    assert scene.heartbeat("a", generation, instance="x") == known
    assert scene.heartbeat("a", generation) == known
    assert scene.heartbeat("a", generation - 1) == old_generation
    assert scene.heartbeat("a", generation + 1) == old_generation
    assert scene.heartbeat("z", generation) == stranger


@pytest.mark.parametrize(
    ("state", "known", "old_generation", "stranger", "nobody"),
    [
        ("Dead", "GROUP_ID_NOT_FOUND", "GROUP_ID_NOT_FOUND", "GROUP_ID_NOT_FOUND", "ok"),
        ("Empty", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "ok"),
        (
            "PreparingRebalance",
            "ok",
            "ILLEGAL_GENERATION",
            "UNKNOWN_MEMBER_ID",
            "UNKNOWN_MEMBER_ID",
        ),
        (
            "CompletingRebalance",
            "REBALANCE_IN_PROGRESS",
            "ILLEGAL_GENERATION",
            "UNKNOWN_MEMBER_ID",
            "UNKNOWN_MEMBER_ID",
        ),
        ("Stable", "ok", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
    ],
)
def test_a_commit_is_answered_exactly(
    state: str, known: str, old_generation: str, stranger: str, nobody: str
) -> None:
    scene = scene_in(state)
    generation = scene.generation()

    def commit(member_id: str, generation: int, instance: str | None = None) -> str:
        reply = scene.commit(OFFSET, member_id=member_id, generation=generation, instance=instance)
        return NAMES[reply.code]

    assert commit("a", generation, "x") == known
    assert commit("b", generation) == known
    assert commit("b", generation + 1) == old_generation
    assert commit("z", generation) == stranger
    assert commit("", -1) == nobody


def test_a_commit_that_names_an_instance_is_not_anonymous() -> None:
    scene = scene_in("Stable")
    assert NAMES[scene.commit(OFFSET, instance="y").code] == "UNKNOWN_MEMBER_ID"
    assert NAMES[scene.commit(OFFSET, instance="x").code] == "FENCED_INSTANCE_ID"
    assert NAMES[scene.commit(OFFSET, member_id="a", instance="x").code] == "ILLEGAL_GENERATION"


def test_a_generation_of_zero_is_a_generation() -> None:
    scene = Scene()
    scene.join(new="a")
    assert scene.state() == "Empty" and scene.generation() == 0
    assert NAMES[scene.commit(OFFSET, generation=0).code] == "UNKNOWN_MEMBER_ID"
    assert NAMES[scene.commit(OFFSET, generation=-1).code] == "ok"


def test_before_version_9_a_commit_to_no_group_is_an_illegal_generation() -> None:
    scene = Scene()
    assert NAMES[scene.commit(OFFSET, generation=0, version=8).code] == "ILLEGAL_GENERATION"
    assert NAMES[scene.commit(OFFSET, generation=0, version=9).code] == "GROUP_ID_NOT_FOUND"


@pytest.mark.parametrize("state", ["PreparingRebalance", "Stable"])
def test_a_commit_keeps_the_session(state: str) -> None:
    scene = scene_in(state)
    generation = scene.generation()
    scene.advance(9_000)
    scene.commit(OFFSET, member_id="a", generation=generation)
    scene.advance(9_000)
    assert "a" in scene.members()


@pytest.mark.parametrize(
    ("state", "known", "old_generation", "stranger"),
    [
        ("Dead", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        ("Empty", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        ("PreparingRebalance", "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"),
        ("CompletingRebalance", "waits", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"),
        ("Stable", "ok", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"),
    ],
)
def test_a_sync_is_answered_exactly(
    state: str, known: str, old_generation: str, stranger: str
) -> None:
    scene = scene_in(state)
    generation = scene.generation()
    assert scene.code(scene.sync("b", generation - 1)) == old_generation
    assert scene.code(scene.sync("z", generation)) == stranger
    ticket = scene.sync("b", generation)
    assert ("waits" if scene.waits(ticket) else scene.code(ticket)) == known


@pytest.mark.parametrize("state", ["CompletingRebalance", "Stable"])
def test_a_sync_for_another_protocol_is_inconsistent(state: str) -> None:
    scene = scene_in(state)
    inconsistent = "INCONSISTENT_GROUP_PROTOCOL"
    assert scene.code(scene.sync("a", 2, protocol="sticky", instance="x")) == inconsistent
    assert scene.code(scene.sync("a", 2, kind="connect", instance="x")) == inconsistent
    # Before version 5 it does not say.
    assert scene.code(scene.sync("a", 2, protocol=None, kind=None, instance="x")) == "ok"


@pytest.mark.parametrize(
    ("state", "follower", "leader", "changed", "stranger"),
    [
        ("Dead", *["UNKNOWN_MEMBER_ID"] * 4),
        ("Empty", *["UNKNOWN_MEMBER_ID"] * 4),
        ("CompletingRebalance", "ok", "ok", "waits", "UNKNOWN_MEMBER_ID"),
        ("Stable", "ok", "waits", "waits", "UNKNOWN_MEMBER_ID"),
    ],
)
def test_a_member_that_joins_again_is_answered_exactly(
    state: str, follower: str, leader: str, changed: str, stranger: str
) -> None:
    def outcome(member_id: str, *protocols: str, instance: str | None = None) -> str:
        scene = scene_in(state)
        ticket = scene.join(member_id, protocols=offers(*protocols), instance=instance)
        return "waits" if scene.waits(ticket) else scene.code(ticket)

    assert outcome("b", "range") == follower
    assert outcome("a", "range", instance="x") == leader
    assert outcome("b", "range", "sticky") == changed
    assert outcome("z", "range") == stranger


def test_a_pending_member_that_claims_an_instance_is_not_known() -> None:
    scene = Scene()
    scene.join(new="a")
    assert scene.code(scene.join("a", instance="x")) == "UNKNOWN_MEMBER_ID"


def test_a_member_id_is_required_only_where_a_client_can_be_told() -> None:
    """semantics.md, Groups: MEMBER_ID_REQUIRED (KIP-394)."""
    for version, code in ((3, "ok"), (4, "MEMBER_ID_REQUIRED")):
        scene = Scene()
        assert scene.code(scene.join(new="a", version=version)) == code
    assert scene.members() == []


def test_those_who_never_come_back_with_their_id_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "GROUP_PENDING_MEMBERS_MAX", 2)
    scene = Scene()
    codes = [scene.code(scene.join(new=name)) for name in "abc"]
    assert codes == ["MEMBER_ID_REQUIRED", "MEMBER_ID_REQUIRED", "GROUP_MAX_SIZE_REACHED"]
    scene.advance(10_000)
    assert scene.code(scene.join(new="c")) == "MEMBER_ID_REQUIRED"


def test_nothing_that_two_versions_of_a_consumer_say_is_lost_on_the_way_to_the_leader() -> None:
    """semantics.md, Groups: KIP-429 and KIP-792 need metadata passed through as it is."""
    scene = Scene()
    owned = offers("cooperative-sticky")[0]._replace(metadata=b"\x00\x03 owned, generation 7")
    scene.stable("a", protocols=(owned,))
    scene.enter("b", protocols=(owned,))
    reply = scene.reply(scene.join("a", protocols=(owned,)))
    assert [each.metadata for each in reply.members] == [owned.metadata] * 2
    assert scene.groups.describe("g").protocol_type == "consumer"


def test_a_static_leader_that_restarts_skips_the_assignment() -> None:
    """semantics.md, Groups: JoinGroup v9 SkipAssignment."""
    scene = scene_in("Stable")
    reply = scene.reply(scene.join("", new="a2", instance="x"))
    assert reply.skip_assignment and reply.leader == "a2"
    assert {each.member_id for each in reply.members} == {"a2", "b"}
    older = scene.reply(scene.join("", new="a3", instance="x", version=8))
    assert not older.skip_assignment and older.leader == "a2" and older.members == ()
    assert scene.state() == "Stable"


def test_a_static_member_shows_where_it_runs_now() -> None:
    scene = scene_in("Stable")
    scene.join("", new="a2", instance="x")
    described = {each.member_id: each.client_id for each in scene.groups.describe("g").members}
    assert described["a2"] == "client-a2"


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance", "Stable"])
def test_who_was_replaced_is_fenced_in_every_request(state: str) -> None:
    """semantics.md, Groups: FENCED_INSTANCE_ID."""
    scene = scene_in(state)
    generation = scene.generation()
    scene.join("", new="a2", instance="x")
    fenced = "FENCED_INSTANCE_ID"
    assert scene.heartbeat("a", generation, instance="x") == fenced
    assert scene.code(scene.sync("a", generation, instance="x")) == fenced
    assert scene.code(scene.join("a", instance="x")) == fenced
    committed = scene.commit(OFFSET, member_id="a", generation=generation, instance="x")
    assert NAMES[committed.code] == fenced
    left = scene.leave(LeavingMember("a", "x"))
    assert [NAMES[each.code] for each in left.members] == [fenced]
    assert "a2" in scene.members()


def test_several_leave_at_once_with_one_rebalance() -> None:
    scene = scene_in("Stable")
    reply = scene.leave(
        LeavingMember("b"), LeavingMember("b"), LeavingMember("", "x"), LeavingMember("", "y")
    )
    assert [NAMES[each.code] for each in reply.members] == [
        "ok",
        "UNKNOWN_MEMBER_ID",
        "ok",
        "UNKNOWN_MEMBER_ID",
    ]
    assert [each.instance_id for each in reply.members] == [None, None, "x", "y"]
    assert scene.state() == "Empty" and scene.generation() == 3


@pytest.mark.parametrize("state", ["Dead", "Empty"])
def test_nobody_can_leave_a_group_that_has_no_members(state: str) -> None:
    reply = scene_in(state).leave(LeavingMember("a"), LeavingMember("", "x"))
    assert reply.code == 0
    assert {NAMES[each.code] for each in reply.members} == {"UNKNOWN_MEMBER_ID"}


def test_leaving_in_vain_disturbs_nobody() -> None:
    scene = scene_in("Stable")
    scene.leave("z")
    assert scene.state() == "Stable"


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance", "Stable"])
def test_a_full_group_takes_members_but_no_more(state: str) -> None:
    """semantics.md, Groups: GROUP_MAX_SIZE_REACHED."""
    scene = scene_in(state)
    full = Scene(members_max=2)
    full.log = scene.log
    if state == "Stable":
        full.reload()
    else:
        full.join(new="a", instance="x")
        full.enter("b")
        if state == "CompletingRebalance":
            full.join("a", instance="x")
    if state == "PreparingRebalance":
        assert full.code(full.join(new="c")) == "MEMBER_ID_REQUIRED"
        waiting = full.join("c")
        assert full.waits(waiting)
        # b and c have joined: two, so that the leader of before is one too many.
        assert full.code(full.join("a", instance="x")) == "GROUP_MAX_SIZE_REACHED"
        assert full.members() == ["b", "c"]
        assert full.code(waiting) == "ok"
        return
    assert full.code(full.join(new="c")) == "GROUP_MAX_SIZE_REACHED"
    assert full.code(full.join("b")) == "ok"
    assert full.members() == ["a", "b"]


def test_nobody_waits_for_a_pending_member_that_is_one_too_many() -> None:
    scene = Scene(members_max=1)
    scene.join(new="b")
    scene.enter("a")
    scene.sync("a", 1)
    waiting = scene.join("a")
    assert scene.waits(waiting)
    assert scene.code(scene.join("b")) == "GROUP_MAX_SIZE_REACHED"
    assert scene.reply(waiting).generation == 2
    assert scene.code(scene.join("b")) == "GROUP_MAX_SIZE_REACHED"


def test_while_members_are_called_the_last_that_each_offered_counts() -> None:
    scene = Scene()
    generation = scene.stable("a", "b")
    scene.join("a", protocols=offers("range"))
    scene.join("a", protocols=offers("sticky", "range"))
    reply = scene.reply(scene.join("b", protocols=offers("sticky", "range")))
    assert (reply.generation, reply.protocol) == (generation + 1, "sticky")


def test_a_member_that_offers_something_else_is_assigned_by_that() -> None:
    scene = Scene()
    scene.stable("a", "b")
    scene.join("b", protocols=offers("range", topics=("bills",)))
    members = scene.reply(scene.join("a")).members
    assert {each.member_id: each.metadata for each in members} == {
        "a": offers("range")[0].metadata,
        "b": offers("range", topics=("bills",))[0].metadata,
    }


def test_the_time_that_a_member_gives_itself_counts_from_when_it_joins_again() -> None:
    scene = Scene()
    generation = scene.stable("a", session_ms=10_000)
    scene.join("a", session_ms=30_000, rebalance_ms=90_000)
    scene.sync("a", generation + 1)
    scene.advance(29_999)
    assert scene.members() == ["a"]
    scene.advance(1)
    assert scene.members() == []


def test_a_static_member_that_came_back_has_a_session_of_its_own() -> None:
    scene = Scene()
    scene.stable("a", instance="x")
    scene.advance(9_000)
    scene.join("", new="a2", instance="x")
    scene.advance(9_999)
    assert scene.members() == ["a2"]
    scene.advance(1)
    assert scene.members() == []
