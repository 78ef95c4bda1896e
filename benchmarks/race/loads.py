"""The load generators as functions: each builds on a broker's topic and returns figures.

Every run is checked: a record that was not acknowledged, or an error code, ends the race. With
`read_back` the records are read again and counted.
"""

import json
import mmap
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from benchmarks.frames import produce_frame
from benchmarks.race.contenders import Contender
from benchmarks.race.usage import Watch

HERE = Path(__file__).parent.parent
CACHE = HERE.parent / ".cache" / "race"
TOOLS = CACHE / "tools"
SOURCES = {
    "librdkafka_load": (HERE / "librdkafka_load.c", "-lrdkafka"),
    "loadgen": (HERE / "loadgen.c",),
    "relay": (HERE / "race" / "relay.c",),
    "sink": (HERE / "race" / "sink.c",),
}
RETENTION_BYTES = 1_000_000_000  # of a topic: Kafka's retention.bytes is per partition, so is ours
LOAD_SECONDS_MAX = 180
TOPICS_AT_ONCE = 10
CREATE_SECONDS_MAX = 120

Figures = dict[str, float]


class RaceFailed(RuntimeError):
    """A run whose figures would mean nothing."""


def build_tools() -> None:
    TOOLS.mkdir(parents=True, exist_ok=True)
    for name, (source, *libraries) in SOURCES.items():
        program = TOOLS / name
        if not program.exists() or program.stat().st_mtime < Path(source).stat().st_mtime:
            command = ["cc", "-O2", "-Wall", "-o", program, source, *libraries]
            built = subprocess.run(command, check=False, capture_output=True, text=True)
            if built.returncode:
                raise RaceFailed(
                    f"{name} does not build (it needs a C compiler and librdkafka's headers; "
                    f"Debian: apt-get install gcc libc6-dev librdkafka-dev):\n{built.stderr}"
                )


def settle(megabytes: int) -> None:
    """What earlier runs wrote goes to the disk, and `megabytes` of memory are touched: a virtual
    machine may hand out pages lazily, and then the first to use them pays."""
    os.sync()
    if megabytes:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        mmap.mmap(-1, megabytes << 20, flags=flags).close()
    time.sleep(0.2)


# Topics


def create(contender: Contender, partitions: dict[str, int]) -> None:
    """Topics by name, and wait until each partition serves."""
    admin = _admin(contender)
    names = list(partitions)
    for start in range(0, len(names), TOPICS_AT_ONCE):
        wanted = [
            NewTopic(
                name,
                partitions[name],
                1,
                config={"retention.bytes": str(RETENTION_BYTES // partitions[name])},
            )
            for name in names[start : start + TOPICS_AT_ONCE]
        ]
        for outcome in admin.create_topics(wanted, request_timeout=60).values():
            outcome.result(60)
    deadline = time.monotonic() + CREATE_SECONDS_MAX
    for name, count in partitions.items():
        while not _serves(admin, name, count):
            if time.monotonic() > deadline:
                raise RaceFailed(
                    f"{contender.name}: {name} is not served in {CREATE_SECONDS_MAX} s"
                )
            time.sleep(0.05)


def _admin(contender: Contender) -> AdminClient:
    return AdminClient({"bootstrap.servers": server(contender), "log_level": 0})


def _serves(admin: AdminClient, name: str, count: int) -> bool:
    """Whether each partition says where it ends: a leader is announced a moment before it does."""
    wanted = {TopicPartition(name, number): OffsetSpec.latest() for number in range(count)}
    try:
        for asked in admin.list_offsets(wanted, request_timeout=20).values():
            asked.result(30)
    except KafkaException:
        return False
    return True


@contextmanager
def topic(contender: Contender, partitions: int) -> Iterator[str]:
    """A topic for one run, empty at its start and deleted at its end. Its name ends in the number
    of its partitions: the sink goes by that."""
    name = f"race-{time.monotonic_ns()}-{partitions}"
    if not contender.keeps_records:
        yield name
        return
    create(contender, {name: partitions})
    try:
        yield name
    finally:
        admin = _admin(contender)
        for outcome in admin.delete_topics([name]).values():
            outcome.result(30)


# Loads


def produce(
    contender: Contender,
    name: str,
    records: int,
    record_bytes: int,
    *,
    spread: int = 0,
    payload: str = "constant",
    options: tuple[str, ...] = (),
) -> Figures:
    """Records through librdkafka: MB/s, records/s, CPU and memory of the broker."""
    words = ["produce", server(contender), name, spread, records, record_bytes, payload]
    with Watch(contender.pid) as watch:
        load = _run("librdkafka_load", *words, *options)[-1]
    if load["acknowledged"] != records:
        raise RaceFailed(f"{contender.name} acknowledged {load['acknowledged']} of {records}")
    written = records * record_bytes
    return {
        "records": records,
        "MB/s": load["mb_per_second"],
        "records/s": load["per_second"],
        **_costs(watch, written / 1e9, "GB"),
        "CPU s/M records": watch.cpu_s / records * 1e6,
        **_memory(watch),
    }


def consume(
    contender: Contender, name: str, partitions: int, passes: int = 1, wanted: int | None = None
) -> Figures:
    """All records of a topic through librdkafka; `wanted` is how many were ever written to it."""
    words = ["consume", server(contender), name, partitions, passes]
    with Watch(contender.pid) as watch:
        loads = _run("librdkafka_load", *words)
    if wanted is not None and any(load["end"] != wanted for load in loads):
        raise RaceFailed(f"{contender.name}: {name} ends at {loads[0]['end']}, not at {wanted}")
    megabytes = sum(load["mb_per_second"] * load["seconds"] for load in loads)
    return {
        "records": loads[0]["records"],
        "MB/s": megabytes / sum(load["seconds"] for load in loads),
        **_costs(watch, megabytes / 1000, "GB"),
    }


def read_back(contender: Contender, name: str, partitions: int, wanted: int) -> None:
    """Everything that was acknowledged is there: `consume` counts to the end of each partition."""
    consume(contender, name, partitions, wanted=wanted)


@contextmanager
def reading(contender: Contender, name: str, partitions: int) -> Iterator[list[Figures]]:
    """A consumer that reads a topic from its beginning, again and again, while the block lasts;
    the list has its passes afterwards."""
    words = ["consume", server(contender), name, partitions, 1_000_000]
    passes: list[Figures] = []
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(_command("librdkafka_load", *words), stdout=said)
        try:
            yield passes
        finally:
            ended = process.poll()
            process.kill()
            process.wait()
        if ended is not None:
            raise RaceFailed(f"{contender.name}: the reader beside ended with status {ended}")
        said.seek(0)
        passes += [json.loads(line) for line in said if line.endswith("\n")]


def requests(
    contender: Contender,
    name: str,
    connections: int,
    mode: str,
    pace: int,
    seconds: float,
) -> Figures:
    """Prepared Produce requests of one 100-byte record to partition 0, closed or open loop. A
    broker that cannot keep an open loop's rate leaves some unanswered 20 s after the last was due:
    they are counted, and the latencies are those of the others."""
    frame, (first, count, stride) = produce_frame(name, 1, 1, 100)
    path = contender.folder / "frame"
    path.write_bytes(frame)
    words = [contender.port, path, connections, mode, pace, seconds, first, count, stride]
    with Watch(contender.pid) as watch:
        load = _run("loadgen", *words)[-1]
    if load["errors"] or (load["unanswered"] and mode == "closed"):
        raise RaceFailed(f"{contender.name}: not every request was acknowledged: {load}")
    return {
        "records": load["answered"],
        "unanswered": load["unanswered"],
        "requests/s": load["per_second"],
        "p50 us": load["p50_us"],
        "p99 us": load["p99_us"],
        "p99.9 us": load["p999_us"],
        "max us": load["max_us"],
        "CPU us/request": watch.cpu_s / load["answered"] * 1e6,
        "CPU us/request, total": watch.cpu_total_s / load["answered"] * 1e6,
        **_memory(watch),
    }


def relay(contender: Contender, name: str, rate: int, seconds: float) -> Figures:
    """One record at a time from a writer to a reader that waits."""
    frame, (first, _, _) = produce_frame(name, 1, 1, 100)
    path = contender.folder / "frame"
    path.write_bytes(frame)
    with Watch(contender.pid) as watch:
        load = _run("relay", contender.port, name, path, rate, seconds, first)[-1]
    if load["errors"] or load["acknowledged"] != load["sent"] or load["read"] != load["sent"]:
        raise RaceFailed(f"{contender.name}: not everything came through: {load}")
    return {
        "records": load["sent"],
        "p50 us": load["p50_us"],
        "p99 us": load["p99_us"],
        "p99.9 us": load["p999_us"],
        "max us": load["max_us"],
        "CPU us/record": watch.cpu_s / load["sent"] * 1e6,
    }


def server(contender: Contender) -> str:
    return f"127.0.0.1:{contender.port}"


def _costs(watch: Watch, amount: float, unit: str) -> Figures:
    return {
        f"CPU s/{unit}": watch.cpu_s / amount,
        f"CPU s/{unit}, total": watch.cpu_total_s / amount,
    }


def _memory(watch: Watch) -> Figures:
    return {
        "RSS MB": watch.rss_mb_max,
        "RSS MB, total": watch.rss_total_mb_max,
        "PSS MB, total": watch.pss_total_mb,
    }


def _command(tool: str, *words: object) -> list[str]:
    return [str(TOOLS / tool), *map(str, words)]


def _run(tool: str, *words: object) -> list[dict[str, float]]:
    """What the tool printed, one JSON object a line."""
    command = _command(tool, *words)
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=LOAD_SECONDS_MAX
    )
    if ran.returncode:
        raise RaceFailed(f"{' '.join(command)}:\n{ran.stdout}{ran.stderr[-2000:]}")
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def space_left_gb() -> float:
    return shutil.disk_usage(CACHE).free / 1e9
