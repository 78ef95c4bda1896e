"""Retention: every so often, log starts move up and whole segments are given back.

Owns    when retention and producer expiry are looked at, and for which replicas.
Never   deletes a byte: it moves log starts (a durable frame each), and the WAL gives back what is
        free.
Trusts  `core/retention.py` to decide, and that a start is revealed only once its frame is durable.
"""

import asyncio

from app import limits
from app.core.retention import decide_start
from app.partitions.registry import Registry
from app.partitions.replica import LEADING, Replica
from app.world.ports import World

REPLICAS_PER_TURN = 256  # then the loop gets a turn: 100,000 partitions are no pause


class RetentionLoop:
    """Run by main in its TaskGroup: `tasks.create_task(loop.run(), name="retention")`."""

    def __init__(
        self,
        world: World,
        registry: Registry,
        check_ms: int,
        producer_expiration_ms: int = limits.PRODUCER_EXPIRATION_MS,
    ) -> None:
        self._world = world
        self._registry = registry
        self._check_ms = check_ms
        self.producer_expiration_ms = producer_expiration_ms
        """May be changed while it runs."""

    async def run(self) -> None:
        """What went is given back soon; what may have expired is looked at every `check_ms`."""
        clock = self._world.clock
        due_ms = clock.monotonic_ms() + self._check_ms
        while True:
            await self._registry.wait_for_garbage(max(0, due_ms - clock.monotonic_ms()))
            if clock.monotonic_ms() < due_ms:
                await self._registry.retire()
            else:
                await self.check()
                due_ms = clock.monotonic_ms() + self._check_ms

    async def check(self) -> None:
        """One round: move what log starts should move, forget idle producers, give segments
        back."""
        for count, replica in enumerate(self._registry.replicas(), start=1):
            if replica.role == LEADING:
                self._check_replica(replica)
            if count % REPLICAS_PER_TURN == 0:
                await asyncio.sleep(0)
        await self._registry.retire()

    def _check_replica(self, replica: Replica) -> None:
        now_ms = self._world.clock.now_ms()
        replica.log.expire_producers(now_ms, self.producer_expiration_ms)
        policy = replica.policy
        if not policy.cleanup_delete or (policy.retention_ms < 0 and policy.retention_bytes < 0):
            return
        replica.move_start(
            decide_start(
                self._registry.wal.extents(replica.key),
                replica.log.start,
                replica.high_watermark,
                now_ms,
                policy.retention_ms,
                policy.retention_bytes,
            )
        )
