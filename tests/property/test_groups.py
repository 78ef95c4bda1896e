"""`Groups` beside the slow model of one group: after any history the two agree, on every answer,
on who is a member, on what is committed, and on what a restart gives back."""

from itertools import islice
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.core.groups.values import (
    CommitReply,
    DeleteGroupsReply,
    HeartbeatReply,
    JoinProtocol,
    JoinReply,
    LeaveReply,
    LeavingMember,
    OffsetToCommit,
    SyncReply,
)
from tests.property.groups_model import Model
from tests.property.groups_scene import NAMES, Scene, subscription

RETENTION_MS = 1_500_000
SIZE_MAX = 3
PEOPLE = ("a", "b", "c", "d", "e")
INSTANCES = (None, None, "x", "y")
people = st.sampled_from(PEOPLE)
instances = st.sampled_from(INSTANCES)
topics = st.sampled_from(("orders", "bills"))
offered = st.lists(st.sampled_from(("range", "sticky")), min_size=0, max_size=2, unique=True)
steps = st.sampled_from((-1, 0, 0, 0, 0, 1))


def plain(reply: Any) -> tuple[Any, ...]:
    """An answer as the model gives it."""
    match reply:
        case JoinReply(code=0):
            return (
                "ok",
                reply.member_id,
                reply.generation,
                reply.protocol,
                reply.leader,
                reply.skip_assignment,
                sorted(each.member_id for each in reply.members),
            )
        case JoinReply():
            return (NAMES[reply.code], reply.member_id)
        case SyncReply():
            return (NAMES[reply.code], reply.assignment)
        case LeaveReply():
            return (NAMES[reply.members[0].code],)
        case CommitReply(code=0):
            return (NAMES[reply.codes[0]],)
        case DeleteGroupsReply():
            return (NAMES[reply.codes[0]],)
        case CommitReply() | HeartbeatReply():
            return (NAMES[reply.code],)
    raise AssertionError(reply)


class GroupHistory(RuleBasedStateMachine):
    delay_ms = 0

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(
            initial_rebalance_delay_ms=self.delay_ms,
            members_max=SIZE_MAX,
            offsets_retention_ms=RETENTION_MS,
        )
        self.scene.wall_offset_ms = 0
        self.model = Model(self.delay_ms, SIZE_MAX, RETENTION_MS)
        self.ids: list[str] = ["nobody"]
        self.instance_of: dict[str, str | None] = {}
        self.answered: dict[int, Any] = {}

    def agree(self) -> None:
        said = {ticket: plain(reply) for ticket, reply in self.scene.replies.items()}
        news = {ticket: answer for ticket, answer in said.items() if ticket not in self.answered}
        assert news == dict(self.model.out)
        assert len(news) == len(self.model.out), "the model answers twice"
        self.model.out.clear()
        self.answered = said

    def known(self, number: int) -> str:
        return self.ids[-1 - number % len(self.ids)]

    @rule(
        instance=instances,
        names=offered,
        topic=topics,
        session=st.sampled_from((6_000, 9_000)),
        rebalance=st.sampled_from((0, 5_000, 20_000)),
        version=st.sampled_from((3, 8, 9)),
    )
    def join_new(
        self,
        instance: str | None,
        names: list[str],
        topic: str,
        session: int,
        rebalance: int,
        version: int,
    ) -> None:
        new_id = f"m{len(self.ids)}"
        self.ids.append(new_id)
        self.instance_of[new_id] = instance
        self.join("", instance, new_id, names, topic, session, rebalance, version)

    @rule(
        number=st.integers(0, 5),
        names=offered,
        topic=topics,
        session=st.sampled_from((6_000, 9_000)),
        rebalance=st.sampled_from((0, 5_000, 20_000)),
        lies=st.sampled_from((False, False, False, True)),
        instance=instances,
    )
    def join_known(
        self,
        number: int,
        names: list[str],
        topic: str,
        session: int,
        rebalance: int,
        lies: bool,
        instance: str | None,
    ) -> None:
        member_id = self.known(number)
        claimed = instance if lies else self.instance_of.get(member_id)
        self.join(member_id, claimed, "unused", names, topic, session, rebalance, 9)

    def join(
        self,
        member_id: str,
        instance: str | None,
        new_id: str,
        names: list[str],
        topic: str,
        session: int,
        rebalance: int,
        version: int,
    ) -> None:
        protocols = tuple((name, subscription(topic)) for name in names)
        ticket = self.scene.join(
            member_id,
            new=new_id,
            instance=instance,
            protocols=tuple(JoinProtocol(*each) for each in protocols),
            session_ms=session,
            rebalance_ms=rebalance,
            version=version,
        )
        self.model.join(ticket, member_id, instance, new_id, protocols, session, rebalance, version)
        self.agree()

    @rule()
    def all_join_again(self) -> None:
        """Otherwise few histories come to an end of a rebalance."""
        for each in list(self.model.members):
            names = [name for name, _ in each.protocols]
            topic = "orders"
            if self.model.state == "PreparingRebalance" and not each.joining:
                self.join(each.id, each.instance, "unused", names, topic, each.session_ms, 5_000, 9)

    @rule(number=st.integers(0, 5), step=steps)
    def sync(self, number: int, step: int) -> None:
        member_id = self.known(number)
        generation = self.model.generation + step
        assigned = {each: f"{each}@{generation}" for each in self.ids}
        instance = self.instance_of.get(member_id)
        ticket = self.scene.sync(
            member_id, generation, instance=instance, kind=None, protocol=None, **assigned
        )
        as_bytes = {name: text.encode() for name, text in assigned.items()}
        self.model.sync(ticket, member_id, instance, generation, as_bytes)
        self.agree()

    @rule()
    def leader_syncs(self) -> None:
        if self.model.leader in self.ids:
            self.sync(len(self.ids) - 1 - self.ids.index(self.model.leader), 0)

    @rule(number=st.integers(0, 5), step=steps, instance=instances)
    def heartbeat(self, number: int, step: int, instance: str | None) -> None:
        member_id = self.known(number)
        generation = self.model.generation + step
        self.scene.heartbeat(member_id, generation, instance=instance)
        self.model.heartbeat(self.scene.next_ticket, member_id, instance, generation)
        self.agree()

    @rule()
    def all_are_alive(self) -> None:
        for each in list(self.model.members):
            self.scene.heartbeat(each.id, self.model.generation)
            self.model.heartbeat(self.scene.next_ticket, each.id, None, self.model.generation)
            self.agree()

    @rule(number=st.integers(0, 5), instance=instances, by_id=st.booleans())
    def leave(self, number: int, instance: str | None, by_id: bool) -> None:
        member_id = self.known(number) if by_id else ""
        self.scene.leave(LeavingMember(member_id, instance))
        if self.model.exists:
            self.model.leave(self.scene.next_ticket, member_id, instance)
        else:
            self.model.say(self.scene.next_ticket, "UNKNOWN_MEMBER_ID")
        self.agree()

    @rule(
        number=st.integers(0, 5),
        step=steps,
        is_simple=st.booleans(),
        topic=topics,
        partition=st.integers(0, 1),
        offset=st.integers(0, 99),
    )
    def commit(
        self, number: int, step: int, is_simple: bool, topic: str, partition: int, offset: int
    ) -> None:
        member_id = "" if is_simple else self.known(number)
        generation = -1 if is_simple else self.model.generation + step
        committed = OffsetToCommit(topic, partition, offset)
        self.scene.commit(committed, member_id=member_id, generation=generation)
        at = (topic, partition)
        self.model.commit(self.scene.next_ticket, member_id, None, generation, at, offset)
        self.agree()

    @rule()
    def delete(self) -> None:
        self.scene.delete_groups("g")
        self.model.delete(self.scene.next_ticket)
        self.agree()

    @rule(ms=st.sampled_from((1, 2_000, 5_000, 6_000, 30_000, 600_000, 1_500_000)))
    def advance(self, ms: int) -> None:
        self.scene.advance(ms)
        self.model.advance(ms)
        self.agree()

    @rule()
    def restart(self) -> None:
        self.scene.reload()
        self.model.reload()

    @rule(before=st.integers(0, 3), number=st.integers(0, 5))
    def save_and_cut_the_log(self, before: int, number: int) -> None:
        """The log begins where a save began, though a command came in between."""
        log = self.scene.log
        start = len(log)
        saving = self.scene.groups.save()
        log += islice(saving, before)
        self.commit(number, 0, number == 0, "bills", 0, before)
        log += saving
        self.scene.log = log[start:]
        self.scene.check()

    @invariant()
    def both_see_the_same_group(self) -> None:
        model = self.model
        described = self.scene.groups.describe("g")
        assert described.state == (model.state if model.exists else "Dead")
        if model.exists:
            assert described.generation == model.generation
            assert described.protocol_type == model.kind
            assert [each.member_id for each in described.members] == [
                each.id for each in model.members
            ]
        committed = {
            (each.topic, each.partition): each.offset
            for each in self.scene.groups.fetch_offsets("g")
        }
        assert committed == {key: offset for key, (offset, _) in model.offsets.items()}

    @invariant()
    def whoever_waits_is_known_to_wait(self) -> None:
        held = {ticket for each in self.model.members for ticket in (each.joining, each.syncing)}
        assert self.scene.waiting == held - {None}

    @invariant()
    def time_goes_on(self) -> None:
        assert self.scene.groups.due_ms() == min(self.model.deadlines.values())


class DelayedGroupHistory(GroupHistory):
    delay_ms = 3_000


TestGroup = GroupHistory.TestCase
TestGroup.settings = settings(max_examples=800, stateful_step_count=40, deadline=None)
TestDelayedGroup = DelayedGroupHistory.TestCase
TestDelayedGroup.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
