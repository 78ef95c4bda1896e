"""The phases of a rebalance: members are called, join, sync, and are at work again.

Owns    every transition of a group's state, the requests that wait for one, the timers of its
        members and phases, and the records of its members.
Never   refuses a request: classic.py has admitted whatever comes here.
Trusts  timers.py to say when a session or a phase is over.

A member that joins again before it was answered is answered on its last request; the one before
gets REBALANCE_IN_PROGRESS. (Kafka leaves that one without any answer.)
"""

from collections.abc import Mapping

from app import limits
from app.core.coordinator import Decided, Record, Ticket
from app.core.groups.group import Group
from app.core.groups.member import Member
from app.core.groups.rebalances import Cause
from app.core.groups.states import State
from app.core.groups.timers import Timers, Wait
from app.core.groups.values import GroupSettings, JoinReply, SyncReply
from app.errors import FencedInstanceId, RebalanceInProgress, UnknownMemberId
from streambus.protocol.coordinator_records import GroupKey, GroupValue, encode_key, encode_value


class Phases:
    __slots__ = ("_settings", "_timers", "waiting")

    def __init__(self, settings: GroupSettings, timers: Timers) -> None:
        self._settings = settings
        self._timers = timers
        self.waiting: set[Ticket] = set()

    # Transitions

    def begin(
        self, group: Group, cause: Cause, member: Member | None, reason: str, decided: Decided
    ) -> None:
        """Call the members to join: `member`, if any, is why."""
        now = decided.now
        if group.state is State.COMPLETING:
            for each in group.members.values():
                each.assignment = b""
                if self._answer_sync(each, SyncReply(RebalanceInProgress.code), decided):
                    self.keep_session(group, each, decided)
        self._timers.stop((Wait.SYNC, group.id, ""))
        group.rebalances.end(now)
        group.rebalances.begin(cause, member, reason, group.generation, now)
        group.is_first = group.state is State.EMPTY
        group.transit(State.PREPARING, now.wall_ms)
        if group.is_first:
            delay_ms = self._settings.initial_rebalance_delay_ms
            group.first_left_ms = max(group.rebalance_timeout_ms - delay_ms, 0)
            self._delay_first(group, delay_ms, decided)
        elif group.has_all_joined:
            self._end_join(group, decided)
        else:
            self._await_joins(group, group.rebalance_timeout_ms, decided)

    def _delay_first(self, group: Group, delay_ms: int, decided: Decided) -> None:
        group.first_delay_ms = delay_ms
        group.has_newcomers = False
        if delay_ms:
            self._await_joins(group, delay_ms, decided)
        else:
            self._end_join(group, decided)

    def end_join_if_all_have(self, group: Group, decided: Decided) -> None:
        """A first generation waits for its delay, whoever has joined."""
        if group.state is State.PREPARING and not group.is_first and group.has_all_joined:
            self._end_join(group, decided)

    def _end_join(self, group: Group, decided: Decided) -> None:
        """Go on with those who have joined, and with static members, whose sessions still last."""
        now = decided.now
        self._timers.stop((Wait.JOIN, group.id, ""))
        for member in list(group.members.values()):
            if member.joining is None and member.instance_id is None:
                self.dismiss(group, member, decided)
        if not group.elect() and group.members:
            # Nobody is there to lead: wait until sessions have ended, or somebody joins.
            wait_ms = max(group.rebalance_timeout_ms, limits.GROUP_JOIN_WAIT_MS_MIN)
            self._await_joins(group, wait_ms, decided)
            return
        group.next_generation(now.wall_ms)
        group.rebalances.reached(group.generation, len(group.members))
        if group.state is State.EMPTY:
            group.rebalances.end(now)
            self.record(group, decided)
            return
        for member in group.members.values():
            self._answer_join(group, member, current_generation(group, member), decided)
            self.keep_session(group, member, decided)
            member.is_new = False
        deadline_ms = now.monotonic_ms + group.rebalance_timeout_ms
        self._timers.start((Wait.SYNC, group.id, ""), deadline_ms)

    def settle(self, group: Group, assignments: Mapping[str, bytes], decided: Decided) -> None:
        """The leader has assigned: everybody is told, and at work."""
        for member in group.members.values():
            member.assignment = assignments.get(member.id, b"")
        group.transit(State.STABLE, decided.now.wall_ms)
        group.rebalances.end(decided.now)
        self.record(group, decided)
        for member in group.members.values():
            if self._answer_sync(member, assignment_of(group, member), decided):
                self.keep_session(group, member, decided)

    # Members

    def synced(self, group: Group, member: Member) -> None:
        group.unsynced.pop(member.id, None)
        if not group.unsynced:
            self._timers.stop((Wait.SYNC, group.id, ""))

    def dismiss(self, group: Group, member: Member, decided: Decided) -> None:
        """The member is none any more; if it is still there, it joins as a new one."""
        self._answer_join(group, member, JoinReply(UnknownMemberId.code, ""), decided)
        self._answer_sync(member, SyncReply(UnknownMemberId.code), decided)
        group.remove(member)
        self._timers.stop((Wait.SESSION, group.id, member.id))

    def dismiss_pending(self, group: Group, member_id: str) -> None:
        del group.pending[member_id]
        self._timers.stop((Wait.SESSION, group.id, member_id))

    def fence(self, group: Group, member: Member, decided: Decided) -> None:
        """Another has come with its instance id: whatever it still asks for is refused."""
        self._answer_join(group, member, JoinReply(FencedInstanceId.code, member.id), decided)
        self._answer_sync(member, SyncReply(FencedInstanceId.code), decided)
        self._timers.stop((Wait.SESSION, group.id, member.id))

    def keep_session(self, group: Group, member: Member, decided: Decided) -> None:
        deadline_ms = decided.now.monotonic_ms + member.session_timeout_ms
        self._timers.start((Wait.SESSION, group.id, member.id), deadline_ms)

    def expect(self, group: Group, member_id: str, within_ms: int, decided: Decided) -> None:
        """Of one that is new, or pending: a session of another length."""
        deadline_ms = decided.now.monotonic_ms + within_ms
        self._timers.start((Wait.SESSION, group.id, member_id), deadline_ms)

    # Time

    def session_over(self, group: Group, member_id: str, decided: Decided) -> None:
        if member_id in group.pending:
            self.dismiss_pending(group, member_id)
            self._end_join_after_a_loss(group, decided)
            return
        member = group.members.get(member_id)
        if member is None or member.is_excused:
            return
        self.dismiss(group, member, decided)
        if group.state is State.PREPARING:
            self._end_join_after_a_loss(group, decided)
        else:
            self.begin(group, Cause.SESSION_EXPIRED, member, "", decided)

    def _end_join_after_a_loss(self, group: Group, decided: Decided) -> None:
        """As in Kafka, this ends even the delay of a first generation: by then everybody has waited
        for a session. One who leaves does not."""
        if group.state is State.PREPARING and group.has_all_joined:
            self._end_join(group, decided)

    def join_over(self, group: Group, decided: Decided) -> None:
        if group.is_first and group.has_newcomers and group.first_left_ms:
            delay_ms = min(self._settings.initial_rebalance_delay_ms, group.first_left_ms)
            group.first_left_ms = max(group.first_left_ms - group.first_delay_ms, 0)
            self._delay_first(group, delay_ms, decided)
        else:
            self._end_join(group, decided)

    def sync_over(self, group: Group, decided: Decided) -> None:
        """Whoever has joined, but never asked for an assignment, holds what others could have."""
        lost = [group.members[member_id] for member_id in group.unsynced]
        for member in lost:
            self.dismiss(group, member, decided)
        if lost:
            self.begin(group, Cause.SYNC_EXPIRED, lost[0], "", decided)

    def _await_joins(self, group: Group, wait_ms: int, decided: Decided) -> None:
        self._timers.start((Wait.JOIN, group.id, ""), decided.now.monotonic_ms + wait_ms)

    # Requests that wait

    def hold_join(self, group: Group, member: Member, ticket: Ticket, decided: Decided) -> None:
        superseded = JoinReply(RebalanceInProgress.code, member.id)
        self._answer_join(group, member, superseded, decided)
        group.joined(member, ticket)
        self.waiting.add(ticket)

    def hold_sync(self, member: Member, ticket: Ticket, decided: Decided) -> None:
        self._answer_sync(member, SyncReply(RebalanceInProgress.code), decided)
        member.syncing = ticket
        self.waiting.add(ticket)

    def cancel(self, ticket: Ticket) -> None:
        """Its member has joined, or synced, all the same: its session says whether it lives."""
        self.waiting.discard(ticket)

    def _answer_join(
        self, group: Group, member: Member, reply: JoinReply, decided: Decided
    ) -> None:
        ticket = member.joining
        if ticket is not None:
            group.joined(member, None)
            self._answer(ticket, reply, decided)

    def _answer_sync(self, member: Member, reply: SyncReply, decided: Decided) -> bool:
        """Gives whether it waited."""
        ticket = member.syncing
        if ticket is None:
            return False
        member.syncing = None
        self._answer(ticket, reply, decided)
        return True

    def _answer(self, ticket: Ticket, reply: object, decided: Decided) -> None:
        if ticket in self.waiting:
            self.waiting.remove(ticket)
            decided.answer(ticket, reply)

    # Records

    def record(self, group: Group, decided: Decided) -> None:
        self._record(group, group.value(), decided)

    def record_new(self, group: Group, decided: Decided) -> None:
        """That the group exists: who joins it is stored when all have been assigned."""
        self._record(group, GroupValue("", 0, None, None, group.state_since_ms, ()), decided)

    def _record(self, group: Group, value: GroupValue, decided: Decided) -> None:
        group.recorded = encode_value(value)
        decided.records.append(Record(encode_key(GroupKey(group.id)), group.recorded))


def current_generation(group: Group, member: Member) -> JoinReply:
    return JoinReply(
        0,
        member.id,
        group.generation,
        group.protocol_type,
        group.protocol,
        group.leader or "",
        False,
        group.roster() if group.leader == member.id else (),
    )


def assignment_of(group: Group, member: Member) -> SyncReply:
    return SyncReply(0, group.protocol_type, group.protocol, member.assignment)
