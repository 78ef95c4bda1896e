"""ListOffsets: the special values, and times in, between, before and after batches."""

from tests.diff.batches import GZIP, LZ4, NONE, SNAPPY, TIME, ZSTD, batch
from tests.diff.script import Script

SPECIAL = (-1, -2, -3, -4, -5, -6, -7, -100)


def _rows(count: int) -> list[tuple[bytes | None, bytes | None]]:
    return [(None, b"%d" % n) for n in range(count)]


def special_values_of_an_empty_partition(script: Script) -> None:
    script.create("t")
    for version in script.versions("ListOffsets"):
        for timestamp in (*SPECIAL, 0, TIME):
            script.list_offsets("t", timestamp, version=version)


def special_values(script: Script) -> None:
    script.create("t")
    script.produce("t", batch(_rows(3), times=[TIME, TIME + 20, TIME + 10]))
    script.produce("t", batch(_rows(2), times=[TIME + 5, TIME + 20]))
    for version in script.versions("ListOffsets"):
        for timestamp in (*SPECIAL, 0, TIME, TIME + 15, TIME + 21):
            script.list_offsets("t", timestamp, version=version)
        script.list_offsets("t", -1, version=version, isolation=1)
        script.list_offsets("t", -3, version=version, isolation=1)


def times_in_every_place(script: Script) -> None:
    for codec in (NONE, GZIP, SNAPPY, LZ4, ZSTD):
        name = f"t{codec}"
        script.create(name)
        for start in (0, 100, 200):
            times = [TIME + start + step for step in (0, 10, 20)]
            script.produce(name, batch(_rows(3), times=times, codec=codec))
        for step in (-1, 0, 1, 10, 11, 20, 21, 99, 100, 105, 110, 121, 200, 219, 220, 221):
            script.list_offsets(name, TIME + step)


def times_that_go_back(script: Script) -> None:
    script.create("t")
    for times in ([50, 10, 40], [5, 5, 5], [45, 60, 0], [60, 60, 60], [1, 2, 3]):
        script.produce("t", batch(_rows(3), times=[TIME + each for each in times]))
    for step in (0, 1, 5, 6, 10, 11, 41, 46, 50, 51, 60, 61):
        script.list_offsets("t", TIME + step)
    script.list_offsets("t", -3)


def the_largest_timestamp(script: Script) -> None:
    script.create("t", 6)
    for partition, times in enumerate(([9, 9, 9], [1, 9, 9], [9, 1, 1], [1, 2, 9], [9, 1, 9])):
        for codec in (NONE, GZIP):
            sent = batch(_rows(3), times=[TIME + each for each in times], codec=codec)
            script.produce("t", sent, partition=partition)
        for version in script.versions("ListOffsets", 7):
            script.list_offsets("t", -3, version=version, partition=partition)
    script.produce("t", batch(_rows(2), times=[-1, -1]), partition=5)
    script.list_offsets("t", -3, partition=5)
    script.list_offsets("t", 0, partition=5)


def log_append_time(script: Script) -> None:
    script.create("t", message_timestamp_type="LogAppendTime")
    script.produce("t", batch(_rows(3), codec=NONE))
    script.fetch("t", 3, wait_ms=10)  # so that the next is appended at a later time
    script.produce("t", batch(_rows(3), codec=GZIP))
    for timestamp in (-1, -2, -3, 0, TIME, TIME + 1, 4_000_000_000_000):
        script.list_offsets("t", timestamp)


def leader_epochs(script: Script) -> None:
    script.create("t")
    script.produce("t", batch())
    for version in script.versions("ListOffsets", 4):
        for epoch in (-1, 0, 1, 77, -2):
            for timestamp in (-1, -2, TIME):
                script.list_offsets("t", timestamp, version=version, CurrentLeaderEpoch=epoch)


def unknown_topics_and_partitions(script: Script) -> None:
    script.create("t", 2)
    for version in script.versions("ListOffsets"):
        script.list_offsets("t", -1, version=version, partition=2)
        script.list_offsets("t", -1, version=version, partition=-1)
        script.list_offsets("missing", -1, version=version)
    for name in ("", "a b", "x" * 250):
        topics = [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]
        script.call("ListOffsets", 7, {"ReplicaId": -1, "Topics": topics})


def several_topics(script: Script) -> None:
    script.create("a", 2)
    script.create("b")
    script.produce("a", batch(), batch())
    for version in script.versions("ListOffsets"):
        rows = [{"PartitionIndex": n, "Timestamp": -1} for n in (1, 0, 5)]
        topics = [{"Name": script.topic(n), "Partitions": rows} for n in ("b", "missing", "a")]
        script.call("ListOffsets", version, {"ReplicaId": -1, "Topics": topics})
        script.call("ListOffsets", version, {"ReplicaId": -1, "Topics": []})


def the_same_partition_twice(script: Script) -> None:
    script.create("t")
    script.produce("t", batch())
    for version in script.versions("ListOffsets"):
        rows = [{"PartitionIndex": 0, "Timestamp": each} for each in (-1, -2)]
        topics = [{"Name": script.topic("t"), "Partitions": rows}]
        script.call("ListOffsets", version, {"ReplicaId": -1, "Topics": topics})


def isolation_levels_that_do_not_exist(script: Script) -> None:
    script.create("t")
    for level in (2, -1):
        for timestamp in (-1, -2):
            script.list_offsets("t", timestamp, isolation=level)


def a_replica_id(script: Script) -> None:
    script.create("t")
    script.produce("t", batch())
    for replica in (-2, 0, 1, 9):
        for version in (1, 5, 7):
            rows = [{"PartitionIndex": 0, "Timestamp": each} for each in (-1, -2)]
            topics = [{"Name": script.topic("t"), "Partitions": rows[:1]}]
            body = {"ReplicaId": replica, "Topics": topics}
            script.call("ListOffsets", version, body)
