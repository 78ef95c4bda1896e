"""Random histories of the manifest: facts as a controller would decide them."""

from collections.abc import Callable
from random import Random

from app.core.manifest.config_changes import (
    Altered,
    Change,
    ConfigChange,
    ConfigsChanged,
    ResourceKind,
    decide_alter,
)
from app.core.manifest.decide import (
    ControllerDefaults,
    MorePartitions,
    NewTopic,
    decide_add_partitions,
    decide_create,
    decide_delete,
    decide_register,
    decide_reserve_producer_ids,
)
from app.core.manifest.entries import Entry, split
from app.core.manifest.facts import (
    FEATURE_LEVEL,
    Fact,
    PartitionsAdded,
    Stamp,
    TopicCreated,
)
from app.core.manifest.manifest import Manifest
from app.model import BrokerId, ControllerTerm, Endpoint, TopicId

NAMES = ["a", "b", "c", "a.b", "a_b", "orders"]
ENTRY_BYTES_MAX = 300  # small, so that many proposals need parts
CONFIGS: list[dict[str, str | None]] = [
    {},
    {"retention.ms": "5"},
    {"cleanup.policy": "compact", "segment.ms": "9"},
]


def decide_something(random: Random, manifest: Manifest) -> list[Fact]:
    choice = random.randrange(14)
    if choice == 0 or not manifest.brokers:
        rack = random.choice([None, "r"])
        names = random.sample(["plain", "tls", "inner"], random.randint(1, 3))
        endpoints = [Endpoint(name, "host", random.randrange(1, 99)) for name in names]
        return decide_register(manifest, BrokerId(random.randrange(3)), endpoints, rack, "id")
    if choice == 1:
        return [decide_reserve_producer_ids(manifest, random.choice(list(manifest.brokers)))]
    if choice < 5 and manifest.topics:
        topics = sorted(manifest.topics)
        decided = decide_delete(manifest, random.sample(topics, random.randint(1, len(topics))))
        return [one[1] for one in decided if isinstance(one, tuple)]
    if choice >= 10 and manifest.level == FEATURE_LEVEL:
        return (
            decide_widening(random, manifest) if choice == 10 else decide_configs(random, manifest)
        )
    asked = [
        NewTopic(
            name,
            random.choice([1, 1, 3, 40]),
            random.randint(1, len(manifest.brokers)),
            configs=random.choice(CONFIGS),
        )
        for name in random.sample(NAMES, random.randint(1, 3))
    ]
    new_id: Callable[[], TopicId] = lambda: TopicId(random.randbytes(16))  # noqa: E731
    answers = decide_create(manifest, asked, ControllerDefaults(), new_id)
    return [answer for answer in answers if isinstance(answer, TopicCreated)]


def decide_widening(random: Random, manifest: Manifest) -> list[Fact]:
    names = random.sample(NAMES, random.randint(1, 3))
    answers = decide_add_partitions(
        manifest, [MorePartitions(name, random.choice([2, 5, 60])) for name in names]
    )
    return [answer for answer in answers if isinstance(answer, PartitionsAdded)]


def decide_configs(random: Random, manifest: Manifest) -> list[Fact]:
    resources = [random_change(random) for _ in range(random.randint(1, 3))]
    answers = decide_alter(manifest, list({each.name: each for each in resources}.values()))
    return [one.fact for one in answers if isinstance(one, Altered) and one.fact is not None]


def random_change(random: Random) -> ConfigsChanged:
    kind: ResourceKind = random.choice(["topic", "topic", "broker"])
    if kind == "topic":
        name = random.choice([*NAMES, "a.*", "a.b.*", "orders.*"])
        options = {"retention.ms": "57", "cleanup.policy": "compact", "segment.ms": "9"}
    else:
        name = random.choice(["", "0", "1", "2"])
        options = {"log.retention.ms": "68", "max.connections": "5"}
    changes = []
    for option in random.sample(sorted(options), random.randint(1, len(options))):
        change: Change = random.choice(["set", "set", "delete"])
        changes.append(
            ConfigChange(option, change, random.choice([options[option]] * 2 + ["1"]))
            if change == "set" and option != "cleanup.policy"
            else ConfigChange(option, change, options[option])
        )
    return ConfigsChanged(kind, name, tuple(changes))


def random_entries(seed: int, length: int) -> tuple[list[Entry], Manifest]:
    """A log with repeats, stale copies and parts in it, and the machine that only saw the facts."""
    random = Random(seed)
    manifest = Manifest()
    entries: list[Entry] = []
    old: list[tuple[bytes, bytes]] = []
    abandoned: list[tuple[bytes, bytes]] = []
    term, at_ms = 1, 1_000

    def append(proposed: tuple[bytes, bytes]) -> None:
        entries.append(Entry(len(entries) + 1, ControllerTerm(term), *proposed))

    while len(entries) < length:
        if random.random() < 0.1:
            term += 1
        if old and random.random() < 0.3:
            append(random.choice(old))  # a late copy
        facts = decide_something(random, manifest)
        if not facts:
            continue
        at_ms += random.randint(1, 5)
        stamp = Stamp(ControllerTerm(term), random.randbytes(12) + bytes(4), at_ms)
        proposed = split(facts, stamp, ENTRY_BYTES_MAX)
        if entries and random.random() < 0.15:
            abandoned = proposed  # its copies arrive after something newer was taken
            continue
        for part in proposed:
            append(part)
            if random.random() < 0.1:
                append(part)
        old += proposed + abandoned
        abandoned = []
        for fact in facts:
            manifest.apply(fact)
    return entries, manifest
