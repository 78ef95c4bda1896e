"""Changes of configs: what was asked of topics, prefixes and brokers, and whether it may be.

Owns    the rules and errors of Kafka's IncrementalAlterConfigs and AlterConfigs
        (`ConfigurationControlManager`), and the bounds of what may be set.
Never   changes anything: a decision is a fact that says the whole new configs of its resource.
Trusts  that one decision is made at a time, on the state that the last one left.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from app.core import broker_config, topic_config, topic_names
from app.core.effective_config import ALL_BROKERS
from app.core.manifest.decide import refuse_below
from app.core.manifest.facts import (
    LEVEL_OF,
    BrokerConfigsSet,
    PrefixConfigsSet,
    TopicConfigsSet,
)
from app.core.manifest.manifest import Manifest
from app.core.manifest.policies import Policies
from app.core.options import Kind, Option, unknown
from app.errors import (
    BrokerIdNotRegistered,
    InvalidConfig,
    InvalidRequest,
    PolicyViolation,
    Rejected,
    UnknownTopicOrPartition,
)
from app.limits import PREFIXES_MAX
from app.model import BrokerId

_Which = TypeVar("_Which", str, int)
_NOTHING: Mapping[str, str] = {}
_INTEGER = re.compile(r"-?[0-9]{1,10}\Z", re.ASCII)
_DYNAMIC = [option.name for option in broker_config.TABLE if option.dynamic != "read-only"]

ResourceKind = Literal["topic", "broker"]
"""A topic, or a prefix of topic names if the name ends in `.*`; a broker by its id, or all brokers
by the empty name."""
Change = Literal["set", "delete", "append", "subtract"]


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """`append` and `subtract` are for lists; `value` is None for `delete`."""

    name: str
    change: Change
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigsChanged:
    """Some configs of a resource shall change: all of these, or none."""

    kind: ResourceKind
    name: str
    changes: tuple[ConfigChange, ...]


@dataclass(frozen=True, slots=True)
class ConfigsReplaced:
    """A resource shall have these configs and no others."""

    kind: ResourceKind
    name: str
    configs: Mapping[str, str | None]


Resource = ConfigsChanged | ConfigsReplaced
ConfigFact = TopicConfigsSet | PrefixConfigsSet | BrokerConfigsSet


@dataclass(frozen=True, slots=True)
class Altered:
    """What a resource has set then, and the fact that says so; none if it has that already."""

    configs: Mapping[str, str]
    fact: ConfigFact | None


def refuse_repeated_resources(resources: Sequence[Resource]) -> dict[int, Rejected]:
    """Place to refusal of each resource that the same request names more than once."""
    times = Counter((each.kind, each.name) for each in resources)
    return {
        place: InvalidRequest("Each resource must appear at most once.")
        for place, each in enumerate(resources)
        if times[each.kind, each.name] > 1
    }


def decide_alter(manifest: Manifest, resources: Sequence[Resource]) -> list[Altered | Rejected]:
    """One answer per resource, in order. They differ from each other (`refuse_repeated_resources`)
    and see each other: what a prefix gets here is what a topic further on inherits."""
    return list(deciding_alter(manifest, resources))


def deciding_alter(
    manifest: Manifest, resources: Sequence[Resource]
) -> Iterator[Altered | Rejected]:
    """The same, one after another: for who has many and takes turns."""
    refuse_below(manifest, LEVEL_OF[TopicConfigsSet])
    planned = _Planned(manifest)
    for resource in resources:
        try:
            altered = planned.decide(resource)
        except Rejected as error:
            yield error
        else:
            yield altered


class _Planned:
    """The configs as they will be once what was decided so far is applied."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._prefixes: Mapping[str, Mapping[str, str]] = manifest.prefix_configs
        self._brokers: Mapping[int, Mapping[str, str]] = manifest.broker_configs
        self._policies = manifest.policies

    def decide(self, resource: Resource) -> Altered:
        if resource.kind == "broker":
            return self._broker(resource)
        if topic_names.is_prefix(resource.name):
            return self._prefix(resource)
        return self._topic(resource)

    def _topic(self, resource: Resource) -> Altered:
        if not resource.name:
            raise InvalidRequest("Default topic resources are not allowed.")
        topic = self._manifest.by_name.get(resource.name)
        if topic is None:
            topic_names.check(resource.name)
            raise UnknownTopicOrPartition(f"The topic '{resource.name}' does not exist.")
        configs = self._of_topics(resource, topic.configs)
        fact = TopicConfigsSet(topic.topic_id, tuple(configs.items()))
        return Altered(configs, fact if configs != topic.configs else None)

    def _prefix(self, resource: Resource) -> Altered:
        topic_names.check_prefix(resource.name)
        current = self._prefixes.get(resource.name, _NOTHING)
        configs = self._of_topics(resource, current)
        if configs == current:
            return Altered(configs, None)
        if configs and not current and len(self._prefixes) >= PREFIXES_MAX:
            raise PolicyViolation(f"{PREFIXES_MAX} prefixes have configs, the most allowed")
        self._prefixes = _with(self._prefixes, resource.name, configs)
        self._policies = self._policies.having(self._brokers, self._prefixes)
        return Altered(configs, PrefixConfigsSet(resource.name, tuple(configs.items())))

    def _of_topics(self, resource: Resource, current: Mapping[str, str]) -> dict[str, str]:
        inherited = self._policies.inherited(resource.name)

        def effective(name: str) -> str:
            return self._policies.inherited_text(resource.name, name)

        wanted = _wanted(resource, current, topic_config.find, effective)
        return topic_config.check(wanted, inherited)

    def _broker(self, resource: Resource) -> Altered:
        broker_id = broker_named(resource.name, self._manifest.brokers)
        current = self._brokers.get(broker_id, _NOTHING)
        of = self._policies.broker_id if broker_id == ALL_BROKERS else BrokerId(broker_id)
        policies = Policies(of, self._policies.file, self._brokers)
        above = policies.levels()[1:] if broker_id == of else policies.levels()[2:]

        def effective(name: str) -> str:
            option = broker_config.OPTIONS[name]
            return next((level[name] for level in above if name in level), option.default or "")

        _check_dynamic(_names(resource))
        configs = dict(sorted(_wanted(resource, current, _find, effective).items()))
        topic_config.check_bytes(configs)
        brokers = _with(self._brokers, broker_id, configs)
        try:
            for name, text in configs.items():
                broker_config.OPTIONS[name].parse(text)
            levels = Policies(of, self._policies.file, brokers).levels()
            topic_config.check(broker_config.topic_defaults(levels))
        except InvalidConfig as error:
            raise InvalidRequest(str(error)) from error  # as Kafka's brokers answer (KAFKA-13609)
        if configs == current:
            return Altered(configs, None)
        self._brokers = brokers
        self._policies = self._policies.having(self._brokers, self._prefixes)
        return Altered(configs, BrokerConfigsSet(broker_id, tuple(configs.items())))


def _names(resource: Resource) -> list[str]:
    if isinstance(resource, ConfigsReplaced):
        return list(resource.configs)
    return [change.name for change in resource.changes]


def _wanted(
    resource: Resource,
    current: Mapping[str, str],
    find: Callable[[str], Option],
    effective: Callable[[str], str],
) -> dict[str, str]:
    """What the resource shall have. `find` refuses names that it cannot have, `effective` is the
    value that it has where it sets none."""
    names = _names(resource)
    if len(set(names)) < len(names):
        raise InvalidRequest("Error due to duplicate config keys")
    if isinstance(resource, ConfigsReplaced):
        given = [ConfigChange(name, "set", text) for name, text in resource.configs.items()]
        wanted: dict[str, str] = {}
    else:
        given = list(resource.changes)
        wanted = dict(current)
    nulls = [each.name for each in given if each.change != "delete" and each.value is None]
    if nulls:
        raise InvalidRequest(f"Null value not supported for : {', '.join(nulls)}")
    for each in given:
        option = find(each.name)
        if each.change == "delete":
            wanted.pop(each.name, None)
        elif each.change == "set":
            wanted[each.name] = each.value or ""
        else:
            had = wanted[each.name] if each.name in wanted else effective(each.name)
            wanted[each.name] = _listed(option, each, had)
    return wanted


def _listed(option: Option, change: ConfigChange, had: str) -> str:
    """The list with items more or less, in order, each once."""
    if option.kind != Kind.LIST:
        raise InvalidConfig(
            f"Can't {change.change.upper()} to key {option.name} because its type is not LIST."
        )
    items = [item for item in map(str.strip, had.split(",")) if item]
    for item in map(str.strip, (change.value or "").split(",")):
        if change.change == "append" and item not in items:
            items.append(item)
        elif change.change == "subtract" and item in items:
            items.remove(item)
    return ",".join(items)


def broker_named(name: str, brokers: Container[int]) -> int:
    """The broker that a resource is named after, -1 for all. Kafka's brokers refuse an unknown one
    with INVALID_REQUEST, its controller as here."""
    if not name:
        return ALL_BROKERS
    if not _INTEGER.match(name):
        raise InvalidRequest(f"Node id must be an integer, but it is: {name[:100]}")
    if int(name) not in brokers:
        raise BrokerIdNotRegistered(f"No node with id {int(name)} found.")
    return int(name)


def _find(name: str) -> Option:
    option = broker_config.OPTIONS.get(name)
    if option is None:
        raise unknown("broker", name, _DYNAMIC)
    return option


def _check_dynamic(names: Sequence[str]) -> None:
    fixed = [name for name in names if name in broker_config.OPTIONS and name not in _DYNAMIC]
    if fixed:
        raise InvalidRequest(f"Cannot update these configs dynamically: [{', '.join(fixed)}]")


def _with(
    maps: Mapping[_Which, Mapping[str, str]], which: _Which, configs: Mapping[str, str]
) -> Mapping[_Which, Mapping[str, str]]:
    rest = {key: value for key, value in maps.items() if key != which}
    return {**rest, which: configs} if configs else rest
