"""The Kafka face over real partitions and a real WAL, on a simulated machine."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.kafka.context import Broker, KafkaSettings
from app.kafka.handlers import ROUTES
from app.kafka.listener import Door, Listener
from app.kafka.metadata_cache import MetadataCache
from app.kafka.router import Router
from app.kafka.sessions import FetchSessions
from app.model import BrokerId
from app.partitions.replica import Replica
from app.security.ports import AllowAll, Unlimited
from app.world.ports import FileRange
from tests.sim.world import Simulation, SimWorld, simulate
from tests.unit.kafka.arrange import (
    FakeController,
    FakeProducerIds,
    MemoryChannel,
    Peer,
    decoded,
    frames,
    local_admin,
    request,
)
from tests.unit.partitions.house import House


class LaneChannel(MemoryChannel):
    """Reads file ranges as the simulated network does: on the reader lane."""

    def __init__(self, world: SimWorld) -> None:
        super().__init__()
        self._world = world
        self.ranges = 0

    def send(self, parts: Any) -> None:
        self.ranges += sum(isinstance(part, FileRange) for part in parts)
        with self._world.on_lane("reader"):
            super().send(parts)


class HousePeer(Peer):
    def __init__(self, kit: "HouseKit", listener: str) -> None:
        self.connection = Door(kit.listener, listener).accept()
        self.channel = LaneChannel(kit.house.world)
        self.connection.connected(self.channel)


class HouseKit:
    """`orders` has two partitions. `async with HouseKit(simulation) as kit:`."""

    def __init__(
        self, simulation: Simulation, *, authorizer: Any = None, quotas: Any = None
    ) -> None:
        self.house = House(simulation.machine("a"))
        self.world = self.house.world
        self.registry = self.house.registry
        self.controller = FakeController(self.registry)  # type: ignore[arg-type]
        self.broker = Broker(
            broker_id=BrokerId(1),
            world=self.world,
            registry=self.registry,
            controller=self.controller,  # type: ignore[arg-type]
            producer_ids=FakeProducerIds(),  # type: ignore[arg-type]
            authorizer=authorizer or AllowAll(),
            quotas=quotas or Unlimited(),
            settings=KafkaSettings(),
            sessions=FetchSessions(),
            metadata=MetadataCache(),
            admin=local_admin(self.world, self.registry, self.controller, authorizer),
        )
        self.listener = Listener(self.broker, Router(ROUTES))

    async def __aenter__(self) -> "HouseKit":
        await self.registry.open()
        self.controller.add("orders", partitions=2)
        await self.listener.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        for connection in list(self.listener.connections):
            connection.abort()
        await self.listener.__aexit__(*exception)
        await self.registry.close()

    def connect(self, listener: str = "plain") -> HousePeer:
        return HousePeer(self, listener)

    def replica(self, topic: str = "orders", partition: int = 0) -> Replica:
        replica = self.registry.topics[topic.encode()].replicas[partition]
        assert replica is not None
        return replica

    async def produce(self, records: bytes, partition: int = 0) -> int:
        error, offset = await self.house.produce(records, "orders", partition)
        assert error == 0
        return offset

    async def ask(self, peer: HousePeer, name: str, version: int, **fields: Any) -> Any:
        """Send a request and wait for its answer, decoded."""
        peer.send(request(name, version, **fields))
        return await self.answer(peer, name, version)

    async def answer(self, peer: HousePeer, name: str, version: int) -> Any:
        for _ in range(100_000):
            if peer.channel.received:
                (frame,) = frames(peer.taken())
                return decoded(name, version, frame)
            await self.world.sleep(1)
        raise AssertionError("no answer")


def on_house(
    scenario: Callable[[HouseKit], Awaitable[None]], seed: int = 1, **options: Any
) -> None:
    """Run a scenario on a simulated broker."""

    async def run(simulation: Simulation) -> None:
        async with HouseKit(simulation, **options) as kit:
            await scenario(kit)

    simulate(run, seed)


def wanted(
    partition: int = 0,
    offset: int = 0,
    *,
    size_max: int = 1 << 20,
    epoch: int = -1,
    last_epoch: int = -1,
) -> dict[str, Any]:
    return {
        "partition": partition,
        "current_leader_epoch": epoch,
        "fetch_offset": offset,
        "last_fetched_epoch": last_epoch,
        "log_start_offset": -1,
        "partition_max_bytes": size_max,
    }


def fetch_fields(*partitions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    from tests.unit.kafka.arrange import id_of

    topic = fields.pop("topic", "orders")
    topics = [{"topic": topic, "topic_id": id_of(topic), "partitions": list(partitions)}]
    return {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 1,
        "max_bytes": 50 << 20,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "topics": topics if partitions else [],
        "forgotten_topics_data": [],
        "rack_id": "",
        **fields,
    }
