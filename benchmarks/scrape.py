"""What a scrape costs with many partitions: `python -m benchmarks.scrape`.

In this process: a broker with its partitions, the families gathered and rendered as `/metrics`
does it, and a timer beside them that notes how long the loop was held. The same families are then
rendered by prometheus-client, for comparison. Medians of rounds.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence

import msgspec
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as ClientMetric

from app.config import BrokerConfig
from app.core.manifest.decide import NewTopic
from app.main import GC_THRESHOLDS, Started, started
from app.telemetry.exposition import render
from app.telemetry.metrics import Family
from app.telemetry.process import watched
from app.world.real import RealWorld

TOPICS = 100


def main() -> None:
    """Print a Markdown table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--partitions", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=9)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(measured(directory, chosen.partitions, chosen.rounds))
    print(f"{chosen.partitions} partitions, medians of {chosen.rounds} rounds.\n")
    print("| figure | value |\n|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {statistics.median(values):,.1f} |")


async def measured(directory: str, partitions: int, rounds: int) -> dict[str, list[float]]:
    world = RealWorld()
    config = msgspec.convert({"data": directory, "listeners": ["127.0.0.1:0"]}, BrokerConfig)
    figures: dict[str, list[float]] = {}
    try:
        async with started(config, world) as broker:
            topics = [NewTopic(f"bench.{number}", partitions // TOPICS) for number in range(TOPICS)]
            for answer in await broker.controller.create_topics(topics):
                if isinstance(answer, Exception):
                    raise answer
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            with watched(world, broker.collectors):
                for _ in range(rounds):
                    for name, value in (await one_round(broker, world)).items():
                        figures.setdefault(name, []).append(value)
    finally:
        await world.close()
    return figures


async def one_round(broker: Started, world: RealWorld) -> dict[str, float]:
    held: list[float] = []
    watching = asyncio.ensure_future(watch(held))
    await asyncio.sleep(0.02)
    held.clear()
    began = time.perf_counter()
    families = await broker.collectors.gather(world.clock)
    gathered = time.perf_counter()
    size = lines = 0
    for piece in render(families):
        size += len(piece)
        lines += piece.count(b"\n")
        await asyncio.sleep(0)
    rendered = time.perf_counter()
    await asyncio.sleep(0.002)
    watching.cancel()
    ours = (rendered - began) * 1000
    return {
        "lines": lines,
        "KB": size / 1000,
        "gather ms": (gathered - began) * 1000,
        "render ms": (rendered - gathered) * 1000,
        "scrape ms": ours,
        "loop held ms at most": max(held) * 1000,
        "prometheus-client, render ms": by_client(families) * 1000,
    }


async def watch(held: list[float]) -> None:
    """How long each turn of the loop took."""
    before = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        now = time.perf_counter()
        held.append(now - before)
        before = now


def by_client(families: Sequence[Family]) -> float:
    """Seconds that prometheus-client takes for the same families (histograms left out)."""

    class Source:
        def collect(self) -> Iterator[ClientMetric]:
            for family in families:
                if family.kind == "histogram":
                    continue
                metric = ClientMetric(family.name, family.help, family.kind)
                for labels, (number,) in family.rows:
                    pairs = dict(zip(family.labels, labels, strict=True))
                    metric.add_sample(family.name, pairs, number)
                yield metric

    began = time.perf_counter()
    generate_latest(Source())
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
