"""Fetches that wait for bytes: parked by partition and on one timer wheel, each woken once.

Owns    who waits for which partition, and until when.
Never   reads or answers: it calls `ready`, and the Kafka side reads again.
Trusts  that a replica calls `advanced` whenever its high watermark moved, and `changed` when its
        role did.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from app import limits
from app.partitions.wheel import TimerWheel
from app.world.ports import World

if TYPE_CHECKING:
    from app.partitions.replica import Replica


class Parked:
    """One fetch that waits. `cancel` it when its connection goes away; nothing is called after
    that."""

    __slots__ = ("_missing", "_owner", "_ready", "_replicas", "_tick", "is_parked")

    def __init__(
        self,
        owner: "ParkedFetches",
        replicas: "list[Replica]",
        missing: int,
        ready: Callable[[], None],
    ) -> None:
        self.is_parked = True
        self._owner = owner
        self._replicas = replicas
        self._missing = missing
        self._ready = ready
        self._tick = 0

    def cancel(self) -> None:
        self._owner._remove(self)

    def expired(self) -> None:
        self._owner._wake(self)


class ParkedFetches:
    """All parked fetches of a broker.

    How the fetch handler uses it, with no `await` between reading and parking:

        results = [try_read(replica, offset, ...) for ...]
        if too little was read and the wait is not over and no partition had an error:
            waits = [(replica, offset, result.high_watermark), ...]   # offset: the one asked for
            parked = fetches.park(waits, min_bytes - bytes_read, wait_ms, ready)
            if parked is None: answer now (something moved since it was read, or the bound is
            reached)

    `ready()` is called at most once, on the loop: enough became readable, the wait is over, or a
    partition's role changed. It may come a little early when `min_bytes` > 1, since bytes are
    counted by block: read again, and park again if it is still short.
    """

    __slots__ = ("_parked", "_parked_max", "_waits", "_waits_max", "_wheel", "touched", "woken")

    def __init__(
        self,
        world: World,
        parked_max: int = limits.PARKED_FETCHES_MAX,
        waits_max: int = limits.PARKED_WAITS_MAX,
    ) -> None:
        self._wheel = TimerWheel(world)
        self._parked = 0
        self._parked_max = parked_max
        self._waits = 0  # partitions of all that is parked
        self._waits_max = waits_max
        self.touched = 0
        """How many parked fetches appends have looked at, ever: a test counts that they are few."""
        self.woken = 0

    def __len__(self) -> int:
        return self._parked

    def park(
        self,
        waits: "Sequence[tuple[Replica, int, int]]",
        min_bytes: int,
        wait_ms: int,
        ready: Callable[[], None],
    ) -> Parked | None:
        """Wait until `min_bytes` more are committed in these (replica, offset, high watermark as
        read), for `wait_ms` at most. None: do not wait, answer now."""
        if self._parked >= self._parked_max or wait_ms <= 0:
            return None
        if self._waits + len(waits) > self._waits_max:
            return None
        for replica, offset, seen in waits:
            if replica.high_watermark > max(offset, seen) or replica.read_error:
                return None
        parked = Parked(self, [replica for replica, _, _ in waits], min_bytes, ready)
        for replica, offset, _ in waits:
            replica.waiters[parked] = (offset, replica.bytes_visible)
        parked._tick = self._wheel.add(min(wait_ms, limits.FETCH_WAIT_MS_MAX), parked)
        self._parked += 1
        self._waits += len(waits)
        return parked

    def advanced(self, replica: "Replica") -> None:
        """The high watermark of `replica` moved: wake whom that satisfies. Touches nobody else."""
        watermark, visible = replica.high_watermark, replica.bytes_visible
        self.touched += len(replica.waiters)
        satisfied = []
        for parked, (offset, counted) in replica.waiters.items():
            if offset >= watermark:
                continue
            if parked._missing > 1:
                parked._missing -= visible - counted
                if parked._missing > 0:
                    replica.waiters[parked] = (offset, visible)
                    continue
            satisfied.append(parked)
        for parked in satisfied:
            self._wake(parked)

    def changed(self, replica: "Replica") -> None:
        """The role of `replica` changed: everybody who waits for it should look again."""
        for parked in list(replica.waiters):
            self._wake(parked)

    def close(self) -> None:
        """Forget every wait; their connections are closing."""
        self._wheel.close()
        self._parked = self._waits = 0

    def _wake(self, parked: Parked) -> None:
        if self._remove(parked):
            self.woken += 1
            parked._ready()

    def _remove(self, parked: Parked) -> bool:
        if not parked.is_parked:
            return False
        parked.is_parked = False
        self._parked -= 1
        self._waits -= len(parked._replicas)
        self._wheel.discard(parked._tick, parked)
        for replica in parked._replicas:
            replica.waiters.pop(parked, None)
        return True
