"""Producers: whose sequences a partition remembers."""

from collections.abc import Sequence

import msgspec

from app.admin.port import Command, Failed, Touch
from app.security.ports import Operation, Resource


class PartitionAsked(msgspec.Struct, frozen=True):
    topic: str
    partition: int


class DescribeProducers(Command, frozen=True):
    """-> DescribedProducers, an item for each partition (KIP-664)."""

    partitions: tuple[PartitionAsked, ...]

    def touches(self) -> Sequence[Touch]:
        return tuple(
            [Touch(Operation.READ, Resource.TOPIC, each.topic) for each in self.partitions]
        )


class ProducerDescription(msgspec.Struct, frozen=True):
    """`transaction_start` is the first offset of its open transaction, -1 if it has none."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_append_ms: int
    coordinator_epoch: int = -1
    transaction_start: int = -1


class PartitionProducers(msgspec.Struct, frozen=True, tag=True):
    topic: str
    partition: int
    producers: tuple[ProducerDescription, ...]


class DescribedProducers(msgspec.Struct, frozen=True, tag=True):
    partitions: tuple[PartitionProducers | Failed, ...]


COMMANDS = (DescribeProducers,)
