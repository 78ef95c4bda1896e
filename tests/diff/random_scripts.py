"""Random scripts over a few topics, compared step by step; a difference is shrunk to a short one.

An operation is its name and plain arguments, so that what hypothesis found can be printed, kept as
JSON in cases/saved, and played again.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from tests.diff.batches import TIME, batch
from tests.diff.catalogue import SAVED
from tests.diff.normal import Difference
from tests.diff.script import Script, Side, session_placeholder

Operation = tuple[str, dict[str, Any]]

NAMES = ("a", "b")
INT32_MAX = 2**31 - 1

# Fields that differ for a reason of `reviewed.jsonl` with values that a random script makes up.
KNOWN = {
    ("Produce", "Responses.PartitionResponses.LogStartOffset"),
    ("Produce", "Responses.PartitionResponses.LogAppendTimeMs"),
}


def _create(script: Script, name: str, partitions: int, configs: dict[str, str]) -> None:
    script.create(name, partitions, **configs)


def _delete(script: Script, name: str) -> None:
    script.delete(name)


def _produce(
    script: Script,
    name: str,
    partition: int,
    records: int,
    producer: int,
    epoch: int,
    sequence: int,
    codec: int,
    step: int,
    version: int,
) -> None:
    rows = [(b"k", b"v" * 10)] * records
    times = [TIME + step + n for n in range(records)]
    if producer < 0:
        epoch = sequence = -1
    sent = batch(
        rows, times=times, codec=codec, producer_id=producer, epoch=epoch, sequence=sequence
    )
    script.produce(name, sent, partition=partition, version=version)


def _fetch(script: Script, name: str, offsets: list[int], version: int, max_bytes: int) -> None:
    script.fetch(name, *offsets, version=version, max_bytes=max_bytes)


def _session(script: Script, name: str, offsets: list[int], epoch: int, forget: list[int]) -> None:
    if not epoch and not offsets:
        return  # A session for no partitions: Kafka gives one, StreamBus does not (reviewed).
    mine = session_placeholder("s") if epoch else 0
    topic = {"Topic": script.topic(name), "Partitions": forget}
    script.fetch(
        name,
        *offsets,
        session=(mine, epoch),
        label="s",
        forget=[topic] if forget else [],
    )


def _list_offsets(script: Script, name: str, partition: int, timestamp: int, version: int) -> None:
    script.list_offsets(name, timestamp, partition=partition, version=version)


def _partitions(script: Script, name: str, total: int) -> None:
    topic = {"Name": script.topic(name), "Count": total, "Assignments": None}
    body = {"Topics": [topic], "TimeoutMs": 10_000, "ValidateOnly": False}
    script.call("CreatePartitions", 3, body, settles=[script.topic(name)])


def _configs(script: Script, name: str, config: str, how: int, value: str | None) -> None:
    change = {"Name": config, "ConfigOperation": how, "Value": value}
    resource = {"ResourceType": 2, "ResourceName": script.topic(name), "Configs": [change]}
    body = {"Resources": [resource], "ValidateOnly": False}
    script.call("IncrementalAlterConfigs", 1, body, settles=[script.topic(name)])


def _delete_records(script: Script, name: str, partition: int, offset: int) -> None:
    row = {"PartitionIndex": partition, "Offset": offset}
    topics = [{"Name": script.topic(name), "Partitions": [row]}]
    script.call("DeleteRecords", 2, {"Topics": topics, "TimeoutMs": 5000})


OPERATIONS: dict[str, Callable[..., None]] = {
    "create": _create,
    "delete": _delete,
    "produce": _produce,
    "fetch": _fetch,
    "session": _session,
    "list_offsets": _list_offsets,
    "partitions": _partitions,
    "configs": _configs,
    "delete_records": _delete_records,
}
NEEDS = {
    "partitions": "CreatePartitions",
    "configs": "IncrementalAlterConfigs",
    "delete_records": "DeleteRecords",
}


def perform(script: Script, name: str, arguments: dict[str, Any]) -> None:
    """A topic that is there is not created again, and one that is not is left alone where the step
    would wait for it."""
    topic = arguments["name"]
    there = topic in script.present
    if name == "create":
        if there:
            return
        script.present.add(topic)
    elif name in ("delete", "partitions", "configs") and not there:
        return
    if name == "delete":
        script.present.discard(topic)
    OPERATIONS[name](script, **arguments)


def _operation(kind: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
    return st.tuples(st.just(kind), st.fixed_dictionaries(arguments))


NAME, PARTITION, OFFSET = st.sampled_from(NAMES), st.integers(0, 2), st.integers(-1, 12)
CONFIGS = st.sampled_from(
    [
        {},
        {"cleanup_policy": "compact"},
        {"message_timestamp_type": "LogAppendTime"},
        {"compression_type": "gzip"},
        {"max_message_bytes": "120"},
    ]
)
CHANGES = [
    ("max.message.bytes", 0, "120"),
    ("max.message.bytes", 1, None),
    ("cleanup.policy", 2, "compact"),
    ("cleanup.policy", 3, "compact"),
    ("min.insync.replicas", 0, "2"),
    ("min.insync.replicas", 1, None),
    ("retention.ms", 0, "x"),
]
CREATE = _operation("create", name=NAME, partitions=st.integers(1, 3), configs=CONFIGS)
PRODUCE = _operation(
    "produce",
    name=NAME,
    partition=PARTITION,
    records=st.integers(1, 4),
    producer=st.sampled_from([-1, 7, 8]),
    epoch=st.integers(0, 2),
    sequence=st.integers(0, 8) | st.sampled_from([INT32_MAX - 1, INT32_MAX]),
    codec=st.integers(0, 4),
    step=st.integers(0, 20),
    version=st.integers(7, 13),
)
READS = (
    _operation(
        "fetch",
        name=NAME,
        offsets=st.lists(OFFSET, min_size=1, max_size=3),
        version=st.integers(4, 18),
        max_bytes=st.sampled_from([1, 100, 1 << 20]),
    ),
    _operation(
        "session",
        name=NAME,
        offsets=st.lists(OFFSET, max_size=3),
        epoch=st.integers(0, 4),
        forget=st.lists(PARTITION, max_size=1),
    ),
    _operation(
        "list_offsets",
        name=NAME,
        partition=PARTITION,
        timestamp=st.sampled_from([-1, -2, -3]) | st.integers(TIME - 1, TIME + 30),
        version=st.integers(7, 11),
    ),
)
ADMIN = (
    _operation("delete", name=NAME),
    _operation("partitions", name=NAME, total=st.integers(0, 3)),
    _operation("delete_records", name=NAME, partition=PARTITION, offset=OFFSET),
    *(
        _operation("configs", name=NAME, config=st.just(name), how=st.just(how), value=st.just(to))
        for name, how, to in CHANGES
    ),
)


def operations(served: dict[str, range]) -> st.SearchStrategy[list[Operation]]:
    """Lists of operations that both brokers know; the first makes a topic."""
    admin = st.one_of(ADMIN).filter(lambda each: NEEDS.get(each[0], "Produce") in served)
    some = st.one_of(PRODUCE, PRODUCE, st.one_of(READS), st.one_of(READS), admin, CREATE)
    return st.tuples(CREATE, st.lists(some, min_size=1, max_size=25)).map(
        lambda pair: [pair[0], *pair[1]]
    )


def played(script: Script, chosen: list[Operation]) -> Iterator[Difference]:
    """What differed, as it happens."""
    for name, arguments in chosen:
        before = len(script.found)
        perform(script, name, arguments)
        for each in script.found[before:]:
            if (each.api, each.field) not in KNOWN:
                yield each


class Trial:
    """Plays scripts under fresh names and tidies up after each; keeps what it last saw differ."""

    def __init__(self, sides: list[Side], served: dict[str, range]) -> None:
        self.sides, self.served = sides, served
        self.played = 0
        self.trace = ""

    def differs(self, chosen: list[Operation]) -> Difference | None:
        script = Script(f"random{self.played}", self.sides, self.served)
        self.played += 1
        try:
            found = next(played(script, chosen), None)
            if found is not None:
                self.trace = script.traces[-1]
            return found
        finally:
            for side in self.sides:
                side.forget()
            for name in sorted(script.present):
                script.delete(name)
            for side in self.sides:
                side.forget()

    def shortened(self, chosen: list[Operation]) -> list[Operation]:
        """Without each operation that the difference does not need."""
        for place in reversed(range(len(chosen))):
            shorter = chosen[:place] + chosen[place + 1 :]
            if self.differs(shorter):
                chosen = shorter
        self.differs(chosen)
        return chosen


def explore(
    sides: list[Side], served: dict[str, range], examples: int, number: int, save: bool
) -> int:
    """`examples` random scripts from seed `number`; the exit status."""
    trial = Trial(sides, served)
    last: list[Operation] = []

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(operations(served))
    def agree(chosen: list[Operation]) -> None:
        found = trial.differs(chosen)
        if found is not None:
            last[:] = chosen
        assert found is None

    try:
        agree()
    except (AssertionError, FlakyFailure) as failure:
        shortest = trial.shortened(last)
        print(f"a script of {len(shortest)} operations differs ({type(failure).__name__}):")
        lines = ",\n".join(f" {json.dumps(each)}" for each in shortest)
        text = f"[\n{lines}\n]\n"
        print(f"{text}{trial.trace}")
        if save:
            SAVED.mkdir(exist_ok=True)
            place = SAVED / f"seed_{number}.json"
            place.write_text(text)
            print(f"kept in {place}")
        return 1
    print(f"{trial.played} random scripts agreed (seed {number})")
    return 0
