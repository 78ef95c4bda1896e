"""What members and administrators ask of a group, and what they are answered.

Owns    settings, requests and replies as values, in the words of Kafka's protocol.
Never   behaves, or knows how a value is encoded: a version is here only where it changes an answer.
Trusts  that whoever made a request has checked it against authorisation and existing topics.

In every reply `code` is Kafka's error code; 0 is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app import limits
from app.core.groups.states import Kind, State

CONSUMER_PROTOCOL = "consumer"
"""The protocol type of Kafka's consumers: of it we know how to read subscriptions."""

NO_GENERATION = -1
NO_OFFSET = -1
NO_EPOCH = -1
DEFAULT_RETENTION = -1
JOIN_REQUIRES_MEMBER_ID = 4
JOIN_SKIPS_ASSIGNMENT = 9
COMMIT_KNOWS_GROUP_ID_NOT_FOUND = 9


@dataclass(frozen=True, slots=True)
class GroupSettings:
    session_timeout_ms_min: int = limits.GROUP_SESSION_MS_MIN
    session_timeout_ms_max: int = limits.GROUP_SESSION_MS_MAX
    members_max: int = limits.GROUP_MEMBERS_MAX
    initial_rebalance_delay_ms: int = limits.GROUP_INITIAL_REBALANCE_DELAY_MS
    new_member_join_ms_max: int = limits.GROUP_NEW_MEMBER_JOIN_MS_MAX
    offset_metadata_max: int = limits.OFFSET_METADATA_CHARACTERS_MAX
    offsets_retention_ms: int = limits.OFFSETS_RETENTION_MS
    expiry_check_ms: int = limits.OFFSETS_EXPIRY_CHECK_MS
    groups_max: int = limits.GROUPS_MAX


class JoinProtocol(NamedTuple):
    """What a member offers: an assignor's name, and bytes that only its like can read."""

    name: str
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """`new_member_id` is the id that the member gets if it has none: random, so made outside."""

    group_id: str
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    protocol_type: str
    protocols: tuple[JoinProtocol, ...]
    session_timeout_ms: int
    rebalance_timeout_ms: int
    new_member_id: str
    version: int
    reason: str = ""


class JoinedMember(NamedTuple):
    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinReply:
    """`members` is for the leader, who assigns, unless it is told to skip that (v9)."""

    code: int
    member_id: str
    generation: int = NO_GENERATION
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    members: tuple[JoinedMember, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """`assignments`, by member id, come from the leader."""

    group_id: str
    member_id: str
    instance_id: str | None
    generation: int
    protocol_type: str | None
    protocol: str | None
    assignments: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class SyncReply:
    code: int
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True)
class HeartbeatRequest:
    group_id: str
    member_id: str
    instance_id: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    code: int


class LeavingMember(NamedTuple):
    """Without a member id, whoever has the instance id is to go: an administrator asks."""

    member_id: str
    instance_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaveRequest:
    group_id: str
    members: tuple[LeavingMember, ...]


class LeftMember(NamedTuple):
    member_id: str
    instance_id: str | None
    code: int


@dataclass(frozen=True, slots=True)
class LeaveReply:
    code: int
    members: tuple[LeftMember, ...] = ()


class OffsetToCommit(NamedTuple):
    topic: str
    partition: int
    offset: int
    leader_epoch: int = NO_EPOCH
    metadata: str = ""
    topic_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """`retention_ms` is what clients before version 5 may ask for."""

    group_id: str
    member_id: str
    instance_id: str | None
    generation: int
    offsets: tuple[OffsetToCommit, ...]
    version: int
    retention_ms: int = DEFAULT_RETENTION


@dataclass(frozen=True, slots=True)
class CommitReply:
    """`code` is that of the whole request; without one, `codes` has one for each offset."""

    code: int
    codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteOffsetsRequest:
    group_id: str
    partitions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class DeleteOffsetsReply:
    """`code` is that of the whole request; without one, `codes` has one for each partition."""

    code: int
    codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteGroupsReply:
    """One code for each group that was named."""

    codes: tuple[int, ...]


class TopicToFetch(NamedTuple):
    """With a topic id, what was committed to another topic of the same name is not given."""

    topic: str
    partitions: tuple[int, ...]
    topic_id: bytes | None = None


class FetchedOffset(NamedTuple):
    """`offset` is -1 where nothing is committed."""

    topic: str
    partition: int
    offset: int
    leader_epoch: int
    metadata: str


class DescribedMember(NamedTuple):
    """`metadata` is empty but in a Stable group: only then is it what the assignment rests on."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class DescribedGroup:
    """A group that does not exist is Dead, with the code GROUP_ID_NOT_FOUND."""

    code: int
    group_id: str
    kind: Kind
    state: State
    generation: int
    protocol_type: str
    protocol: str
    members: tuple[DescribedMember, ...]


class ListedGroup(NamedTuple):
    group_id: str
    protocol_type: str
    state: State
    kind: Kind
