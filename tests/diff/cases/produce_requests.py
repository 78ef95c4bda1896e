"""Produce as a request: acks, topics and partitions that are not there, several at once."""

from tests.diff.batches import batch
from tests.diff.schema import encode
from tests.diff.script import Script, Step


def acks_in_every_version(script: Script) -> None:
    script.create("t")
    for version in script.versions("Produce"):
        for acks in (-1, 1, 2, -2, 127):
            script.produce("t", batch(), version=version, acks=acks)
    script.offsets("t")


def acks_zero(script: Script) -> None:
    script.create("t")
    for version in script.versions("Produce"):
        where = f"zero {version}"
        script.produce("t", batch(), version=version, acks=0, reads="nothing", connection=where)
        script.call("Metadata", 1, {"Topics": []}, connection=where)
    # StreamBus shows records when they are synced, and what is acknowledged here came after them.
    script.produce("t", batch())
    script.offsets("t")


def acks_zero_that_fails_closes_the_connection(script: Script) -> None:
    script.create("t")
    for n, sent in enumerate((batch(crc=3), batch(count=5), batch([(None, bytes(1_100_000))]))):
        where = f"fails {n}"
        script.call("Metadata", 1, {"Topics": []}, connection=where)
        script.produce("t", sent, acks=0, reads="nothing", connection=where)
        script.call("Metadata", 1, {"Topics": []}, connection=where)
    script.offsets("t")


def unknown_topics_and_partitions(script: Script) -> None:
    script.create("t", 2)
    for version in script.versions("Produce"):
        script.produce("t", batch(), version=version, partition=2)
        script.produce("t", batch(), version=version, partition=-1)
        script.produce("missing", batch(), version=version)
    script.offsets("t", 0, 1)


def names_that_are_not_valid(script: Script) -> None:
    for name in ("", ".", "..", "a b", "a/b", "x" * 250, "__consumer_offsets", "é"):
        rows = [{"Index": 0, "Records": batch()}]
        body = {"Acks": -1, "TimeoutMs": 1000, "TopicData": [{"Name": name, "PartitionData": rows}]}
        for version in (3, 9, 12):
            script.call("Produce", version, body)


def several_topics(script: Script) -> None:
    script.create("a", 2)
    script.create("b", 2)
    for version in script.versions("Produce"):
        topics = [
            {
                **script.named(name, version, 13, "Name"),
                "PartitionData": [
                    {"Index": 0, "Records": batch()},
                    {"Index": 1, "Records": batch(crc=5)},
                    {"Index": 9, "Records": batch()},
                ],
            }
            for name in ("a", "missing", "b")
        ]
        body = {"Acks": -1, "TimeoutMs": 1000, "TopicData": topics}
        script.call("Produce", version, body)
    script.offsets("a", 0, 1)
    script.offsets("b", 0, 1)


def nothing_to_produce(script: Script) -> None:
    script.create("t")
    for version in script.versions("Produce"):
        script.call("Produce", version, {"Acks": -1, "TimeoutMs": 1000, "TopicData": []})
        script.produce("t", version=version)


def the_same_partition_twice(script: Script) -> None:
    script.create("t")
    rows = [{"Index": 0, "Records": batch([(None, b"%d" % n)])} for n in range(2)]
    topic = {"Name": script.topic("t"), "PartitionData": rows}
    body = {"Acks": -1, "TimeoutMs": 1000, "TopicData": [topic]}
    script.call("Produce", 9, body)
    script.call("Produce", 9, {**body, "TopicData": [topic, topic]})
    script.offsets("t")


def a_transactional_id(script: Script) -> None:
    script.create("t")
    rows = [{"Index": 0, "Records": batch()}]
    for version in (3, 9):
        topics = [{"Name": script.topic("t"), "PartitionData": rows}]
        body = {"TransactionalId": "x", "Acks": -1, "TimeoutMs": 1000, "TopicData": topics}
        script.call("Produce", version, body)
    script.offsets("t")


def not_enough_replicas(script: Script) -> None:
    script.create("t", min_insync_replicas=2)
    for version in script.versions("Produce"):
        script.produce("t", batch(), version=version)
        script.produce("t", batch(), version=version, acks=1)
    script.offsets("t")


def a_deleted_topic(script: Script) -> None:
    script.create("t")
    for version in script.versions("Produce"):
        script.produce("t", batch(), version=version)
    old = script.id("t")
    script.delete("t")
    for version in script.versions("Produce"):
        script.produce("t", batch(), version=version)
    script.create("t")
    topics = [{"TopicId": old, "PartitionData": [{"Index": 0, "Records": batch()}]}]
    script.call("Produce", 13, {"Acks": -1, "TimeoutMs": 1000, "TopicData": topics})
    script.produce("t", batch(), version=13)


def versions_that_are_not_served(script: Script) -> None:
    body = {"Acks": -1, "TimeoutMs": 1000, "TopicData": []}
    whole = encode("Produce", 3, body)
    for version in (0, 1, 2, 14, 99, -1):
        sent = whole[:2] + version.to_bytes(2, "big", signed=True) + whole[4:]
        script.play(Step(sent, connection=f"version {version}"))


def bodies_that_do_not_parse(script: Script) -> None:
    body = {"Acks": -1, "TimeoutMs": 1000, "TopicData": []}
    for version in (3, 9):
        whole = encode("Produce", version, body)
        for cut in (1, 3, 8):
            script.play(Step(whole[:-cut], connection=f"cut {version} {cut}"))
        script.play(Step(whole + b"more", connection=f"more {version}"))


def headers_that_do_not_parse(script: Script) -> None:
    for n, sent in enumerate((b"", b"\x00", bytes(4), bytes(7), b"\x03\xe7" + bytes(10))):
        if len(sent) >= 4:
            script.play(Step(sent, connection=f"header {n}"))
