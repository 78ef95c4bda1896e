"""A slow, obvious model of what administrators may do, for `test_admin.py`.

It shares with the manifest nothing but nouns: no rule, no parser, no order of places is imported.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from app.core.manifest.config_changes import (
    ConfigChange,
    ConfigsChanged,
    ConfigsReplaced,
    Resource,
)
from app.core.manifest.decide import MorePartitions, NewTopic

NAMES = ["a", "a.b", "a.b.c", "a_b", "b", "b.c.d", "no/slash", ""]
PREFIXES = ["a.*", "a.b.*", "b.c.*", ".*", "a..*"]
LEGAL_PREFIXES = {"a.*", "a.b.*", "b.c.*"}
FILE = {"log.retention.ms": "60"}
DEFAULTS = {"retention.ms": "604800000", "retention.bytes": "-1", "cleanup.policy": "delete"}
BROKER_NAMES = {
    "retention.ms": "log.retention.ms",
    "retention.bytes": "log.retention.bytes",
    "cleanup.policy": "log.cleanup.policy",
}
GOOD = {
    "retention.ms": ["1", "2", "3"],
    "retention.bytes": ["10", "20"],
    "cleanup.policy": ["compact", "delete", "compact,delete"],
}
BAD = ["x", "-5", "9999999999999999999999"]

Configs = dict[str, str]


@dataclass
class ModelTopic:
    partitions: int
    configs: Configs = field(default_factory=dict)


@dataclass
class Model:
    topics: dict[str, ModelTopic] = field(default_factory=dict)
    prefixes: dict[str, Configs] = field(default_factory=dict)
    brokers: dict[str, Configs] = field(default_factory=dict)

    def copy(self) -> "Model":
        return deepcopy(self)

    def effective(self, name: str, config: str) -> str:
        """What a topic of that name has where it sets nothing itself."""
        over = [each for each in self.prefixes if name.startswith(each[:-1]) and name != each]
        for prefix in sorted(over, key=len, reverse=True):
            if config in self.prefixes[prefix]:
                return self.prefixes[prefix][config]
        for level in (self.brokers.get("1", {}), self.brokers.get("", {}), FILE):
            if BROKER_NAMES[config] in level:
                return level[BROKER_NAMES[config]]
        return DEFAULTS[config]

    def shown(self) -> dict[str, tuple[int, Configs, tuple[int, int, bool, bool]]]:
        """Everything that a topic has, as `test_admin.shown` tells it of the real thing."""
        told = {}
        for name, topic in self.topics.items():
            has = {
                config: topic.configs.get(config, self.effective(name, config))
                for config in DEFAULTS
            }
            policies = has["cleanup.policy"].split(",")
            told[name] = (
                topic.partitions,
                topic.configs,
                (
                    int(has["retention.ms"]),
                    int(has["retention.bytes"]),
                    "compact" in policies,
                    "delete" in policies,
                ),
            )
        return told

    # What may be; each says whether it was, and does it if so.

    def create(self, asked: NewTopic) -> bool:
        key = asked.name.replace(".", "_")
        taken = {name.replace(".", "_") for name in self.topics}
        wrong = any(not is_good(name, value) for name, value in asked.configs.items())
        if not asked.name or "/" in asked.name or key in taken or asked.partitions < 1 or wrong:
            return False
        configs = {name: value for name, value in asked.configs.items() if value is not None}
        self.topics[asked.name] = ModelTopic(asked.partitions, configs)
        return True

    def delete(self, name: str) -> bool:
        return self.topics.pop(name, None) is not None

    def widen(self, asked: MorePartitions) -> bool:
        topic = self.topics.get(asked.name)
        if topic is None or asked.total <= topic.partitions:
            return False
        topic.partitions = asked.total
        return True

    def alter(self, asked: Resource) -> bool:
        configs = self._configs(asked)
        if configs is None:
            return False
        changed = self._changed(asked, configs)
        if changed is None:
            return False
        if asked.kind == "broker":
            _keep(self.brokers, asked.name, changed)
        elif asked.name.endswith("*"):
            _keep(self.prefixes, asked.name, changed)
        else:
            self.topics[asked.name].configs = changed
        return True

    def _configs(self, asked: Resource) -> Configs | None:
        """What the resource sets now; None if there is none such."""
        if asked.kind == "broker":
            return self.brokers.get(asked.name, {}) if asked.name in ("", "1") else None
        if asked.name.endswith("*"):
            return self.prefixes.get(asked.name, {}) if asked.name in LEGAL_PREFIXES else None
        return self.topics[asked.name].configs if asked.name in self.topics else None

    def _changed(self, asked: Resource, configs: Configs) -> Configs | None:
        topic_names = {name: name for name in DEFAULTS}
        names = {there: here for here, there in BROKER_NAMES.items()}
        known = names if asked.kind == "broker" else topic_names
        if isinstance(asked, ConfigsReplaced):
            if not all(is_good(known.get(name), value) for name, value in asked.configs.items()):
                return None
            return {name: value for name, value in asked.configs.items() if value is not None}
        changed = dict(configs)
        if len({each.name for each in asked.changes}) < len(asked.changes):
            return None
        for each in asked.changes:
            config = known.get(each.name)
            if config is None:
                return None
            if each.change == "delete":
                changed.pop(each.name, None)
                continue
            value = each.value
            if each.change != "set":
                if config != "cleanup.policy" or value is None:
                    return None
                had = changed.get(each.name, self._above(asked, config))
                value = _listed(had, value, is_more=each.change == "append")
            if not is_good(config, value):
                return None
            assert value is not None
            changed[each.name] = value
        return changed

    def _above(self, asked: Resource, config: str) -> str:
        if asked.kind == "topic":
            return self.effective(asked.name, config)
        name = BROKER_NAMES[config]
        levels = [self.brokers.get("", {})] if asked.name else []
        return next((level[name] for level in [*levels, FILE] if name in level), DEFAULTS[config])


def is_good(config: str | None, value: str | None) -> bool:
    if config not in DEFAULTS or value is None:
        return False
    if config == "cleanup.policy":
        return set(filter(None, value.split(","))) <= {"compact", "delete"}
    return value in GOOD[config]


def _listed(had: str, value: str, *, is_more: bool) -> str:
    items = [item for item in had.split(",") if item]
    for item in value.split(","):
        if is_more and item not in items:
            items.append(item)
        if not is_more and item in items:
            items.remove(item)
    return ",".join(items)


def _keep(configs: dict[str, Configs], name: str, changed: Configs) -> None:
    configs.pop(name, None)
    if changed:
        configs[name] = changed


# Random wishes, most of which may be.


def random_value(random: Random, config: str) -> str | None:
    if random.random() < 0.08:
        return random.choice([*BAD, None])
    return random.choice(GOOD[config])


def random_topics(random: Random) -> list[NewTopic]:
    asked = []
    for name in random.sample(NAMES, random.randint(1, 3)):
        configs: Mapping[str, str | None] = {
            config: random_value(random, config)
            for config in random.sample(sorted(DEFAULTS), random.choice([0, 0, 1, 2]))
        }
        asked.append(NewTopic(name, random.choice([1, 2, 3, 3, 3, 0]), 1, configs=configs))
    return asked


def random_widening(random: Random) -> list[MorePartitions]:
    names = random.sample(NAMES, random.randint(1, 3))
    return [MorePartitions(name, random.randint(0, 9)) for name in names]


def random_resources(random: Random) -> list[Resource]:
    places = [("topic", name) for name in [*NAMES, *PREFIXES]]
    places += [("broker", name) for name in ("", "1", "1", "2", "x")]
    asked: list[Resource] = []
    for kind, name in dict.fromkeys(random.sample(places, random.randint(1, 4))):
        names = sorted(BROKER_NAMES.values()) if kind == "broker" else sorted(DEFAULTS)
        back = {there: here for here, there in BROKER_NAMES.items()}
        chosen = random.sample(names, random.randint(0, 2))
        if random.random() < 0.05:
            chosen.append("nope")
        if kind == "broker" and random.random() < 0.05:
            chosen.append("num.partitions")
        values = {
            each: random_value(random, back.get(each, each if each in GOOD else "retention.ms"))
            for each in chosen
        }
        assert kind in ("topic", "broker")
        real_kind = "broker" if kind == "broker" else "topic"
        if random.random() < 0.2:
            asked.append(ConfigsReplaced(real_kind, name, values))  # type: ignore[arg-type]
            continue
        changes = []
        for each, value in values.items():
            change = random.choice(["set", "set", "set", "delete", "append", "subtract"])
            changes.append(ConfigChange(each, change, value))  # type: ignore[arg-type]
        if changes and random.random() < 0.05:
            changes.append(changes[0])
        asked.append(ConfigsChanged(real_kind, name, tuple(changes)))  # type: ignore[arg-type]
    return asked
