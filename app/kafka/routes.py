"""Where a topic's partitions are and whether this client may use them, kept per connection.

Owns    a connection's answers to "may I, and where?", valid for one image and one set of verdicts.
Never   outlives a change of either: `Registry.generation` and `Authorizer.generation` are compared
        at each use, and a difference forgets everything.
"""

from collections.abc import Sequence
from typing import TypeAlias

from app.core.topic_names import INTERNAL
from app.errors import (
    InvalidTopic,
    TopicAuthorizationFailed,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from app.kafka.context import Broker
from app.model import Principal, TopicId
from app.partitions.replica import Replica
from app.security.ports import Operation, Resource

TopicRoutes: TypeAlias = tuple[int, Sequence[Replica | None]]
"""(error for the whole topic or 0, replicas by partition number)."""

_NO_SUCH_NAME: TopicRoutes = (UnknownTopicOrPartition.code, ())
_NO_SUCH_ID: TopicRoutes = (UnknownTopicId.code, ())
_DENIED: TopicRoutes = (TopicAuthorizationFailed.code, ())
_INTERNAL: TopicRoutes = (InvalidTopic.code, ())


class Routes:
    """Routes of one connection for one operation: it writes by some and reads by others."""

    __slots__ = ("_by_id", "_by_name", "_operation", "_registry_generation", "_verdicts")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._by_name: dict[bytes, TopicRoutes] = {}
        self._by_id: dict[bytes, TopicRoutes] = {}
        self._registry_generation = -1
        self._verdicts = -1

    def find(
        self, broker: Broker, principal: Principal, name: bytes | None, topic_id: bytes | None
    ) -> TopicRoutes:
        registry = broker.registry
        if (
            registry.generation != self._registry_generation
            or broker.authorizer.generation != self._verdicts
        ):
            self.forget()
            self._registry_generation = registry.generation
            self._verdicts = broker.authorizer.generation
        if name is not None:
            return self._by_name.get(name) or self._by_given_name(broker, principal, name)
        assert topic_id is not None
        return self._by_id.get(topic_id) or self._by_given_id(broker, principal, topic_id)

    def forget(self) -> None:
        """Also when the principal changes."""
        self._by_name.clear()
        self._by_id.clear()

    # Topics that do not exist are not kept: a client could fill memory with their names.

    def _by_given_name(self, broker: Broker, principal: Principal, name: bytes) -> TopicRoutes:
        # Whether a topic exists is not for those to know who may not use it: ask first.
        text = name.decode("utf-8", "replace")
        allowed = broker.authorizer.allows(principal, self._operation, Resource.TOPIC, text)
        route = broker.registry.topics.get(name)
        if route is None:
            return _NO_SUCH_NAME if allowed else _DENIED
        routes = self._by_name[name] = self._routes(text, route.replicas) if allowed else _DENIED
        return routes

    def _by_given_id(self, broker: Broker, principal: Principal, topic_id: bytes) -> TopicRoutes:
        # An id says nothing of a name, so here the look-up comes first, as in Kafka.
        route = broker.registry.topics_by_id.get(TopicId(topic_id))
        if route is None:
            return _NO_SUCH_ID
        name = route.name.decode()
        allowed = broker.authorizer.allows(principal, self._operation, Resource.TOPIC, name)
        routes = self._by_id[topic_id] = self._routes(name, route.replicas) if allowed else _DENIED
        return routes

    def _routes(self, name: str, replicas: Sequence[Replica | None]) -> TopicRoutes:
        """Clients read what the broker itself writes, and never write it."""
        if name in INTERNAL and self._operation is Operation.WRITE:
            return _INTERNAL
        return 0, replicas
