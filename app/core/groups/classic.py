"""The classic protocol: what a member asks, and whether it may.

Owns    the rules of admission to JoinGroup, SyncGroup, Heartbeat, LeaveGroup and OffsetCommit, in
        the order in which Kafka applies them: which code a client gets decides what it does next.
Never   changes a group's state: phases.py does, once a request is admitted.
Trusts  that group ids, session timeouts and sizes were checked (groups.py).
"""

from app import limits
from app.core.coordinator import Decided, Ticket
from app.core.groups.group import Group
from app.core.groups.member import Member
from app.core.groups.phases import Phases, assignment_of, current_generation
from app.core.groups.rebalances import Cause
from app.core.groups.states import State
from app.core.groups.values import (
    JOIN_REQUIRES_MEMBER_ID,
    JOIN_SKIPS_ASSIGNMENT,
    CommitRequest,
    GroupSettings,
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from app.errors import (
    GroupMaxSizeReached,
    IllegalGeneration,
    InconsistentGroupProtocol,
    MemberIdRequired,
    RebalanceInProgress,
    UnknownMemberId,
)


class ClassicProtocol:
    __slots__ = ("_phases", "_settings")

    def __init__(self, settings: GroupSettings, phases: Phases) -> None:
        self._settings = settings
        self._phases = phases

    # JoinGroup

    def join(self, group: Group, ticket: Ticket, request: JoinRequest, decided: Decided) -> None:
        if not self._has_room(group, request.member_id):
            self._turn_away(group, request.member_id, decided)
            decided.answer(ticket, JoinReply(GroupMaxSizeReached.code, ""))
        elif not group.supports(request.protocol_type, request.protocols):
            code = InconsistentGroupProtocol.code
            decided.answer(ticket, JoinReply(code, request.member_id))
        elif request.member_id:
            self._join_known(group, ticket, request, decided)
        elif request.instance_id is None:
            self._join_new(group, ticket, request, decided)
        elif request.instance_id in group.static_ids:
            self._replace(group, ticket, request, decided)
        else:
            self._add(group, request.new_member_id, ticket, request, decided)

    def _has_room(self, group: Group, member_id: str) -> bool:
        """While members are called, those who have come count: so the last to come are too many
        if there are too many, which may be if the bound was lowered."""
        if group.state is State.EMPTY:
            return True
        member = group.members.get(member_id)
        if group.state is State.PREPARING:
            has_joined = member is not None and member.joining is not None
            return has_joined or group.joining < self._settings.members_max
        return member is not None or len(group.members) < self._settings.members_max

    def _turn_away(self, group: Group, member_id: str, decided: Decided) -> None:
        if member_id in group.pending:
            self._phases.dismiss_pending(group, member_id)
        elif member_id in group.members:
            self._phases.dismiss(group, group.members[member_id], decided)
        self._phases.end_join_if_all_have(group, decided)

    def _join_new(
        self, group: Group, ticket: Ticket, request: JoinRequest, decided: Decided
    ) -> None:
        """Who cannot say who it is after a lost answer would join twice: so it first learns its
        id, and is a member when it comes with it (KIP-394)."""
        if request.version < JOIN_REQUIRES_MEMBER_ID:
            self._add(group, request.new_member_id, ticket, request, decided)
        elif len(group.pending) >= limits.GROUP_PENDING_MEMBERS_MAX:
            decided.answer(ticket, JoinReply(GroupMaxSizeReached.code, ""))
        else:
            member_id = request.new_member_id
            group.pending[member_id] = None
            self._phases.expect(group, member_id, request.session_timeout_ms, decided)
            decided.answer(ticket, JoinReply(MemberIdRequired.code, member_id))

    def _join_known(
        self, group: Group, ticket: Ticket, request: JoinRequest, decided: Decided
    ) -> None:
        if request.member_id in group.pending and request.instance_id is None:
            self._add(group, request.member_id, ticket, request, decided)
            return
        code = group.refuses(request.member_id, request.instance_id)
        if code:
            decided.answer(ticket, JoinReply(code, request.member_id))
            return
        member = group.members[request.member_id]
        if group.state is State.PREPARING:
            group.update(member, request)
            self._phases.hold_join(group, member, ticket, decided)
            self._phases.end_join_if_all_have(group, decided)
        elif member.protocols != request.protocols:
            self._rejoin(group, member, ticket, request, Cause.METADATA_CHANGED, decided)
        elif group.state is State.STABLE and group.leader == member.id:
            # What it assigns by has changed, though no member has: partitions of a topic, maybe.
            self._rejoin(group, member, ticket, request, Cause.LEADER_REJOINED, decided)
        else:
            # It may not have got the answer that it was given.
            decided.answer(ticket, current_generation(group, member))

    def _rejoin(
        self,
        group: Group,
        member: Member,
        ticket: Ticket,
        request: JoinRequest,
        cause: Cause,
        decided: Decided,
    ) -> None:
        group.update(member, request)
        self._phases.hold_join(group, member, ticket, decided)
        self._phases.begin(group, cause, member, request.reason, decided)

    def _add(
        self,
        group: Group,
        member_id: str,
        ticket: Ticket,
        request: JoinRequest,
        decided: Decided,
    ) -> None:
        member = Member(member_id, request.instance_id, request.client_id, request.client_host)
        member.take(request)
        member.is_new = True
        group.add(member, request.protocol_type)
        self._phases.hold_join(group, member, ticket, decided)
        # Its request waits for the others, without heartbeats, for as long as they take. Clients
        # give up and join anew: so that those are not waited for, this has an end.
        self._phases.expect(group, member_id, self._settings.new_member_join_ms_max, decided)
        if group.state is State.PREPARING:
            group.has_newcomers = group.is_first
            self._phases.end_join_if_all_have(group, decided)
        else:
            self._phases.begin(group, Cause.MEMBER_JOINED, member, request.reason, decided)

    def _replace(
        self, group: Group, ticket: Ticket, request: JoinRequest, decided: Decided
    ) -> None:
        """A static member came back without its member id: it restarted (KIP-345)."""
        assert request.instance_id is not None
        member = group.members[group.static_ids[request.instance_id]]
        leader_before = group.leader or ""
        self._phases.fence(group, member, decided)
        group.replace(member, request.new_member_id)
        group.update(member, request)
        member.client_id, member.client_host = request.client_id, request.client_host
        self._phases.keep_session(group, member, decided)
        if group.state is State.STABLE and group.choose_protocol() == group.protocol:
            self._phases.record(group, decided)
            decided.answer(ticket, _unchanged(group, member, leader_before, request.version))
            return
        self._phases.hold_join(group, member, ticket, decided)
        if group.state is State.PREPARING:
            self._phases.end_join_if_all_have(group, decided)
            return
        # While Completing, the leader may be assigning to an id that is no more.
        cause = Cause.PROTOCOL_CHANGED
        if group.state is State.COMPLETING:
            cause = Cause.STATIC_MEMBER_REPLACED
        self._phases.begin(group, cause, member, request.reason, decided)

    # SyncGroup

    def sync(self, group: Group, ticket: Ticket, request: SyncRequest, decided: Decided) -> None:
        code = self._refuses_sync(group, request)
        if code:
            decided.answer(ticket, SyncReply(code))
            return
        member = group.members[request.member_id]
        self._phases.synced(group, member)
        if group.state is State.STABLE:
            decided.answer(ticket, assignment_of(group, member))
            return
        self._phases.hold_sync(member, ticket, decided)
        if group.leader == member.id:
            self._phases.settle(group, request.assignments, decided)

    def _refuses_sync(self, group: Group, request: SyncRequest) -> int:
        code = self._refuses(group, request.member_id, request.instance_id, request.generation)
        if code:
            return code
        for asked, has in (
            (request.protocol_type, group.protocol_type),
            (request.protocol, group.protocol),
        ):
            if asked is not None and has is not None and asked != has:
                return InconsistentGroupProtocol.code
        return RebalanceInProgress.code if group.state is State.PREPARING else 0

    # Heartbeat and OffsetCommit

    def heartbeat(self, group: Group, request: HeartbeatRequest, decided: Decided) -> int:
        """The code to answer. It keeps the session in every state but one that has no members."""
        code = self._refuses(group, request.member_id, request.instance_id, request.generation)
        if code:
            return code
        self._phases.keep_session(group, group.members[request.member_id], decided)
        return RebalanceInProgress.code if group.state is State.PREPARING else 0

    def commit(self, group: Group, request: CommitRequest, decided: Decided) -> int:
        """The code to answer. Without a generation anybody may commit to a group that is Empty:
        administrators do, and consumers that assign themselves."""
        if request.generation < 0 and group.state is State.EMPTY:
            return 0
        if request.generation < 0 and not request.member_id and request.instance_id is None:
            return UnknownMemberId.code
        code = self._refuses(group, request.member_id, request.instance_id, request.generation)
        if code:
            return code
        if group.state is State.COMPLETING:
            # It knows the generation, but not yet what is its own there.
            return RebalanceInProgress.code
        self._phases.keep_session(group, group.members[request.member_id], decided)
        return 0

    def _refuses(
        self, group: Group, member_id: str, instance_id: str | None, generation: int
    ) -> int:
        code = group.refuses(member_id, instance_id)
        if not code and generation != group.generation:
            code = IllegalGeneration.code
        return code

    # LeaveGroup

    def leave(
        self, group: Group, leaving: tuple[LeavingMember, ...], decided: Decided
    ) -> tuple[LeftMember, ...]:
        """All leave before one rebalance is begun for those who stay."""
        first: Member | None = None
        reason = ""
        left = []
        for each in leaving:
            code, member = self._leaves(group, each, decided)
            left.append(LeftMember(each.member_id, each.instance_id, code))
            if member is not None and first is None:
                first, reason = member, each.reason
        if group.state in (State.STABLE, State.COMPLETING):
            if any(not each.code for each in left):
                self._phases.begin(group, Cause.MEMBER_LEFT, first, reason, decided)
        else:
            self._phases.end_join_if_all_have(group, decided)
        return tuple(left)

    def _leaves(
        self, group: Group, leaving: LeavingMember, decided: Decided
    ) -> tuple[int, Member | None]:
        member_id, instance_id = leaving.member_id, leaving.instance_id
        if not member_id and instance_id is not None:
            member_id = group.static_ids.get(instance_id, "")
        elif member_id in group.pending:
            self._phases.dismiss_pending(group, member_id)
            return 0, None
        code = group.refuses(member_id, instance_id)
        if code:
            return code, None
        member = group.members[member_id]
        self._phases.dismiss(group, member, decided)
        return 0, member


def _unchanged(group: Group, member: Member, leader_before: str, version: int) -> JoinReply:
    """It goes on with the assignment that it had. If it led, it must not assign anew: a client
    that cannot be told so is told that another leads."""
    current = current_generation(group, member)
    is_leader = group.leader == member.id
    skips = version >= JOIN_SKIPS_ASSIGNMENT
    return JoinReply(
        0,
        member.id,
        current.generation,
        current.protocol_type,
        current.protocol,
        current.leader if skips else leader_before,
        skips and is_leader,
        current.members if skips else (),
    )
