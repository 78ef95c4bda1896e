"""What the WAL asks of those above it, as protocols; and its settings.

Owns    `WalSettings`, `WalListener`, `Fold`.
Never   does anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app import limits
from app.errors import StorageFailed
from app.model import PartitionKey
from app.tiers.nvme.block import Frame
from streambus.protocol.batch import BatchHeader


@dataclass(frozen=True, slots=True)
class WalSettings:
    segment_bytes: int = limits.SEGMENT_BYTES
    sync: str = "block"
    """`block`: acknowledged after the sync. `interval:<ms>`, `os`: acknowledged after the write."""


class WalListener(Protocol):
    """Called on the loop. A listener may append from within these calls."""

    def on_synced(self, frames: Sequence[Frame], block: int) -> None:
        """The frames of this block are as durable as `wal.sync` promises, and can be read."""

    def on_failed(self, error: StorageFailed) -> None:
        """A write or sync failed: nothing not yet reported as synced ever will be. Once per
        failure."""

    def on_drained(self) -> None:
        """Pending bytes fell below half of their bound after they had been above it."""

    def checkpoint_states(self, keys: Iterable[PartitionKey]) -> list[tuple[PartitionKey, bytes]]:
        """The state of each of these partitions that exists, as of everything appended so far."""


class Fold(Protocol):
    """State rebuilt from the WAL, in its order. Called on a lane, before anything can be appended:
    it
    touches nothing of the loop. A call may raise `Corrupt`: that partition is then quarantined."""

    def reset(self) -> None:
        """Forget everything: what follows begins anew (every recovery and refold starts with
        this)."""

    def restore(self, key: PartitionKey, saved: bytes) -> None:
        """The partition's state at the checkpoint, as `checkpoint_states` or `save` gave it."""

    def batch(self, key: PartitionKey, header: BatchHeader, append_ms: int) -> None:
        """One batch; the header carries its base offset and leader epoch."""

    def control(self, key: PartitionKey, kind: int, offset: int, leader_epoch: int) -> None:
        """One control frame, by its `FrameKind`. After REPLICA_DROPPED the partition does not
        exist."""

    def position(self, key: PartitionKey) -> tuple[int, int, int] | None:
        """(log start, end, leader epoch), None where nothing is known of the partition."""

    def save(self, key: PartitionKey) -> bytes | None:
        """The partition's state now, for a checkpoint; None where it does not exist."""
