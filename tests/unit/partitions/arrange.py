"""Arrangements for the tests of partitions: a world whose time is moved by hand, and small
fakes."""

import heapq
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from app.core.partition_log import PartitionLog
from app.core.replication import Replication
from app.core.topic_policy import TopicPolicy
from app.errors import StorageFailed
from app.model import PartitionKey, TopicId
from app.partitions.replica import Replica
from app.partitions.shared import Shared
from app.partitions.waiting import ParkedFetches
from app.tiers.nvme.block import FrameKind
from app.world.ports import Lease
from streambus.protocol import batch


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualWorld:
    """Clock and timers only; `advance` runs what is due, in order of time, then of arrival."""

    def __init__(self) -> None:
        self.now = 1_000
        self.set = 0
        self._timers: list[tuple[int, int, Timer]] = []
        self.clock = SimpleNamespace(
            now_ms=lambda: 1_700_000_000_000 + self.now,
            monotonic_ms=lambda: self.now,
            monotonic_ns=lambda: self.now * 1_000_000,
        )

    def call_later(self, ms: int, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self.set += 1
        heapq.heappush(self._timers, (self.now + ms, self.set, timer))
        return timer

    def lane(self, name: str) -> "InlineLane":
        return InlineLane()

    def advance(self, ms: int) -> None:
        until = self.now + ms
        while self._timers and self._timers[0][0] <= until:
            self.now, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                timer.callback()
        self.now = until

    @property
    def timers(self) -> int:
        return sum(not timer.is_cancelled for _, _, timer in self._timers)


class InlineLane:
    """Runs a job at once."""

    async def run(self, job: Callable[[], Any]) -> Any:
        return job()


class Pending:
    """A produce request that remembers its answers: (slot, error, base offset, append time)."""

    def __init__(self, timeout_ms: int = 30_000) -> None:
        self.timeout_ms = timeout_ms
        self.answers: list[tuple[int, int, int, int]] = []

    def resolve(
        self, slot: int, error: int, base_offset: int, log_append_time_ms: int = -1
    ) -> None:
        assert all(slot != answered for answered, *_ in self.answers), "a slot answered twice"
        self.answers.append((slot, error, base_offset, log_append_time_ms))

    @property
    def answer(self) -> tuple[int, int] | None:
        """(error, base offset) of the only slot, None while it waits."""
        assert len(self.answers) <= 1
        return self.answers[0][1:3] if self.answers else None


class FakeWal:
    """A WAL whose syncs the test calls: one list of what was appended, one of what is durable."""

    def __init__(self) -> None:
        self.frames: list[tuple[PartitionKey, int, int, int, bytes]] = []
        self.listener: Replica | None = None
        self.failure: StorageFailed | None = None

    def stream(self, key: PartitionKey) -> "FakeStream":
        return FakeStream(self, key)

    def append_control(self, key: PartitionKey, kind: int, offset: int, leader_epoch: int) -> int:
        if self.failure is not None:
            raise self.failure
        self.frames.append((key, kind, offset, offset, b""))
        return len(self.frames)

    def batches(self) -> list[bytes]:
        return [stored for _, kind, _, _, stored in self.frames if kind == FrameKind.BATCHES]


class FakeStream:
    def __init__(self, wal: FakeWal, key: PartitionKey) -> None:
        self.wal = wal
        self.key = key

    def append(
        self,
        view: memoryview,
        base_offset: int,
        end_offset: int,
        leader_epoch: int,
        max_timestamp: int,
        lease: Lease | None = None,
    ) -> int:
        if self.wal.failure is not None:
            raise self.wal.failure
        stored = bytearray(view)
        batch.patch(stored, 0, base_offset, leader_epoch)
        self.wal.frames.append(
            (self.key, FrameKind.BATCHES, base_offset, end_offset, bytes(stored))
        )
        return len(self.wal.frames)

    def append_stamped(
        self,
        view: memoryview,
        base_offset: int,
        end_offset: int,
        leader_epoch: int,
        append_time_ms: int,
    ) -> int:
        stored = bytearray(view)
        batch.patch_log_append_time(stored, 0, len(stored), append_time_ms)
        return self.append(
            memoryview(stored), base_offset, end_offset, leader_epoch, append_time_ms
        )


KEY = PartitionKey(TopicId(bytes(15) + b"\x01"), 0)


class Bench:
    """One leading replica over a fake WAL, in a world whose time is moved by hand."""

    def __init__(self, *, isr: tuple[int, ...] = (1,), **policy: Any) -> None:
        self.world = ManualWorld()
        self.wal = FakeWal()
        self.parked = ParkedFetches(self.world)
        self.failures: list[Exception] = []
        self.shared = Shared(self.world, self.wal, self.parked, self.failures.append)
        self.replica = Replica(self.shared, KEY, TopicPolicy(**policy), PartitionLog(), 0)
        minimum = self.replica.policy.min_insync_replicas
        self.replica.lead(5, Replication(isr, 1, min_isr=minimum))

    def append(
        self,
        records: bytes,
        *,
        acks: int = -1,
        version: int = 9,
        timeout_ms: int = 30_000,
    ) -> Pending:
        """Append as the produce handler does: from the middle of a larger buffer."""
        pending = Pending(timeout_ms)
        view = memoryview(bytearray(b"\xff" * 7 + records + b"\xff" * 5))
        self.replica.append(
            view, 7, 7 + len(records), acks, version, pending, 0, self.world.clock.now_ms()
        )
        return pending

    def sync(self) -> None:
        """Everything appended is durable."""
        self.replica.synced(self.replica.log.end)


def records(
    count: int = 1,
    *,
    producer: tuple[int, int, int] = (-1, -1, -1),
    key: bytes | None = b"key",
    timestamp: int = 1_700_000_000_000,
    **fields: Any,
) -> bytes:
    """A client's batch of `count` records. `producer` is (id, epoch, first sequence)."""
    producer_id, epoch, sequence = producer
    return batch.build(
        [(number, number, key, b"value %d" % number, ()) for number in range(count)],
        base_timestamp=timestamp,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        **fields,
    )
