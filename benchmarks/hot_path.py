"""What a produce costs: `make bench`. Medians over rounds, beside the figures of reference.json.

The client shares the machine's cores, so CPU per request and per GB of the broker are the figures
to watch; rates say what this machine gave. Memory is warmed first: virtual machines may hand out
pages lazily, and then the first round pays for them.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.broker import BrokerProcess
from benchmarks.frames import produce_frame

HERE = Path(__file__).parent
REFERENCE = HERE / "reference.json"
CACHE = HERE.parent / ".cache" / "bench"

Figures = dict[str, float]


def main() -> None:
    """Run the scenarios and print a Markdown table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="", help="run scenarios whose name contains this")
    options.add_argument("--save", action="store_true", help="make this run the new reference")
    options.add_argument("flags", nargs="*", help="further flags for `streambus dev`")
    chosen = options.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    build_loadgen()
    warm_memory(2_000)
    results: dict[str, Figures] = {}
    for name, scenario in SCENARIOS.items():
        if chosen.only in name:
            rounds = [scenario(tuple(chosen.flags)) for _ in range(chosen.rounds)]
            results[name] = {
                figure: statistics.median(each[figure] for each in rounds) for figure in rounds[0]
            }
    reference = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
    show(results, reference, chosen.rounds)
    if chosen.save:
        REFERENCE.write_text(json.dumps(results, indent=1) + "\n")


def show(results: dict[str, Figures], reference: dict[str, Figures], rounds: int) -> None:
    lines = [f"Medians of {rounds} rounds.", "", "| scenario | figure | now | reference | ratio |"]
    lines.append("|---|---|---|---|---|")
    for name, figures in results.items():
        for figure, value in figures.items():
            known = reference.get(name, {}).get(figure)
            ratio = f"{value / known:.2f}" if known else ""
            lines.append(f"| {name} | {figure} | {value:,.2f} | {known or '':} | {ratio} |")
    print("\n".join(lines))


def build_loadgen() -> None:
    source, program = HERE / "loadgen.c", CACHE / "loadgen"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)


def warm_memory(megabytes: int) -> None:
    pages = [bytearray(b"1") * (1 << 20) for _ in range(megabytes)]
    del pages


def with_broker(run: Callable[[BrokerProcess], Figures], flags: tuple[str, ...]) -> Figures:
    folder = Path(tempfile.mkdtemp(dir=CACHE))
    broker = BrokerProcess(folder / "data", flags)
    broker.start()
    try:
        return run(broker)
    finally:
        broker.stop()
        shutil.rmtree(folder)


def create_topic(broker: BrokerProcess, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{broker.port}"})
    for outcome in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        outcome.result(10)


def requests(
    connections: int,
    mode: str,
    pace: int,
    *,
    records: int = 1,
    record_bytes: int = 100,
    partitions: int = 1,
    seconds: int = 5,
) -> Callable[[tuple[str, ...]], Figures]:
    """Prepared Produce requests by the load generator."""

    def run(broker: BrokerProcess) -> Figures:
        create_topic(broker, "bench", partitions)
        frame, (first, count, stride) = produce_frame("bench", partitions, records, record_bytes)
        path = broker.data.parent / "frame"
        path.write_bytes(frame)
        before = broker.cpu_seconds()
        command = [CACHE / "loadgen", broker.port, path, connections, mode, pace, seconds]
        output = subprocess.run(
            [str(word) for word in [*command, first, count, stride]],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        cpu = broker.cpu_seconds() - before
        load = json.loads(output)
        if load["errors"] or load["unanswered"]:
            raise RuntimeError(f"not every request was acknowledged: {output}")
        return {
            "requests/s": load["per_second"],
            "MB/s": load["mb_per_second"],
            "p50 us": load["p50_us"],
            "p99 us": load["p99_us"],
            "p999 us": load["p999_us"],
            "broker CPU us/request": cpu / load["answered"] * 1e6,
            "broker CPU s/GB": cpu / (load["answered"] * len(frame)) * 1e9,
            "PSS MB": broker.pss_mb(),
        }

    return lambda flags: with_broker(run, flags)


def librdkafka(partitions: int, count: int, record_bytes: int) -> Callable[..., Figures]:
    """Records through confluent-kafka with linger 5 ms and acks=all."""

    def run(broker: BrokerProcess) -> Figures:
        create_topic(broker, "bench", partitions)
        producer = Producer(
            {
                "bootstrap.servers": f"127.0.0.1:{broker.port}",
                "linger.ms": 5,
                "acks": "all",
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 512_000,
            }
        )
        value = b"x" * record_bytes
        before, began = broker.cpu_seconds(), time.perf_counter()
        for index in range(count):
            while True:
                try:
                    producer.produce("bench", value, partition=index % partitions)
                    break
                except BufferError:
                    producer.poll(0.01)
        unsent = producer.flush(60)
        elapsed, cpu = time.perf_counter() - began, broker.cpu_seconds() - before
        if unsent:
            raise RuntimeError(f"{unsent} records were not acknowledged")
        return {
            "MB/s": count * record_bytes / elapsed / 1e6,
            "broker CPU s/GB": cpu / (count * record_bytes) * 1e9,
            "PSS MB": broker.pss_mb(),
        }

    return lambda flags: with_broker(run, flags)


def starting(flags: tuple[str, ...]) -> Figures:
    """From process start to the first answer, and memory two seconds later."""
    folder = Path(tempfile.mkdtemp(dir=CACHE))
    broker = BrokerProcess(folder / "data", flags)
    seconds = broker.start()
    try:
        time.sleep(2)
        return {"start s": seconds, "idle PSS MB": broker.pss_mb()}
    finally:
        broker.stop()
        shutil.rmtree(folder)


SCENARIOS: dict[str, Callable[[tuple[str, ...]], Figures]] = {
    "start": starting,
    "one record, 16 connections x 4 in flight": requests(16, "closed", 4),
    "one record, 1 connection x 1 in flight": requests(1, "closed", 1),
    "one record, open 1,000/s over 16 connections": requests(16, "open", 1_000),
    "12 partitions x one record, 16 connections x 4": requests(16, "closed", 4, partitions=12),
    "1 KB x 900 per batch, 4 connections x 2": requests(
        4, "closed", 2, records=900, record_bytes=1024
    ),
    "librdkafka 1 KB x 1 partition": librdkafka(1, 1_000_000, 1024),
    "librdkafka 1 KB x 12 partitions": librdkafka(12, 1_000_000, 1024),
}

if __name__ == "__main__":
    main()
