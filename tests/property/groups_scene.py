"""A `Groups` machine with a clock, a log, and members that are named in one word.

After every command the scene checks what must hold after any: what was recorded is what `save`
gives, no request is answered twice, and none that waits is forgotten.
"""

from dataclasses import replace
from typing import Any

from app.core.coordinator import Decided, Now, Record, Ticket
from app.core.groups.groups import Groups
from app.core.groups.values import (
    CommitReply,
    CommitRequest,
    DeleteGroupsReply,
    DeleteOffsetsReply,
    DeleteOffsetsRequest,
    GroupSettings,
    HeartbeatRequest,
    JoinProtocol,
    JoinRequest,
    LeaveReply,
    LeaveRequest,
    LeavingMember,
    OffsetToCommit,
    SyncRequest,
)

WALL_MS = 1_700_000_000_000
SESSION_MS = 10_000
REBALANCE_MS = 60_000
DAY_MS = 86_400_000

NAMES = {
    0: "ok",
    12: "OFFSET_METADATA_TOO_LARGE",
    22: "ILLEGAL_GENERATION",
    23: "INCONSISTENT_GROUP_PROTOCOL",
    24: "INVALID_GROUP_ID",
    25: "UNKNOWN_MEMBER_ID",
    26: "INVALID_SESSION_TIMEOUT",
    27: "REBALANCE_IN_PROGRESS",
    42: "INVALID_REQUEST",
    44: "POLICY_VIOLATION",
    68: "NON_EMPTY_GROUP",
    69: "GROUP_ID_NOT_FOUND",
    79: "MEMBER_ID_REQUIRED",
    81: "GROUP_MAX_SIZE_REACHED",
    82: "FENCED_INSTANCE_ID",
    86: "GROUP_SUBSCRIBED_TO_TOPIC",
}


def subscription(*topics: str, owned: bytes = b"") -> bytes:
    """A consumer's subscription of version 0 or, with what it owns, a later one (KIP-429)."""
    parts = [(1 if owned else 0).to_bytes(2, "big"), len(topics).to_bytes(4, "big")]
    for topic in topics:
        parts += [len(topic).to_bytes(2, "big"), topic.encode()]
    return b"".join([*parts, (0xFFFFFFFF).to_bytes(4, "big"), owned])


def offers(*names: str, topics: tuple[str, ...] = ("orders",)) -> tuple[JoinProtocol, ...]:
    return tuple(JoinProtocol(name, subscription(*topics)) for name in names)


class Scene:
    def __init__(self, **settings: int) -> None:
        self.settings = replace(GroupSettings(), **{"initial_rebalance_delay_ms": 0, **settings})
        self.groups = Groups(self.settings)
        self.ms = 0
        self.wall_offset_ms = WALL_MS
        self.next_ticket = 0
        self.log: list[Record] = []
        self.replies: dict[Ticket, Any] = {}
        self.waiting: set[Ticket] = set()
        self.groups.loaded(self.now)

    @property
    def now(self) -> Now:
        return Now(self.wall_offset_ms + self.ms, self.ms)

    # Every command ends here

    def ticket(self) -> Ticket:
        self.next_ticket += 1
        ticket = Ticket(self.next_ticket)
        self.waiting.add(ticket)
        return ticket

    def take(self, decided: Decided) -> Decided:
        self.log += decided.records
        for ticket, reply in decided.replies:
            assert ticket in self.waiting, f"{ticket} is answered twice, or was never asked"
            self.waiting.remove(ticket)
            self.replies[ticket] = reply
        self.check()
        return decided

    def check(self) -> None:
        assert list(self.groups.save()) == list(map(Record._make, dict(self.groups.save()).items()))
        assert dict(self.groups.save()) == self.recorded()

    def recorded(self) -> dict[bytes, bytes]:
        """The log, folded by somebody who knows nothing of groups."""
        newest = {record.key: record.value for record in self.log}
        return {key: value for key, value in newest.items() if value is not None}

    def reload(self) -> None:
        """The process ends, and another folds the log. Whoever waited is lost."""
        self.groups = Groups(self.settings)
        for record in self.log:
            self.groups.replay(record)
        self.groups.loaded(self.now)
        self.waiting.clear()
        self.check()

    # Time

    def advance(self, ms: int) -> Decided:
        """Tick whenever it is due. Gives everything that was decided meanwhile."""
        until = self.ms + ms
        together = Decided(self.now)
        while (due := self.groups.due_ms()) is not None and due <= until:
            self.ms = max(due, self.ms)
            decided = self.take(self.groups.tick(self.now))
            together.records += decided.records
            together.replies += decided.replies
        self.ms = until
        return together

    # Requests

    def join(
        self,
        member_id: str = "",
        group: str = "g",
        *,
        new: str = "",
        instance: str | None = None,
        protocols: tuple[JoinProtocol, ...] | None = None,
        kind: str = "consumer",
        session_ms: int = SESSION_MS,
        rebalance_ms: int = REBALANCE_MS,
        version: int = 9,
        reason: str = "",
    ) -> Ticket:
        ticket = self.ticket()
        request = JoinRequest(
            group_id=group,
            member_id=member_id,
            instance_id=instance,
            client_id=f"client-{new or member_id}",
            client_host="/127.0.0.1",
            protocol_type=kind,
            protocols=offers("range") if protocols is None else protocols,
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=rebalance_ms,
            new_member_id=new or f"new-{ticket}",
            version=version,
            reason=reason,
        )
        self.take(self.groups.join(ticket, request, self.now))
        return ticket

    def enter(self, member_id: str, group: str = "g", **given: Any) -> Ticket:
        """Join for the first time: with the id that the first answer gives."""
        if given.get("instance") is not None or given.get("version", 9) < 4:
            return self.join("", group, new=member_id, **given)
        self.join("", group, new=member_id, **given)
        return self.join(member_id, group, **given)

    def sync(
        self,
        member_id: str,
        generation: int,
        group: str = "g",
        *,
        instance: str | None = None,
        kind: str | None = "consumer",
        protocol: str | None = "range",
        **assignments: str,
    ) -> Ticket:
        ticket = self.ticket()
        assigned = {name: text.encode() for name, text in assignments.items()}
        request = SyncRequest(group, member_id, instance, generation, kind, protocol, assigned)
        self.take(self.groups.sync(ticket, request, self.now))
        return ticket

    def heartbeat(
        self, member_id: str, generation: int, group: str = "g", instance: str | None = None
    ) -> str:
        ticket = self.ticket()
        request = HeartbeatRequest(group, member_id, instance, generation)
        self.take(self.groups.heartbeat(ticket, request, self.now))
        return self.code(ticket)

    def leave(self, *members: str | LeavingMember, group: str = "g") -> LeaveReply:
        ticket = self.ticket()
        leaving = tuple(LeavingMember(each) if isinstance(each, str) else each for each in members)
        self.take(self.groups.leave(ticket, LeaveRequest(group, leaving), self.now))
        reply: LeaveReply = self.replies[ticket]
        return reply

    def commit(
        self,
        *offsets: OffsetToCommit,
        member_id: str = "",
        generation: int = -1,
        group: str = "g",
        instance: str | None = None,
        version: int = 9,
        retention_ms: int = -1,
    ) -> CommitReply:
        ticket = self.ticket()
        request = CommitRequest(
            group, member_id, instance, generation, offsets, version, retention_ms
        )
        self.take(self.groups.commit_offsets(ticket, request, self.now))
        reply: CommitReply = self.replies[ticket]
        return reply

    def delete_offsets(self, *partitions: tuple[str, int], group: str = "g") -> DeleteOffsetsReply:
        ticket = self.ticket()
        request = DeleteOffsetsRequest(group, partitions)
        self.take(self.groups.delete_offsets(ticket, request, self.now))
        reply: DeleteOffsetsReply = self.replies[ticket]
        return reply

    def delete_groups(self, *groups: str) -> list[str]:
        ticket = self.ticket()
        self.take(self.groups.delete_groups(ticket, groups, self.now))
        reply: DeleteGroupsReply = self.replies[ticket]
        return [NAMES[code] for code in reply.codes]

    def topics_deleted(self, *topics: str) -> Decided:
        return self.take(self.groups.topics_deleted(topics, self.now))

    def cancel(self, ticket: Ticket) -> None:
        self.groups.cancel(ticket)
        self.waiting.discard(ticket)

    # What came of it

    def reply(self, ticket: Ticket) -> Any:
        assert ticket in self.replies, "it waits"
        return self.replies[ticket]

    def waits(self, ticket: Ticket) -> bool:
        return ticket in self.waiting

    def code(self, ticket: Ticket) -> str:
        return NAMES[self.reply(ticket).code]

    def state(self, group: str = "g") -> str:
        return str(self.groups.describe(group).state)

    def generation(self, group: str = "g") -> int:
        return self.groups.describe(group).generation

    def members(self, group: str = "g") -> list[str]:
        return [each.member_id for each in self.groups.describe(group).members]

    def offset(self, topic: str, partition: int = 0, group: str = "g") -> int:
        found = {
            (each.topic, each.partition): each.offset for each in self.groups.fetch_offsets(group)
        }
        return found.get((topic, partition), -1)

    def stable(self, *member_ids: str, group: str = "g", **given: Any) -> int:
        """Bring these members together at work; gives the generation. The first one leads."""
        for member_id in member_ids:
            self.enter(member_id, group, **given)
        while self.state(group) != "Stable":
            for member_id in member_ids:
                if self.state(group) == "PreparingRebalance":
                    self.join(member_id, group, **given)
            self.advance(self.settings.initial_rebalance_delay_ms)
            generation = self.generation(group)
            assert self.state(group) == "CompletingRebalance", self.state(group)
            described = self.groups.describe(group).members
            ids = [each.member_id for each in described]
            protocol = (given.get("protocols") or offers("range"))[0].name
            for each in reversed(ids):
                self.sync(
                    each,
                    generation,
                    group,
                    protocol=protocol,
                    kind=given.get("kind", "consumer"),
                    **{name: f"for-{name}" for name in ids},
                )
        return self.generation(group)
