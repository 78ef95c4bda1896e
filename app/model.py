"""Nouns of the broker: ids and numbers that must not mix, and the small values made of them.

Owns    the `NewType`s of docs/architecture.md and the values that cross module borders.
Never   behaves: a value here has no I/O, no clock and no state.
"""

from dataclasses import dataclass
from typing import NamedTuple, NewType

Offset = NewType("Offset", int)
"""Position in a partition. Ranges are half-open: start <= x < end."""
LeaderEpoch = NewType("LeaderEpoch", int)
ControllerTerm = NewType("ControllerTerm", int)
ProducerEpoch = NewType("ProducerEpoch", int)
GroupGeneration = NewType("GroupGeneration", int)
Incarnation = NewType("Incarnation", int)
BrokerId = NewType("BrokerId", int)
ProducerId = NewType("ProducerId", int)
TopicId = NewType("TopicId", bytes)
"""16 bytes (a UUID in network order). All zero means 'no id'."""

NO_TOPIC_ID = TopicId(bytes(16))
NO_PRODUCER_ID = ProducerId(-1)
NO_EPOCH = LeaderEpoch(-1)


class PartitionKey(NamedTuple):
    """A partition as disk and objects know it: by topic id, never by name.

    A tuple, because every append looks one up several times: 25 ns each, not 100.
    """

    topic_id: TopicId
    partition: int

    def __str__(self) -> str:
        return f"{self.topic_id.hex()}-{self.partition}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients of the listener `name` reach a broker."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a Kafka principal, `User:ANONYMOUS` where nothing authenticated it."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


ANONYMOUS = Principal("User", "ANONYMOUS")
