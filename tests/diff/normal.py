"""Replies made comparable: what must differ between two brokers is named here, and only that.

Ids become the labels under which a script learned them, ports and cluster ids a word, times near
the present "now". Lists that the protocol leaves in any order are sorted. Of ApiVersions the APIs
of `schema.NAMES` are kept.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.diff.batches import read_batches
from tests.diff.schema import OF_KEY, Message

NOW_MS = 10 * 60 * 1000

# (API, field) -> the word that stands for a value that is there, whatever it is.
WORDS = {
    ("Metadata", "ClusterId"): "cluster",
    ("DescribeCluster", "ClusterId"): "cluster",
    ("ApiVersions", "FinalizedFeaturesEpoch"): "epoch",
    ("Metadata", "Port"): "port",
    ("DescribeCluster", "Port"): "port",
    ("Fetch", "Port"): "port",
    ("Produce", "Port"): "port",
    ("FindCoordinator", "Port"): "port",
    ("Produce", "ErrorMessage"): "text",
    ("Produce", "BatchIndexErrorMessage"): "text",
    ("CreateTopics", "ErrorMessage"): "text",
    ("DeleteTopics", "ErrorMessage"): "text",
    ("CreatePartitions", "ErrorMessage"): "text",
    ("AlterConfigs", "ErrorMessage"): "text",
    ("IncrementalAlterConfigs", "ErrorMessage"): "text",
    ("DescribeConfigs", "ErrorMessage"): "text",
    ("DescribeConfigs", "Documentation"): "text",
    ("DescribeProducers", "ErrorMessage"): "text",
    ("DescribeCluster", "ErrorMessage"): "text",
    ("FindCoordinator", "ErrorMessage"): "text",
}

# Times that a broker's clock gave: near the present they are "now", else they are compared.
TIMES = {
    ("Produce", "LogAppendTimeMs"),
    ("ListOffsets", "Timestamp"),
    ("DescribeProducers", "LastTimestamp"),
}

# (API, list) -> the field that orders it.
UNORDERED = {
    ("ApiVersions", "ApiKeys"): "ApiKey",
    ("Produce", "Responses"): "Name",
    ("Produce", "PartitionResponses"): "Index",
    ("ApiVersions", "SupportedFeatures"): "Name",
    ("ApiVersions", "FinalizedFeatures"): "Name",
    ("ListOffsets", "Topics"): "Name",
    ("ListOffsets", "Partitions"): "PartitionIndex",
    ("CreateTopics", "Topics"): "Name",
    ("CreateTopics", "Configs"): "Name",
    ("DeleteTopics", "Responses"): "Name",
    ("Metadata", "Topics"): "Name",
    ("Metadata", "Partitions"): "PartitionIndex",
    ("CreatePartitions", "Results"): "Name",
    ("DeleteRecords", "Topics"): "Name",
    ("DeleteRecords", "Partitions"): "PartitionIndex",
    ("DescribeConfigs", "Results"): "ResourceName",
    ("DescribeConfigs", "Configs"): "Name",
    ("AlterConfigs", "Responses"): "ResourceName",
    ("IncrementalAlterConfigs", "Responses"): "ResourceName",
    ("OffsetForLeaderEpoch", "Topics"): "Topic",
    ("DescribeProducers", "ActiveProducers"): "ProducerId",
    ("ListConfigResources", "ConfigResources"): "ResourceName",
}

# Lists that are compared entry by entry: the field that names an entry, others that it has.
NAMED = (
    ("ApiKey", ("MaxVersion",)),
    ("Name", ("MaxVersion",)),
    ("Name", ("MaxVersionLevel",)),
    ("Name", ("ConfigSource",)),
)


@dataclass
class Bindings:
    """Placeholder bytes that stand in requests, and what one broker gave for them."""

    given: dict[bytes, bytes] = field(default_factory=dict)
    labels: dict[bytes, str] = field(default_factory=dict)

    def bind(self, placeholder: bytes, actual: bytes, label: str) -> None:
        self.given[placeholder] = actual
        self.labels[actual] = label

    def fill(self, frame: bytes) -> bytes:
        for placeholder, actual in self.given.items():
            frame = frame.replace(placeholder, actual)
        return frame

    def label(self, actual: bytes) -> str:
        return self.labels.get(actual, "unknown")


def near_now(value: int) -> Any:
    return "now" if abs(value - time.time() * 1000) < NOW_MS else value


def normal(name: str, value: Any, bindings: Bindings, key: str = "") -> Any:
    """One reply, or a part of it that is called `key`, as plain JSON."""
    if isinstance(value, dict):
        return {each: normal(name, held, bindings, each) for each, held in value.items()}
    if isinstance(value, list):
        made = [normal(name, each, bindings, key) for each in value]
        if (name, key) == ("ApiVersions", "ApiKeys"):
            made = [each for each in made if each["ApiKey"] in OF_KEY]
        order = UNORDERED.get((name, key))
        if order is not None:
            made.sort(key=lambda each: (json.dumps(each.get(order)), json.dumps(each)))
        return made
    if value is None:
        return [] if (name, key) == ("Fetch", "Records") else None
    if isinstance(value, uuid.UUID):
        return bindings.label(value.bytes) if value.int else "none"
    if isinstance(value, bytes):
        return _times(read_batches(value)) if key == "Records" else value.hex()
    if (name, key) in WORDS:
        return WORDS[name, key]
    if (name, key) in TIMES:
        return near_now(value)
    if (name, key) == ("Fetch", "SessionId") and value:
        return bindings.label(value.to_bytes(4, "big", signed=True))
    if (name, key) == ("InitProducerId", "ProducerId") and value >= 0:
        return "producer"
    return value


def _times(read: list[Message] | None) -> list[Message] | None:
    for each in read or ():
        for key in ("BaseTimestamp", "MaxTimestamp"):
            if key in each:
                each[key] = near_now(each[key])
        for record in each.get("Records", ()):
            record[1] = near_now(record[1])
    return read


@dataclass(frozen=True)
class Difference:
    """One field of one reply that two brokers fill differently. `field` has no list positions."""

    case: str
    api: str
    version: int
    field: str
    kafka: Any
    ours: Any
    step: int = 0


def differences(kafka: Any, ours: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(field, Kafka's value, ours) of every leaf that is not the same. Where an error code differs
    the rest of its entry is a consequence."""
    if isinstance(kafka, dict) and isinstance(ours, dict):
        codes = kafka.get("ErrorCode"), ours.get("ErrorCode")
        if codes[0] != codes[1] and None not in codes:
            return [(f"{path}.ErrorCode" if path else "ErrorCode", *codes)]
        found = []
        for key in [*kafka, *(key for key in ours if key not in kafka)]:
            place = f"{path}.{key}" if path else key
            if key in kafka and key in ours:
                found += differences(kafka[key], ours[key], place)
            else:
                found.append((place, kafka.get(key, "absent"), ours.get(key, "absent")))
        return found
    if isinstance(kafka, list) and isinstance(ours, list):
        if path.endswith("Records.Records") or not all(isinstance(e, dict) for e in kafka + ours):
            return [] if kafka == ours else [(path, kafka, ours)]
        named = _by_name(kafka, ours)
        if named is not None:
            return differences(*named, path)
        found = []
        if len(kafka) != len(ours):
            found.append((f"{path}.length", len(kafka), len(ours)))
        for left, right in zip(kafka, ours, strict=False):
            found += differences(left, right, path)
        return found
    same = kafka == ours and isinstance(kafka, bool) == isinstance(ours, bool)
    return [] if same else [(path, kafka, ours)]


def _by_name(kafka: list[Message], ours: list[Message]) -> tuple[Message, Message] | None:
    """Lists of APIs, features and configs are compared entry by entry, by name."""
    for key, others in NAMED:
        if all({key, *others} <= each.keys() for each in kafka + ours):
            pair = tuple({str(each[key]): each for each in side} for side in (kafka, ours))
            if [len(side) for side in pair] == [len(kafka), len(ours)]:
                return pair[0], pair[1]
    return None
