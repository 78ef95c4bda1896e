"""Why a group rebalanced: the last rebalances, each with its cause.

Owns    `Cause`, `Rebalance`, and a group's history of them.
Never   decides anything, or is stored: a coordinator that has just loaded knows of none.
Trusts  phases.py to begin one when members are called to join again, and to end it when they are
        Stable, gone, or called again.
"""

from enum import StrEnum
from typing import NamedTuple

from app import limits
from app.core.coordinator import Now
from app.core.groups.member import Member


class Cause(StrEnum):
    MEMBER_JOINED = "member-joined"
    MEMBER_LEFT = "member-left"
    SESSION_EXPIRED = "session-expired"
    SYNC_EXPIRED = "sync-expired"
    LEADER_REJOINED = "leader-rejoined"
    METADATA_CHANGED = "metadata-changed"
    STATIC_MEMBER_REPLACED = "static-member-replaced"
    PROTOCOL_CHANGED = "protocol-changed"
    OVER_CAPACITY = "over-capacity"


class Rebalance(NamedTuple):
    """`reason` is what the member itself gave (JoinGroup 8, LeaveGroup 5); `members` are those of
    the generation that it led to."""

    started_ms: int
    cause: Cause
    member_id: str
    client_id: str
    client_host: str
    instance_id: str | None
    reason: str
    from_generation: int
    to_generation: int
    members: int
    duration_ms: int


class Rebalances:
    """Of one group. At most one is under way."""

    __slots__ = ("_ended", "_started_ms", "_under_way")

    def __init__(self) -> None:
        self._ended: list[Rebalance] = []
        self._under_way: Rebalance | None = None
        self._started_ms = 0

    def begin(
        self, cause: Cause, member: Member | None, reason: str, generation: int, now: Now
    ) -> None:
        assert self._under_way is None, self._under_way
        self._started_ms = now.monotonic_ms
        self._under_way = Rebalance(
            now.wall_ms,
            cause,
            member.id if member else "",
            member.client_id if member else "",
            member.client_host if member else "",
            member.instance_id if member else None,
            reason,
            generation,
            generation,
            0,
            0,
        )

    def reached(self, generation: int, members: int) -> None:
        """So many members have joined the generation that it led to.

        One need not be under way: what a load interrupted is not known.
        """
        if self._under_way is not None:
            self._under_way = self._under_way._replace(to_generation=generation, members=members)

    def end(self, now: Now) -> None:
        if self._under_way is None:
            return
        took_ms = now.monotonic_ms - self._started_ms
        self._ended.append(self._under_way._replace(duration_ms=took_ms))
        self._under_way = None
        del self._ended[: -limits.REBALANCES_KEPT]

    def ended(self) -> tuple[Rebalance, ...]:
        """Oldest first."""
        return tuple(self._ended)
