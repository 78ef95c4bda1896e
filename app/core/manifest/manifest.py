"""The Manifest machine: which topics, brokers and producer ids exist, folded from facts.

Owns    the cluster's id and level, its brokers, topics with their partitions, all configs, and the
        next producer id that was never given to anyone.
Never   decides (decide.py), dates or deduplicates (entries.py), or touches SQLite.
Trusts  that facts come in log order and were decided on the state before them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from app.core.manifest.facts import (
    FEATURE_LEVEL,
    LEVEL_OF,
    BrokerConfigsSet,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
    PartitionsAdded,
    PrefixConfigsSet,
    ProducerIdsReserved,
    TopicConfigsSet,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.image import Broker, Image, PartitionState, Topic
from app.core.manifest.policies import Policies
from app.core.topic_names import PREFIX_END, collision_key
from app.errors import UpgradeNeeded
from app.model import BrokerId, Endpoint, Incarnation, LeaderEpoch, ProducerId, TopicId

LEVEL_NAME = "streambus.level"
_Which = TypeVar("_Which", str, int)


@dataclass(slots=True)
class Saved:
    """The state as plain rows in a fixed order: what SQLite keeps (app/migrations)."""

    cluster_id: str = ""
    level: int = 0
    next_producer_id: int = 0
    brokers: list[tuple[int, int, str | None]] = field(default_factory=list)
    """(broker id, incarnation, rack) by broker id."""
    endpoints: list[tuple[int, str, str, int]] = field(default_factory=list)
    """(broker id, listener's name, host, port) by broker id and name."""
    topics: list[tuple[bytes, str]] = field(default_factory=list)
    """(topic id, name) by topic id."""
    configs: list[tuple[bytes, str, str]] = field(default_factory=list)
    """(topic id, name, value) by topic id and name."""
    partitions: list[tuple[bytes, int, int, int, str, str]] = field(default_factory=list)
    """(topic id, partition, leader, leader epoch, replicas, isr) by topic id and partition; the
    last two as broker ids joined by commas."""
    prefix_configs: list[tuple[str, str, str]] = field(default_factory=list)
    """(prefix, name, value) by prefix and name."""
    broker_configs: list[tuple[int, str, str]] = field(default_factory=list)
    """(broker id, or -1 for all; name, value) by broker id and name."""


class Manifest:
    """`apply` is the only way in; `image` the way out for readers, `save` for SQLite. `policies`
    knows the broker that this runs on, and what its file says."""

    def __init__(self, policies: Policies | None = None) -> None:
        self.cluster_id = ""
        self.level = 0
        self.next_producer_id = ProducerId(0)
        self.brokers: dict[BrokerId, Broker] = {}
        self.topics: dict[TopicId, Topic] = {}
        self.by_name: dict[str, Topic] = {}
        self.collisions: dict[str, str] = {}
        """Collision key to the one topic that has it."""
        self.partitions = 0  # of all topics
        self.prefix_configs: dict[str, Mapping[str, str]] = {}
        self.broker_configs: dict[int, Mapping[str, str]] = {}
        self.policies = policies or Policies()
        self._topics_are_lent = False
        self._brokers_are_lent = False
        self._has_changed = False

    # Applying

    def apply(self, fact: Fact) -> None:
        assert LEVEL_OF[type(fact)] <= max(self.level, 1), (self.level, fact)
        match fact:
            case ClusterFormed(cluster_id):
                assert not self.cluster_id, (self.cluster_id, cluster_id)
                self.cluster_id = cluster_id
                self._has_changed = True
            case FeatureRaised(level):
                self._raise_level(level)
            case BrokerRegistered():
                self._register(fact)
            case TopicCreated():
                self._create(fact)
            case TopicDeleted(topic_id):
                self._own_topics()
                topic = self.topics.pop(topic_id)
                del self.by_name[topic.name]
                self.partitions -= len(topic.partitions)
                del self.collisions[collision_key(topic.name)]
            case ProducerIdsReserved(start, end):
                assert self.next_producer_id == start < end, (self.next_producer_id, fact)
                self.next_producer_id = end
            case PartitionsAdded():
                self._put(self.widened(fact))
                self.partitions += len(fact.replicas)
            case TopicConfigsSet(topic_id, configs):
                topic = self.topics[topic_id]
                self._put(replace(topic, configs=MappingProxyType(dict(configs))))
            case PrefixConfigsSet(prefix, configs):
                self.prefix_configs = _with(self.prefix_configs, prefix, configs)
                self._inherit_anew(prefix.removesuffix(PREFIX_END[1:]))
            case BrokerConfigsSet(broker_id, configs):
                self.broker_configs = _with(self.broker_configs, broker_id, configs)
                self._inherit_anew("")

    def _raise_level(self, level: int) -> None:
        assert level > self.level, (level, self.level)
        if level > FEATURE_LEVEL:
            raise UpgradeNeeded(
                f"the cluster was raised to level {level}, and this version of StreamBus reads up "
                f"to {FEATURE_LEVEL}: upgrade StreamBus"
            )
        self.level = level
        self._has_changed = True

    def _register(self, fact: BrokerRegistered) -> None:
        self._own_brokers()
        known = self.brokers.get(fact.broker_id)
        assert known is None or known.incarnation < fact.incarnation, (known, fact)
        names = [each.name for each in fact.endpoints]
        assert names == sorted(set(names)), fact
        self.brokers[fact.broker_id] = Broker(
            fact.broker_id, fact.endpoints, fact.rack, fact.incarnation
        )
        # Nothing of the former incarnation may be taken for its own: every partition that the
        # broker leads enters a new epoch, by this one fact.
        if known is not None and self.topics:
            self._own_topics()
            for topic in list(self.topics.values()):
                self._bump(topic, fact.broker_id)

    def _bump(self, topic: Topic, leader: BrokerId) -> None:
        bumped: dict[int, PartitionState] = {}  # by the identity of a state: equal ones are shared
        for state in topic.partitions:
            if id(state) not in bumped:
                is_led = state.leader == leader
                epoch = LeaderEpoch(state.leader_epoch + is_led)
                bumped[id(state)] = replace(state, leader_epoch=epoch) if is_led else state
        if all(bumped[id(state)] is state for state in topic.partitions):
            return
        partitions = tuple([bumped[id(state)] for state in topic.partitions])
        self.topics[topic.topic_id] = self.by_name[topic.name] = replace(
            topic, partitions=partitions
        )

    def _create(self, fact: TopicCreated) -> None:
        assert fact.topic_id not in self.topics, fact
        assert fact.name not in self.by_name, fact
        self._add(
            fact.topic_id,
            fact.name,
            dict(fact.configs),
            _new_states(fact.replicas),
        )

    def _add(
        self,
        topic_id: TopicId,
        name: str,
        configs: Mapping[str, str],
        partitions: tuple[PartitionState, ...],
    ) -> None:
        policy = self.policies.of(name, configs)
        self._own_topics()
        self.topics[topic_id] = self.by_name[name] = Topic(
            name, topic_id, MappingProxyType(configs), policy, partitions
        )
        self.partitions += len(partitions)
        self.collisions[collision_key(name)] = name

    def widened(self, fact: PartitionsAdded) -> Topic:
        """The topic as it is once the fact is applied."""
        topic = self.topics[fact.topic_id]
        assert len(topic.partitions) == fact.start and fact.replicas, fact
        return replace(topic, partitions=topic.partitions + _new_states(fact.replicas))

    def _put(self, topic: Topic) -> None:
        """The topic as it is now, with the policy that its configs make."""
        self._own_topics()
        policy = self.policies.of(topic.name, topic.configs)
        self.topics[topic.topic_id] = self.by_name[topic.name] = replace(topic, policy=policy)

    def _inherit_anew(self, beginning: str) -> None:
        """What topics inherit changed, for names with that beginning. A topic whose policy stays
        equal stays the same object: nobody need look at it."""
        self._has_changed = True
        defaults = self.policies.defaults
        self.policies = self.policies.having(self.broker_configs, self.prefix_configs)
        if not beginning and self.policies.defaults == defaults:
            return
        changed: list[Topic] = []
        for name, topic in self.by_name.items():
            if name.startswith(beginning):
                policy = self.policies.of(name, topic.configs)
                if policy is not topic.policy and policy != topic.policy:
                    changed.append(
                        Topic(name, topic.topic_id, topic.configs, policy, topic.partitions)
                    )
        if changed:
            self._own_topics()
            for topic in changed:
                self.topics[topic.topic_id] = self.by_name[topic.name] = topic

    # Images: a map that an image shows is never changed, it is copied before the next change.

    def image(self, previous: Image, index: int, controller_id: BrokerId) -> Image:
        """The picture now. Costs nothing in proportion to what exists."""
        if not self._has_changed and controller_id == previous.controller_id:
            return replace(previous, index=index)
        self._has_changed = False
        self._topics_are_lent = self._brokers_are_lent = True
        return Image(
            index,
            previous.generation + 1,
            self.cluster_id,
            controller_id,
            MappingProxyType({LEVEL_NAME: self.level}),
            MappingProxyType(self.brokers),
            MappingProxyType(self.by_name),
            MappingProxyType(self.topics),
            MappingProxyType(self.prefix_configs),
            MappingProxyType(self.broker_configs),
        )

    def _own_topics(self) -> None:
        self._has_changed = True
        if self._topics_are_lent:
            self.topics, self.by_name = dict(self.topics), dict(self.by_name)
            self._topics_are_lent = False

    def _own_brokers(self) -> None:
        self._has_changed = True
        if self._brokers_are_lent:
            self.brokers = dict(self.brokers)
            self._brokers_are_lent = False

    # Saving and loading

    def save(self) -> Saved:
        topics = sorted(self.topics.values(), key=lambda topic: topic.topic_id)
        brokers = [broker for _, broker in sorted(self.brokers.items())]
        return Saved(
            self.cluster_id,
            self.level,
            self.next_producer_id,
            [(broker.id, broker.incarnation, broker.rack) for broker in brokers],
            [
                (broker.id, each.name, each.host, each.port)
                for broker in brokers
                for each in broker.endpoints
            ],
            [(topic.topic_id, topic.name) for topic in topics],
            [
                (topic.topic_id, name, value)
                for topic in topics
                for name, value in sorted(topic.configs.items())
            ],
            [
                (
                    topic.topic_id,
                    number,
                    state.leader,
                    state.leader_epoch,
                    join_ids(state.replicas),
                    join_ids(state.isr),
                )
                for topic in topics
                for number, state in enumerate(topic.partitions)
            ],
            [
                (prefix, name, value)
                for prefix, configs in sorted(self.prefix_configs.items())
                for name, value in sorted(configs.items())
            ],
            [
                (broker_id, name, value)
                for broker_id, configs in sorted(self.broker_configs.items())
                for name, value in sorted(configs.items())
            ],
        )

    @classmethod
    def load(cls, saved: Saved, policies: Policies | None = None) -> "Manifest":
        """The machine whose `save` gave these rows. ValueError if none could have."""
        manifest = cls(policies)
        if saved.level:
            manifest._raise_level(saved.level)
        manifest.cluster_id = saved.cluster_id
        manifest.next_producer_id = ProducerId(saved.next_producer_id)
        endpoints: dict[int, list[Endpoint]] = {}
        for broker_id, name, host, port in saved.endpoints:
            endpoints.setdefault(broker_id, []).append(Endpoint(name, host, port))
        for broker_id, incarnation, rack in saved.brokers:
            listed = tuple(endpoints.get(broker_id, ()))
            manifest._register(
                BrokerRegistered(BrokerId(broker_id), Incarnation(incarnation), listed, rack)
            )
        manifest._load_configs(saved)
        manifest._load_topics(saved)
        return manifest

    def _load_configs(self, saved: Saved) -> None:
        prefixes: dict[str, dict[str, str]] = {}
        for prefix, name, value in saved.prefix_configs:
            prefixes.setdefault(prefix, {})[name] = value
        brokers: dict[int, dict[str, str]] = {}
        for broker_id, name, value in saved.broker_configs:
            brokers.setdefault(broker_id, {})[name] = value
        self.prefix_configs = {each: MappingProxyType(prefixes[each]) for each in prefixes}
        self.broker_configs = {each: MappingProxyType(brokers[each]) for each in brokers}
        self.policies = self.policies.having(self.broker_configs, self.prefix_configs)

    def _load_topics(self, saved: Saved) -> None:
        configs: dict[bytes, dict[str, str]] = {}
        for topic_id, name, value in saved.configs:
            configs.setdefault(topic_id, {})[name] = value
        partitions: dict[bytes, list[PartitionState]] = {}
        shared: dict[tuple[int, int, str, str], PartitionState] = {}
        for topic_id, number, leader, epoch, replicas, isr in saved.partitions:
            states = partitions.setdefault(topic_id, [])
            if number != len(states):
                raise ValueError(f"partition {number} of topic {topic_id.hex()} is out of order")
            row = (leader, epoch, replicas, isr)
            if row not in shared:
                shared[row] = PartitionState(
                    BrokerId(leader), LeaderEpoch(epoch), split_ids(replicas), split_ids(isr)
                )
            states.append(shared[row])
        for topic_id, name in saved.topics:
            if topic_id not in partitions:
                raise ValueError(f"topic {name} has no partitions")
            self._add(
                TopicId(topic_id),
                name,
                configs.get(topic_id, {}),
                tuple(partitions[topic_id]),
            )

    def __eq__(self, other: object) -> bool:
        return self.save() == other.save() if isinstance(other, Manifest) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _new_states(replicas: tuple[tuple[BrokerId, ...], ...]) -> tuple[PartitionState, ...]:
    """New partitions are led by the first of their replicas. Equal rows share one state: on one
    broker ten thousand partitions are one object."""
    states = {row: PartitionState(row[0], LeaderEpoch(0), row, row) for row in set(replicas)}
    return tuple([states[row] for row in replicas])


def _with(
    maps: dict[_Which, Mapping[str, str]], which: _Which, configs: tuple[tuple[str, str], ...]
) -> dict[_Which, Mapping[str, str]]:
    """A copy, for images show the old one; without `which` if it sets nothing any more."""
    rest = {key: value for key, value in maps.items() if key != which}
    return {**rest, which: MappingProxyType(dict(configs))} if configs else rest


def join_ids(ids: tuple[BrokerId, ...]) -> str:
    return ",".join(map(str, ids))


def split_ids(text: str) -> tuple[BrokerId, ...]:
    return tuple(BrokerId(int(item)) for item in text.split(",")) if text else ()
