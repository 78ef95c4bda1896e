"""Recovery's fold: checkpoints, then frames in WAL order, become the logs of all partitions.

Owns    what each kind of frame does to a log, and the form of a partition's checkpoint state.
Never   reads a file: the WAL gives states and frames. Never guesses: what does not continue is
        Corrupt.
Trusts  that the WAL checked every checksum and gives frames in the order in which they were
        written.
"""

import struct

from app.core.partition_log import PartitionLog
from app.errors import Corrupt, Fenced
from app.model import PartitionKey
from app.tiers.nvme.block import FrameKind
from streambus.protocol.batch import (
    ATTRIBUTES,
    BASE_OFFSET,
    LEADER_EPOCH,
    MAX_TIMESTAMP,
    Attributes,
    BatchHeader,
)

STATE_MAGIC = 0x53  # "S"
STATE_VERSION = 1
_STATE = struct.Struct("<BBq")  # magic, version, high watermark; then PartitionLog.save()


def pack_state(log: PartitionLog, high_watermark: int) -> bytes:
    """A partition's state in a checkpoint. Log start and written end are part of the log's own
    state."""
    return _STATE.pack(STATE_MAGIC, STATE_VERSION, high_watermark) + log.save()


def unpack_state(state: bytes | memoryview) -> tuple[PartitionLog, int]:
    """The log and its high watermark. Raises `Corrupt` on what `pack_state` cannot have written."""
    if len(state) < _STATE.size:
        raise Corrupt(f"a partition's checkpoint state has {len(state)} bytes")
    magic, version, high_watermark = _STATE.unpack_from(state)
    if (magic, version) != (STATE_MAGIC, STATE_VERSION):
        raise Corrupt(
            f"a partition's checkpoint state is {magic:#x} version {version}, "
            f"this broker reads {STATE_MAGIC:#x} version {STATE_VERSION}"
        )
    return PartitionLog.load(memoryview(state)[_STATE.size :]), high_watermark


class Folded:
    """One partition as the disk has it."""

    __slots__ = ("log", "watermark")

    def __init__(self, log: PartitionLog, watermark: int) -> None:
        self.log = log
        self.watermark = watermark

    @property
    def high_watermark(self) -> int:
        """The last one known, within what is here: truncation and corruption may have cut the
        log."""
        return max(self.log.start, min(self.watermark, self.log.end))


class LogFold:
    """`app.tiers.nvme.ports.Fold` over partition logs. Runs on a lane, so it touches nothing
    else."""

    __slots__ = ("partitions",)

    def __init__(self) -> None:
        self.partitions: dict[PartitionKey, Folded] = {}

    def reset(self) -> None:
        self.partitions = {}

    def restore(self, key: PartitionKey, saved: bytes) -> None:
        self.partitions[key] = Folded(*unpack_state(saved))

    def batch(self, key: PartitionKey, header: BatchHeader, append_ms: int) -> None:
        # The time at which it was admitted is told again to whoever sends it again. A stamped batch
        # says it exactly; a frame's time may be a little off, by another batch or a clock set back.
        if header[ATTRIBUTES] & Attributes.LOG_APPEND_TIME:
            append_ms = header[MAX_TIMESTAMP]
        self._log(key).absorb(header, header[BASE_OFFSET], header[LEADER_EPOCH], append_ms)

    def control(self, key: PartitionKey, kind: int, offset: int, leader_epoch: int) -> None:
        if kind == FrameKind.REPLICA_DROPPED:
            self.partitions.pop(key, None)
            return
        log = self._log(key)
        if kind == FrameKind.EPOCH_STARTED:
            try:
                log.start_epoch(leader_epoch, offset)
            except Fenced as error:
                raise Corrupt(f"{key}: {error}") from error
        elif kind == FrameKind.TRUNCATED:
            if not log.start <= offset <= log.end:
                raise Corrupt(f"{key}: {log.start}..{log.end} truncated to {offset}")
            log.truncate(offset)
        elif kind == FrameKind.START_MOVED:
            log.move_start(offset)
        else:
            raise Corrupt(f"{key}: a frame of kind {kind}, which nothing writes")

    def position(self, key: PartitionKey) -> tuple[int, int, int] | None:
        folded = self.partitions.get(key)
        if folded is None:
            return None
        return folded.log.start, folded.log.end, folded.log.leader_epoch

    def save(self, key: PartitionKey) -> bytes | None:
        folded = self.partitions.get(key)
        return None if folded is None else pack_state(folded.log, folded.high_watermark)

    def _log(self, key: PartitionKey) -> PartitionLog:
        folded = self.partitions.get(key)
        if folded is None:
            folded = self.partitions[key] = Folded(PartitionLog(), 0)
        return folded.log
