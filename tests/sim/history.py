"""What clients were told, and whether the broker keeps it: the judge of a simulated run.

Everything that clients sent, were answered and read of every partition, by topic id. A partition
must show one history for ever: whoever reads an offset reads the same record, acknowledged records
stand where their producer was told, each once and in its producer's order, and neither the high
watermark nor the log start that a client was shown ever moves back.

Two answers may overtake each other on their way, so what an answer must not fall behind is what had
arrived when its request was sent: `floors`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from streambus.protocol import batch, records
from streambus.protocol.messages.fetch import PartitionRead

Key = tuple[bytes, int]
"""(topic id, partition)."""


class Sent(NamedTuple):
    """A record on its way: the value is unique and says whose it is."""

    value: bytes
    producer: str
    number: int  # of this producer in this partition, from 0 on without a gap
    timestamp: int  # -1 where the broker stamps records


class Record(NamedTuple):
    value: bytes
    timestamp: int
    leader_epoch: int


class Floors(NamedTuple):
    """What clients knew when a request was sent."""

    high_watermark: int
    log_start: int


@dataclass
class PartitionHistory:
    key: Key
    sent: dict[bytes, Sent] = field(default_factory=dict)
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    stamped: dict[int, int] = field(default_factory=dict)
    """Log append time told with an acknowledgement, by offset."""
    records: dict[int, Record] = field(default_factory=dict)
    offsets: dict[bytes, int] = field(default_factory=dict)
    high_watermark: int = 0
    log_start: int = 0

    @property
    def floors(self) -> Floors:
        return Floors(self.high_watermark, self.log_start)

    def fail(self, text: str) -> AssertionError:
        return AssertionError(f"{self.key[0].hex()[:8]}-{self.key[1]}: {text}")

    # What producers were told

    def send(self, value: bytes, producer: str, number: int, timestamp: int) -> None:
        assert value not in self.sent
        self.sent[value] = Sent(value, producer, number, timestamp)

    def acknowledge(self, values: list[bytes], base_offset: int, stamp: int) -> None:
        for offset, value in enumerate(values, base_offset):
            before = self.acknowledged.setdefault(offset, value)
            if before != value:
                raise self.fail(f"offset {offset} was given to two records")
            read = self.records.get(offset)
            if read is not None and read.value != value:
                raise self.fail(f"offset {offset} was read as another record than acknowledged")
            if self.offsets.get(value, offset) != offset:
                raise self.fail(f"read at {self.offsets[value]}, acknowledged at {offset}")
            if stamp >= 0 and self.stamped.setdefault(offset, stamp) != stamp:
                raise self.fail(f"offset {offset}: stamped {self.stamped[offset]}, then {stamp}")
            if stamp >= 0 and read is not None and read.timestamp != stamp:
                raise self.fail(f"offset {offset} was read as of {read.timestamp}, not {stamp}")
        self.show(base_offset + len(values), None)

    # What consumers were told

    def show(self, high_watermark: int | None, log_start: int | None) -> None:
        if high_watermark is not None:
            self.high_watermark = max(self.high_watermark, high_watermark)
        if log_start is not None:
            self.log_start = max(self.log_start, log_start)

    def check_ends(self, floors: Floors, high_watermark: int, log_start: int) -> None:
        if high_watermark < floors.high_watermark:
            raise self.fail(f"high watermark {high_watermark} after {floors.high_watermark}")
        if log_start < floors.log_start:
            raise self.fail(f"log start {log_start} after {floors.log_start}")
        if log_start > high_watermark:
            raise self.fail(f"log start {log_start} above the high watermark {high_watermark}")
        self.show(high_watermark, log_start)

    def read(self, floors: Floors, offset: int, fetched: PartitionRead) -> int:
        """One partition of a fetch answer for `offset`: the next offset to ask for."""
        high_watermark = fetched.high_watermark
        self.check_ends(floors, high_watermark, fetched.log_start_offset)
        if fetched.last_stable_offset != high_watermark:
            raise self.fail(f"last stable offset {fetched.last_stable_offset}")
        view = fetched.records
        expected = None
        for position, header in batch.headers(view if view is not None else b""):
            base, end = header[batch.BASE_OFFSET], header[batch.BASE_OFFSET]
            end += header[batch.LAST_OFFSET_DELTA] + 1
            if expected is None and not base <= offset < end:
                raise self.fail(f"asked for {offset}, got {base} to {end}")
            if expected not in (None, base):
                raise self.fail(f"offset {base} follows {expected}")
            if end > high_watermark:
                raise self.fail(f"read {base} to {end}, committed up to {high_watermark}")
            assert view is not None
            self._read_batch(view, position, header)
            expected = end
        return offset if expected is None else expected

    def _read_batch(self, view: memoryview, position: int, header: batch.BatchHeader) -> None:
        expected = header[batch.BASE_OFFSET]
        epoch = header[batch.LEADER_EPOCH]
        for offset, timestamp, _, value, _ in records.read_records(view, position):
            if offset != expected:
                raise self.fail(f"offset {offset} in a batch where {expected} is due")
            if value is None or value not in self.sent:
                raise self.fail(f"offset {offset}: nobody sent {value!r:.80}")
            self._read_record(offset, Record(value, timestamp, epoch))
            expected += 1
        if expected != header[batch.BASE_OFFSET] + header[batch.LAST_OFFSET_DELTA] + 1:
            raise self.fail(f"the batch at {header[batch.BASE_OFFSET]} lacks records")

    def _read_record(self, offset: int, record: Record) -> None:
        before = self.records.setdefault(offset, record)
        if before != record:
            raise self.fail(f"offset {offset} was {before!r:.90}, is {record!r:.90}")
        if self.offsets.setdefault(record.value, offset) != offset:
            raise self.fail(f"one record at {self.offsets[record.value]} and at {offset}")
        if self.acknowledged.get(offset, record.value) != record.value:
            raise self.fail(f"offset {offset} is not the record that was acknowledged there")
        if self.sent[record.value].timestamp not in (-1, record.timestamp):
            raise self.fail(f"offset {offset} has another timestamp than it was sent with")
        if self.stamped.get(offset, record.timestamp) != record.timestamp:
            raise self.fail(
                f"offset {offset} is stamped {record.timestamp}, "
                f"and was acknowledged with {self.stamped[offset]}"
            )

    # At the end, when all that is committed has been read from `start` to `end`

    def settle(self, start: int, end: int) -> None:
        missing = [offset for offset in range(start, end) if offset not in self.records]
        if missing:
            raise self.fail(f"offsets {missing[:5]} of {start} to {end} were never read")
        lost = [offset for offset in self.acknowledged if offset >= end]
        if lost:
            raise self.fail(f"acknowledged offsets {sorted(lost)[:5]} are at or above {end}")
        numbers: dict[str, int] = {}
        epoch = -1
        for offset in range(start, end):
            record = self.records[offset]
            sent = self.sent[record.value]
            before = numbers.get(sent.producer)
            if before is not None and sent.number <= before:
                raise self.fail(f"{sent.producer}: {sent.number} at {offset} after {before}")
            if before is not None and sent.number > before + 1 and sent.producer.startswith("i"):
                raise self.fail(f"{sent.producer}: {before + 1} is missing before {offset}")
            numbers[sent.producer] = sent.number
            if record.leader_epoch < epoch:
                raise self.fail(f"leader epoch {record.leader_epoch} at {offset} after {epoch}")
            epoch = record.leader_epoch

    def epoch_ends(self, start: int, end: int) -> dict[int, int]:
        """Where each leader epoch that wrote something ended, by what was read."""
        ends: dict[int, int] = {}
        for offset in range(start, end):
            ends[self.records[offset].leader_epoch] = offset + 1
        return ends

    def first_at_or_after(self, timestamp: int, start: int, end: int) -> tuple[int, int]:
        """(timestamp, offset) as ListOffsets must answer it; -1 and -1 for none."""
        for offset in range(start, end):
            if self.records[offset].timestamp >= timestamp:
                return self.records[offset].timestamp, offset
        return -1, -1


class History:
    def __init__(self) -> None:
        self.partitions: dict[Key, PartitionHistory] = {}
        self.producer_ids: set[int] = set()
        self.marks: dict[str, int] = {}
        """How often each kind of thing happened: a run in which nothing did proves nothing."""

    def of(self, topic_id: bytes, partition: int) -> PartitionHistory:
        key = (topic_id, partition)
        return self.partitions.setdefault(key, PartitionHistory(key))

    def mark(self, what: str) -> None:
        self.marks[what] = self.marks.get(what, 0) + 1

    def new_producer(self, producer_id: int) -> None:
        assert producer_id >= 0 and producer_id not in self.producer_ids, (
            f"producer id {producer_id} was given twice"
        )
        self.producer_ids.add(producer_id)
