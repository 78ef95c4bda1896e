"""Rows that need brokers of their own: each starts and ends the one that it gets."""

import time
from typing import TYPE_CHECKING

from benchmarks.race import asking, loads
from benchmarks.race.contenders import Contender
from benchmarks.race.loads import Figures

if TYPE_CHECKING:
    from benchmarks.race.rows import Scale

IDLE_S = 2  # what a broker does late in its start is done by then
PARTITIONS_OF_TOPIC = 100


def started(contender: Contender, _: "Scale", __: bool) -> Figures:
    seconds = contender.start()
    time.sleep(IDLE_S)
    memory = contender.memory()
    contender.stop()
    return {
        "seconds": seconds,
        "idle RSS MB": memory.rss_mb,
        "idle RSS MB, total": memory.rss_total_mb,
        "idle PSS MB, total": memory.pss_total_mb,
    }


def restarted(contender: Contender, scale: "Scale", reads_back: bool) -> Figures:
    """The process is killed right after the last acknowledgement; the data are still in the page
    cache, so this is the price of recovery, not of the disk."""
    contender.start()
    records = scale.records(2_000_000)
    loads.create(contender, {"race-restart": 1, "race-first": 1})
    loads.produce(contender, "race-restart", records, 1024)
    contender.kill()
    to_metadata = contender.start()
    further = asking.seconds_until(
        lambda: asking.takes_a_record(contender.port, "race-first"), time.perf_counter()
    )
    if reads_back:
        loads.read_back(contender, "race-restart", 1, records)
    contender.stop()
    return {
        "records": records,
        "seconds": to_metadata + further,
        "seconds to Metadata": to_metadata,
    }


def idle(contender: Contender, scale: "Scale", _: bool) -> Figures:
    count = scale.connections(5_000)
    contender.start()
    time.sleep(IDLE_S)
    before = contender.memory()
    connections = asking.idle_connections(contender.port, count)
    time.sleep(1)
    after = contender.memory()
    alive = sum(bool(asking.ask(each, asking.API_VERSIONS)) for each in connections[:: count // 50])
    for connection in connections:
        connection.close()
    contender.stop()
    if alive < 50:
        raise loads.RaceFailed(f"{contender.name}: idle connections do not answer any more")
    more = after.rss_total_mb - before.rss_total_mb
    return {
        "connections": count,
        "RSS MB, total": after.rss_total_mb,
        "RSS MB more": more,
        "KB a connection": more * 1000 / count,
    }


def many_partitions(contender: Contender, scale: "Scale", _: bool) -> Figures:
    """One-record requests to one partition, with 100 partitions in all and with 10,000."""
    contender.start()
    seconds = scale.seconds(3)
    loads.create(contender, {"race-0": PARTITIONS_OF_TOPIC})

    def measured() -> float:
        loads.settle(0)
        return loads.requests(contender, "race-0", 16, "closed", 4, seconds)["CPU us/request"]

    measured()  # Java compiles what it has run often
    few = measured()
    topics = scale.partitions(10_000) // PARTITIONS_OF_TOPIC
    began = time.perf_counter()
    loads.create(contender, {f"race-{n}": PARTITIONS_OF_TOPIC for n in range(1, topics)})
    creating = time.perf_counter() - began
    many = measured()
    memory = contender.memory()
    contender.stop()
    return {
        "CPU us/request at 100": few,
        "CPU us/request at 10,000": many,
        "more, %": (many / few - 1) * 100,
        "seconds to create": creating,
        "RSS MB": memory.rss_mb,
    }
