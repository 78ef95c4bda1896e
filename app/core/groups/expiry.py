"""Which committed offsets a group has no use for any more (KIP-211).

Owns    the three rules of what an offset's age is counted from.
Never   removes anything: what has expired is returned.
Trusts  wall time, as its coordinator told it, to count in days.
"""

from enum import Enum, auto

from app.core.groups.group import UNKNOWN_SINCE, Group
from app.core.groups.offsets import TopicPartition
from app.core.groups.states import State
from app.core.groups.values import CONSUMER_PROTOCOL


class Since(Enum):
    """`NEVER`: the group is at work, and nothing of it expires."""

    NEVER = auto()
    EMPTY = auto()
    COMMITTED = auto()


def since(group: Group) -> Since:
    if group.protocol_type is None:
        return Since.COMMITTED
    if group.state is State.EMPTY:
        return Since.EMPTY
    if (
        group.state is State.STABLE
        and group.protocol_type == CONSUMER_PROTOCOL
        and group.subscribed is not None
    ):
        return Since.COMMITTED
    return Since.NEVER


def expired(group: Group, wall_ms: int, retention_ms: int) -> list[TopicPartition]:
    """Never those of a topic that its members subscribe to. A client of old may have asked for an
    expiry of its own, which then decides alone."""
    rule = since(group)
    if rule is Since.NEVER:
        return []
    found = []
    for key in group.offsets:
        if group.subscribes(key[0]):
            continue
        value = group.offsets.value(key)
        assert value is not None
        start_ms = value.commit_timestamp
        if rule is Since.EMPTY and group.state_since_ms != UNKNOWN_SINCE:
            start_ms = group.state_since_ms
        expiry_ms = value.expire_timestamp
        if wall_ms >= (start_ms + retention_ms if expiry_ms is None else expiry_ms):
            found.append(key)
    return found
