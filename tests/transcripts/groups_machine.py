"""`Groups` as a machine for transcripts: no delay before a first generation, sessions of 10 s,
rebalances of 60 s, offsets kept for a day. The group is `g` unless another is named.

join a [new=ID instance=I protocols=range,sticky topics=orders type=T session=MS rebalance=MS v=9]
    a member, by its id; `join - new=a` comes without one, and gets `a`
sync a generation=1 [assign=a:1,b:2 instance=I protocol=P type=T]
heartbeat a generation=1 [instance=I]       leave a b [instance=I]
commit orders-0@5 [member=a generation=1 metadata=TEXT retention=MS v=9]
delete_offsets orders-0 | delete g | topic_deleted orders | fetch [orders-0] | cancel TICKET
advance MS                                  ticks whenever it is due
settings NAME=VALUE...                      a machine with other settings, from the same log
restart | show | list [state=S type=T] | why

A reply says which request it answers, counted from 1: one that waits says so until then.
"""

from typing import Any

from app.core.coordinator import Record, Ticket
from app.core.groups.values import JoinReply, LeavingMember, OffsetToCommit, SyncReply, TopicToFetch
from streambus.protocol.coordinator_records import (
    GroupKey,
    OffsetKey,
    decode_group_value,
    decode_key,
    decode_offset_value,
)
from tests.property.groups_scene import DAY_MS, NAMES, Scene, offers


class Machine:
    def __init__(self) -> None:
        self.scene = Scene(offsets_retention_ms=DAY_MS)
        self.shown_records = 0
        self.shown_replies: set[Ticket] = set()

    def do(self, command: str) -> str:
        verb, *words = command.split()
        given = [word for word in words if "=" not in word]
        fields = dict(word.split("=", 1) for word in words if "=" in word)
        said = getattr(self, f"do_{verb}")(*given, **fields)
        return "\n".join([*said, *self.news()])

    def news(self) -> list[str]:
        scene = self.scene
        records = [record_line(each) for each in scene.log[self.shown_records :]]
        self.shown_records = len(scene.log)
        tickets = [each for each in scene.replies if each not in self.shown_replies]
        self.shown_replies.update(tickets)
        return [*records, *(reply_line(each, scene.replies[each]) for each in tickets)]

    def parked(self, ticket: Ticket) -> list[str]:
        return [f"{ticket} waits"] if self.scene.waits(ticket) else []

    def do_join(self, member: str, **fields: str) -> list[str]:
        topics = tuple(fields.get("topics", "orders").split(","))
        names = [each for each in fields.get("protocols", "range").split(",") if each]
        ticket = self.scene.join(
            "" if member == "-" else member,
            fields.get("group", "g"),
            new=fields.get("new", ""),
            instance=fields.get("instance"),
            protocols=offers(*names, topics=topics),
            kind=fields.get("type", "consumer"),
            session_ms=int(fields.get("session", 10_000)),
            rebalance_ms=int(fields.get("rebalance", 60_000)),
            version=int(fields.get("v", 9)),
            reason=fields.get("reason", ""),
        )
        return self.parked(ticket)

    def do_sync(self, member: str, generation: str, assign: str = "", **fields: str) -> list[str]:
        pairs = [each.split(":") for each in assign.split(",") if each]
        ticket = self.scene.sync(
            member,
            int(generation),
            fields.get("group", "g"),
            instance=fields.get("instance"),
            kind=fields.get("type", "consumer"),
            protocol=fields.get("protocol", "range"),
            **dict(pairs),
        )
        return self.parked(ticket)

    def do_heartbeat(
        self, member: str, generation: str, group: str = "g", instance: str | None = None
    ) -> list[str]:
        self.scene.heartbeat(member, int(generation), group, instance)
        return []

    def do_leave(
        self, *members: str, group: str = "g", instance: str | None = None, reason: str = ""
    ) -> list[str]:
        names = ["" if each == "-" else each for each in members]
        leaving = [LeavingMember(each, instance, reason) for each in names]
        self.scene.leave(*leaving, group=group)
        return []

    def do_commit(self, *offsets: str, **fields: str) -> list[str]:
        committed = []
        for each in offsets:
            key, offset = each.split("@")
            epoch = int(fields.get("epoch", -1))
            metadata = fields.get("metadata", "")
            committed.append(OffsetToCommit(*partition(key), int(offset), epoch, metadata))
        self.scene.commit(
            *committed,
            member_id=fields.get("member", ""),
            generation=int(fields.get("generation", -1)),
            group=fields.get("group", "g"),
            instance=fields.get("instance"),
            version=int(fields.get("v", 9)),
            retention_ms=int(fields.get("retention", -1)),
        )
        return []

    def do_delete_offsets(self, *partitions: str) -> list[str]:
        self.scene.delete_offsets(*map(partition, partitions))
        return []

    def do_delete(self, *groups: str) -> list[str]:
        self.scene.delete_groups(*groups)
        return []

    def do_topic_deleted(self, *topics: str) -> list[str]:
        self.scene.topics_deleted(*topics)
        return []

    def do_fetch(self, *partitions: str, group: str = "g") -> list[str]:
        asked = [TopicToFetch(topic, (number,)) for topic, number in map(partition, partitions)]
        return [
            f"{each.topic}-{each.partition} offset={each.offset} epoch={each.leader_epoch}"
            f" metadata={each.metadata!r}"
            for each in self.scene.groups.fetch_offsets(group, asked or None)
        ]

    def do_cancel(self, ticket: str) -> list[str]:
        self.scene.cancel(Ticket(int(ticket)))
        return []

    def do_advance(self, ms: str) -> list[str]:
        self.scene.advance(int(ms))
        return []

    def do_settings(self, **fields: str) -> list[str]:
        log, ms = self.scene.log, self.scene.ms
        settings = {"offsets_retention_ms": DAY_MS, **{k: int(v) for k, v in fields.items()}}
        self.scene = Scene(**settings)
        self.scene.log, self.scene.ms = log, ms
        self.shown_replies.clear()
        self.scene.reload()
        return []

    def do_restart(self) -> list[str]:
        self.scene.reload()
        return []

    def do_show(self, group: str = "g") -> list[str]:
        found = self.scene.groups.describe(group)
        head = f"{found.state} generation={found.generation} type={found.protocol_type or '-'}"
        return [
            f"{head} protocol={found.protocol}" if found.protocol else head,
            *(
                f"member {each.member_id} instance={each.instance_id or '-'}"
                f" assignment={each.assignment.decode() or '-'}"
                for each in found.members
            ),
        ]

    def do_list(self, state: str = "", type: str = "") -> list[str]:
        found = self.scene.groups.list_groups(
            [each for each in state.split(",") if each], [each for each in type.split(",") if each]
        )
        return [f"{each.group_id} {each.state} {each.protocol_type or '-'}" for each in found]

    def do_why(self, group: str = "g") -> list[str]:
        return [
            f"{each.cause} {each.member_id or '-'}"
            f" generation {each.from_generation}..{each.to_generation}"
            f" members={each.members} took={each.duration_ms}"
            + (f" because {each.reason}" if each.reason else "")
            for each in self.scene.groups.rebalances(group)
        ]


def partition(name: str) -> tuple[str, int]:
    topic, _, number = name.rpartition("-")
    return topic, int(number)


def record_line(record: Record) -> str:
    key = decode_key(record.key)
    if isinstance(key, OffsetKey):
        name = f"record {key.group} {key.topic}-{key.partition}"
        if record.value is None:
            return f"{name} gone"
        offset = decode_offset_value(record.value)
        expiry = offset.expire_timestamp
        until = "" if expiry is None else f" expires after {expiry - offset.commit_timestamp}"
        return f"{name} at {offset.offset}{until}"
    assert isinstance(key, GroupKey)
    if record.value is None:
        return f"record {key.group} gone"
    value = decode_group_value(record.value)
    names = ",".join(each.member_id for each in value.members)
    return (
        f"record {key.group} generation={value.generation} protocol={value.protocol or '-'}"
        f" leader={value.leader or '-'} members=[{names}]"
    )


def reply_line(ticket: Ticket, reply: Any) -> str:
    code = NAMES[getattr(reply, "code", 0)]
    match reply:
        case JoinReply(code=0):
            names = ",".join(each.member_id for each in reply.members)
            return (
                f"{ticket} joined as {reply.member_id} generation={reply.generation}"
                f" protocol={reply.protocol} leader={reply.leader}"
                + (f" members=[{names}]" if names else "")
                + (" skip" if reply.skip_assignment else "")
            )
        case JoinReply():
            return f"{ticket} {code} {reply.member_id}".rstrip()
        case SyncReply(code=0):
            return f"{ticket} synced assignment={reply.assignment.decode() or '-'}"
    if code == "ok" and hasattr(reply, "members"):
        return f"{ticket} " + " ".join(NAMES[each.code] for each in reply.members)
    if code == "ok" and hasattr(reply, "codes"):
        return f"{ticket} " + " ".join(NAMES[each] for each in reply.codes)
    return f"{ticket} {code}"
