"""Arrangements for the tests of administration: a whole broker on a simulated machine, asked
through its port."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.admin.commands.records import NewRecord, WriteRecords
from app.admin.commands.topics import CreateTopics, NewTopic
from app.admin.port import Command, Failed
from app.config import BrokerConfig
from app.main import Started
from app.model import ANONYMOUS, Principal
from app.security.ports import Authorizer, Operation, Resource
from tests.sim.broker import SimBroker
from tests.sim.world import Simulation, SimWorld, simulate

ALICE = Principal("User", "alice")


class Desk:
    """Where operations are asked for, of a broker that runs."""

    def __init__(self, broker: SimBroker, started: Started) -> None:
        self.broker = broker
        self.started = started
        self.admin = started.admin
        self.registry = started.registry

    @property
    def world(self) -> SimWorld:
        assert self.broker.machine.world is not None
        return self.broker.machine.world

    @property
    def image(self) -> Any:
        return self.started.controller.image

    async def ask(self, command: Command, asker: Principal = ANONYMOUS) -> Any:
        return await self.admin.ask(asker, command)

    async def create(self, *names: str, partitions: int = 1, **configs: str) -> None:
        """Topics with these configs (`retention_ms` is retention.ms)."""
        texts: dict[str, str | None] = {
            name.replace("_", "."): text for name, text in configs.items()
        }
        topics = tuple([NewTopic(name, partitions, 1, configs=texts) for name in names])
        made = await self.ask(CreateTopics(topics))
        failed = [each for each in made.topics if isinstance(each, Failed)]
        assert not failed, failed

    async def write(self, topic: str, *values: bytes, partition: int | None = 0) -> Any:
        records = tuple([NewRecord(value, partition=partition) for value in values])
        return await self.ask(WriteRecords(topic, records))

    def replica(self, topic: str, partition: int = 0) -> Any:
        return self.registry.topics[topic.encode()].replicas[partition]


def on_broker(
    scenario: Callable[[Desk], Awaitable[None]],
    *,
    authorizer: Authorizer | None = None,
    seed: int = 1,
    config: BrokerConfig | None = None,
) -> None:
    """Run a scenario beside a broker that has just started."""

    async def run(simulation: Simulation) -> None:
        broker = SimBroker(simulation.machine("broker"), config or BrokerConfig(data="/data"))
        started = await broker.start(authorizer=authorizer)
        assert broker.machine.world is not None

        async def asking() -> None:
            await scenario(Desk(broker, started))

        await broker.machine.world.spawn(asking(), "scenario")
        await broker.stop()

    simulate(run, seed)


class Rights:
    """Everything is forbidden but (operation, resource, name)s and, for names that begin so,
    (operation, resource, beginning*)s. They may be changed."""

    def __init__(self, *rights: tuple[Operation, Resource, str]) -> None:
        self.generation = 0
        self.rights = set(rights)

    def allows(
        self, principal: Principal, operation: Operation, resource: Resource, name: str
    ) -> bool:
        return any(
            right[:2] == (operation, resource)
            and (right[2] == name or (right[2].endswith("*") and name.startswith(right[2][:-1])))
            for right in self.rights
        )

    def allows_any(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        return any(right[:2] == (operation, resource) for right in self.rights)


def on_topics(*operations: Operation, name: str = "*") -> list[tuple[Operation, Resource, str]]:
    return [(operation, Resource.TOPIC, name) for operation in operations]


def told(item: Any) -> tuple[int, str]:
    """(code, message) of an item that failed."""
    assert isinstance(item, Failed), item
    return item.code, item.message
