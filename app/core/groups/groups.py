"""The groups of one partition of `__consumer_offsets`, as one machine.

Owns    every group that hashes to the partition, what they have committed, and the timers.
Never   reads a clock, makes an id, awaits, or appends: commands take `now` and give a `Decided`.
Trusts  the runtime to call `loaded` once after replay, and `tick` when `due_ms` has come.

State changes as soon as a command is decided. What must outlive the process is in the records of
its `Decided`: `replay` of them, in their order, gives it back. Timers, members that have not been
assigned yet, and the history of rebalances are not stored, as in Kafka.
"""

from collections.abc import Collection, Iterable, Iterator

from app import limits
from app.core.coordinator import Decided, Now, Record, Ticket
from app.core.groups import expiry
from app.core.groups.classic import ClassicProtocol
from app.core.groups.group import UNKNOWN_SINCE, Group
from app.core.groups.offsets import Offsets, TopicPartition, Topics
from app.core.groups.phases import Phases
from app.core.groups.rebalances import Cause, Rebalance
from app.core.groups.states import Kind, State
from app.core.groups.timers import Timers, Wait
from app.core.groups.values import (
    COMMIT_KNOWS_GROUP_ID_NOT_FOUND,
    CONSUMER_PROTOCOL,
    CommitReply,
    CommitRequest,
    DeleteGroupsReply,
    DeleteOffsetsReply,
    DeleteOffsetsRequest,
    DescribedGroup,
    DescribedMember,
    FetchedOffset,
    GroupSettings,
    HeartbeatReply,
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeaveReply,
    LeaveRequest,
    LeftMember,
    ListedGroup,
    SyncReply,
    SyncRequest,
    TopicToFetch,
)
from app.errors import (
    Corrupt,
    GroupIdNotFound,
    GroupSubscribedToTopic,
    IllegalGeneration,
    InvalidGroupId,
    InvalidRequest,
    InvalidSessionTimeout,
    Malformed,
    NonEmptyGroup,
    OffsetMetadataTooLarge,
    PolicyViolation,
    UnknownMemberId,
)
from streambus.protocol.coordinator_records import (
    GroupKey,
    OffsetKey,
    OffsetValue,
    Unknown,
    decode_group_value,
    decode_key,
    encode_key,
    encode_value,
)

_EXPIRY = (Wait.EXPIRY, "", "")


class Groups:
    __slots__ = (
        "_classic",
        "_groups",
        "_others",
        "_phases",
        "_settings",
        "_timers",
        "_topics",
        "_unchecked",
    )

    def __init__(self, settings: GroupSettings) -> None:
        self._settings = settings
        self._timers = Timers()
        self._phases = Phases(settings, self._timers)
        self._classic = ClassicProtocol(settings, self._phases)
        self._groups: dict[str, Group] = {}
        self._topics = Topics()
        self._others: dict[bytes, bytes] = {}  # records of types that we do not know: kept
        self._unchecked: list[str] = []  # groups that this round of expiry has still to look at

    # Members

    def join(self, ticket: Ticket, request: JoinRequest, now: Now) -> Decided:
        decided = Decided(now)
        group = self._groups.get(request.group_id)
        code = self._refuses_join(group, request)
        if code:
            decided.answer(ticket, JoinReply(code, request.member_id))
        elif group is not None:
            self._classic.join(group, ticket, request, decided)
        else:
            group = self._made(request.group_id, now.wall_ms)
            self._phases.record_new(group, decided)
            self._classic.join(group, ticket, request, decided)
        return decided

    def _refuses_join(self, group: Group | None, request: JoinRequest) -> int:
        settings = self._settings
        session_ms = request.session_timeout_ms
        if not request.group_id or not _is_storable(request.group_id):
            return InvalidGroupId.code
        if not settings.session_timeout_ms_min <= session_ms <= settings.session_timeout_ms_max:
            return InvalidSessionTimeout.code
        if group is None and request.member_id:
            return UnknownMemberId.code
        if len(request.protocols) > limits.GROUP_PROTOCOLS_MAX or not _is_storable(
            request.new_member_id,
            request.instance_id or "",
            request.client_id,
            request.client_host,
            request.protocol_type,
            *(each.name for each in request.protocols),
        ):
            return InvalidRequest.code
        if group is None and len(self._groups) >= settings.groups_max:
            return PolicyViolation.code
        return 0

    def sync(self, ticket: Ticket, request: SyncRequest, now: Now) -> Decided:
        decided = Decided(now)
        group = self._groups.get(request.group_id)
        if not request.group_id:
            decided.answer(ticket, SyncReply(InvalidGroupId.code))
        elif group is None:
            decided.answer(ticket, SyncReply(UnknownMemberId.code))
        else:
            self._classic.sync(group, ticket, request, decided)
        return decided

    def heartbeat(self, ticket: Ticket, request: HeartbeatRequest, now: Now) -> Decided:
        decided = Decided(now)
        group = self._groups.get(request.group_id)
        if group is not None and request.group_id:
            code = self._classic.heartbeat(group, request, decided)
        else:
            code = UnknownMemberId.code if request.group_id else InvalidGroupId.code
        decided.answer(ticket, HeartbeatReply(code))
        return decided

    def leave(self, ticket: Ticket, request: LeaveRequest, now: Now) -> Decided:
        decided = Decided(now)
        group = self._groups.get(request.group_id)
        if not request.group_id:
            decided.answer(ticket, LeaveReply(InvalidGroupId.code))
        elif group is None:
            code = UnknownMemberId.code
            left = (LeftMember(each.member_id, each.instance_id, code) for each in request.members)
            decided.answer(ticket, LeaveReply(0, tuple(left)))
        else:
            members = self._classic.leave(group, request.members, decided)
            decided.answer(ticket, LeaveReply(0, members))
        return decided

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for its reply any more: there will be none."""
        self._phases.cancel(ticket)

    # Offsets

    def commit_offsets(self, ticket: Ticket, request: CommitRequest, now: Now) -> Decided:
        decided = Decided(now)
        group = self._groups.get(request.group_id)
        code = self._refuses_commit(group, request, decided)
        if code:
            decided.answer(ticket, CommitReply(code))
            return decided
        expiry_ms = None
        if request.retention_ms >= 0:
            expiry_ms = now.wall_ms + request.retention_ms
        codes = []
        for each in request.offsets:
            if len(each.metadata) > self._settings.offset_metadata_max:
                codes.append(OffsetMetadataTooLarge.code)
                continue
            if group is None:
                group = self._made(request.group_id, now.wall_ms)
            value = encode_value(
                OffsetValue(
                    each.offset,
                    each.leader_epoch,
                    each.metadata,
                    now.wall_ms,
                    expiry_ms,
                    each.topic_id,
                )
            )
            key = (each.topic, each.partition)
            group.offsets.put(key, value)
            decided.records.append(Record(encode_key(OffsetKey(group.id, *key)), value))
            codes.append(0)
        decided.answer(ticket, CommitReply(0, tuple(codes)))
        return decided

    def _refuses_commit(self, group: Group | None, request: CommitRequest, decided: Decided) -> int:
        if group is not None:
            return self._classic.commit(group, request, decided)
        if request.generation >= 0:
            knows = request.version >= COMMIT_KNOWS_GROUP_ID_NOT_FOUND
            return GroupIdNotFound.code if knows else IllegalGeneration.code
        if not _is_storable(request.group_id):
            return InvalidGroupId.code
        return PolicyViolation.code if len(self._groups) >= self._settings.groups_max else 0

    def delete_offsets(self, ticket: Ticket, request: DeleteOffsetsRequest, now: Now) -> Decided:
        decided = Decided(now)
        group = self._groups.get(request.group_id)
        code = self._refuses_delete_offsets(group, request.group_id)
        if group is None or code:
            decided.answer(ticket, DeleteOffsetsReply(code))
            return decided
        codes = []
        for key in request.partitions:
            if group.subscribes(key[0]):
                codes.append(GroupSubscribedToTopic.code)
                continue
            self._remove_offset(group, key, decided)
            codes.append(0)
        decided.answer(ticket, DeleteOffsetsReply(0, tuple(codes)))
        return decided

    def _refuses_delete_offsets(self, group: Group | None, group_id: str) -> int:
        """Members of other protocols than the consumer's may use offsets that we know nothing of:
        of them nothing is deleted while there are any."""
        if not group_id:
            return InvalidGroupId.code
        if group is None:
            return GroupIdNotFound.code
        if group.state is not State.EMPTY and group.protocol_type != CONSUMER_PROTOCOL:
            return NonEmptyGroup.code
        return 0

    def topics_deleted(self, topics: Collection[str], now: Now) -> Decided:
        """By name: a topic made anew under the same name begins without committed offsets."""
        decided = Decided(now)
        for group in self._groups.values():
            for key in group.offsets.of(topics):
                self._remove_offset(group, key, decided)
        self._topics.forget(topics)
        return decided

    def _remove_offset(self, group: Group, key: TopicPartition, decided: Decided) -> None:
        if key in group.offsets:
            group.offsets.remove(key)
            decided.records.append(Record(encode_key(OffsetKey(group.id, *key)), None))

    # Groups

    def delete_groups(self, ticket: Ticket, group_ids: Iterable[str], now: Now) -> Decided:
        decided = Decided(now)
        codes = []
        for group_id in group_ids:
            group = self._groups.get(group_id)
            if group is None:
                codes.append(GroupIdNotFound.code)
            elif group.state is not State.EMPTY:
                codes.append(NonEmptyGroup.code)
            else:
                self._delete(group, decided)
                codes.append(0)
        decided.answer(ticket, DeleteGroupsReply(tuple(codes)))
        return decided

    def _made(self, group_id: str, wall_ms: int) -> Group:
        group = self._groups[group_id] = Group(group_id, wall_ms, self._topics)
        return group

    def _delete(self, group: Group, decided: Decided) -> None:
        for key in group.offsets:
            self._remove_offset(group, key, decided)
        for member_id in list(group.pending):
            self._phases.dismiss_pending(group, member_id)
        group.transit(State.DEAD, decided.now.wall_ms)
        del self._groups[group.id]
        decided.records.append(Record(encode_key(GroupKey(group.id)), None))

    # Reads: what they reveal may not be committed yet

    def fetch_offsets(
        self, group_id: str, topics: Iterable[TopicToFetch] | None = None
    ) -> tuple[FetchedOffset, ...]:
        """Of the partitions asked for, in that order, or of all that were ever committed."""
        group = self._groups.get(group_id)
        offsets = group.offsets if group else Offsets(self._topics)
        if topics is None:
            return tuple(offsets.fetch(key) for key in offsets)
        return tuple(
            offsets.fetch((each.topic, partition), each.topic_id)
            for each in topics
            for partition in each.partitions
        )

    def describe(self, group_id: str) -> DescribedGroup:
        group = self._groups.get(group_id)
        if group is None:
            code = GroupIdNotFound.code
            return DescribedGroup(code, group_id, Kind.CLASSIC, State.DEAD, 0, "", "", ())
        is_stable = group.state is State.STABLE
        members = tuple(
            DescribedMember(
                each.id,
                each.instance_id,
                each.client_id,
                each.client_host,
                each.metadata(group.protocol) if is_stable else b"",
                each.assignment,
            )
            for each in group.members.values()
        )
        protocol = group.protocol if is_stable else None
        return DescribedGroup(
            0,
            group_id,
            group.kind,
            group.state,
            group.generation,
            group.protocol_type or "",
            protocol or "",
            members,
        )

    def list_groups(
        self, states: Collection[str] = (), kinds: Collection[str] = ()
    ) -> tuple[ListedGroup, ...]:
        """Those of the states and kinds named, however they are capitalised; none named is all."""
        of_states = {each.lower() for each in states}
        of_kinds = {each.lower() for each in kinds}
        return tuple(
            ListedGroup(each.id, each.protocol_type or "", each.state, each.kind)
            for each in self._groups.values()
            if (not of_states or each.state.lower() in of_states)
            and (not of_kinds or each.kind.lower() in of_kinds)
        )

    def rebalances(self, group_id: str) -> tuple[Rebalance, ...]:
        """The last that have ended, oldest first; of a group that does not exist there are none."""
        group = self._groups.get(group_id)
        return group.rebalances.ended() if group else ()

    # Time

    def due_ms(self) -> int | None:
        """When `tick` is next needed, on the monotonic clock."""
        return self._timers.due_ms()

    def tick(self, now: Now) -> Decided:
        decided = Decided(now)
        for wait, group_id, member_id in self._timers.expire(now.monotonic_ms):
            if wait is Wait.EXPIRY:
                self._expire_offsets(decided)
                continue
            group = self._groups[group_id]
            if wait is Wait.SESSION:
                self._phases.session_over(group, member_id, decided)
            elif wait is Wait.JOIN:
                self._phases.join_over(group, decided)
            else:
                self._phases.sync_over(group, decided)
        return decided

    def _expire_offsets(self, decided: Decided) -> None:
        """One turn of a round over all groups: the loop gets its own turns in between."""
        now = decided.now
        if not self._unchecked:
            self._unchecked = list(self._groups)
        seen = 0
        while self._unchecked and seen < limits.OFFSETS_EXPIRED_PER_TURN:
            group = self._groups.get(self._unchecked.pop())
            if group is None:
                continue
            seen += len(group.offsets) + 1
            retention_ms = self._settings.offsets_retention_ms
            for key in expiry.expired(group, now.wall_ms, retention_ms):
                self._remove_offset(group, key, decided)
            if group.state is State.EMPTY and not group.offsets and not group.pending:
                self._delete(group, decided)
        pause_ms = 1 if self._unchecked else self._settings.expiry_check_ms
        self._timers.start(_EXPIRY, now.monotonic_ms + pause_ms)

    # Records

    def replay(self, record: Record) -> None:
        """Fold one record. One of a type that we do not know is kept, for whoever does."""
        try:
            key = decode_key(record.key)
            if isinstance(key, OffsetKey):
                self._replay_offset(key, record.value)
            elif isinstance(key, GroupKey):
                self._replay_group(key.group, record.value)
            else:
                self._replay_other(key, record)
        except Malformed as error:
            raise Corrupt(f"a record of a group: {error}") from error

    def _replay_offset(self, key: OffsetKey, value: bytes | None) -> None:
        group = self._groups.get(key.group)
        at = (key.topic, key.partition)
        if value is not None:
            if group is None:
                group = self._made(key.group, UNKNOWN_SINCE)
            group.offsets.put(at, value)
        elif group is not None:
            group.offsets.remove(at)
            self._drop_if_nothing_is_left(group)

    def _replay_group(self, group_id: str, value: bytes | None) -> None:
        group = self._groups.get(group_id)
        if value is not None:
            if group is None:
                group = self._made(group_id, UNKNOWN_SINCE)
            group.restore(decode_group_value(value))
            group.recorded = value
        elif group is not None:
            group.forget_members()
            self._drop_if_nothing_is_left(group)

    def _drop_if_nothing_is_left(self, group: Group) -> None:
        if group.recorded is None and not group.offsets:
            del self._groups[group.id]

    def _replay_other(self, key: Unknown, record: Record) -> None:
        if record.value is None:
            self._others.pop(record.key, None)
        else:
            self._others[record.key] = record.value

    def loaded(self, now: Now) -> None:
        """Everything has been replayed: members get a full session, and expiry begins."""
        decided = Decided(now)
        for group in self._groups.values():
            for member in group.members.values():
                self._phases.keep_session(group, member, decided)
            if len(group.members) > self._settings.members_max:
                self._phases.begin(group, Cause.OVER_CAPACITY, None, "", decided)
        assert not decided.records and not decided.replies, "who has just been loaded waits"
        self._timers.start(_EXPIRY, now.monotonic_ms + self._settings.expiry_check_ms)

    def save(self) -> Iterator[Record]:
        """What replay has to be given to come to the same: no tombstones.

        A record is true when it is taken. Between taking and appending it no command may be
        decided, but between two records there may.
        """
        for group in list(self._groups.values()):
            if group.recorded is not None and self._groups.get(group.id) is group:
                yield Record(encode_key(GroupKey(group.id)), group.recorded)
            for key in group.offsets:
                value = group.offsets.stored(key)
                if value is not None:
                    yield Record(encode_key(OffsetKey(group.id, *key)), value)
        for other, value in list(self._others.items()):
            yield Record(other, value)


def _is_storable(*names: str) -> bool:
    """Whether a record has room for each: in requests there is more."""
    return all(len(name) <= limits.GROUP_STRING_CHARACTERS_MAX for name in names)
