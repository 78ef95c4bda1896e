"""Fetch without sessions: what comes from an offset, how much of it, and what is an error."""

from tests.diff.batches import GZIP, batch
from tests.diff.script import Script


def _fill(script: Script, name: str = "t", batches: int = 4, records: int = 3) -> None:
    for n in range(batches):
        rows = [(b"k", b"%d.%d" % (n, each)) for each in range(records)]
        script.produce(name, batch(rows))


def every_version(script: Script) -> None:
    script.create("t", 2)
    _fill(script)
    for version in script.versions("Fetch"):
        script.fetch("t", 0, 0, version=version)
        script.fetch("t", 12, version=version)
        script.fetch("t", 13, version=version)
        script.fetch("t", -1, version=version)
        script.fetch("t", 0, 0, 0, version=version)
        script.fetch("missing", 0, version=version)


def from_the_middle_of_a_batch(script: Script) -> None:
    script.create("t")
    _fill(script)
    script.produce("t", batch([(None, b"z" * 50)] * 5, codec=GZIP))
    for offset in range(17):
        script.fetch("t", offset)


def partition_max_bytes(script: Script) -> None:
    script.create("t", 2)
    size = len(batch([(None, b"v" * 30)]))
    for _ in range(4):
        script.produce("t", *[batch([(None, b"v" * 30)])] * 2)
    for limit in (0, 1, size - 1, size, size * 2, size * 3, size * 4, size * 4 + 1):
        script.fetch("t", 0, partition_bytes=limit)
        script.fetch("t", 0, 0, partition_bytes=limit)


def partition_max_bytes_in_between(script: Script) -> None:
    script.create("t")
    size = len(batch([(None, b"v" * 30)]))
    for _ in range(4):
        script.produce("t", batch([(None, b"v" * 30)]))
    script.fetch("t", 0, partition_bytes=size + 1)
    script.fetch("t", 0, partition_bytes=size * 2 - 1)
    script.fetch("t", 1, partition_bytes=size * 2 + 30)


def max_bytes(script: Script) -> None:
    script.create("t", 3)
    size = len(batch([(None, b"v" * 30)]))
    for _ in range(2):
        script.produce("t", *[batch([(None, b"v" * 30)])] * 3)
    for version in (4, 12, 18):
        for limit in (0, 1, size, size * 2, size * 4, size * 6):
            script.fetch("t", 0, 0, 0, version=version, max_bytes=limit)
        script.fetch("t", 2, 0, 0, version=version, max_bytes=1)
        script.fetch("t", 2, 2, 1, version=version, max_bytes=1)


def the_first_batch_is_larger_than_the_limits(script: Script) -> None:
    script.create("t", 2)
    for _ in range(2):
        script.produce("t", *[batch([(None, b"v" * 3000)])] * 2)
    for version in (4, 12, 18):
        script.fetch("t", 0, 0, version=version, max_bytes=100)
        script.fetch("t", 0, 0, version=version, partition_bytes=100)
        script.fetch("t", 0, 0, version=version, partition_bytes=100, max_bytes=100)
        script.fetch("t", 2, 1, version=version, partition_bytes=100, max_bytes=100)


def waiting(script: Script) -> None:
    script.create("t", 2)
    script.fetch("t", 0, wait_ms=600, waits_ms=600)
    script.produce("t", batch())
    script.fetch("t", 0, wait_ms=600, waits_ms=600)
    script.fetch("t", 0, wait_ms=600, min_bytes=10_000, waits_ms=600)
    script.fetch("t", 1, 0, wait_ms=600, waits_ms=600)
    script.fetch("t", 1, wait_ms=600, min_bytes=0, waits_ms=600)
    script.fetch("t", 5, wait_ms=600, waits_ms=600)
    script.fetch("t", 1, 0, 0, wait_ms=600, waits_ms=600)
    script.fetch("missing", 0, wait_ms=600, waits_ms=600)
    script.fetch("t", 1, partition={"CurrentLeaderEpoch": 7}, wait_ms=600, waits_ms=600)
    script.fetch("t", 0, wait_ms=600, min_bytes=10_000, max_bytes=10, waits_ms=600)
    script.fetch("t", 0, wait_ms=600, min_bytes=10_000, partition_bytes=10, waits_ms=600)
    script.fetch("t", wait_ms=600, waits_ms=600)
    script.fetch("t", 1, wait_ms=-1, waits_ms=600)


def leader_epochs(script: Script) -> None:
    script.create("t")
    _fill(script, batches=1)
    for version in script.versions("Fetch", 9):
        for epoch in (-1, 0, 1, 99, -2):
            script.fetch("t", 0, version=version, partition={"CurrentLeaderEpoch": epoch})


def last_fetched_epochs(script: Script) -> None:
    script.create("t")
    _fill(script, batches=2)
    for version in script.versions("Fetch", 12):
        for epoch in (-1, 0, 1, 5):
            for offset in (0, 2, 6, 7):
                script.fetch("t", offset, version=version, partition={"LastFetchedEpoch": epoch})
    for epoch in (-2, 2**31 - 1):
        script.fetch("t", 0, partition={"LastFetchedEpoch": epoch})


def an_isolation_level(script: Script) -> None:
    script.create("t")
    _fill(script, batches=1)
    for version in script.versions("Fetch"):
        script.fetch("t", 0, version=version, isolation=1)
        script.fetch("t", 3, version=version, isolation=1)


def isolation_levels_that_do_not_exist(script: Script) -> None:
    script.create("t")
    for level in (2, -1, 127):
        for version in (4, 12, 18):
            script.fetch("t", 0, version=version, isolation=level)


def sizes_that_are_negative(script: Script) -> None:
    script.create("t")
    _fill(script, batches=1)
    for version in (4, 12, 18):
        script.fetch("t", 0, version=version, partition_bytes=-1)
        script.fetch("t", 0, version=version, max_bytes=-1)
        script.fetch("t", 0, version=version, min_bytes=-1)


def ids_that_are_not_known(script: Script) -> None:
    script.create("t")
    _fill(script, batches=1)
    old = script.id("t")
    script.delete("t")
    script.create("t")
    row = {"Partition": 0, "FetchOffset": 0, "CurrentLeaderEpoch": -1, "PartitionMaxBytes": 1000}
    for version in script.versions("Fetch", 13):
        script.fetch("t", 0, version=version)
        script.fetch("missing", 0, version=version)
        for topic in ({"TopicId": old}, {}):
            body = {"MaxWaitMs": 0, "MinBytes": 1, "Topics": [{**topic, "Partitions": [row]}]}
            script.call("Fetch", version, body)


def the_same_partition_twice(script: Script) -> None:
    script.create("t")
    _fill(script, batches=2)
    rows = [
        {"Partition": 0, "FetchOffset": n, "CurrentLeaderEpoch": -1, "PartitionMaxBytes": 1000}
        for n in (0, 3)
    ]
    topic = {"Topic": script.topic("t"), "Partitions": rows}
    script.call("Fetch", 12, {"MaxWaitMs": 0, "MinBytes": 1, "Topics": [topic]})


def no_partitions_at_all(script: Script) -> None:
    script.create("t")
    for version in script.versions("Fetch"):
        script.fetch("t", version=version)


def a_replica_id(script: Script) -> None:
    """Followers fetch with their own id; one that is not a replica is told so."""
    script.create("t")
    _fill(script, batches=1)
    row = {"Partition": 0, "FetchOffset": 0, "CurrentLeaderEpoch": -1, "PartitionMaxBytes": 1000}
    for version in (4, 11, 12):
        topics = [{"Topic": script.topic("t"), "Partitions": [row]}]
        for replica in (-2, 1, 5):
            body = {"ReplicaId": replica, "MaxWaitMs": 0, "MinBytes": 1, "Topics": topics}
            script.call("Fetch", version, body)


def zstd_for_old_versions(script: Script) -> None:
    script.create("t")
    script.produce("t", batch([(None, b"x" * 90)], codec=4))
    for version in script.versions("Fetch"):
        script.fetch("t", 0, version=version)
