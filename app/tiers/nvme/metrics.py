"""What the write-ahead log shows of itself.

Owns    the names of these metrics.
Never   counts: group commit and the segments do; this reads them when asked.
"""

from collections.abc import Iterator
from typing import Protocol

from app.limits import WAL_PENDING_BYTES_MAX
from app.telemetry.counts import SECONDS
from app.telemetry.metrics import Family, Metric
from app.tiers.nvme.wal import Wal

BLOCKS = Metric("streambus_wal_blocks_total", "counter", "Blocks written: one group commit each.")
SYNCS = Metric(
    "streambus_wal_syncs_total",
    "counter",
    "Syncs to stable storage: one a block with `wal.sync=block`, fewer otherwise.",
)
WRITTEN = Metric("streambus_wal_written_bytes_total", "counter", "Bytes of these blocks.")
TOOK = Metric(
    "streambus_wal_block_seconds",
    "histogram",
    "From a block handed to the disk to the loop told that it is as durable as `wal.sync` "
    "promises.",
    bounds=SECONDS,
)
WAITERS = Metric(
    "streambus_wal_waiters",
    "gauge",
    "Operations that wait for a block; appends are in streambus_appends_waiting.",
)
PENDING = Metric(
    "streambus_wal_pending_bytes", "gauge", "Memory of what is appended and not written yet."
)
PENDING_MAX = Metric(
    "streambus_wal_pending_max_bytes", "gauge", "Above it connections are not read on."
)
SEGMENTS = Metric(
    "streambus_wal_segments",
    "gauge",
    "Segment files: open, sealed with data that is live, or free to be used again.",
    ("state",),
    "3",
)
FAILED = Metric(
    "streambus_wal_failed",
    "gauge",
    "1 while nothing can be written (event `wal.failed` says why), else 0.",
)
FAILURES = Metric(
    "streambus_wal_failures_total", "counter", "How often writing failed since the start."
)
DECLARED = (
    BLOCKS, SYNCS, WRITTEN, TOOK, WAITERS, PENDING, PENDING_MAX, SEGMENTS, FAILED, FAILURES,
)  # fmt: skip


class HoldsWal(Protocol):
    """Whoever opens the log, and opens it again after a failure."""

    wal_failures: int

    @property
    def wal(self) -> Wal: ...


class WalMetrics:
    def __init__(self, holder: HoldsWal) -> None:
        self._holder = holder

    def collect(self) -> Iterator[Family]:
        counts = self._holder.wal.counts()
        yield BLOCKS.value(counts.blocks)
        yield SYNCS.value(counts.syncs)
        yield WRITTEN.value(counts.written_bytes)
        yield TOOK.of([((), counts.took.shown())])
        yield WAITERS.value(counts.waiters)
        yield PENDING.value(counts.pending_bytes)
        yield PENDING_MAX.value(WAL_PENDING_BYTES_MAX)
        yield SEGMENTS.by(
            [
                ("open", counts.segments_open),
                ("sealed", counts.segments_sealed),
                ("free", counts.segments_free),
            ]
        )
        yield FAILED.value(int(counts.has_failed))
        yield FAILURES.value(self._holder.wal_failures)
