"""The process: pauses and lags are counted while it is watched, and not a moment longer."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any, cast

from app.telemetry.metrics import Collectors
from app.telemetry.process import DECLARED, LAG_EVERY_MS, Watched, watched
from app.world.ports import World
from app.world.real import RealWorld
from tests.unit.partitions.arrange import Timer


class LateWorld:
    """Its timers run `late_ms` after their time."""

    def __init__(self) -> None:
        self.ms = 0
        self.late_ms = 0
        self.timers: list[tuple[int, Timer]] = []
        self.clock = SimpleNamespace(
            now_ms=lambda: self.ms, monotonic_ns=lambda: self.ms * 1_000_000
        )

    def call_later(self, ms: int, callback: Any) -> Timer:
        self.timers.append((self.ms + ms, Timer(callback)))
        return self.timers[-1][1]

    def run_next(self) -> None:
        due, timer = self.timers.pop(0)
        self.ms = due + self.late_ms
        timer.callback()


def test_the_loops_lag_is_how_late_its_timer_ran() -> None:
    world = LateWorld()
    process = Watched(cast(World, world))
    process.watch_loop()
    for late_ms in (0, 40, 0):
        world.late_ms = late_ms
        world.run_next()
    assert process.lag.count == 3 and process.lag.sum_ns == 40_000_000
    assert world.timers[0][0] == world.ms + LAG_EVERY_MS
    process.end()
    assert world.timers[0][1].is_cancelled


def test_everything_declared_is_collected_and_hooks_go_when_the_broker_does() -> None:
    hooks = list(gc.callbacks)

    async def scenario() -> dict[str, list[Any]]:
        world, collectors = RealWorld(), Collectors()
        with watched(world, collectors):
            gc.collect()
            families = await collectors.gather(world.clock)
        await world.close()
        return {family.name: family.rows for family in families}

    collected = asyncio.run(scenario())
    assert gc.callbacks == hooks
    assert set(collected) == {metric.name for metric in DECLARED}
    pauses = collected["streambus_gc_pause_seconds"]
    assert [labels for labels, _ in pauses] == [("0",), ("1",), ("2",)]
    assert pauses[2][1][-1] == 1, "one full collection"
    assert pauses[2][1][-2] > 0
