"""The process around a broker: time, memory, files, collector pauses, how late its loop is.

Owns    what is counted of the process; `Watched` takes its hooks away again when the broker ends.
Never   runs in a simulation: what it measures is this machine.
Trusts  the world's clock, and that one process is asked about by each of its brokers alike.
"""

import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.telemetry.counts import SECONDS, Durations
from app.telemetry.metrics import Collectors, Family, Metric
from app.world.ports import World
from app.world.process import process_facts
from streambus import __version__

LAG_EVERY_MS = 250

BUILD = Metric(
    "streambus_build_info",
    "gauge",
    "Always 1; the labels say what runs.",
    ("version", "python"),
)
CPU = Metric("streambus_process_cpu_seconds_total", "counter", "User and system time.")
RESIDENT = Metric(
    "streambus_process_resident_memory_bytes", "gauge", "Resident memory, shared pages included."
)
VIRTUAL = Metric("streambus_process_virtual_memory_bytes", "gauge", "Mapped memory.")
DESCRIPTORS = Metric("streambus_process_open_fds", "gauge", "Open file descriptors.")
DESCRIPTORS_MAX = Metric(
    "streambus_process_max_fds", "gauge", "How many descriptors the process may open."
)
THREADS = Metric("streambus_process_threads", "gauge", "Threads: the loop's and the lanes'.")
STARTED = Metric(
    "streambus_process_start_time_seconds", "gauge", "When the broker started, since 1970."
)
LAG = Metric(
    "streambus_loop_lag_seconds",
    "histogram",
    f"How late a timer ran that is set every {LAG_EVERY_MS} ms: what holds the loop.",
    bounds=SECONDS,
)
GC_PAUSES = Metric(
    "streambus_gc_pause_seconds",
    "histogram",
    "Pauses of Python's cyclic garbage collector, by generation.",
    ("generation",),
    "3",
    SECONDS,
)
DECLARED = (
    BUILD, CPU, RESIDENT, VIRTUAL, DESCRIPTORS, DESCRIPTORS_MAX, THREADS, STARTED, LAG, GC_PAUSES,
)  # fmt: skip


class Watched:
    """Counts of this process, made by hooks while `watched` lasts."""

    def __init__(self, world: World) -> None:
        self.lag = Durations()
        self.pauses = (Durations(), Durations(), Durations())
        self._world = world
        self._started_ms = world.clock.now_ms()
        self._now_ns = world.clock.monotonic_ns
        self._collecting_ns = 0
        self._due_ns = 0

    def watch_loop(self) -> None:
        """Set the timer that shows how late the loop is, again and again."""
        self._due_ns = self._now_ns() + LAG_EVERY_MS * 1_000_000
        self._timer = self._world.call_later(LAG_EVERY_MS, self._woken)

    def end(self) -> None:
        self._timer.cancel()

    def _woken(self) -> None:
        self.lag.observe(max(0, self._now_ns() - self._due_ns))
        self.watch_loop()

    def collector_ran(self, phase: str, facts: dict[str, Any]) -> None:
        """For `gc.callbacks`. Whatever thread it runs on, all others stand still meanwhile."""
        if phase == "start":
            self._collecting_ns = self._now_ns()
        else:
            self.pauses[facts["generation"]].observe(self._now_ns() - self._collecting_ns)

    def collect(self) -> Iterator[Family]:
        """What was counted here: on the loop."""
        yield STARTED.value(self._started_ms / 1_000)
        yield LAG.of([((), self.lag.shown())])
        yield GC_PAUSES.of(
            [((str(number),), each.shown()) for number, each in enumerate(self.pauses)]
        )

    def collect_facts(self) -> Iterator[Family]:
        """What the system says: on a lane. What it does not tell has no rows."""
        yield BUILD.of([((__version__, platform.python_version()), [1])])
        facts = process_facts()
        for metric, number in (
            (CPU, facts.cpu_s),
            (RESIDENT, facts.resident_bytes),
            (VIRTUAL, facts.virtual_bytes),
            (DESCRIPTORS, facts.descriptors),
            (DESCRIPTORS_MAX, facts.descriptors_max),
            (THREADS, facts.threads),
        ):
            if number is not None:
                yield metric.value(number)


@contextmanager
def watched(world: World, collectors: Collectors) -> Iterator[None]:
    """Measure this process, and show it with what `collectors` gather. On the running loop."""
    process = Watched(world)
    process.watch_loop()
    gc.callbacks.append(process.collector_ran)
    collectors.add(process.collect)
    collectors.add(process.collect_facts, world.lane("reader"))
    try:
        yield
    finally:
        gc.callbacks.remove(process.collector_ran)
        process.end()
