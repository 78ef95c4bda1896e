"""This broker's copy of one partition: appends as its leader, and its three ends.

Owns    the role, the log, the written, synced and committed ends, and the replies that wait for
        them.
Never   awaits or reads a file: assigning an offset and the one copy into the WAL are one step.
Trusts  the WAL to say what is synced, `core/partition_log.py` for sequences, the registry for
        roles.
"""

from app.core.admission import RECORDS_MAX, check_frame, check_header
from app.core.partition_log import PartitionLog
from app.core.replication import Replication
from app.core.topic_policy import LOG_APPEND_TIME, PRODUCER_CODEC, TopicPolicy
from app.errors import (
    InvalidProducerEpoch,
    InvalidRecord,
    NotEnoughReplicas,
    NotLeader,
    OutOfOrderSequence,
    StorageFailed,
    UnknownTopicOrPartition,
    UnsupportedCompressionType,
)
from app.model import PartitionKey
from app.partitions.preparing import prepare
from app.partitions.replies import PendingProduce, ReplyQueue
from app.partitions.shared import Shared
from app.partitions.traffic import Traffic
from app.partitions.waiting import Parked
from app.tiers.nvme.block import FrameKind
from app.world.ports import Lease
from streambus.errors import Malformed
from streambus.protocol import batch, compression
from streambus.protocol.produce_codec import read_sent

ALL, LEADER, NONE = -1, 1, 0  # acks
CODEC_MASK = 0x07
ZSTD_FROM = 7  # the version of Produce (KIP-110)

LEADING = "leading"
FOLLOWING = "following"
LOADING = "loading"
FENCED = "fenced"
QUARANTINED = "quarantined"
FAILED = "failed"
DROPPED = "dropped"

# What a role answers to (produce, fetch). A failed one still serves what is committed.
_ANSWERS = {
    LEADING: (0, 0),
    FOLLOWING: (NotLeader.code, NotLeader.code),
    LOADING: (NotLeader.code, NotLeader.code),
    FENCED: (NotLeader.code, NotLeader.code),
    QUARANTINED: (StorageFailed.code, StorageFailed.code),
    FAILED: (StorageFailed.code, 0),
    DROPPED: (UnknownTopicOrPartition.code, UnknownTopicOrPartition.code),
}

# Further from now than any timestamp can be: no bound.
_FOREVER_MS = 1 << 62

# Refusals that show what the log has admitted: told only when that is durable.
_REVEALING = (-OutOfOrderSequence.code, -InvalidProducerEpoch.code)


class Replica:
    """One partition on this broker. Everything runs on the loop; only `prepare` awaits.

    Attributes that others read: `key`, `policy`, `role`, `refuses` (the error of every produce
    now, or 0), `read_error` (of every fetch now, or 0), `log` (written end, epochs, producers),
    `high_watermark`, `synced_end`, `log_start` (as revealed: moved only when its StartMoved frame
    is durable), `prepares`.
    """

    __slots__ = (
        "_after_ms",
        "_before_ms",
        "_bytes_max",
        "_mark_bytes",
        "_mark_end",
        "_stamps",
        "_stream",
        "bytes_visible",
        "bytes_written",
        "committing",
        "high_watermark",
        "isr_short",
        "key",
        "leader_epoch",
        "log",
        "log_start",
        "policy",
        "prepares",
        "read_error",
        "refuses",
        "replication",
        "role",
        "shared",
        "starting",
        "synced_end",
        "syncing",
        "traffic",
        "waiters",
    )

    def __init__(
        self,
        shared: Shared,
        key: PartitionKey,
        policy: TopicPolicy,
        log: PartitionLog,
        high_watermark: int,
        traffic: Traffic | None = None,
    ) -> None:
        """`log` holds nothing that is not synced: it is new, or recovery folded it from disk."""
        assert log.start <= high_watermark <= log.end, f"{key}: {high_watermark} outside of {log!r}"
        self.shared = shared
        self.key = key
        self.traffic = traffic or Traffic()
        self._stream = shared.wal.stream(key)
        self.leader_epoch = log.leader_epoch  # of the manifest: requests are fenced by it
        self.log = log
        self.log_start = log.start
        self.high_watermark = high_watermark
        self.synced_end = log.end
        self.replication: Replication | None = None
        self.syncing = ReplyQueue()
        self.committing = ReplyQueue()
        self.starting: ReplyQueue | None = None  # few replicas ever have one
        self.waiters: dict[Parked, tuple[int, int]] = {}
        self.bytes_written = 0
        self.bytes_visible = 0
        self._mark_end = log.end
        self._mark_bytes = 0
        self.isr_short = False
        self.role = LOADING
        self.refuses, self.read_error = _ANSWERS[LOADING]
        self.configure(policy)

    # Roles and settings

    def configure(self, policy: TopicPolicy) -> None:
        self.policy = policy
        self._stamps = policy.timestamp_type == LOG_APPEND_TIME
        before_ms, after_ms = policy.timestamp_before_max_ms, policy.timestamp_after_max_ms
        self._before_ms = _FOREVER_MS if self._stamps else min(before_ms, _FOREVER_MS)
        self._after_ms = _FOREVER_MS if self._stamps else min(after_ms, _FOREVER_MS)
        self._bytes_max = policy.max_message_bytes
        self.prepares = policy.compression != PRODUCER_CODEC or policy.cleanup_compact

    def lead(self, leader_epoch: int, replication: Replication) -> None:
        """Lead from `leader_epoch` on: batches get it, and requests that name an older one are
        fenced.

        `Fenced` if this log has seen a newer epoch; `StorageFailed` if the WAL cannot note it.
        """
        if leader_epoch != self.log.leader_epoch:
            self.log.lead(leader_epoch)
            self.shared.wal.append_control(
                self.key, FrameKind.EPOCH_STARTED, self.log.end, leader_epoch
            )
        self.leader_epoch = leader_epoch
        self.replication = replication
        self.isr_short = replication.is_under_min_isr
        self.become(LEADING)
        self._commit(replication)

    def require(self, min_isr: int) -> None:
        """How many replicas must be in sync now, where this one leads."""
        replication = self.replication
        if replication is not None and replication.min_isr != min_isr:
            watermark = replication.require(min_isr)
            self.isr_short = replication.is_under_min_isr
            if watermark > self.high_watermark:
                self._committed(watermark)

    def fail(self, leader_epoch: int, replication: Replication) -> None:
        """It would lead and cannot write: what is committed without an append may still be read,
        by clients that know the epoch which the manifest gave."""
        self.leader_epoch = leader_epoch
        self.become(FAILED)
        self._commit(replication)

    def _commit(self, replication: Replication) -> None:
        watermark = replication.synced(self.synced_end)
        if watermark > self.high_watermark:
            self._committed(watermark)

    def become(self, role: str) -> None:
        """Change the role. Whoever waits on what the new role cannot give is answered now."""
        self.role = role
        self.refuses, self.read_error = _ANSWERS[role]
        if self.refuses:
            self.syncing.refuse(self.refuses)
            self.committing.refuse(self.refuses)
            if self.starting is not None:
                self.starting.refuse(self.refuses)
        if role != LEADING:
            self.replication = None
        if self.waiters:
            self.shared.parked.changed(self)

    def drain(self) -> None:
        """Take no more appends: the broker is stopping. Those that wait are still answered."""
        self.refuses = self.refuses or NotLeader.code

    def refolded(self, log: PartitionLog) -> None:
        """After a failed write: the log as the disk has it, without what was never synced."""
        assert log.end >= self.high_watermark, f"{self.key}: {log!r} lacks committed offsets"
        self.log = log
        self.log_start = max(self.log_start, log.start)
        self.synced_end = log.end
        self._mark_end = log.end

    # Appending

    def append(
        self,
        view: memoryview,
        start: int,
        end: int,
        acks: int,
        version: int,
        pending: PendingProduce,
        slot: int,
        now_ms: int,
        lease: Lease | None = None,
    ) -> None:
        """Append the one batch at `view[start:end]`: a Produce's records for this partition.

        `start` < 0 means null records. `acks` is -1 (all), 1 or 0; anything else the caller
        refused. `version` is the version of Produce, `now_ms` the wall time. The bytes are copied
        before this returns, or `lease`, which is of the memory that they lie in, is held.
        `pending.resolve(slot, ...)` is called exactly once, now or later:

        - refused: now; but a refusal that shows producer state (45, 47) once that state is synced;
        - acks=0: now; acks=1: when the batch is synced; acks=-1: when it is committed;
        - a duplicate: with its original's offset, when the original is synced or committed;
        - later than `pending.timeout_ms`: REQUEST_TIMED_OUT (7), though the batch stays appended;
        - the log fails or the role ends meanwhile: KAFKA_STORAGE_ERROR (56) or NOT_LEADER (6).

        Where `prepares` is true, `prepare` it first.
        """
        if self.refuses:
            pending.resolve(slot, self.refuses, -1)
            return
        oldest, newest = now_ms - self._before_ms, now_ms + self._after_ms
        header = read_sent(view, start, end, self._bytes_max, RECORDS_MAX, oldest, newest)
        if header is None or (version < ZSTD_FROM and header[5] & CODEC_MASK == compression.ZSTD):
            pending.resolve(slot, self._fault(view, start, end, now_ms), -1)
            return
        if acks == ALL and self.isr_short:
            pending.resolve(slot, NotEnoughReplicas.code, -1)
            return
        log = self.log
        written = log.end
        base_offset = log.admit(header, now_ms)
        if base_offset != written:
            self._append_nothing(header, base_offset, acks, pending, slot)
            return
        required = log.end
        try:
            sent, epoch = view[start:end], log.leader_epoch
            if self._stamps:
                stamp = now_ms
                self._stream.append_stamped(sent, base_offset, required, epoch, stamp)
            else:
                stamp = -1
                self._stream.append(sent, base_offset, required, epoch, header[8], lease)
        except StorageFailed as error:
            # Admitted, but in no block: the machine is ahead of the log, so it is refolded.
            pending.resolve(slot, StorageFailed.code, -1)
            self.shared.failed(error)
            return
        self.bytes_written += end - start
        if acks == NONE:
            pending.resolve(slot, 0, base_offset, stamp)
            return
        # As in `_await`; but the new end is reached by nobody yet, and what waits needs no more.
        queue = self.committing if acks == ALL else self.syncing
        deadlines = self.shared.deadlines
        if not queue.entries:
            deadlines.watch(queue)
        queue.entries.append((required, pending, slot, 0, base_offset, stamp, deadlines.sweep))

    def _fault(self, view: memoryview, start: int, end: int, now_ms: int) -> int:
        """The error code of a batch that may not be admitted: which check was the first to fail."""
        # A produce carries exactly one batch per partition.
        if start < 0 or end - start < batch.HEADER_BYTES:
            return InvalidRecord.code
        records = view[start:end]
        try:
            header = batch.read_header(records)
            behind = len(records) - batch.batch_bytes(header)
            if behind >= batch.HEADER_BYTES:
                return InvalidRecord.code
            # Kafka ignores less than a batch behind the one: what is wrong with that comes first.
            refusal = check_frame(header, self.policy)
            if not refusal:
                batch.verify(records, 0, header)
                refusal = check_header(header, self.policy, now_ms)
            if refusal or behind:
                return -refusal or InvalidRecord.code
        except Malformed as error:
            return error.code
        return UnsupportedCompressionType.code

    def _append_nothing(
        self,
        header: batch.BatchHeader,
        admitted: int,
        acks: int,
        pending: PendingProduce,
        slot: int,
    ) -> None:
        """Answer a batch that the log has already, or does not take."""
        if admitted < 0:
            if admitted in _REVEALING and self.synced_end < self.log.end:
                self._await(self.syncing, self.log.end, pending, slot, -admitted, -1, -1)
            else:
                pending.resolve(slot, -admitted, -1)
            return
        stamp = self.log.producers.appended_ms(header[9], admitted) if self._stamps else -1
        if acks == NONE:
            pending.resolve(slot, 0, admitted, stamp)
            return
        queue = self.committing if acks == ALL else self.syncing
        self._await(queue, admitted + header[6] + 1, pending, slot, 0, admitted, stamp)

    async def prepare(self, view: memoryview, version: int) -> memoryview:
        """The batch as this topic stores it, to be given to `append` whole: re-encoded if its codec
        is not `compression.type`, with every key present if the topic is compacted. Decoding and
        encoding run on the `reader` lane. Raises `Rejected` (its `code` is the answer). `view` must
        stay valid until this returns, and a connection's appends stay in the order of its requests:
        the handler holds back the next ones meanwhile."""
        return await prepare(self.shared.world, self.policy, view, version)

    def _await(
        self,
        queue: ReplyQueue,
        required: int,
        pending: PendingProduce,
        slot: int,
        error: int,
        base_offset: int,
        stamp: int,
    ) -> None:
        if queue is self.syncing:
            reached = self.synced_end
        else:
            reached = self.high_watermark if queue is self.committing else self.log_start
        if required <= reached:
            pending.resolve(slot, error, base_offset, stamp)
            return
        deadlines = self.shared.deadlines
        if not queue.entries:
            deadlines.watch(queue)
        queue.insert((required, pending, slot, error, base_offset, stamp, deadlines.sweep))

    # The three ends

    def synced(self, end: int) -> None:
        """Everything below `end` is durable as `wal.sync` promises: it counts as this replica's
        copy."""
        if end <= self.synced_end:
            return
        self.synced_end = end
        if self.syncing.entries:
            self.syncing.release(end)
        if self.replication is not None:
            watermark = self.replication.synced(end)
            if watermark > self.high_watermark:
                self._committed(watermark)

    def reported(self, follower: int, end: int, now_ms: int) -> None:
        """A follower holds everything below `end` on stable storage."""
        if self.replication is None:
            return
        watermark = self.replication.reported(follower, end, now_ms)
        if watermark > self.high_watermark:
            self._committed(watermark)

    def start_moved(self, start: int) -> None:
        """A StartMoved frame is durable: only now may anyone see the new log start."""
        self.log_start = max(self.log_start, start)
        if self.starting is not None:
            self.starting.release(self.log_start)
            if not self.starting.entries:
                self.starting = None

    def when_started(self, start: int, pending: PendingProduce, slot: int) -> None:
        """Resolve once nobody sees anything below `start`: after `move_start`, when its frame is
        durable."""
        if self.refuses:
            pending.resolve(slot, self.refuses, -1)
            return
        if self.starting is None:
            self.starting = ReplyQueue()
        self._await(self.starting, start, pending, slot, 0, start, -1)

    def when_synced(self, pending: PendingProduce, slot: int) -> None:
        """Resolve once everything written so far is durable, with its end: whoever shows what the
        log has admitted (its producers) waits for this."""
        if self.refuses:
            pending.resolve(slot, self.refuses, -1)
        else:
            end = self.log.end
            self._await(self.syncing, end, pending, slot, 0, end, -1)

    def move_start(self, start: int) -> None:
        """Decide a new log start (retention, DeleteRecords); it is revealed when its frame is
        durable."""
        if start <= self.log.start:
            return
        self.log.move_start(start)
        try:
            self.shared.wal.append_control(
                self.key, FrameKind.START_MOVED, start, self.log.leader_epoch
            )
        except StorageFailed as error:
            self.shared.failed(error)  # the log is refolded: the start is where it was

    def _committed(self, watermark: int) -> None:
        self.high_watermark = watermark
        # How many bytes that made visible is known exactly when all is committed, and otherwise
        # from the last mark: it lags by a block and never runs ahead, which is enough to count
        # `min_bytes`.
        if watermark >= self.log.end:
            self.bytes_visible = self.bytes_written
        elif watermark >= self._mark_end:
            self.bytes_visible = max(self.bytes_visible, self._mark_bytes)
        if watermark >= self._mark_end:
            self._mark_end, self._mark_bytes = self.log.end, self.bytes_written
        if self.committing.entries:
            self.committing.release(watermark)
        if self.waiters:
            self.shared.parked.advanced(self)
