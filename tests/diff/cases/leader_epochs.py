"""OffsetForLeaderEpoch: where an epoch ended, and who may ask."""

from tests.diff.batches import batch
from tests.diff.script import Script


def _ask(script: Script, name: str, version: int, current: int, epoch: int, at: int = 0) -> None:
    row = {"Partition": at, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}
    topics = [{"Topic": script.topic(name), "Partitions": [row]}]
    body = {"ReplicaId": -1, "Topics": topics}
    script.call("OffsetForLeaderEpoch", version, body)


def every_epoch(script: Script) -> None:
    script.create("t")
    script.create("empty")
    for _ in range(3):
        script.produce("t", batch([(None, b"a"), (None, b"b")]))
    for version in script.versions("OffsetForLeaderEpoch"):
        for current in (-1, 0, 1, 50, -2):
            for epoch in (-1, 0, 1, 50, -2):
                _ask(script, "t", version, current, epoch)
        for epoch in (-1, 0, 1):
            _ask(script, "empty", version, -1, epoch)


def unknown_topics_and_partitions(script: Script) -> None:
    script.create("t")
    for version in script.versions("OffsetForLeaderEpoch"):
        _ask(script, "t", version, -1, 0, 1)
        _ask(script, "t", version, -1, 0, -1)
        _ask(script, "missing", version, -1, 0)
        script.call("OffsetForLeaderEpoch", version, {"ReplicaId": -1, "Topics": []})


def several_topics(script: Script) -> None:
    script.create("a", 2)
    script.create("b", 2)
    script.produce("a", batch(), batch())
    for version in script.versions("OffsetForLeaderEpoch"):
        rows = [{"Partition": n, "LeaderEpoch": 0} for n in (1, 7, 0)]
        topics = [{"Topic": script.topic(n), "Partitions": rows} for n in ("b", "missing", "a")]
        for replica in (-1, -2, 1, 6):
            body = {"ReplicaId": replica, "Topics": topics}
            script.call("OffsetForLeaderEpoch", version, body)
