"""One timer wheel: many waits with coarse deadlines, one timer of the loop.

Owns    who expires at which tick.
Never   fires early; never holds a timer of the loop while nothing waits.
Trusts  that `World.call_later` comes at or after its time.
"""

import asyncio
import heapq
from typing import Protocol

from app.world.ports import World

TICK_MS = 10


class Expiring(Protocol):
    def expired(self) -> None:
        """Called once, on the loop, at or after the deadline; by then the wheel has forgotten
        it."""


class TimerWheel:
    """Adding and removing are O(1); the loop's one timer is set for the first tick that has
    anything."""

    __slots__ = ("_armed", "_buckets", "_ticks", "_timer", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        # Dicts and not sets, so that what expires in one tick does so in the order of arrival.
        self._buckets: dict[int, dict[Expiring, None]] = {}
        self._ticks: list[int] = []  # a heap of the ticks that have, or had, a bucket
        self._armed = 0  # the tick that the timer is set for; 0: none
        self._timer: asyncio.TimerHandle | None = None

    def add(self, delay_ms: int, waiting: Expiring) -> int:
        """Returns the tick, which `discard` needs."""
        now_ms = self._world.clock.monotonic_ms()
        tick = -(-(now_ms + delay_ms) // TICK_MS)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._ticks, tick)
            if not self._armed or tick < self._armed:
                self._arm(tick, now_ms)
        bucket[waiting] = None
        return tick

    def discard(self, tick: int, waiting: Expiring) -> None:
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.pop(waiting, None)

    def close(self) -> None:
        """Forget everything without calling anyone."""
        self._buckets.clear()
        self._ticks.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, tick: int, now_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = tick
        self._timer = self._world.call_later(max(0, tick * TICK_MS - now_ms), self._run)

    def _run(self) -> None:
        self._armed, self._timer = 0, None
        now = self._world.clock.monotonic_ms() // TICK_MS
        while self._ticks and self._ticks[0] <= now:
            tick = self._ticks[0]
            bucket = self._buckets[tick]  # stays while it fires: others may discard or add
            while bucket:
                waiting = next(iter(bucket))
                del bucket[waiting]
                waiting.expired()
            if self._buckets.pop(tick, None) is not None:  # unless `close` was called meanwhile
                heapq.heappop(self._ticks)
        # An emptied bucket costs one idle wake-up at its tick, which is cheaper than finding it.
        if self._ticks and (not self._armed or self._ticks[0] < self._armed):
            self._arm(self._ticks[0], self._world.clock.monotonic_ms())
