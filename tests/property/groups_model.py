"""What one classic group should do, written for the eye: a second implementation.

Everything is recomputed from lists and plain texts, nothing is counted or cached, and no line is
shared with app/core/groups. Answers are tuples that begin with the name of Kafka's error code.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, tuple[Any, ...]]
NEW_MEMBER_MS = 300_000
SWEEP_MS = 600_000


@dataclass
class Member:
    id: str
    instance: str | None
    protocols: tuple[tuple[str, bytes], ...]
    session_ms: int
    rebalance_ms: int
    is_new: bool = True
    assignment: bytes = b""
    joining: int | None = None
    syncing: int | None = None

    def offered(self, protocol: str) -> bytes:
        return dict(reversed(self.protocols))[protocol]


@dataclass
class Durable:
    """What one record of the group says."""

    kind: str = ""
    generation: int = 0
    protocol: str = ""
    leader: str = ""
    since: int = 0
    members: list[Member] = field(default_factory=list)


class Model:
    def __init__(self, delay_ms: int, size_max: int, retention_ms: int) -> None:
        self.delay_ms = delay_ms
        self.size_max = size_max
        self.retention_ms = retention_ms
        self.now = 0
        self.exists = False
        self.stored: Durable | None = None
        self.offsets: dict[tuple[str, int], tuple[int, int]] = {}  # offset, committed at
        self.out: list[Answer] = []
        self.deadlines: dict[tuple[int, str], int] = {(3, ""): SWEEP_MS}
        self.clear(Durable())

    def clear(self, durable: Durable) -> None:
        self.members = deepcopy(durable.members)
        self.state = "Stable" if self.members else "Empty"
        self.kind = durable.kind
        self.generation = durable.generation
        self.protocol = durable.protocol
        self.leader = durable.leader
        self.since = durable.since
        self.pending: list[str] = []
        self.unsynced: list[str] = []
        self.subscribed = self.topics()
        self.first = False
        self.newcomers = False
        self.delayed = self.left = 0

    # Looking things up

    def find(self, member_id: str) -> Member | None:
        return next((each for each in self.members if each.id == member_id), None)

    def of_instance(self, instance: str | None) -> Member | None:
        return next((each for each in self.members if instance and each.instance == instance), None)

    def longest(self) -> int:
        return max([0, *(each.rebalance_ms for each in self.members)])

    def common(self) -> list[str]:
        """Protocols that all support, in the first member's order."""
        if not self.members:
            return []
        first, *others = self.members
        return [
            name
            for name, _ in first.protocols
            if all(name in dict(other.protocols) for other in others)
        ]

    def elected(self) -> str:
        common = self.common()
        votes = [next(n for n, _ in each.protocols if n in common) for each in self.members]
        return max(dict.fromkeys(votes), key=votes.count)

    def all_joined(self) -> bool:
        return not self.pending and all(each.joining for each in self.members)

    def topics(self) -> set[str] | None:
        if self.kind != "consumer":
            return None
        found: set[str] = set()
        for each in self.members:
            raw = each.offered(self.protocol)
            count, at = int.from_bytes(raw[2:6], "big"), 6
            for _ in range(count):
                size = int.from_bytes(raw[at : at + 2], "big")
                found.add(raw[at + 2 : at + 2 + size].decode())
                at += 2 + size
        return found

    def wrong(self, member_id: str, instance: str | None) -> str:
        if instance is not None:
            holder = self.of_instance(instance)
            if holder is None:
                return "UNKNOWN_MEMBER_ID"
            if holder.id != member_id:
                return "FENCED_INSTANCE_ID"
        return "" if self.find(member_id) else "UNKNOWN_MEMBER_ID"

    # Small steps

    def say(self, ticket: int | None, *answer: Any) -> None:
        if ticket:
            self.out.append((ticket, answer))

    def go(self, state: str) -> None:
        self.state, self.since = state, self.now

    def refresh(self, member: Member) -> None:
        self.deadlines[0, member.id] = self.now + member.session_ms

    def record(self) -> None:
        kept = deepcopy(self.members)
        for each in kept:
            each.protocols = ((self.protocol, each.offered(self.protocol)),)
            each.joining = each.syncing = None
            each.is_new = False
        self.stored = Durable(
            self.kind, self.generation, self.protocol, self.leader, self.since, kept
        )

    def drop(self, member: Member, code: str = "UNKNOWN_MEMBER_ID") -> None:
        self.say(member.joining, code, "")
        self.say(member.syncing, code, b"")
        self.members.remove(member)
        if member.id in self.unsynced:
            self.unsynced.remove(member.id)
        self.deadlines.pop((0, member.id), None)
        if self.leader == member.id:
            self.leader = self.members[0].id if self.members else ""

    def current(self, member: Member) -> tuple[Any, ...]:
        leads = member.id == self.leader
        roster = sorted(each.id for each in self.members) if leads else []
        return ("ok", member.id, self.generation, self.protocol, self.leader, False, roster)

    # Rebalances

    def begin(self) -> None:
        if self.state == "CompletingRebalance":
            for each in self.members:
                each.assignment = b""
                if each.syncing:
                    self.say(each.syncing, "REBALANCE_IN_PROGRESS", b"")
                    each.syncing = None
                    self.refresh(each)
        self.unsynced = []
        self.deadlines.pop((2, ""), None)
        self.first = self.state == "Empty"
        self.go("PreparingRebalance")
        if self.first:
            self.newcomers = False
            self.left = max(self.longest() - self.delay_ms, 0)
            self.delay(self.delay_ms)
        elif self.all_joined():
            self.finish()
        else:
            self.deadlines[1, ""] = self.now + self.longest()

    def delay(self, ms: int) -> None:
        self.delayed = ms
        if ms == 0:
            self.finish()
        else:
            self.deadlines[1, ""] = self.now + ms

    def finish_if_all(self) -> None:
        if self.state == "PreparingRebalance" and not self.first and self.all_joined():
            self.finish()

    def finish(self) -> None:
        self.deadlines.pop((1, ""), None)
        for each in [each for each in self.members if not each.joining and not each.instance]:
            self.drop(each)
        joined = [each.id for each in self.members if each.joining]
        if self.members and not joined:
            self.deadlines[1, ""] = self.now + max(self.longest(), 100)
            return
        if self.leader not in joined:
            self.leader = joined[0] if joined else ""
        self.generation += 1
        self.first = False
        self.unsynced = [each.id for each in self.members]
        self.protocol = self.elected() if self.members else ""
        self.subscribed = self.topics()
        if not self.members:
            self.go("Empty")
            self.record()
            return
        self.go("CompletingRebalance")
        for each in self.members:
            self.say(each.joining, *self.current(each))
            each.joining, each.is_new = None, False
            self.refresh(each)
        self.deadlines[2, ""] = self.now + self.longest()

    # Requests

    def join(
        self,
        ticket: int,
        member_id: str,
        instance: str | None,
        new_id: str,
        protocols: tuple[tuple[str, bytes], ...],
        session_ms: int,
        rebalance_ms: int,
        version: int,
    ) -> None:
        if not self.exists:
            if member_id:
                self.say(ticket, "UNKNOWN_MEMBER_ID", member_id)
                return
            self.exists = True
            self.clear(Durable(since=self.now))
            self.stored = Durable(since=self.now)
        known = self.find(member_id)
        joined = [each for each in self.members if each.joining]
        if self.state == "PreparingRebalance":
            full = not (known and known.joining) and len(joined) >= self.size_max
        else:
            full = self.state != "Empty" and not known and len(self.members) >= self.size_max
        if full:
            if known:
                self.drop(known)
            elif member_id in self.pending:
                self.unpend(member_id)
            self.finish_if_all()
            self.say(ticket, "GROUP_MAX_SIZE_REACHED", "")
            return
        fits = self.state == "Empty" or not self.members
        fits = fits or any(name in self.common() for name, _ in protocols)
        if not protocols or not fits:
            self.say(ticket, "INCONSISTENT_GROUP_PROTOCOL", member_id)
            return
        fresh = Member(member_id or new_id, instance, protocols, session_ms, rebalance_ms)
        if member_id in self.pending and instance is None:
            self.enter(ticket, fresh)
        elif member_id:
            self.again(ticket, fresh)
        elif instance is None and version >= 4:
            self.pending.append(new_id)
            self.deadlines[0, new_id] = self.now + session_ms
            self.say(ticket, "MEMBER_ID_REQUIRED", new_id)
        elif self.of_instance(instance):
            self.replace(ticket, fresh, version)
        else:
            self.enter(ticket, fresh)

    def enter(self, ticket: int, fresh: Member) -> None:
        if fresh.id in self.pending:
            self.pending.remove(fresh.id)
        if not self.members:
            self.kind = "consumer"
            self.leader = fresh.id
        fresh.joining = ticket
        self.members.append(fresh)
        self.deadlines[0, fresh.id] = self.now + NEW_MEMBER_MS
        if self.state == "PreparingRebalance":
            self.newcomers = self.first
            self.finish_if_all()
        else:
            self.begin()

    def again(self, ticket: int, fresh: Member) -> None:
        code = self.wrong(fresh.id, fresh.instance)
        if code:
            self.say(ticket, code, fresh.id)
            return
        known = self.find(fresh.id)
        assert known
        same = known.protocols == fresh.protocols
        leads = self.state == "Stable" and self.leader == known.id
        if self.state != "PreparingRebalance" and same and not leads:
            self.say(ticket, *self.current(known))
            return
        self.update(known, fresh)
        self.say(known.joining, "REBALANCE_IN_PROGRESS", known.id)
        known.joining = ticket
        if self.state == "PreparingRebalance":
            self.finish_if_all()
        else:
            self.begin()

    def update(self, known: Member, fresh: Member) -> None:
        known.protocols = fresh.protocols
        known.session_ms, known.rebalance_ms = fresh.session_ms, fresh.rebalance_ms

    def replace(self, ticket: int, fresh: Member, version: int) -> None:
        known = self.of_instance(fresh.instance)
        assert known
        led, leader_before = known.id == self.leader, self.leader
        self.say(known.joining, "FENCED_INSTANCE_ID", known.id)
        self.say(known.syncing, "FENCED_INSTANCE_ID", b"")
        self.deadlines.pop((0, known.id), None)
        if known.id in self.unsynced:
            self.unsynced.remove(known.id)
        self.members.remove(known)
        self.members.append(known)
        known.id, known.is_new = fresh.id, False
        known.joining = known.syncing = None
        self.leader = fresh.id if led else self.leader
        self.update(known, fresh)
        self.refresh(known)
        if self.state == "Stable" and self.elected() == self.protocol:
            self.record()
            answer = list(self.current(known))
            if version >= 9:
                answer[5] = led
            else:
                answer[4], answer[6] = leader_before, []
            self.say(ticket, *answer)
            return
        known.joining = ticket
        if self.state == "PreparingRebalance":
            self.finish_if_all()
        else:
            self.begin()

    def sync(
        self,
        ticket: int,
        member_id: str,
        instance: str | None,
        generation: int,
        assigned: dict[str, bytes],
    ) -> None:
        code = self.wrong(member_id, instance)
        if not code and generation != self.generation:
            code = "ILLEGAL_GENERATION"
        if not code and self.state == "PreparingRebalance":
            code = "REBALANCE_IN_PROGRESS"
        if code:
            self.say(ticket, code, b"")
            return
        member = self.find(member_id)
        assert member
        if member_id in self.unsynced:
            self.unsynced.remove(member_id)
        if not self.unsynced:
            self.deadlines.pop((2, ""), None)
        if self.state == "Stable":
            self.say(ticket, "ok", member.assignment)
            return
        self.say(member.syncing, "REBALANCE_IN_PROGRESS", b"")
        member.syncing = ticket
        if member_id == self.leader:
            self.go("Stable")
            for each in self.members:
                each.assignment = assigned.get(each.id, b"")
            for each in self.members:
                if each.syncing:
                    self.say(each.syncing, "ok", each.assignment)
                    each.syncing = None
                    self.refresh(each)
            self.record()

    def heartbeat(self, ticket: int, member_id: str, instance: str | None, generation: int) -> None:
        code = self.wrong(member_id, instance)
        if not code and generation != self.generation:
            code = "ILLEGAL_GENERATION"
        member = self.find(member_id)
        if not code and member:
            self.refresh(member)
            code = "REBALANCE_IN_PROGRESS" if self.state == "PreparingRebalance" else "ok"
        self.say(ticket, code)

    def leave(self, ticket: int, member_id: str, instance: str | None) -> None:
        holder = self.of_instance(instance) if not member_id else None
        if holder:
            member_id = holder.id
        if member_id in self.pending:
            code = ""
            self.unpend(member_id)
        else:
            code = self.wrong(member_id, instance)
            member = self.find(member_id)
            if not code and member:
                self.drop(member)
        if not code and self.state in ("Stable", "CompletingRebalance"):
            self.begin()
        else:
            self.finish_if_all()
        self.say(ticket, code or "ok")

    def commit(
        self,
        ticket: int,
        member_id: str,
        instance: str | None,
        generation: int,
        partition: tuple[str, int],
        offset: int,
    ) -> None:
        code = ""
        if not self.exists:
            code = "GROUP_ID_NOT_FOUND" if generation >= 0 else ""
        elif not (generation < 0 and self.state == "Empty"):
            code = self.wrong(member_id, instance)
            if not code and generation != self.generation:
                code = "ILLEGAL_GENERATION"
            if not code and self.state == "CompletingRebalance":
                code = "REBALANCE_IN_PROGRESS"
            member = self.find(member_id)
            if not code and member:
                self.refresh(member)
        if not code:
            if not self.exists:
                self.exists = True
                self.clear(Durable(since=self.now))
            self.offsets[partition] = (offset, self.now)
        self.say(ticket, code or "ok")

    def delete(self, ticket: int) -> None:
        code = "ok"
        if not self.exists:
            code = "GROUP_ID_NOT_FOUND"
        elif self.state != "Empty":
            code = "NON_EMPTY_GROUP"
        else:
            self.vanish()
        self.say(ticket, code)

    def vanish(self) -> None:
        for each in self.pending:
            self.deadlines.pop((0, each), None)
        self.offsets.clear()
        self.exists, self.stored = False, None
        self.clear(Durable())

    def unpend(self, member_id: str) -> None:
        self.pending.remove(member_id)
        del self.deadlines[0, member_id]

    # Time

    def advance(self, ms: int) -> None:
        until = self.now + ms
        while self.deadlines and min(self.deadlines.values()) <= until:
            self.now = max(self.now, min(self.deadlines.values()))
            due = sorted(key for key, at in self.deadlines.items() if at <= self.now)
            for key in due:
                if self.deadlines.get(key, until + 1) <= self.now:
                    self.fire(*key)
        self.now = until

    def fire(self, what: int, member_id: str) -> None:
        del self.deadlines[what, member_id]
        if what == 3:
            self.deadlines[3, ""] = self.now + SWEEP_MS
            self.sweep()
        elif what == 2:
            lost = [each for each in self.members if each.id in self.unsynced]
            for each in lost:
                self.drop(each)
            if lost:
                self.begin()
        elif what == 1:
            if self.first and self.newcomers and self.left:
                self.newcomers = False
                ms = min(self.delay_ms, self.left)
                self.left = max(self.left - self.delayed, 0)
                self.delay(ms)
            else:
                self.finish()
        else:
            self.lose(member_id)

    def lose(self, member_id: str) -> None:
        member = self.find(member_id)
        if member_id in self.pending:
            self.pending.remove(member_id)
        elif member and (member.is_new or not (member.joining or member.syncing)):
            self.drop(member)
            if self.state in ("Stable", "CompletingRebalance"):
                self.begin()
                return
        else:
            return
        if self.state == "PreparingRebalance" and self.all_joined():
            self.finish()

    def sweep(self) -> None:
        if not self.exists:
            return
        if self.kind == "consumer" and self.state not in ("Empty", "Stable"):
            return
        for key, (_, committed) in list(self.offsets.items()):
            start = self.since if self.kind and self.state == "Empty" else committed
            idle = self.subscribed is None or key[0] not in self.subscribed
            if idle and self.now >= start + self.retention_ms:
                del self.offsets[key]
        if self.state == "Empty" and not self.offsets and not self.pending:
            self.vanish()

    def reload(self) -> None:
        self.clear(self.stored or Durable())
        self.exists = self.stored is not None or bool(self.offsets)
        self.deadlines = {(3, ""): self.now + SWEEP_MS}
        for each in self.members:
            self.refresh(each)
        if len(self.members) > self.size_max:
            self.begin()
        self.out.clear()
