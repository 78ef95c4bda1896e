"""The image: an immutable picture of the manifest, which the loop reads without asking anyone.

Owns    the values that readers of the manifest see: brokers, topics, partitions.
Never   changes: the machine makes the next image, sharing with this one what stayed.
Trusts  that manifest.py lends its maps and copies one before it changes it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from app.core.topic_policy import TopicPolicy
from app.model import BrokerId, Endpoint, Incarnation, LeaderEpoch, TopicId


@dataclass(frozen=True, slots=True)
class Broker:
    id: BrokerId
    endpoints: tuple[Endpoint, ...]  # by name, which no two share
    rack: str | None
    incarnation: Incarnation

    def endpoint(self, name: str) -> Endpoint | None:
        """Where clients of the listener `name` reach it; None if it has no such listener."""
        return next((each for each in self.endpoints if each.name == name), None)


@dataclass(frozen=True, slots=True)
class PartitionState:
    leader: BrokerId
    leader_epoch: LeaderEpoch
    replicas: tuple[BrokerId, ...]
    isr: tuple[BrokerId, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    topic_id: TopicId
    configs: Mapping[str, str]
    policy: TopicPolicy
    partitions: tuple[PartitionState, ...]

    @property
    def replication_factor(self) -> int:
        return len(self.partitions[0].replicas)


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Image:
    """`index` is the newest entry applied. `generation` grows when a reader would see a change, so
    that what was derived from an image stays good while it stands."""

    index: int = 0
    generation: int = 0
    cluster_id: str = ""
    controller_id: BrokerId = BrokerId(-1)  # noqa: RUF009 (a number)
    features: Mapping[str, int] = field(default_factory=_nothing)
    brokers: Mapping[BrokerId, Broker] = field(default_factory=_nothing)
    topics_by_name: Mapping[str, Topic] = field(default_factory=_nothing)
    topics_by_id: Mapping[TopicId, Topic] = field(default_factory=_nothing)
    prefix_configs: Mapping[str, Mapping[str, str]] = field(default_factory=_nothing)
    """By prefix of topic names (`app.service.*`); no empty ones."""
    broker_configs: Mapping[int, Mapping[str, str]] = field(default_factory=_nothing)
    """By broker id, -1 for what is set on all brokers; no empty ones."""
