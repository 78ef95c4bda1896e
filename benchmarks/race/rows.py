"""What is measured: the rows of the race, the most important first.

Brokers live through the whole race, as brokers do, but for the rows of `lone.py`. A row runs on
both brokers of a column right after each other, and the one that begins changes every round.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.race import loads, lone
from benchmarks.race.contenders import (
    FSYNC,
    KAFKA,
    NEITHER,
    SINK,
    STREAMBUS,
    UNKEPT,
    Contender,
    StreamBus,
)
from benchmarks.race.loads import Figures

BOTH = (FSYNC, NEITHER)
HOT = "race-hot"  # of one partition, written once and read often
SCRAPE_PAUSE_S = 0.1
EVERY_ROUND = 1_000
SINK_ROUNDS_MAX = 3


@dataclass(frozen=True)
class Scale:
    """How much of everything: 1 for figures, less to see that all rows work."""

    amount: float = 1.0

    def records(self, count: int) -> int:
        return max(1_000, int(count * self.amount))

    def large(self, count: int) -> int:
        return max(20, int(count * self.amount))

    def seconds(self, seconds: float) -> float:
        return max(1.0, seconds * self.amount)

    def connections(self, count: int) -> int:
        return max(50, int(count * self.amount))

    def partitions(self, count: int) -> int:
        return max(200, int(count * self.amount))


Run = Callable[[Contender, Scale, bool], Figures]
"""(broker, scale, whether to read back) -> figures."""


@dataclass(frozen=True)
class Row:
    """`shown` are the figures of the table; all others are in results.json."""

    key: str
    title: str
    run: Run
    shown: tuple[str, ...]
    columns: tuple[str, ...] = BOTH
    sides: tuple[str, ...] = (STREAMBUS, KAFKA)
    memory_mb: int = 0
    rounds_max: int = EVERY_ROUND
    alone: bool = False
    """Its brokers are its own: `run` starts what it gets."""
    sinks: bool = False
    """The sink runs it too, which shows what the load generator can do at most."""

    def cells(self, number: int) -> Iterator[tuple[str, str]]:
        """What runs in a round, in its order: (column, side)."""
        if number <= self.rounds_max:
            for column in self.columns:
                for side in self.sides if number % 2 else reversed(self.sides):
                    yield column, side
        if self.sinks and number <= SINK_ROUNDS_MAX:
            yield UNKEPT, SINK


def bulk(
    partitions: int, count: int, record_bytes: int, *, spread: bool = False, **more: object
) -> Run:
    def run(contender: Contender, scale: Scale, reads_back: bool) -> Figures:
        records = scale.large(count) if record_bytes > 100_000 else scale.records(count)
        with loads.topic(contender, partitions) as name:
            figures = loads.produce(
                contender,
                name,
                records,
                record_bytes,
                spread=partitions if spread else 0,
                **more,  # type: ignore[arg-type]
            )
            if reads_back:
                loads.read_back(contender, name, partitions, records)
            return figures

    return run


def over_tls(contender: Contender, scale: Scale, reads_back: bool) -> Figures:
    folder = contender.folder.parent
    options = (
        f"bootstrap.servers=127.0.0.1:{contender.tls_port}",
        "security.protocol=ssl",
        f"ssl.ca.location={folder / 'certificate.pem'}",
    )
    return bulk(12, 500_000, 1024, options=options)(contender, scale, reads_back)


def paced(connections: int, mode: str, pace: int, seconds: float) -> Run:
    def run(contender: Contender, scale: Scale, reads_back: bool) -> Figures:
        with loads.topic(contender, 1) as name:
            lasting = scale.seconds(seconds)
            figures = loads.requests(contender, name, connections, mode, pace, lasting)
            if reads_back and not figures["unanswered"]:
                loads.read_back(contender, name, 1, int(figures["records"]))
            return figures

    return run


def relayed(contender: Contender, scale: Scale, reads_back: bool) -> Figures:
    with loads.topic(contender, 1) as name:
        figures = loads.relay(contender, name, 1_000, scale.seconds(4))
        if reads_back:
            loads.read_back(contender, name, 1, int(figures["records"]))
        return figures


def hot(contender: Contender, scale: Scale) -> int:
    """Fill the topic that is read, once for each broker; returns its records."""
    records = scale.records(800_000)
    if HOT not in contender.topics:
        loads.create(contender, {HOT: 1})
        loads.produce(contender, HOT, records, 1024)
        contender.topics.add(HOT)
        loads.settle(0)
    return records


def consumed(contender: Contender, scale: Scale, _: bool) -> Figures:
    return loads.consume(contender, HOT, 1, passes=2, wanted=hot(contender, scale))


def beside_a_reader(contender: Contender, scale: Scale, reads_back: bool) -> Figures:
    hot(contender, scale)
    with loads.reading(contender, HOT, 1) as passes:
        time.sleep(0.3)
        figures = paced(16, "open", 1_000, 4)(contender, scale, reads_back)
    if passes:
        megabytes = sum(each["mb_per_second"] * each["seconds"] for each in passes)
        figures["read MB/s"] = megabytes / sum(each["seconds"] for each in passes)
    return figures


def beside_http(contender: Contender, scale: Scale, reads_back: bool) -> Figures:
    assert isinstance(contender, StreamBus)
    with loads.topic(contender, 1) as posted, http_load(contender, posted) as answered:
        figures = paced(16, "open", 1_000, 4)(contender, scale, reads_back)
    return figures | {name: float(len(each)) for name, each in answered.items()}


@contextmanager
def http_load(contender: StreamBus, name: str) -> Iterator[dict[str, list[float]]]:
    """One client that scrapes ten times a second and one that posts a record after the other; the
    lists have the seconds that each answer took."""
    answered: dict[str, list[float]] = {"scrapes": [], "posts": []}
    failures: list[str] = []
    ended = threading.Event()
    record = json.dumps({"records": [{"value": "x" * 100}]}).encode()
    headers = {"content-type": "application/json"}
    post = urllib.request.Request(
        f"{contender.api}/v1/topics/{name}/records", record, headers, method="POST"
    )

    def ask(kind: str, request: str | urllib.request.Request, pause_s: float) -> None:
        while not ended.wait(pause_s):
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(request, timeout=30) as page:
                    page.read()
            except OSError as error:
                failures.append(f"{kind}: {error}")
                return
            answered[kind].append(time.perf_counter() - began)

    clients = [
        threading.Thread(target=ask, args=("scrapes", f"{contender.api}/metrics", SCRAPE_PAUSE_S)),
        threading.Thread(target=ask, args=("posts", post, 0)),
    ]
    for client in clients:
        client.start()
    try:
        yield answered
    finally:
        ended.set()
        for client in clients:
            client.join()
    if failures:
        raise loads.RaceFailed(f"over HTTP: {failures[0]}")


def pauses(contender: Contender, _: Scale, __: bool) -> Figures:
    seen = contender.gc_pauses()
    return {"pauses": seen.count, "p99 ms": seen.p99_ms, "max ms": seen.max_ms}


def warm_up(contender: Contender, scale: Scale) -> None:
    """What a broker has done before any row counts: Java compiles what it has run often."""
    bulk(12, 1_500_000, 1024)(contender, scale, False)
    bulk(100, 300_000, 1024, spread=True)(contender, scale, False)
    paced(16, "closed", 4, 3)(contender, scale, False)
    contender.gc_pauses()


MB_S = ("MB/s", "CPU s/GB")
RECORDS_S = ("records/s", "CPU s/M records")
TAILS = ("p50 us", "p99 us")

ROWS = (
    Row(
        "1k-1",
        "produce 1 KB x 1 partition",
        bulk(1, 800_000, 1024),
        MB_S,
        memory_mb=1200,
        sinks=True,
    ),
    Row(
        "1k-12",
        "produce 1 KB x 12 partitions",
        bulk(12, 800_000, 1024),
        (*MB_S, "RSS MB", "RSS MB, total", "PSS MB, total"),
        memory_mb=1200,
        sinks=True,
    ),
    Row(
        "1k-100",
        "produce 1 KB x 100 partitions",
        bulk(100, 600_000, 1024),
        MB_S,
        memory_mb=1000,
        sinks=True,
    ),
    Row("open-1", "1,000/s, 1 connection", paced(1, "open", 1_000, 4), TAILS, sinks=True),
    Row("open-16", "1,000/s, 16 connections", paced(16, "open", 1_000, 4), TAILS, sinks=True),
    Row(
        "open-5k",
        "5,000/s, 16 connections",
        paced(16, "open", 5_000, 4),
        (*TAILS, "unanswered"),
        sinks=True,
    ),
    Row(
        "closed-16",
        "one-record requests, 16 connections x 4 in flight",
        paced(16, "closed", 4, 3),
        ("requests/s", "p50 us", "p99 us", "CPU us/request"),
        sinks=True,
    ),
    Row("relay", "produce to consume, 1,000/s", relayed, TAILS),
    Row(
        "100b-1",
        "produce 100 B x 1 partition",
        bulk(1, 4_000_000, 100),
        RECORDS_S,
        memory_mb=600,
        sinks=True,
    ),
    Row(
        "100b-12",
        "produce 100 B x 12 partitions",
        bulk(12, 4_000_000, 100),
        RECORDS_S,
        memory_mb=600,
        sinks=True,
    ),
    Row(
        "lz4",
        "produce 1 KB lz4, realistic, x 12 partitions",
        bulk(12, 600_000, 1024, payload="json", options=("compression.codec=lz4",)),
        MB_S,
        memory_mb=600,
        sinks=True,
    ),
    Row(
        "1m",
        "produce 1 MB records x 1 partition",
        bulk(1, 700, 1_000_000, options=("message.max.bytes=1048000",)),
        MB_S,
        memory_mb=1200,
        sinks=True,
    ),
    Row("consume", "consume 1 KB, hot", consumed, MB_S, (NEITHER,), memory_mb=600),
    Row(
        "start",
        "start to first Metadata",
        lone.started,
        ("seconds", "idle RSS MB", "idle PSS MB, total"),
        (FSYNC,),
        alone=True,
    ),
    Row(
        "catch-up",
        "1,000/s, 16 connections, beside a reader of old records",
        beside_a_reader,
        (*TAILS, "read MB/s"),
        memory_mb=600,
        rounds_max=3,
    ),
    Row(
        "http",
        "1,000/s, 16 connections, beside scrapes and posts over HTTP",
        beside_http,
        (*TAILS, "scrapes", "posts"),
        (FSYNC,),
        (STREAMBUS,),
        rounds_max=3,
    ),
    Row(
        "keyed",
        "produce 1 KB x 12 partitions, record after record to another",
        bulk(12, 800_000, 1024, spread=True),
        MB_S,
        memory_mb=1200,
        rounds_max=3,
    ),
    Row(
        "tls",
        "produce 1 KB x 12 partitions over TLS",
        over_tls,
        MB_S,
        (NEITHER,),
        memory_mb=800,
        rounds_max=3,
    ),
    Row("gc", "garbage collection", pauses, ("pauses", "p99 ms", "max ms")),
    Row(
        "restart",
        "kill -9 with 2 GB in the log, until a produce is acknowledged",
        lone.restarted,
        ("seconds",),
        (FSYNC,),
        memory_mb=2400,
        rounds_max=2,
        alone=True,
    ),
    Row(
        "idle",
        "5,000 idle connections",
        lone.idle,
        ("RSS MB, total", "RSS MB more", "KB a connection"),
        (FSYNC,),
        rounds_max=1,
        alone=True,
    ),
    Row(
        "partitions",
        "10,000 partitions against 100",
        lone.many_partitions,
        ("CPU us/request at 100", "CPU us/request at 10,000", "more, %"),
        (NEITHER,),
        rounds_max=1,
        alone=True,
    ),
)
