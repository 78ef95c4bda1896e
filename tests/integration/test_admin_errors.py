"""Every way in which an administrative request can be wrong, with the code and, where it says more
than the code, the text that Apache Kafka 4.3.1 gave to the same bytes.

Requests and answers go through kafka-python's codec. Where we answer otherwise on purpose, the case
says `ours`; docs/protocol.md says why.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from benchmarks.broker import BrokerProcess
from tests.unit.kafka.arrange import decoded, request

TOPIC, BROKER = 2, 4
NOWHERE = UUID(int=77 << 64 | 5)
NAMED_BADLY = "Topic name is invalid: "
ONCE = "Each resource must appear at most once."


@dataclass(frozen=True)
class Case:
    """`answers` are (item, code, beginning of the text or None) in the order of the request."""

    api: str
    version: int
    fields: dict[str, Any]
    answers: list[tuple[str, int, str | None]]
    ours: dict[str, int] = field(default_factory=dict)
    """Codes by item where ours is another one."""


def new(name: str, partitions: int = 1, replicas: int = 1, **fields: Any) -> dict[str, Any]:
    row = {"name": name, "num_partitions": partitions, "replication_factor": replicas}
    return row | {"assignments": [], "configs": []} | fields


def create(*topics: dict[str, Any]) -> dict[str, Any]:
    return {"topics": list(topics), "timeout_ms": 5_000, "validate_only": False}


def more(*topics: tuple[str, int, Any]) -> dict[str, Any]:
    rows = [
        {"name": name, "count": count, "assignments": rows and [{"broker_ids": r} for r in rows]}
        for name, count, rows in topics
    ]
    return {"topics": rows, "timeout_ms": 5_000, "validate_only": False}


def delete(*topics: tuple[str | None, UUID | None]) -> dict[str, Any]:
    rows = [{"name": name, "topic_id": topic_id} for name, topic_id in topics]
    return {"topics": rows, "timeout_ms": 5_000}


def change(*resources: tuple[int, str, list[tuple[str, int, str | None]]]) -> dict[str, Any]:
    rows = [
        {
            "resource_type": kind,
            "resource_name": name,
            "configs": [
                {"name": config, "config_operation": operation, "value": value}
                for config, operation, value in changes
            ],
        }
        for kind, name, changes in resources
    ]
    return {"resources": rows, "validate_only": False}


def describe(*resources: tuple[int, str]) -> dict[str, Any]:
    rows = [
        {"resource_type": kind, "resource_name": name, "configuration_keys": ["retention.ms"]}
        for kind, name in resources
    ]
    return {"resources": rows, "include_synonyms": False, "include_documentation": False}


CASES = [
    Case(
        "CreateTopics",
        7,
        create(new("d"), new("d"), new("no/slash"), new("orders"), new("")),
        [
            ("d", 42, "Duplicate topic name."),
            ("no/slash", 17, NAMED_BADLY),
            ("orders", 36, "Topic 'orders' already exists."),
            ("", 17, NAMED_BADLY),
        ],
    ),
    Case(
        "CreatePartitions",
        3,
        more(("orders", 4, None), ("orders", 4, None), ("nowhere", 4, None), ("zz", 1, None)),
        [
            ("orders", 42, "Duplicate topic name."),
            ("nowhere", 3, None),
            ("zz", 37, "Topic already has 1 partition(s)."),
        ],
    ),
    Case(
        "CreatePartitions",
        3,
        more(("orders", 2, None), ("zz", 3, [[1]])),
        [
            (
                "orders",
                37,
                "The topic orders currently has 3 partition(s); 2 would not be an increase.",
            ),
            (
                "zz",
                39,
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were "
                "specified.",
            ),
        ],
    ),
    Case(
        "CreatePartitions",
        3,
        more(("zz", 2, [[9]]), ("orders", 0, None)),
        [
            (
                "zz",
                39,
                "The manual partition assignment includes broker 9, but no such broker is "
                "registered.",
            ),
            (
                "orders",
                37,
                "The topic orders currently has 3 partition(s); 0 would not be an increase.",
            ),
        ],
    ),
    Case(
        "DeleteTopics",
        6,
        delete(
            ("orders", None),
            ("orders", None),
            (None, None),
            ("zz", NOWHERE),
            ("nowhere", None),
            (None, NOWHERE),
        ),
        [
            ("orders", 42, "Duplicate topic name."),
            ("None", 42, "Neither topic name nor id were specified."),
            ("zz", 42, "You may not specify both topic name and topic id."),
            ("nowhere", 3, "This server does not host"),
            ("None", 100, "This server does not host"),
        ],
    ),
    Case(
        "DescribeConfigs",
        4,
        describe(
            (TOPIC, "orders"),
            (TOPIC, "nowhere"),
            (TOPIC, "bad/name"),
            (TOPIC, ""),
            (BROKER, "1"),
            (BROKER, ""),
            (BROKER, "2"),
            (BROKER, "x"),
            (8, ""),
            (16, ""),
            (32, ""),
        ),
        [
            ("orders", 0, None),
            ("nowhere", 3, None),
            ("bad/name", 17, NAMED_BADLY),
            ("", 17, NAMED_BADLY),
            ("1", 0, None),
            ("", 0, None),
            ("2", 102, "No node with id 2 found."),  # Kafka: 42
            ("x", 42, None),
            ("", 42, None),
            ("", 42, None),
            ("", 42, None),
        ],
    ),
    Case(
        "IncrementalAlterConfigs",
        1,
        change(
            (TOPIC, "orders", [("retention.ms", 0, "1000")]),
            (TOPIC, "orders", [("retention.ms", 0, "1000")]),
            (TOPIC, "zz", [("retention.ms", 0, "5"), ("retention.ms", 1, None)]),
            (TOPIC, "nowhere", [("retention.ms", 0, "5")]),
            (TOPIC, "", [("retention.ms", 0, "5")]),
        ),
        [
            ("orders", 42, ONCE),
            ("orders", 42, ONCE),
            ("zz", 42, "Error due to duplicate config keys"),
            ("nowhere", 3, None),
            ("", 42, "Default topic resources are not allowed."),
        ],
    ),
    Case(
        "IncrementalAlterConfigs",
        1,
        change(
            (TOPIC, "orders", [("retention.ms", 0, None)]),
            (TOPIC, "zz", [("retention.ms", 2, "5")]),
            (BROKER, "x", [("a", 0, "b")]),
            (BROKER, "2", [("a", 0, "b")]),
            (99, "g", [("a", 0, "b")]),
            (0, "h", [("a", 0, "b")]),
        ),
        [
            ("orders", 42, "Null value not supported for : retention.ms"),
            ("zz", 40, "Can't APPEND to key retention.ms because its type is not LIST."),
            ("x", 42, "Node id must be an integer, but it is: x"),
            ("2", 42, None),
            ("g", 42, "Unknown resource type 99"),
            ("h", 42, "Unknown resource type 0"),
        ],
        ours={"2": 102},
    ),
    Case(
        "IncrementalAlterConfigs",
        1,
        change(
            (TOPIC, "orders", [("nope", 0, "x")]),
            (TOPIC, "zz", []),
            (BROKER, "", [("advertised.listeners", 0, "9")]),
        ),
        [
            ("orders", 40, "Unknown topic config name: nope"),
            ("zz", 0, None),
            ("", 42, "Cannot update these configs dynamically: [advertised.listeners]"),
        ],
    ),
    Case(
        "IncrementalAlterConfigs",
        1,
        change(
            (TOPIC, "orders", [("retention.ms", 0, "abc")]),
            (TOPIC, "zz", [("cleanup.policy", 2, "compact"), ("max.message.bytes", 0, "-5")]),
        ),
        [
            (
                "orders",
                40,
                "Invalid value abc for configuration retention.ms: Not a number of type LONG",
            ),
            (
                "zz",
                40,
                "Invalid value -5 for configuration max.message.bytes: Value must be at least 0",
            ),
        ],
    ),
    Case(
        "IncrementalAlterConfigs",
        1,
        change(
            (TOPIC, "orders", [("retention.ms", 9, "5")]), (TOPIC, "zz", [("segment.ms", 1, None)])
        ),
        [("orders", -1, None), ("zz", -1, None)],
        ours={"orders": 42, "zz": 0},
    ),
    Case(
        "AlterConfigs",
        2,
        change(
            (TOPIC, "orders", []),
            (TOPIC, "zz", [("retention.ms", 0, None)]),
            (TOPIC, "nowhere", []),
            (99, "z", []),
            (BROKER, "x", []),
        ),
        [
            ("orders", 0, None),
            ("zz", 42, "Null value not supported for : retention.ms"),
            ("nowhere", 3, None),
            ("z", 42, "Unknown resource type 99"),
            ("x", 42, "Node id must be an integer, but it is: x"),
        ],
    ),
]

LISTS = {
    "CreateTopics": ("topics", "name"),
    "CreatePartitions": ("results", "name"),
    "DeleteTopics": ("responses", "name"),
    "DescribeConfigs": ("results", "resource_name"),
    "AlterConfigs": ("responses", "resource_name"),
    "IncrementalAlterConfigs": ("responses", "resource_name"),
}


class Asking:
    """One connection: whole frames there and back."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def __call__(self, api: str, version: int, **fields: Any) -> Any:
        self._socket.sendall(request(api, version, **fields))
        head = self._take(4)
        return decoded(api, version, head + self._take(int.from_bytes(head, "big")))

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            piece = self._socket.recv(count - len(taken))
            assert piece, "the broker closed the connection"
            taken += piece
        return taken

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def ask(broker: BrokerProcess) -> Iterator[Asking]:
    asking = Asking(broker.port)
    made = asking("CreateTopics", 7, **create(new("orders", 3), new("zz")))
    assert [each.error_code for each in made.topics] == [0, 0]
    yield asking
    asking.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.api}-{case.answers[0][0]}")
def test_what_is_wrong_is_told_as_kafka_tells_it(ask: Asking, case: Case) -> None:
    rows, name = LISTS[case.api]
    told = getattr(ask(case.api, case.version, **case.fields), rows)
    codes = [(str(getattr(each, name)), each.error_code) for each in told]
    assert codes == [(item, case.ours.get(item, code)) for item, code, _ in case.answers]
    for each, (item, _, text) in zip(told, case.answers, strict=True):
        if item not in case.ours and text is not None:
            assert each.error_message.startswith(text)
        if each.error_code:
            assert each.error_message, "an error without a word"


def test_records_that_cannot_be_deleted(ask: Asking) -> None:
    def rows(*partitions: tuple[int, int]) -> list[dict[str, int]]:
        return [{"partition_index": number, "offset": offset} for number, offset in partitions]

    answer = ask(
        "DeleteRecords",
        2,
        topics=[
            {"name": "orders", "partitions": rows((0, 0), (0, -1), (9, 0), (1, 5), (2, -2))},
            {"name": "nowhere", "partitions": rows((0, 0))},
        ],
        timeout_ms=5_000,
    )
    told = [
        (topic.name, each.partition_index, each.low_watermark, each.error_code)
        for topic in answer.topics
        for each in topic.partitions
    ]
    assert told == [
        ("orders", 0, 0, 0),
        ("orders", 9, -1, 3),
        ("orders", 1, -1, 1),
        ("orders", 2, -1, 1),
        ("nowhere", 0, -1, 3),
    ]


def test_producers_that_cannot_be_described(ask: Asking) -> None:
    answer = ask(
        "DescribeProducers",
        0,
        topics=[
            {"name": "orders", "partition_indexes": [0, 9]},
            {"name": "nowhere", "partition_indexes": [0]},
            {"name": "bad/name", "partition_indexes": [0]},
        ],
    )
    codes = [each.error_code for topic in answer.topics for each in topic.partitions]
    assert codes == [0, 3, 3, 17]


@pytest.mark.parametrize(
    ("version", "timestamp", "code"),
    [
        (1, -3, 35),
        (6, -3, 35),
        (7, -3, 0),
        (7, -4, 35),
        (8, -4, 0),
        (8, -5, 35),
        (9, -5, 0),
        (10, -6, 35),
        (11, -6, 0),
        (11, -7, 35),
        (11, -99, 35),
    ],
)
def test_names_of_offsets_by_version(ask: Asking, version: int, timestamp: int, code: int) -> None:
    row = {"partition_index": 0, "current_leader_epoch": -1, "timestamp": timestamp}
    answer = ask(
        "ListOffsets",
        version,
        replica_id=-1,
        isolation_level=0,
        topics=[{"name": "orders", "partitions": [row]}],
        timeout_ms=1_000,
    )
    assert answer.topics[0].partitions[0].error_code == code
