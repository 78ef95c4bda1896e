"""What a handler is given: the broker's parts, and who asks what.

Owns    the values that cross from connections to handlers.
Never   holds a connection's bytes: a request was decoded before its context was made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from app import limits
from app.admin.port import Admin
from app.core.manifest.image import Image
from app.errors import FencedLeaderEpoch, NotLeader
from app.model import BrokerId, PartitionKey, Principal
from app.partitions.registry import Registry
from app.partitions.replica import Replica
from app.raft.controller import Controller
from app.raft.producer_ids import ProducerIds
from app.security.ports import Authorizer, Operation, Quotas, Resource
from app.world.ports import World
from streambus.protocol.messages import control
from streambus.protocol.messages.produce import LeaderHint
from streambus.protocol.wire import NodeEndpoint

if TYPE_CHECKING:
    from kio.schema.errors import ErrorCode

    from app.kafka.metadata_cache import MetadataCache
    from app.kafka.sessions import FetchSessions

T = TypeVar("T")

LEADER_CHANGED = (NotLeader.code, FencedLeaderEpoch.code)
"""Errors after which an answer names the leader, so that a client need not ask (KIP-951)."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Settings of the Kafka face as values; defaults are Kafka's."""

    auto_create_topics: bool = True
    connections_max: int = limits.CONNECTIONS_MAX
    request_bytes_max: int = limits.REQUEST_BYTES_MAX
    connection_idle_ms: int = limits.CONNECTION_IDLE_MS_MAX
    in_flight_bytes_max: int = limits.CONNECTION_IN_FLIGHT_BYTES_MAX
    receive_pool_bytes: int = limits.RECEIVE_POOL_BYTES_MAX
    fetch_response_bytes_max: int = limits.FETCH_RESPONSE_BYTES_MAX
    fetch_sessions_max: int = limits.FETCH_SESSIONS_MAX
    descriptors_max: int = limits.DESCRIPTORS_UNBOUNDED
    """Connections take no file descriptor from here on: files need them."""


@dataclass(slots=True, kw_only=True)
class Broker:
    """The parts of the broker that handlers may use."""

    broker_id: BrokerId
    world: World
    registry: Registry
    controller: Controller
    producer_ids: ProducerIds
    authorizer: Authorizer
    quotas: Quotas
    settings: KafkaSettings
    sessions: "FetchSessions"
    metadata: "MetadataCache"
    admin: Admin
    """Every operation that Kafka's control APIs ask for."""
    advertised: tuple[tuple[int, int, int], ...] = ()
    """(api key, lowest version, highest version), from the routing table."""

    def replica(self, name: bytes, partition: int) -> Replica | None:
        """This broker's copy of a partition, whatever its role; None if it has none."""
        route = self.registry.topics.get(name)
        if route is None or not 0 <= partition < len(route.replicas):
            return None
        return route.replicas[partition]

    def leader_of(self, key: PartitionKey) -> LeaderHint | None:
        """(leader, epoch) of a partition as the image has it."""
        topic = self.controller.image.topics_by_id.get(key.topic_id)
        if topic is None or key.partition >= len(topic.partitions):
            return None
        state = topic.partitions[key.partition]
        return state.leader, state.leader_epoch

    def endpoints(self, leaders: set[int], listener: str) -> list[NodeEndpoint]:
        """Where clients of this listener reach these brokers."""
        known = nodes(self.controller.image, listener)
        return [known[each] for each in sorted(leaders) if each in known]


def nodes(image: Image, listener: str) -> dict[int, NodeEndpoint]:
    """By broker id, where clients of this listener reach it. A client never hears of another
    listener's address: it would speak TLS to a plain port."""
    return {
        broker.id: (broker.id, endpoint.host, endpoint.port, broker.rack)
        for broker in image.brokers.values()
        if (endpoint := broker.endpoint(listener)) is not None
    }


class CountsErrors(Protocol):
    def __call__(self, code: int, times: int = 1) -> None:
        """An answer carries this error code, so many times."""


def _uncounted(code: int, times: int = 1) -> None:
    """Where nobody counts errors."""


@dataclass(slots=True)
class RequestContext:
    """One request on its way through a handler."""

    broker: Broker
    principal: Principal
    client_id: str
    api_key: int
    api_version: int
    correlation_id: int
    listener: str
    """Name of the listener that the client came in by."""
    failed: CountsErrors = _uncounted
    """Counts an error code that an answer carries. Handlers whose answers `router.codes_in` cannot
    look into call it."""
    throttle_ms: int = 0
    is_large: bool = False
    """More than DECODED_AT_ONCE_BYTES_MAX: whatever is made of all of it would hold the loop."""

    async def aside(self, job: Callable[[], T]) -> T:
        """What `job` makes of the request or its answer: at once, or on the `reader` lane if the
        request is large. It may look at nothing that the loop changes."""
        if not self.is_large:
            return job()
        return await self.broker.world.lane("reader").run(job)

    @property
    def throttle(self) -> timedelta:
        return timedelta(milliseconds=self.throttle_ms)

    def allows(self, operation: Operation, resource: Resource, name: str) -> bool:
        return self.broker.authorizer.allows(self.principal, operation, resource, name)

    def shape(self, kind: str, /, **values: Any) -> Any:
        """A structure of this request's response; what its version has no field for is left out.
        An unknown version (ApiVersions) is answered in version 0."""
        types = control.response_types(self.api_key, max(self.api_version, 0))
        return control.fill(getattr(types, kind), **values)

    @staticmethod
    def error(code: int) -> "ErrorCode":
        """Kafka's error code as the codec wants it."""
        from kio.schema.errors import ErrorCode

        return ErrorCode(code)
