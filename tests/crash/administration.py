"""What an admin client may expect of a broker that is killed while it answers: done, or not done.

Requests go as single frames: a client with retries would send again what the kill may have left
undone.
"""

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from benchmarks.broker import BrokerProcess
from tests.integration import admin_wire
from tests.integration.admin_wire import BROKER, EARLIEST, TIMEOUT_MS, TOPIC, ask
from tests.integration.wire import Wire

HOUR_MS = 3_600_000  # no retention below it: nothing may go by itself


@dataclass
class State:
    """What can be seen of a cluster from outside."""

    partitions: dict[str, int] = field(default_factory=dict)
    configs: dict[tuple[int, str], dict[str, str]] = field(default_factory=dict)
    """Of each resource that has some: (type, name) -> what is set on it."""
    starts: dict[tuple[str, int], int] = field(default_factory=dict)

    def forget(self, topic: str) -> None:
        del self.partitions[topic]
        self.configs.pop((TOPIC, topic), None)
        self.starts = {key: start for key, start in self.starts.items() if key[0] != topic}


@dataclass
class Sent:
    """One request under way: what it would change, and how to know that it was done."""

    api: str
    frame: bytes
    after: Callable[[State], None]
    errors: Callable[[Any], list[int]]


def seen(broker: BrokerProcess, kept: State) -> State:
    """The state as any client sees it; of prefixes and brokers those that `kept` knows."""
    wire = Wire(broker)
    try:
        state = State()
        for topic in ask(wire, "Metadata", topics=None).topics:
            assert topic.error_code == 0, topic
            state.partitions[topic.name] = len(topic.partitions)
        asked = [(TOPIC, name) for name in state.partitions]
        asked += [key for key in kept.configs if key[0] == BROKER or key[1].endswith("*")]
        for key in dict.fromkeys(asked):
            found = _configs(wire, *key)
            if found:
                state.configs[key] = found
        for topic, count in state.partitions.items():
            for partition in range(count):
                state.starts[topic, partition] = log_end(wire, topic, partition, EARLIEST)
        return state
    finally:
        wire.close()


def _configs(wire: Wire, kind: int, name: str) -> dict[str, str]:
    """What is set on this very resource, without what it inherits."""
    result = admin_wire.describe_configs(wire, kind, name)
    assert result.error_code == 0, result
    own = 1 if kind == TOPIC else 3  # set here; of all brokers: DYNAMIC_DEFAULT_BROKER_CONFIG
    return {each.name: each.value for each in result.configs if each.config_source == own}


def log_end(wire: Wire, topic: str, partition: int, which: int) -> int:
    asked = {"partition_index": partition, "current_leader_epoch": -1, "timestamp": which}
    answer = ask(
        wire,
        "ListOffsets",
        replica_id=-1,
        isolation_level=0,
        topics=[{"name": topic, "partitions": [asked]}],
    )
    (one,) = answer.topics[0].partitions
    assert one.error_code == 0, one
    return int(one.offset)


# One request of each kind


def create(names: list[str], partitions: int) -> Sent:
    topics = [
        {
            "name": name,
            "num_partitions": partitions,
            "replication_factor": 1,
            "assignments": [],
            "configs": [{"name": "retention.ms", "value": "3600000"}],
        }
        for name in names
    ]

    def after(state: State) -> None:
        for name in names:
            state.partitions[name] = partitions
            state.configs[TOPIC, name] = {"retention.ms": "3600000"}
            state.starts |= {(name, number): 0 for number in range(partitions)}

    return _sent(
        "CreateTopics",
        after,
        lambda answer: [each.error_code for each in answer.topics],
        topics=topics,
        timeout_ms=TIMEOUT_MS,
        validate_only=False,
    )


def delete(name: str) -> Sent:
    return _sent(
        "DeleteTopics",
        lambda state: state.forget(name),
        lambda answer: [each.error_code for each in answer.responses],
        topic_names=[name],
        timeout_ms=TIMEOUT_MS,
    )


def add_partitions(name: str, had: int, total: int) -> Sent:
    def after(state: State) -> None:
        state.partitions[name] = total
        state.starts |= {(name, number): 0 for number in range(had, total)}

    return _sent(
        "CreatePartitions",
        after,
        lambda answer: [each.error_code for each in answer.results],
        topics=[{"name": name, "count": total, "assignments": None}],
        timeout_ms=TIMEOUT_MS,
        validate_only=False,
    )


def alter(kind: int, name: str, values: dict[str, str | None]) -> Sent:
    """Several configs of one resource in one request; None deletes."""

    def after(state: State) -> None:
        own = dict(state.configs.get((kind, name), {}))
        for config, value in values.items():
            if value is None:
                own.pop(config, None)
            else:
                own[config] = value
        state.configs[kind, name] = own
        if not own:
            del state.configs[kind, name]

    return _sent(
        "IncrementalAlterConfigs",
        after,
        lambda answer: [each.error_code for each in answer.responses],
        **admin_wire.changes(kind, name, values),
    )


def delete_records(name: str, partition: int, offset: int) -> Sent:
    def after(state: State) -> None:
        state.starts[name, partition] = offset

    return _sent(
        "DeleteRecords",
        after,
        lambda answer: [part.error_code for topic in answer.topics for part in topic.partitions],
        topics=[{"name": name, "partitions": [{"partition_index": partition, "offset": offset}]}],
        timeout_ms=TIMEOUT_MS,
    )


def _sent(
    api: str, after: Callable[[State], None], errors: Callable[[Any], list[int]], **fields: Any
) -> Sent:
    return Sent(api, admin_wire.frame(api, **fields), after, errors)


def any_request(instants: random.Random, state: State, number: int, records: int) -> Sent:
    """One that should succeed on `state`; partition 0 of "kept" has `records` records."""
    deletable = sorted(name for name in state.partitions if name != "kept")
    start = state.starts["kept", 0]
    choices: list[Callable[[], Sent]] = [
        lambda: create([f"made.{number}.{each}" for each in range(30)], 3),
        lambda: alter(
            TOPIC,
            "kept",
            {"retention.ms": str(HOUR_MS + number), "segment.ms": str(number + 1), "flush.ms": "7"},
        ),
        lambda: alter(TOPIC, "kept", {"retention.ms": None, "segment.ms": "5", "flush.ms": None}),
        lambda: alter(
            TOPIC, "made.*", {"max.message.bytes": str(2_000_000 + number), "segment.ms": "9"}
        ),
        lambda: alter(
            BROKER, "", {"log.retention.ms": str(HOUR_MS + number), "log.roll.ms": "8000000"}
        ),
        lambda: add_partitions("kept", state.partitions["kept"], state.partitions["kept"] + 2),
    ]
    if start < records:
        choices.append(lambda: delete_records("kept", 0, instants.randint(start + 1, records)))
    if deletable:
        choices.append(lambda: delete(instants.choice(deletable)))
    return instants.choice(choices)()


def with_done(state: State, sent: Sent) -> State:
    done = deepcopy(state)
    sent.after(done)
    return done
