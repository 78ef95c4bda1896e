"""What the replicas of one broker share: its world, its WAL, and whoever waits.

Owns    nothing: the registry fills it in and replaces the WAL when that is reopened.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.partitions.replies import Deadlines
from app.partitions.waiting import ParkedFetches
from app.world.ports import Clock, World

if TYPE_CHECKING:
    from app.tiers.nvme.wal import Wal


class Shared:
    """A plain bundle, so that a replica keeps one pointer instead of six."""

    __slots__ = ("clock", "deadlines", "failed", "parked", "wal", "world")

    def __init__(
        self, world: World, wal: "Wal", parked: ParkedFetches, failed: Callable[[Exception], None]
    ) -> None:
        self.world = world
        self.clock: Clock = world.clock
        self.wal = wal
        self.parked = parked
        self.deadlines = Deadlines(world)
        self.failed = failed
        """Called when an append could not be written: all logs are refolded from disk."""
