"""Admin requests as single frames, encoded and decoded by kafka-python's codec.

For what no client lets its users ask (the configs of all brokers), and for what none may send
again: a client with retries would repeat what a killed broker may have left undone.
"""

from typing import Any

from tests.integration.wire import Wire
from tests.unit.kafka.arrange import decoded, request

TOPIC, BROKER = 2, 4  # types of config resources
SET, DELETE = 0, 1  # kinds of change
EARLIEST, LATEST = -2, -1
TIMEOUT_MS = 10_000

# The newest version that kafka-python 3.0.12 speaks, and we serve.
VERSIONS = {
    "CreateTopics": 7,
    "DeleteTopics": 5,
    "CreatePartitions": 3,
    "IncrementalAlterConfigs": 1,
    "DescribeConfigs": 4,
    "DeleteRecords": 2,
    "Metadata": 9,
    "ListOffsets": 5,
}


def frame(name: str, **fields: Any) -> bytes:
    return request(name, VERSIONS[name], **fields)


def read(name: str, answer: bytes) -> Any:
    """`answer` without its length, as `Wire.answer` gives it."""
    return decoded(name, VERSIONS[name], len(answer).to_bytes(4, "big") + answer)


def ask(wire: Wire, name: str, **fields: Any) -> Any:
    wire.send(frame(name, **fields))
    return read(name, wire.answer())


def describe_configs(wire: Wire, kind: int, name: str) -> Any:
    """The result for one resource, with synonyms."""
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": None}
    answer = ask(
        wire,
        "DescribeConfigs",
        resources=[resource],
        include_synonyms=True,
        include_documentation=False,
    )
    (result,) = answer.results
    return result


def changes(kind: int, name: str, values: dict[str, str | None]) -> dict[str, Any]:
    """Fields of IncrementalAlterConfigs for one resource; None deletes."""
    configs = [
        {"name": config, "config_operation": DELETE if value is None else SET, "value": value}
        for config, value in values.items()
    ]
    return {
        "resources": [{"resource_type": kind, "resource_name": name, "configs": configs}],
        "validate_only": False,
    }
