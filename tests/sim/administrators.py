"""Clients that change a topic, a prefix and a broker while everything goes wrong.

Each change sets several configs to one number, or adds one partition, so that half a change would
show. What was answered is so from then on; what was not answered is so or is not. Looked at inside
the broker at every moment, and again after each of its restarts.
"""

from random import Random
from typing import TYPE_CHECKING, Any

from app.core.manifest.image import Image
from streambus.protocol import api
from streambus.protocol.messages import control
from tests.sim.broker import KafkaClient, NoAnswer

if TYPE_CHECKING:
    from tests.sim.workload import Workload

TOPIC, PREFIX = "kept.admin", "kept.*"
OF_TOPICS = ("retention.bytes", "segment.bytes", "segment.ms")
OF_BROKERS = ("log.retention.bytes", "log.segment.bytes", "producer.id.expiration.ms")
_TOPIC_TYPE, _BROKER_TYPE, _SET = 2, 4, 0
_EXISTS, _TIMED_OUT, _STORAGE_ERROR = 36, 7, 56
_NUMBER_MIN = 1_000_000_000  # nothing that a client wrote in this life goes by it
Number = int | None
"""What all configs of a resource are set to; None where they are not set."""


class Administrator:
    def __init__(self, run: "Workload") -> None:
        self.run = run
        self.random: Random = run.random_of("administrator")
        self.number = _NUMBER_MIN
        self.possible: dict[str, set[Number]] = {
            TOPIC: {None},
            PREFIX: {None},
            "": {None},
            "1": {None},
        }
        self.widths: set[int] = {0}

    async def live(self) -> None:
        while not self.run.is_done:
            try:
                client = await self.run.connect()
                try:
                    await self._change(client)
                finally:
                    client.close()
            except NoAnswer:
                self.run.history.mark("change.unanswered")
            await self.run.pause(self.random)

    async def _change(self, client: KafkaClient) -> None:
        if 0 in self.widths:
            self.widths |= {1}
            error, _ = await client.create_topic(TOPIC, 1, {})
            if self._is_told(error, _EXISTS):
                self.widths = {1}
        elif self.random.random() < 0.2 and max(self.widths) < 20:
            await self._widen(client)
        else:
            await self._alter(client)

    async def _widen(self, client: KafkaClient) -> None:
        total = max(self.widths) + 1
        self.widths.add(total)
        types = control.request_types(api.CREATE_PARTITIONS, 2)
        response = await client.control(
            api.CREATE_PARTITIONS,
            2,
            "CreatePartitionsRequest",
            topics=(
                control.fill(
                    types.CreatePartitionsTopic, name=TOPIC, count=total, assignments=None
                ),
            ),
            timeout=control.span_ms(30_000),
            validate_only=False,
        )
        (row,) = response.results
        if self._is_told(int(row.error_code)):
            self.widths = {total}
            self.run.history.mark("partition.added")

    async def _alter(self, client: KafkaClient) -> None:
        self.number += 1
        names = list(self.possible)
        chosen = self.random.sample(names, self.random.randint(1, len(names)))
        for name in chosen:
            self.possible[name].add(self.number)
        types = control.request_types(api.INCREMENTAL_ALTER_CONFIGS, 1)
        response = await client.control(
            api.INCREMENTAL_ALTER_CONFIGS,
            1,
            "IncrementalAlterConfigsRequest",
            resources=tuple(_resource(types, name, self.number) for name in chosen),
            validate_only=False,
        )
        for row in response.responses:
            if self._is_told(int(row.error_code)):
                self.possible[row.resource_name] = {self.number}
                self.run.history.mark("config.changed")

    def _is_told(self, error: int, *others: int) -> bool:
        """Whether the change is made for certain; else it may be."""
        assert error in (0, _TIMED_OUT, _STORAGE_ERROR, *others), error
        return error in (0, *others)

    def check(self, image: Image) -> None:
        """What the broker has is what it may have, and whole."""
        topic = image.topics_by_name.get(TOPIC)
        width = len(topic.partitions) if topic is not None else 0
        assert width in self.widths, f"{TOPIC} has {width} partitions, and not {self.widths}"
        found: dict[str, Any] = {
            PREFIX: image.prefix_configs.get(PREFIX, {}),
            "": image.broker_configs.get(-1, {}),
            "1": image.broker_configs.get(1, {}),
        }
        if topic is not None:
            found[TOPIC] = topic.configs
            own = _number(TOPIC, topic.configs)
            wins = own or _number(PREFIX, found[PREFIX]) or _number("1", found["1"])
            wins = wins or _number("", found[""]) or -1
            assert topic.policy.retention_bytes == wins, (topic.policy, wins)
        for name, configs in found.items():
            number = _number(name, configs)
            assert number in self.possible[name], f"{name!r} has {number}: {self.possible[name]}"


def _resource(types: Any, name: str, number: int) -> Any:
    is_topic = name in (TOPIC, PREFIX)
    return control.fill(
        types.AlterConfigsResource,
        resource_type=_TOPIC_TYPE if is_topic else _BROKER_TYPE,
        resource_name=name,
        configs=tuple(
            control.fill(types.AlterableConfig, name=each, config_operation=_SET, value=str(number))
            for each in (OF_TOPICS if is_topic else OF_BROKERS)
        ),
    )


def _number(name: str, configs: Any) -> Number:
    names = OF_TOPICS if name in (TOPIC, PREFIX) else OF_BROKERS
    if not configs:
        return None
    assert set(configs) == set(names), f"{name!r} has half a change: {dict(configs)}"
    (number,) = set(configs.values())
    return int(number)
