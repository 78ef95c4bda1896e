"""CreatePartitions and DeleteRecords."""

from typing import Any

from tests.diff.batches import batch
from tests.diff.script import Script


def _more(script: Script, version: int, *rows: dict[str, Any], **more: Any) -> None:
    topics = [{"Assignments": None, **row} for row in rows]
    body = {"Topics": topics, "TimeoutMs": 10_000, "ValidateOnly": False, **more}
    names = sorted({row["Name"] for row in rows if row["Name"].startswith(script.case)})
    settles = [name for name in names if not name.endswith("missing")]
    script.call("CreatePartitions", version, body, settles=settles)


def more_in_every_version(script: Script) -> None:
    for version in script.versions("CreatePartitions"):
        name = f"t{version}"
        script.create(name, 2)
        topic = script.topic(name)
        _more(script, version, {"Name": topic, "Count": 5}, ValidateOnly=True)
        _more(script, version, {"Name": topic, "Count": 3})
        for count in (3, 2, 1, 0, -1):
            _more(script, version, {"Name": topic, "Count": count})
        _more(script, version, {"Name": script.topic("missing"), "Count": 3})
        _more(script, version, {"Name": "a b", "Count": 3})
        _more(script, version)
        script.call("Metadata", 12, {"Topics": [{"Name": topic}]})
        script.produce(name, batch(), batch(), batch(), batch())


def more_with_assignments(script: Script) -> None:
    script.create("t", 1)
    topic = script.topic("t")

    def _rows(*brokers: list[int]) -> list[dict[str, Any]]:
        return [{"BrokerIds": each} for each in brokers]

    for version in script.versions("CreatePartitions"):
        for assigned in (
            _rows([1], [1]),
            _rows([1]),
            _rows([1], [1], [1]),
            _rows([2], [1]),
            _rows([1, 1], [1]),
            _rows([1, 2], [1]),
            _rows([], [1]),
            [],
        ):
            row = {"Name": topic, "Count": 3, "Assignments": assigned}
            _more(script, version, row, ValidateOnly=True)
    _more(script, 3, {"Name": topic, "Count": 3, "Assignments": _rows([1], [1])})
    script.call("Metadata", 12, {"Topics": [{"Name": topic}]})


def several_topics(script: Script) -> None:
    script.create("a", 1)
    script.create("b", 2)
    rows = [{"Name": script.topic(name), "Count": 2} for name in ("b", "missing", "a")]
    _more(script, 3, *rows)
    _more(script, 3, rows[2], rows[2], rows[0])
    _more(script, 3, {**rows[0], "Count": 4}, {**rows[0], "Count": 5})


def _delete(script: Script, version: int, name: str, *rows: tuple[int, int]) -> None:
    parts = [{"PartitionIndex": index, "Offset": offset} for index, offset in rows]
    topics = [{"Name": script.topic(name), "Partitions": parts}]
    script.call("DeleteRecords", version, {"Topics": topics, "TimeoutMs": 5000})


def delete_records_in_every_version(script: Script) -> None:
    for version in script.versions("DeleteRecords"):
        name = f"t{version}"
        script.create(name, 2)
        for _ in range(3):
            script.produce(name, batch([(None, b"a"), (None, b"b"), (None, b"c")]))
        for offset in (0, 4, 3, 4, 9, 8, 10, -1, -2, 100):
            _delete(script, version, name, (0, offset))
            script.offsets(name)
        script.produce(name, batch())
        script.fetch(name, 8)
        script.fetch(name, 9)
        _delete(script, version, name, (0, 10), (1, 0), (2, 0), (-1, 0))
        _delete(script, version, name, (1, -1))
        _delete(script, version, "missing", (0, 0))
        script.call("DeleteRecords", version, {"Topics": [], "TimeoutMs": 5000})
        script.offsets(name, 0, 1)


def delete_records_in_the_middle_of_a_batch(script: Script) -> None:
    script.create("t")
    script.produce("t", batch([(None, b"a"), (None, b"b"), (None, b"c")], times=[1, 2, 3]))
    script.produce("t", batch([(None, b"d")], times=[4]))
    _delete(script, 2, "t", (0, 1))
    for offset in (0, 1, 2):
        script.fetch("t", offset)
    for timestamp in (0, 1, 2, 3, 4, 5, -1, -2, -3, -4):
        script.list_offsets("t", timestamp, version=8)


def producers_after_their_records_were_deleted(script: Script) -> None:
    script.create("t")
    sent = [batch(producer_id=8, epoch=0, sequence=n) for n in range(5)]
    for each in sent[:3]:
        script.produce("t", each)
    _delete(script, 2, "t", (0, -1))
    script.produce("t", sent[1])
    script.produce("t", sent[4])
    script.produce("t", sent[3])
    script.offsets("t")


def delete_records_of_a_compacted_topic(script: Script) -> None:
    script.create("t", cleanup_policy="compact")
    script.create("both", cleanup_policy="compact,delete")
    for name in ("t", "both"):
        script.produce(name, batch([(b"k", b"v")]))
        _delete(script, 2, name, (0, 1))
        script.offsets(name)


def delete_records_of_the_same_partition_twice(script: Script) -> None:
    script.create("t")
    script.produce("t", batch([(None, b"a"), (None, b"b"), (None, b"c")]))
    _delete(script, 2, "t", (0, 1), (0, 2))
    script.offsets("t")


def delete_records_where_no_cleanup_policy_is_left(script: Script) -> None:
    script.create("t", cleanup_policy="compact")
    script.produce("t", batch([(b"k", b"v")]))
    change = {"Name": "cleanup.policy", "ConfigOperation": 3, "Value": "compact"}
    resource = {"ResourceType": 2, "ResourceName": script.topic("t"), "Configs": [change]}
    body = {"Resources": [resource], "ValidateOnly": False}
    script.call("IncrementalAlterConfigs", 1, body, settles=[script.topic("t")])
    keys = {"ResourceType": 2, "ResourceName": script.topic("t")}
    asked = {"Resources": [{**keys, "ConfigurationKeys": ["cleanup.policy"]}]}
    script.call("DescribeConfigs", 4, asked)
    _delete(script, 2, "t", (0, 1))
    script.offsets("t")
    script.produce("t", batch([(None, b"v")]))
