"""Records: write a few, read a few, delete the oldest. For people and small programs; who moves
many speaks Kafka's protocol."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from app import limits
from app.admin.port import Command, Failed, Touch
from app.security.ports import Operation, Resource


class NewRecord(msgspec.Struct, frozen=True):
    """`partition` None: by the hash of the key (murmur2, as Kafka's clients), or the next in turn.
    `timestamp_ms` None: now."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None


class WriteRecords(Command, frozen=True):
    """-> WrittenRecords, an item for each record, acknowledged as acks=all. The records of one
    partition are one batch: all of it is written or none."""

    topic: str
    records: tuple[NewRecord, ...]
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return (Touch(Operation.WRITE, Resource.TOPIC, self.topic),)


class WrittenRecord(msgspec.Struct, frozen=True, tag=True):
    partition: int
    offset: int
    timestamp_ms: int


class WrittenRecords(msgspec.Struct, frozen=True, tag=True):
    records: tuple[WrittenRecord | Failed, ...]


class ReadRecords(Command, frozen=True):
    """-> RecordPage of one partition, from `offset`, or from the first record at or after
    `timestamp_ms`, or ("earliest", "latest") an end. Waits up to `wait_ms` for a first record."""

    topic: str
    partition: int = 0
    offset: int | Literal["earliest", "latest"] = "earliest"
    timestamp_ms: int | None = None
    records_max: int = limits.READ_RECORDS_MAX
    bytes_max: int = limits.READ_BYTES_MAX
    wait_ms: int = 0
    committed: bool = False

    def touches(self) -> Sequence[Touch]:
        return (Touch(Operation.READ, Resource.TOPIC, self.topic),)


class ReadRecord(msgspec.Struct, frozen=True):
    """Bytes of a header's name that are no UTF-8 are replaced: it could not be shown otherwise."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class RecordPage(msgspec.Struct, frozen=True, tag=True):
    """`next_offset` is where to read on; `high_watermark` the end of what is committed."""

    partition: int
    records: tuple[ReadRecord, ...]
    next_offset: int
    log_start: int
    high_watermark: int


class RecordsBefore(msgspec.Struct, frozen=True):
    """Delete what is before `offset`; -1 means everything that is committed."""

    topic: str
    partition: int
    offset: int


class DeleteRecords(Command, frozen=True):
    """-> DeletedRecords, an item for each partition, once the new log start is durable."""

    partitions: tuple[RecordsBefore, ...]
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return tuple(
            [Touch(Operation.DELETE, Resource.TOPIC, each.topic) for each in self.partitions]
        )


class LogStart(msgspec.Struct, frozen=True, tag=True):
    topic: str
    partition: int
    log_start: int


class DeletedRecords(msgspec.Struct, frozen=True, tag=True):
    partitions: tuple[LogStart | Failed, ...]


COMMANDS = (WriteRecords, ReadRecords, DeleteRecords)
