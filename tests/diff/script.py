"""One script played against brokers: the same bytes go to each, and replies are kept normalised.

A step is what can be recorded: a frame with placeholders, the connection that it goes by, and how
its reply is to be read. Values that a broker chooses (topic ids, session ids, producer ids) stand
in frames as placeholders of the same length and are filled in for each broker.
"""

import gzip
import json
import socket
import struct
import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.diff import schema
from tests.diff.normal import Bindings, Difference, differences, normal
from tests.diff.schema import Message

REPLY_SECONDS_MAX = 20.0
SETTLE_SECONDS_MAX = 20.0
NAMESPACE = uuid.UUID("7b5e550f-0000-4000-8000-000000000000")
CLOSED = {"closed": True}
SILENT = {"silent": True}


def topic_placeholder(name: str, life: int) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{name}#{life}")


def session_placeholder(label: str) -> int:
    return 0x5E000000 | (zlib.crc32(label.encode()) & 0xFFFFFF)


def producer_placeholder(label: str) -> int:
    return 0x5E5E_0000_0000_0000 | zlib.crc32(label.encode())


@dataclass
class Step:
    """`reads` is "reply", "nothing" (acks=0) or "silence" (no reply is expected to come, and none
    is waited for longer than a second). `binds` maps a topic of the reply to its placeholder."""

    frame: bytes
    connection: str = "main"
    reads: str = "reply"
    binds: dict[str, str] = field(default_factory=dict)
    session: str = ""
    waits_ms: int = 0
    settles: list[str] = field(default_factory=list)

    def to_json(self, reply: Any) -> Message:
        made: Message = {"frame": self.frame.hex()}
        default = Step(b"")
        for key in ("connection", "reads", "binds", "session", "waits_ms", "settles"):
            if getattr(self, key) != getattr(default, key):
                made[key] = getattr(self, key)
        return {**made, "reply": reply}

    @classmethod
    def from_json(cls, made: Message) -> tuple["Step", Any]:
        kept = {k: v for k, v in made.items() if k not in ("frame", "reply")}
        return cls(bytes.fromhex(made["frame"]), **kept), made["reply"]


class Side:
    """One broker: connections by name, and what its ids stand for."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.port = name, port
        self.bindings = Bindings()
        self.sockets: dict[str, socket.socket] = {}

    def forget(self) -> None:
        """Before another script."""
        for each in self.sockets.values():
            each.close()
        self.sockets.clear()
        self.bindings = Bindings()

    def send(self, connection: str, frame: bytes) -> None:
        if connection not in self.sockets:
            made = socket.create_connection(("127.0.0.1", self.port), timeout=REPLY_SECONDS_MAX)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[connection] = made
        self.sockets[connection].sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self, connection: str, seconds: float) -> bytes | None:
        """`None` when the broker closes; raises `TimeoutError`."""
        source = self.sockets[connection]
        source.settimeout(seconds)
        try:
            head = self._take(source, 4)
            body = None if head is None else self._take(source, struct.unpack(">i", head)[0])
        except ConnectionResetError:
            body = None
        if body is None:
            self.sockets.pop(connection).close()
        return body

    @staticmethod
    def _take(source: socket.socket, size: int) -> bytes | None:
        taken = bytearray()
        while len(taken) < size:
            piece = source.recv(size - len(taken))
            if not piece:
                return None
            taken += piece
        return bytes(taken)

    def ask(self, name: str, version: int, body: Message) -> Message:
        """Besides the script, on a connection of its own."""
        self.send("aside", schema.encode(name, version, body))
        reply = self.receive("aside", REPLY_SECONDS_MAX)
        if reply is None:
            raise ConnectionError(f"{self.name} closed on {name} {version}")
        return schema.decode(name, version, reply)

    def exchange(self, step: Step) -> Any:
        """Play one step; the normalised reply, or what came in its place."""
        name, version = schema.request_of(step.frame)
        began = time.monotonic()
        try:
            self.send(step.connection, self.bindings.fill(step.frame))
            if step.reads == "nothing":
                return None
            reply = self.receive(
                step.connection, 1.0 if step.reads == "silence" else REPLY_SECONDS_MAX
            )
        except TimeoutError:
            self.sockets.pop(step.connection).close()
            return SILENT
        except OSError:
            self.sockets.pop(step.connection).close()
            return CLOSED
        if reply is None:
            return CLOSED
        read = self._read(name, version, reply)
        self._learn(name, step, read)
        made = normal(name, read, self.bindings)
        if step.waits_ms:
            made["waited"] = time.monotonic() - began > step.waits_ms / 2000
        if step.settles:
            self.settle(step.settles, step.binds)
        return made

    @staticmethod
    def _read(name: str, version: int, reply: bytes) -> Message:
        try:
            return schema.decode(name, version, reply)
        except schema.Unreadable as error:
            # A version that is not known is answered in version 0 (KIP-511).
            if name != "ApiVersions":
                return {"unreadable": str(error)}
            return {"answered in version 0": schema.decode(name, 0, reply)}

    def _learn(self, name: str, step: Step, read: Message) -> None:
        if step.binds and not step.settles:
            self._bind(step.binds, read["Topics"])
        if step.session and read.get("SessionId"):
            self.bindings.bind(
                session_placeholder(step.session).to_bytes(4, "big"),
                read["SessionId"].to_bytes(4, "big", signed=True),
                f"session {step.session}",
            )

    def _bind(self, binds: dict[str, str], topics: Sequence[Message]) -> None:
        for topic in topics:
            placeholder = binds.get(topic["Name"] or "")
            if placeholder and topic.get("TopicId", uuid.UUID(int=0)).int:
                label = f"id of {topic['Name']}"
                self.bindings.bind(bytes.fromhex(placeholder), topic["TopicId"].bytes, label)

    def settle(self, topics: Sequence[str], binds: dict[str, str]) -> None:
        """Wait until each topic has leaders, or those marked with ! are gone: a KRaft broker
        learns what its controller did a little later than the client."""
        end = time.monotonic() + SETTLE_SECONDS_MAX
        gone = {name[1:] for name in topics if name.startswith("!")}
        asked = [name.removeprefix("!") for name in topics]
        while time.monotonic() < end:
            reply = self.ask(
                "Metadata",
                12,
                {"Topics": [{"Name": n} for n in asked], "AllowAutoTopicCreation": False},
            )
            rows = reply["Topics"]
            left = [topic for topic in rows if topic["Name"] not in gone]
            is_told = all(_is_settled(topic, topic["Name"] in gone) for topic in rows)
            if is_told and self._leads(left):
                self._bind(binds, rows)
                return
            time.sleep(0.01)
        raise TimeoutError(f"{self.name}: {topics} did not settle")

    def _leads(self, topics: Sequence[Message]) -> bool:
        """Whether the broker itself already takes every partition as its own."""
        asked = [
            {
                "Name": topic["Name"],
                "Partitions": [
                    {"PartitionIndex": row["PartitionIndex"], "Timestamp": -2}
                    for row in topic["Partitions"]
                ],
            }
            for topic in topics
        ]
        reply = self.ask("ListOffsets", 5, {"ReplicaId": -1, "Topics": asked})
        return all(row["ErrorCode"] == 0 for each in reply["Topics"] for row in each["Partitions"])


def _is_settled(topic: Message, is_gone: bool) -> bool:
    if is_gone:
        return bool(topic["ErrorCode"] == 3)
    return topic["ErrorCode"] == 0 and all(p["LeaderId"] >= 0 for p in topic["Partitions"])


class Script:
    """What a case plays. With two sides it compares; `kept` has each step and the first's reply."""

    def __init__(
        self, case: str, sides: Sequence[Side], served: dict[str, range] | None = None
    ) -> None:
        self.case, self.sides, self.served = case, sides, served or {}
        self.kept: list[tuple[Step, Any]] = []
        self.found: list[Difference] = []
        self.traces: list[str] = []
        self.lives: dict[str, int] = {}
        self.present: set[str] = set()

    def versions(self, name: str, oldest: int = 0) -> list[int]:
        """Every version of an API that both brokers serve, and that our schema knows."""
        known = schema.schema_of(f"{name}Request").valid
        return [v for v in self.served.get(name, ()) if v in known and v >= oldest]

    def play(self, step: Step) -> None:
        replies = [side.exchange(step) for side in self.sides]
        name, version = schema.request_of(step.frame)
        for reply in replies[1:]:
            found = [
                Difference(self.case, name, version, place, kafka, ours, len(self.kept))
                for place, kafka, ours in differences(replies[0], reply)
            ]
            self.found += found
            if found:
                self.traces.append(trace(self.case, len(self.kept), step.frame, replies))
        self.kept.append((step, replies[0]))

    def call(self, name: str, version: int, body: Message, **how: Any) -> None:
        self.play(Step(schema.encode(name, version, body), **how))

    def topic(self, name: str) -> str:
        """A topic of this case: the brokers keep those of all cases."""
        return f"{self.case}.{name}"

    def id(self, name: str) -> uuid.UUID:
        """The placeholder of a topic's id in its present life."""
        return topic_placeholder(self.topic(name), self.lives.get(name, 0))

    def create(self, name: str, partitions: int = 1, **configs: str | int) -> None:
        """Create a topic, learn its id, and wait for its leaders. Dots of configs are `_`. Nothing
        of it expires: by their timestamps the scripts' records are old."""
        self.lives[name] = self.lives.get(name, 0) + 1
        configs = {"retention_ms": -1, **configs}
        rows = [{"Name": k.replace("_", "."), "Value": str(v)} for k, v in configs.items()]
        topic = {"Name": self.topic(name), "NumPartitions": partitions, "ReplicationFactor": 1}
        self.call(
            "CreateTopics",
            4,
            {"Topics": [{**topic, "Configs": rows}], "timeoutMs": 10_000},
            binds={self.topic(name): self.id(name).hex},
            settles=[self.topic(name)],
        )

    def delete(self, name: str) -> None:
        self.call(
            "DeleteTopics",
            6,
            {"Topics": [{"Name": self.topic(name)}], "TimeoutMs": 10_000},
            settles=[f"!{self.topic(name)}"],
        )

    def named(self, name: str, version: int, ids_from: int, key: str = "Topic") -> Message:
        """A topic by name, or from `ids_from` on by id."""
        if version >= ids_from:
            return {"TopicId": self.id(name)}
        return {key: self.topic(name)}

    def produce(
        self,
        name: str,
        *batches: bytes | None,
        version: int = 9,
        acks: int = -1,
        partition: int = 0,
        **how: Any,
    ) -> None:
        """Batches to partitions from `partition` on, in one request."""
        rows = [{"Index": partition + n, "Records": each} for n, each in enumerate(batches)]
        topic = {**self.named(name, version, 13, "Name"), "PartitionData": rows}
        body = {"Acks": acks, "TimeoutMs": 10_000, "TopicData": [topic]}
        self.call("Produce", version, body, **how)

    def fetch(
        self,
        name: str,
        *offsets: int,
        version: int = 12,
        partition: Message | None = None,
        wait_ms: int = 0,
        min_bytes: int = 1,
        max_bytes: int = 50 << 20,
        session: tuple[int, int] = (0, -1),
        isolation: int = 0,
        forget: Sequence[Message] = (),
        partition_bytes: int = 1 << 20,
        label: str = "",
        **how: Any,
    ) -> None:
        """Partitions 0, 1, … from the given offsets; `partition` has further fields of each."""
        extra = partition or {}
        rows = [
            {
                "Partition": n,
                "FetchOffset": offset,
                "CurrentLeaderEpoch": -1,
                "PartitionMaxBytes": partition_bytes,
                **extra,
            }
            for n, offset in enumerate(offsets)
        ]
        topics = [{**self.named(name, version, 13), "Partitions": rows}] if rows else []
        body: Message = {"MaxWaitMs": wait_ms, "MinBytes": min_bytes, "MaxBytes": max_bytes}
        body |= {"IsolationLevel": isolation, "Topics": topics, "ForgottenTopicsData": forget}
        body |= {"SessionId": session[0], "SessionEpoch": session[1]}
        if version < 15:
            body["ReplicaId"] = -1
        self.call("Fetch", version, body, session=label, **how)

    def list_offsets(
        self, name: str, timestamp: int, *, version: int = 7, partition: int = 0, **extra: Any
    ) -> None:
        row = {"PartitionIndex": partition, "Timestamp": timestamp, "CurrentLeaderEpoch": -1}
        isolation = extra.pop("isolation", 0)
        topics = [{"Name": self.topic(name), "Partitions": [{**row, **extra}]}]
        body = {"ReplicaId": -1, "IsolationLevel": isolation, "Topics": topics}
        self.call("ListOffsets", version, {**body, **({"TimeoutMs": 5000} if version > 9 else {})})

    def offsets(self, name: str, *partitions: int) -> None:
        """Start and end of partitions: what earlier steps left behind."""
        for partition in partitions or (0,):
            self.list_offsets(name, -2, partition=partition)
            self.list_offsets(name, -1, partition=partition)


Case = Callable[[Script], None]


def trace(case: str, number: int, frame: bytes, replies: Sequence[Any]) -> str:
    """A step for a person to read: the request and each reply."""
    name, version = schema.request_of(frame)
    try:
        asked: Any = schema.decode_request(frame)
    except (schema.Unreadable, FileNotFoundError):
        asked = frame.hex()
    rows = [f"{case} step {number}: {name} {version}", f"  asked {_short(asked)}"]
    return "\n".join([*rows, *(f"  reply {_short(reply)}" for reply in replies)])


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 1500 else f"{text[:1500]} …"


def record(script: Script, place: Path) -> None:
    """A recorded case: compressed lines of JSON, one for each step, the same for the same steps."""
    rows = [step.to_json(reply) for step, reply in script.kept]
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    place.write_bytes(gzip.compress(text.encode(), mtime=0))


def recorded(place: Path) -> list[tuple[Step, Any]]:
    lines = gzip.decompress(place.read_bytes()).splitlines()
    return [Step.from_json(json.loads(line)) for line in lines]


def replay(case: str, steps: Sequence[tuple[Step, Any]], side: Side) -> list[Difference]:
    """Play a recorded case against one broker and compare with what Kafka answered."""
    side.forget()
    found = []
    for number, (step, kafka) in enumerate(steps):
        name, version = schema.request_of(step.frame)
        for place, theirs, ours in differences(kafka, side.exchange(step)):
            found.append(Difference(case, name, version, place, theirs, ours, number))
    side.forget()
    return found
