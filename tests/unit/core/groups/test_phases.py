"""Phases of a rebalance, seen from a whole machine: what waits, for how long, and what is stored.

Their exact traces are in tests/transcripts/groups.
"""

from typing import Any

import pytest

from app import limits
from tests.property.groups_scene import REBALANCE_MS, SESSION_MS, Scene


def heartbeats(scene: Scene, ms: int, **generations: int) -> None:
    """Time passes while these members, by name, are heard of in their generations."""
    until = scene.ms + ms
    while scene.ms < until:
        scene.advance(min(SESSION_MS // 2, until - scene.ms))
        if scene.ms < until:
            for name, generation in generations.items():
                scene.heartbeat(name, generation)


def test_a_group_is_recorded_when_it_is_stable_and_not_before() -> None:
    scene = Scene()
    scene.enter("a")
    scene.enter("b")
    scene.join("a")
    recorded = len(scene.log)
    scene.sync("b", 2)
    assert len(scene.log) == recorded
    scene.sync("a", 2, a="1", b="2")
    assert len(scene.log) == recorded + 1


def test_members_that_were_not_assigned_do_not_outlive_a_restart() -> None:
    scene = Scene()
    generation = scene.stable("a")
    scene.enter("b")
    assert scene.members() == ["a", "b"]
    scene.reload()
    assert scene.members() == ["a"] and scene.state() == "Stable"
    assert scene.heartbeat("a", generation) == "ok"
    assert scene.code(scene.join("b")) == "UNKNOWN_MEMBER_ID"


def test_sync_never_gives_a_live_member_an_empty_assignment_that_it_was_assigned() -> None:
    """semantics.md, Groups: not after a lost answer, a restart, or another id of a static one."""
    scene = Scene()
    generation = scene.stable("a", "b")
    for _ in range(2):
        assert scene.reply(scene.sync("b", generation)).assignment == b"for-b"
        scene.reload()
    scene.stable("s", group="h", instance="x")
    scene.join("", "h", new="t", instance="x")
    assert scene.reply(scene.sync("t", 1, "h", instance="x")).assignment == b"for-s"


def test_a_rebalance_never_hands_out_the_assignment_of_the_generation_before() -> None:
    scene = Scene()
    generation = scene.stable("a", "b")
    scene.join("a")
    assert scene.code(scene.sync("b", generation)) == "REBALANCE_IN_PROGRESS"
    scene.join("b")
    waiting = scene.sync("b", generation + 1)
    assert scene.waits(waiting)
    scene.sync("a", generation + 1, a="all")
    assert scene.reply(waiting).assignment == b""


def test_whoever_waits_for_others_keeps_its_session() -> None:
    scene = Scene()
    generation = scene.stable("a", "b")
    waiting = scene.join("a")
    heartbeats(scene, 30_000, b=generation)
    assert scene.waits(waiting) and scene.members() == ["a", "b"]
    scene.join("b")
    assert scene.code(waiting) == "ok"


def test_a_follower_that_waits_for_its_assignment_keeps_its_session() -> None:
    scene = Scene()
    scene.enter("a")
    scene.enter("b")
    scene.join("a")
    waiting = scene.sync("b", 2)
    heartbeats(scene, 30_000, a=2)
    assert scene.members() == ["a", "b"] and scene.waits(waiting)
    scene.sync("a", 2, a="1", b="2")
    assert scene.reply(waiting).assignment == b"2"
    heartbeats(scene, SESSION_MS - 1, a=2)
    assert scene.members() == ["a", "b"]
    scene.advance(1)
    assert scene.members() == ["a"]


def test_a_new_member_is_not_waited_with_for_ever() -> None:
    """Its client may have given up and joined anew: both would be waited for."""
    scene = Scene(new_member_join_ms_max=20_000, session_timeout_ms_max=10**9)
    scene.stable("a", session_ms=10**8, rebalance_ms=10**8)
    waiting = scene.enter("b", session_ms=10**8, rebalance_ms=10**8)
    scene.advance(19_999)
    assert scene.waits(waiting)
    scene.advance(1)
    assert scene.code(waiting) == "UNKNOWN_MEMBER_ID"
    assert scene.members() == ["a"]


def test_a_member_that_is_called_but_does_not_come_is_dropped_after_the_rebalance_timeout() -> None:
    scene = Scene()
    generation = scene.stable("a", "b")
    waiting = scene.join("a")
    heartbeats(scene, REBALANCE_MS - 1, b=generation)
    assert scene.waits(waiting)
    scene.advance(1)
    assert scene.reply(waiting).generation == generation + 1
    assert scene.members() == ["a"]
    assert scene.heartbeat("b", generation) == "UNKNOWN_MEMBER_ID"


@pytest.mark.parametrize("leads", [True, False])
def test_whoever_never_syncs_is_dropped_after_the_rebalance_timeout(leads: bool) -> None:
    scene = Scene()
    scene.enter("a")
    scene.enter("b")
    scene.join("a")
    quiet = "a" if leads else "b"
    other = "b" if leads else "a"
    waiting = scene.sync(other, 2, a="1", b="2")
    heartbeats(scene, REBALANCE_MS - 1, a=2, b=2)
    assert scene.members() == ["a", "b"]
    scene.advance(1)
    assert scene.members() == [other] and scene.state() == "PreparingRebalance"
    assert scene.code(waiting) == ("REBALANCE_IN_PROGRESS" if leads else "ok")
    assert scene.heartbeat(quiet, 2) == "UNKNOWN_MEMBER_ID"
    assert scene.groups.rebalances("g")[-1].cause == "member-joined"


def test_static_members_that_are_away_stay_until_their_session_ends() -> None:
    """semantics.md, Groups: static membership (KIP-345)."""
    scene = Scene()
    given: dict[str, Any] = {"session_ms": 100_000, "rebalance_ms": 20_000}
    for name in ("a", "b"):
        scene.enter(name, instance=name, **given)
    scene.join("a", instance="a", **given)
    scene.sync("a", 2, instance="a", a="1", b="2")
    scene.sync("b", 2, instance="b")
    scene.join("a", instance="a", **given)
    scene.advance(20_000)
    assert scene.members() == ["a", "b"] and scene.state() == "CompletingRebalance"


def test_a_group_whose_static_members_are_all_away_waits_without_a_busy_loop() -> None:
    scene = Scene()
    given: dict[str, Any] = {"session_ms": 50_000, "rebalance_ms": 0}
    scene.join(new="a", instance="a", **given)
    scene.join(new="b", instance="b", **given)
    scene.join("a", instance="a", **given)
    scene.sync("a", 2, instance="a")
    scene.sync("b", 2, instance="b")
    assert scene.state() == "Stable"
    scene.leave("b")
    ticks = 0
    while scene.members():
        due = scene.groups.due_ms()
        assert due is not None
        scene.advance(due - scene.ms)
        ticks += 1
    assert scene.ms == 50_000 and scene.state() == "Empty"
    assert ticks <= scene.ms / limits.GROUP_JOIN_WAIT_MS_MIN + 2


def test_a_request_that_was_cancelled_is_never_answered() -> None:
    scene = Scene()
    scene.stable("a")
    waiting = scene.enter("b")
    scene.cancel(waiting)
    assert scene.code(scene.join("a")) == "ok"
    assert scene.members() == ["a", "b"] and waiting not in scene.replies


def test_one_request_of_a_member_waits_at_a_time() -> None:
    scene = Scene()
    scene.stable("a")
    first = scene.enter("b")
    second = scene.join("b")
    assert scene.code(first) == "REBALANCE_IN_PROGRESS"
    scene.join("a")
    assert scene.code(second) == "ok"
    first = scene.sync("b", 2)
    second = scene.sync("b", 2)
    assert scene.code(first) == "REBALANCE_IN_PROGRESS"
    scene.sync("a", 2, b="2")
    assert scene.reply(second).assignment == b"2"


def test_whoever_leaves_while_it_waits_is_told() -> None:
    scene = Scene()
    scene.stable("a")
    joining = scene.enter("b")
    scene.leave("b")
    assert scene.code(joining) == "UNKNOWN_MEMBER_ID"
    scene.join("a")
    scene.enter("b")
    scene.join("a")
    syncing = scene.sync("b", scene.generation())
    scene.leave("b")
    assert scene.code(syncing) == "UNKNOWN_MEMBER_ID"


def test_the_delay_of_a_first_generation_is_not_longer_than_members_can_wait() -> None:
    """semantics.md, Groups: group.initial.rebalance.delay.ms."""
    scene = Scene(initial_rebalance_delay_ms=3_000)
    first = scene.enter("a", rebalance_ms=7_000)
    for number, ms in enumerate((2_000, 2_000, 2_000)):
        scene.advance(ms)
        scene.enter(f"b{number}", rebalance_ms=7_000)
    assert scene.waits(first)
    scene.advance(1_000)
    assert scene.ms == 7_000 and scene.generation() == 1
    assert len(scene.reply(first).members) == 4


def test_a_session_that_ends_during_the_delay_ends_it_if_nobody_else_is_missing() -> None:
    scene = Scene(initial_rebalance_delay_ms=30_000)
    waiting = scene.enter("a", session_ms=60_000)
    scene.join(new="b", session_ms=6_000)
    scene.advance(6_000)
    assert scene.reply(waiting).generation == 1


def test_why_a_group_rebalanced_is_known() -> None:
    scene = Scene()
    generation = scene.stable("a", "b")
    scene.leave("b")
    heartbeats(scene, 4_000, a=generation)
    scene.join("a")
    scene.sync("a", generation + 1)
    last = scene.groups.rebalances("g")[-1]
    assert (last.cause, last.member_id, last.client_id) == ("member-left", "b", "client-b")
    assert (last.from_generation, last.to_generation, last.members) == (
        generation,
        generation + 1,
        1,
    )
    assert last.duration_ms == 4_000


def test_a_client_may_say_why() -> None:
    scene = Scene()
    scene.stable("a")
    scene.join("a", reason="topics changed")
    scene.sync("a", 2)
    assert scene.groups.rebalances("g")[-1].reason == "topics changed"


def test_a_static_member_that_restarts_before_it_synced_is_not_dropped_for_that() -> None:
    scene = Scene()
    given: dict[str, Any] = {"session_ms": 200_000}
    scene.join(new="a", instance="x", **given)
    scene.join(new="b", instance="y", **given)
    scene.join("a", instance="x", **given)
    scene.sync("a", 2, instance="x", a="1", b="2")
    scene.join(new="b2", instance="y", **given)
    scene.advance(REBALANCE_MS)
    assert scene.state() == "Stable" and scene.members() == ["a", "b2"]
    assert scene.reply(scene.sync("b2", 2, instance="y")).assignment == b"2"


def test_a_static_member_that_restarts_while_it_waits_for_the_first_time_is_waited_with() -> None:
    scene = Scene()
    scene.stable("a", session_ms=60_000)
    scene.join(new="b", instance="y")
    waiting = scene.join(new="b2", instance="y")
    scene.advance(30_000)
    assert scene.waits(waiting) and scene.members() == ["a", "b2"]


def test_who_had_not_synced_when_a_rebalance_began_is_not_dropped_for_that() -> None:
    scene = Scene()
    scene.enter("a", session_ms=200_000, rebalance_ms=20_000)
    scene.advance(10_000)
    scene.enter("b", session_ms=200_000, rebalance_ms=20_000)
    scene.advance(10_000)
    assert scene.state() == "PreparingRebalance" and scene.members() == ["a", "b"]
    scene.join("a", session_ms=200_000, rebalance_ms=20_000)
    assert scene.state() == "CompletingRebalance"


def test_nothing_is_waited_for_but_sessions_once_all_have_synced() -> None:
    scene = Scene()
    scene.stable("a", "b", session_ms=200_000)
    assert scene.groups.due_ms() == 200_000
