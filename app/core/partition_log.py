"""One partition's log as a machine: which offset a batch gets, or why it gets none.

Owns    the log's start and written end, its epoch history, its producers' memory.
Never   sees a record's bytes, reads a clock, awaits, or says what is durable (replication.py does).
Trusts  that headers passed core/admission.py and their CRC was verified.

Leading goes through `admit`, which decides and mutates in one step; following, recovery and
restore go through `absorb`. Both leave the same state, and tests/property/oracle_admission.py
decides all of it again, slowly.
"""

import struct

from app import limits
from app.core.epochs import UNDEFINED, EpochHistory
from app.core.producers import Producers
from app.errors import Corrupt, Fenced
from streambus.protocol.batch import (
    BASE_SEQUENCE,
    LAST_OFFSET_DELTA,
    PRODUCER_EPOCH,
    PRODUCER_ID,
    BatchHeader,
)

SAVED_MAGIC = 0x50  # "P"
SAVED_VERSION = 1
_SAVED_HEAD = struct.Struct("<BBqqII")  # magic, version, start, end, epochs, bytes of producers
_SAVED_EPOCH = struct.Struct("<iq")


class PartitionLog:
    """Offsets are half-open: the log holds `start` <= offset < `end`. `leader_epoch` is what a
    batch admitted now is stamped with: the newest epoch of the history."""

    __slots__ = ("end", "epochs", "leader_epoch", "producers", "start")

    def __init__(self, producers_max: int = limits.PRODUCERS_PER_PARTITION_MAX) -> None:
        self.start = 0
        self.end = 0
        self.leader_epoch = UNDEFINED
        self.epochs = EpochHistory()
        self.producers = Producers(producers_max)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartitionLog):
            return NotImplemented
        return (
            self.start == other.start
            and self.end == other.end
            and self.leader_epoch == other.leader_epoch
            and self.epochs == other.epochs
            and self.producers == other.producers
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"PartitionLog({self.start}..{self.end}, {self.epochs!r}, {self.producers!r})"

    def lead(self, leader_epoch: int) -> None:
        """Batches admitted from now on belong to `leader_epoch`, which starts at the log's end.

        It enters the history at once, as in Kafka, so that OffsetForLeaderEpoch knows it before
        the first batch; the caller writes an EpochStarted frame with the same two numbers.
        `Fenced` if a newer epoch has been here, and then nothing changed.
        """
        self.start_epoch(leader_epoch, self.end)

    def start_epoch(self, epoch: int, start_offset: int) -> None:
        """An epoch started at the end of the log: the fold of an EpochStarted frame."""
        if epoch == self.leader_epoch:
            return
        if epoch < self.leader_epoch:
            raise Fenced(f"leader epoch {epoch}: epoch {self.leader_epoch} has written here")
        if start_offset != self.end:
            raise Corrupt(
                f"leader epoch {epoch} starts at {start_offset}, the log ends at {self.end}"
            )
        self.epochs.assign(epoch, start_offset)
        self.leader_epoch = epoch

    def admit(self, header: BatchHeader, now_ms: int) -> int:
        """Decide a client's batch. The answer is one of:

        its base offset, equal to the `end` before the call: append it there, in `leader_epoch`;
        a lower offset: it repeats the batch there, append nothing (its end, and so what must be
        durable before the reply, is that offset plus its record count);
        a negative Kafka error code: nothing changed.

        `now_ms` is the append time (hybrid clock), from which producers expire.
        """
        assert self.leader_epoch >= 0, "admit before lead"
        base_offset = self.end
        producer_id = header[PRODUCER_ID]
        if producer_id >= 0:
            admitted = self.producers.admit(
                producer_id,
                header[PRODUCER_EPOCH],
                header[BASE_SEQUENCE],
                header[LAST_OFFSET_DELTA],
                base_offset,
                now_ms,
            )
            if admitted != base_offset:
                return admitted
        self.end = base_offset + header[LAST_OFFSET_DELTA] + 1
        return base_offset

    def absorb(
        self, header: BatchHeader, base_offset: int, leader_epoch: int, append_ms: int
    ) -> None:
        """Take a batch that a leader admitted, with the append time of its frame.

        `Corrupt` if it does not continue this log: bytes between were lost, or came from elsewhere.
        """
        if base_offset != self.end:
            raise Corrupt(f"a batch at offset {base_offset}, but the log ends at {self.end}")
        if leader_epoch != self.leader_epoch:
            if leader_epoch < self.leader_epoch:
                raise Corrupt(
                    f"a batch of leader epoch {leader_epoch} at offset {base_offset},"
                    f" after epoch {self.leader_epoch}"
                )
            self.epochs.assign(leader_epoch, base_offset)
            self.leader_epoch = leader_epoch
        producer_id, sequence = header[PRODUCER_ID], header[BASE_SEQUENCE]
        delta = header[LAST_OFFSET_DELTA]
        if producer_id >= 0 and sequence >= 0:  # markers carry a producer but no sequence
            self.producers.absorb(
                producer_id, header[PRODUCER_EPOCH], sequence, delta, base_offset, append_ms
            )
        self.end = base_offset + delta + 1

    def truncate(self, end: int) -> int:
        """Cut the log to `end`, a batch edge between `start` and the old end.

        Gives how many producers lost all that was known of them (see `Producers.truncate`). Whoever
        truncates follows; to lead again takes `lead` with a newer epoch.
        """
        assert self.start <= end <= self.end, f"truncate {self.start}..{self.end} to {end}"
        self.epochs.truncate_end(end)
        self.leader_epoch = self.epochs.latest
        lost = self.producers.truncate(end) if end < self.end else 0
        self.end = end
        return lost

    def move_start(self, offset: int) -> None:
        """Offsets below `offset` are deleted; the start never moves back: a lower one is ignored.

        Producers stay: as in Kafka since 2.5 (KIP-360) only expiry forgets them, so that a
        producer whose batches were deleted keeps its protection.
        """
        if offset <= self.start:
            return
        if offset > self.end:
            raise Corrupt(f"the log is to start at {offset}, but it ends at {self.end}")
        self.start = offset
        self.epochs.truncate_start(offset)

    def expire_producers(self, now_ms: int, expiration_ms: int) -> int:
        """Forget idle producers; gives how many."""
        return self.producers.expire(now_ms, expiration_ms)

    def end_offset_for(self, epoch: int) -> tuple[int, int]:
        """(epoch, end offset) as OffsetForLeaderEpoch answers it; (-1, -1) where unknown."""
        return self.epochs.end_offset_for(epoch, self.end)

    def save(self) -> bytes:
        """Everything above, for a checkpoint: `load` gives an equal machine."""
        producers = self.producers.save()
        head = _SAVED_HEAD.pack(
            SAVED_MAGIC, SAVED_VERSION, self.start, self.end, len(self.epochs), len(producers)
        )
        epochs = (_SAVED_EPOCH.pack(*entry) for entry in self.epochs.entries())
        return b"".join((head, *epochs, producers))

    @classmethod
    def load(
        cls,
        saved: bytes | bytearray | memoryview,
        producers_max: int = limits.PRODUCERS_PER_PARTITION_MAX,
    ) -> "PartitionLog":
        """Raises `Corrupt` on anything that `save` cannot have written."""
        if len(saved) < _SAVED_HEAD.size:
            raise Corrupt(f"partition state of {len(saved)} bytes is cut short")
        magic, version, start, end, epochs, producers_bytes = _SAVED_HEAD.unpack_from(saved)
        if magic != SAVED_MAGIC:
            raise Corrupt(f"partition state starts with {magic:#x}, not {SAVED_MAGIC:#x}")
        if version != SAVED_VERSION:
            raise Corrupt(
                f"partition state of version {version}; this broker reads {SAVED_VERSION}"
            )
        producers_at = _SAVED_HEAD.size + epochs * _SAVED_EPOCH.size
        if len(saved) != producers_at + producers_bytes:
            raise Corrupt(
                f"partition state of {len(saved)} bytes, not {producers_at + producers_bytes}"
            )
        if not 0 <= start <= end:
            raise Corrupt(f"partition state of a log from {start} to {end}")
        loaded = cls(producers_max)
        loaded.start, loaded.end = start, end
        view = memoryview(saved)
        starts_after = -1
        for epoch, epoch_start in _SAVED_EPOCH.iter_unpack(view[_SAVED_HEAD.size : producers_at]):
            if epoch <= loaded.epochs.latest or not starts_after < epoch_start <= end:
                raise Corrupt(
                    f"partition state: epoch {epoch} at {epoch_start} after {loaded.epochs!r}"
                )
            loaded.epochs.assign(epoch, epoch_start)
            starts_after = epoch_start
        loaded.leader_epoch = loaded.epochs.latest
        loaded.producers = Producers.load(view[producers_at:], producers_max)
        return loaded
