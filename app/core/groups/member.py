"""One member of a classic group.

Owns    what the member said when it joined, its assignment, and which of its requests wait.
Never   knows its group, or that time passes: its session is a timer (timers.py).
Trusts  that group.py counts who waits: `joining` is set and cleared there only.
"""

from collections.abc import Collection

from app.core.coordinator import Ticket
from app.core.groups.values import JoinProtocol, JoinRequest
from streambus.protocol.coordinator_records import MemberValue


class Member:
    """`joining` and `syncing` are requests that wait for the other members. `is_new` until its
    first generation begins: the member may not know its id yet, and so cannot keep a session."""

    __slots__ = (
        "assignment",
        "client_host",
        "client_id",
        "id",
        "instance_id",
        "is_new",
        "joining",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "syncing",
    )

    def __init__(
        self, member_id: str, instance_id: str | None, client_id: str, client_host: str
    ) -> None:
        self.id = member_id
        self.instance_id = instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.protocols: tuple[JoinProtocol, ...] = ()
        self.rebalance_timeout_ms = 0
        self.session_timeout_ms = 0
        self.assignment = b""
        self.is_new = False
        self.joining: Ticket | None = None
        self.syncing: Ticket | None = None

    @property
    def is_excused(self) -> bool:
        """It waits for us, so that a session that ends meanwhile says nothing about it."""
        return not self.is_new and (self.joining is not None or self.syncing is not None)

    def take(self, request: JoinRequest) -> None:
        """What a join says anew each time. Before JoinGroup 1 there was one timeout for both."""
        self.protocols = request.protocols
        self.session_timeout_ms = request.session_timeout_ms
        self.rebalance_timeout_ms = request.rebalance_timeout_ms
        if request.rebalance_timeout_ms < 0:
            self.rebalance_timeout_ms = request.session_timeout_ms

    def metadata(self, protocol: str | None) -> bytes:
        """What it offered for `protocol`, which it supports."""
        return next(each.metadata for each in self.protocols if each.name == protocol)

    def vote(self, candidates: Collection[str]) -> str:
        """The candidate that it likes best: its protocols are in order of preference."""
        return next(each.name for each in self.protocols if each.name in candidates)

    def value(self, protocol: str | None) -> MemberValue:
        return MemberValue(
            self.id,
            self.instance_id,
            self.client_id,
            self.client_host,
            self.rebalance_timeout_ms,
            self.session_timeout_ms,
            self.metadata(protocol),
            self.assignment,
        )

    @classmethod
    def restored(cls, value: MemberValue, protocol: str) -> "Member":
        """Of all that it offered only what was chosen has been stored."""
        member = cls(value.member_id, value.group_instance_id, value.client_id, value.client_host)
        member.protocols = (JoinProtocol(protocol, value.subscription),)
        member.rebalance_timeout_ms = value.rebalance_timeout_ms
        if value.rebalance_timeout_ms < 0:
            member.rebalance_timeout_ms = value.session_timeout_ms
        member.session_timeout_ms = value.session_timeout_ms
        member.assignment = value.assignment
        return member
