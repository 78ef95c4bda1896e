"""One classic group: its members, what they have in common, and its state.

Owns    members, static and pending ones, the leader, generation and protocol; who has joined and
        who has synced; whatever of it is stored as a record.
Never   answers a request, or starts a timer: phases.py does, which calls what is here.
Trusts  that a request was admitted (classic.py) before it changes anything.
"""

from app.core.coordinator import Ticket
from app.core.groups.member import Member
from app.core.groups.offsets import Offsets, Topics
from app.core.groups.rebalances import Rebalances
from app.core.groups.states import LEGAL, Kind, State
from app.core.groups.subscription import topics as topics_of
from app.core.groups.values import CONSUMER_PROTOCOL, JoinedMember, JoinProtocol, JoinRequest
from app.core.groups.votes import Votes, winner
from app.errors import FencedInstanceId, UnknownMemberId
from streambus.protocol.coordinator_records import GroupValue

UNKNOWN_SINCE = -1


class Group:
    """`recorded` is the value of its newest record, which is what a restart gives back; none for
    a group that has only committed offsets. `state_since_ms` is wall time.

    `is_first` while it prepares the first generation after being Empty: then it waits for
    `first_delay_ms`, and `has_newcomers` extends that as long as `first_left_ms` lasts.
    Those in `pending` have been told their id and not come back with it; those in `unsynced` have
    not asked for this generation's assignment.
    """

    __slots__ = (
        "first_delay_ms",
        "first_left_ms",
        "generation",
        "has_newcomers",
        "id",
        "is_first",
        "joining",
        "kind",
        "leader",
        "members",
        "offsets",
        "pending",
        "protocol",
        "protocol_type",
        "rebalances",
        "recorded",
        "state",
        "state_since_ms",
        "static_ids",
        "subscribed",
        "unsynced",
        "votes",
    )

    def __init__(self, group_id: str, wall_ms: int, topics: Topics) -> None:
        self.id = group_id
        self.kind = Kind.CLASSIC
        self.offsets = Offsets(topics)
        self.rebalances = Rebalances()
        self.recorded: bytes | None = None
        self._reset(wall_ms)

    def _reset(self, wall_ms: int) -> None:
        self.state = State.EMPTY
        self.state_since_ms = wall_ms
        self.is_first = False
        self.first_delay_ms = self.first_left_ms = 0
        self.has_newcomers = False
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.generation = 0
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self.static_ids: dict[str, str] = {}  # instance id -> member id
        self.pending: dict[str, None] = {}
        self.unsynced: dict[str, None] = {}
        self.joining = 0
        self.votes = Votes()
        self.subscribed: frozenset[str] | None = None

    def transit(self, to: State, wall_ms: int) -> None:
        assert (self.state, to) in LEGAL, f"group {self.id}: {self.state} to {to}"
        self.state = to
        self.state_since_ms = wall_ms

    # Members

    def refuses(self, member_id: str, instance_id: str | None) -> int:
        """The code that tells a member that it is none, or none any more."""
        if instance_id is not None:
            known = self.static_ids.get(instance_id)
            if known is None:
                return UnknownMemberId.code
            if known != member_id:
                return FencedInstanceId.code
        return 0 if member_id in self.members else UnknownMemberId.code

    def supports(self, protocol_type: str, protocols: tuple[JoinProtocol, ...]) -> bool:
        if self.state is State.EMPTY:
            return bool(protocol_type and protocols)
        return self.protocol_type == protocol_type and self.votes.has_common(
            protocols, len(self.members)
        )

    def add(self, member: Member, protocol_type: str) -> None:
        if not self.members:
            self.protocol_type = protocol_type
        if member.instance_id is not None:
            self.static_ids[member.instance_id] = member.id
        if self.leader is None:
            self.leader = member.id
        self.members[member.id] = member
        self.votes.add(member.protocols)
        self.pending.pop(member.id, None)

    def update(self, member: Member, request: JoinRequest) -> None:
        self.votes.withdraw(member.protocols)
        member.take(request)
        self.votes.add(member.protocols)

    def remove(self, member: Member) -> None:
        """Whoever led is followed by the one who has been a member for longest."""
        assert member.syncing is None, "answer it first"
        self.joined(member, None)
        del self.members[member.id]
        self.votes.withdraw(member.protocols)
        self.unsynced.pop(member.id, None)
        if member.instance_id is not None:
            del self.static_ids[member.instance_id]
        if self.leader == member.id:
            self.leader = next(iter(self.members), None)

    def replace(self, member: Member, member_id: str) -> None:
        """A static member came back: the same member under another id."""
        assert member.instance_id is not None
        del self.members[member.id]
        self.unsynced.pop(member.id, None)
        if self.leader == member.id:
            self.leader = member_id
        member.id = member_id
        member.is_new = False
        self.members[member_id] = member
        self.static_ids[member.instance_id] = member_id

    def joined(self, member: Member, ticket: Ticket | None) -> None:
        """Its request to join waits, or does no longer."""
        self.joining += (ticket is not None) - (member.joining is not None)
        member.joining = ticket

    @property
    def has_all_joined(self) -> bool:
        return self.joining == len(self.members) and not self.pending

    @property
    def rebalance_timeout_ms(self) -> int:
        """The slowest member decides how long all wait."""
        return max((each.rebalance_timeout_ms for each in self.members.values()), default=0)

    # Generations

    def elect(self) -> bool:
        """The leader stays if it has joined, else the first who did leads. Gives whether one
        does."""
        if self.leader is None:
            return False
        if self.members[self.leader].joining is None:
            joined = (each.id for each in self.members.values() if each.joining is not None)
            leader = next(joined, None)
            if leader is None:
                return False
            self.leader = leader
        return True

    def choose_protocol(self) -> str:
        candidates = self.votes.candidates(len(self.members))
        return winner(each.vote(candidates) for each in self.members.values())

    def next_generation(self, wall_ms: int) -> None:
        self.generation += 1
        self.is_first = self.has_newcomers = False
        self.unsynced = dict.fromkeys(self.members)
        self.protocol = self.choose_protocol() if self.members else None
        self.subscribed = self._subscribed()
        self.transit(State.COMPLETING if self.members else State.EMPTY, wall_ms)

    def _subscribed(self) -> frozenset[str] | None:
        if self.protocol_type != CONSUMER_PROTOCOL:
            return None
        found: set[str] = set()
        for member in self.members.values():
            topics = topics_of(member.metadata(self.protocol))
            if topics is None:
                return None
            found |= topics
        return frozenset(found)

    def subscribes(self, topic: str) -> bool:
        """Of consumers whose subscriptions we cannot read we believe that they read everything."""
        if self.subscribed is None:
            return self.protocol_type == CONSUMER_PROTOCOL
        return topic in self.subscribed

    def roster(self) -> tuple[JoinedMember, ...]:
        """What the leader assigns by."""
        return tuple(
            JoinedMember(each.id, each.instance_id, each.metadata(self.protocol))
            for each in self.members.values()
        )

    # Records

    def value(self) -> GroupValue:
        return GroupValue(
            self.protocol_type or "",
            self.generation,
            self.protocol,
            self.leader,
            self.state_since_ms,
            tuple(each.value(self.protocol) for each in self.members.values()),
        )

    def restore(self, value: GroupValue) -> None:
        """What `value` gave. Who has members is Stable: only then were they stored."""
        self._reset(value.current_state_timestamp)
        self.generation = value.generation
        self.protocol_type = value.protocol_type or None
        self.protocol = value.protocol
        self.leader = value.leader
        for each in value.members:
            self.add(Member.restored(each, value.protocol or ""), value.protocol_type)
        if self.members:
            self.state = State.STABLE
            self.protocol = value.protocol or ""
        if self.leader not in self.members:
            self.leader = next(iter(self.members), None)
        self.subscribed = self._subscribed()

    def forget_members(self) -> None:
        """What a tombstone leaves: offsets, if there are any."""
        self._reset(UNKNOWN_SINCE)
        self.recorded = None
