"""What follows a seal, on the `roll` lane: the segment's sidecar, then the checkpoint of its
partitions.

Owns    the order of the two, the chain of checkpoints, and what a failed one leaves for the next.
Never   holds up the log: until a checkpoint is written, a restart folds one more segment.
Trusts  that a segment is submitted when all its blocks are durable and indexed.
"""

from collections.abc import Callable
from functools import partial

from app.limits import CHECKPOINT_DELTAS_MAX
from app.model import PartitionKey
from app.telemetry import events
from app.tiers.nvme import checkpoint, sidecar
from app.tiers.nvme.checkpoint import Checkpoint, Entry
from app.tiers.nvme.index import Extent
from app.tiers.nvme.segment import Segment
from app.world.ports import World


class Sealing:
    def __init__(self, world: World, directory: str, indexed: Callable[[Extent], None]) -> None:
        self._files = world.files
        self._lane = world.lane("roll")
        self._directory = directory
        self._indexed = indexed
        """Told of each extent whose rows are in a sidecar now: memory may let them go."""
        self.durable = 0
        """The newest segment whose checkpoint is durable: older ones are not folded at a
        restart."""
        # Of the lane alone:
        self._newest = self._deltas = 0
        self._carried: dict[PartitionKey, Entry] = {}

    def begin(self, restored: Checkpoint | None) -> None:
        """What recovery found. The lane is idle."""
        self.durable = self._newest = restored.sequence if restored is not None else 0
        self._deltas = restored.deltas if restored is not None else 0
        self._carried = {}

    def submit(self, segment: Segment, taken: Checkpoint | None) -> None:
        """`taken` is None where no checkpoint could be taken at this seal."""
        extents, holds = segment.live_extents(), set(segment.holds)
        job = partial(sidecar.write, self._files, self._directory, segment, extents, holds)
        self._lane.submit(job, partial(self._written, segment))
        if taken is not None:
            self._lane.submit(partial(self._check, taken), self._checked)

    def _written(
        self,
        segment: Segment,
        result: list[tuple[Extent, tuple[int, int, int, int]]] | BaseException,
    ) -> None:
        if isinstance(result, BaseException):
            events.emit("sidecar.failed", events.WARNING, segment=segment.path, error=result)
            return
        segment.has_sidecar = True
        segment.extents = []
        for extent, place in result:
            extent.place = place
            self._indexed(extent)

    def _check(self, taken: Checkpoint) -> int:
        self._carried.update(taken.entries)
        taken.entries = self._carried
        taken.previous, taken.deltas = self._newest, self._deltas + 1
        self._deltas = checkpoint.add(self._files, self._directory, taken, CHECKPOINT_DELTAS_MAX)
        self._newest = taken.sequence
        self._carried = {}
        return taken.sequence

    def _checked(self, result: int | BaseException) -> None:
        if isinstance(result, BaseException):
            events.emit("checkpoint.failed", events.WARNING, error=result)
        else:
            self.durable = result
