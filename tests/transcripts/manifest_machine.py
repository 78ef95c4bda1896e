"""Decisions about the manifest, as a machine for transcripts: what was asked, and the facts that
follow or the refusal in its own words. Broker 1 of two decides, and its file can set configs.

file log.retention.ms=5                     what the file of broker 1 says, before anything else
create orders 3 retention.ms=5              a topic of 3 partitions on broker 1
widen orders 5 | widen orders 4 2/1,2       more partitions, or with these brokers
alter topic:orders retention.ms=5 cleanup.policy+=compact cleanup.policy-=delete retention.bytes!
      several resources are joined by `&`; `!` deletes, `=null` has no value; "" is broker:
replace topic:orders retention.ms=5         these and no others
show topic:orders retention.ms              what it has, where from, and every place that sets it
policy orders                               what of its policy differs from Kafka's defaults
"""

import shlex
from dataclasses import asdict
from itertools import count

from app.core import topic_policy
from app.core.effective_config import EffectiveConfigs
from app.core.manifest.config_changes import (
    Altered,
    Change,
    ConfigChange,
    ConfigsChanged,
    ConfigsReplaced,
    Resource,
    ResourceKind,
    decide_alter,
    refuse_repeated_resources,
)
from app.core.manifest.decide import (
    ControllerDefaults,
    MorePartitions,
    NewTopic,
    decide_add_partitions,
    decide_create,
    decide_register,
)
from app.core.manifest.facts import Fact
from app.core.manifest.image import Image
from app.core.manifest.manifest import Manifest
from app.core.manifest.policies import Policies
from app.errors import Rejected
from app.model import BrokerId, TopicId

ONE = BrokerId(1)


class Machine:
    def __init__(self) -> None:
        self.file: dict[str, str] = {}
        self.ids = count(100)
        self._begin()

    def _begin(self) -> None:
        self.manifest = Manifest(Policies(ONE, self.file))
        for broker in (ONE, BrokerId(2)):
            for fact in decide_register(self.manifest, broker, [], None, "cluster"):
                self.manifest.apply(fact)

    @property
    def image(self) -> Image:
        return self.manifest.image(Image(), 1, ONE)

    def do(self, command: str) -> str:
        verb, *words = shlex.split(command)
        return "\n".join(getattr(self, f"do_{verb}")(*words))

    def do_file(self, *words: str) -> list[str]:
        self.file |= dict(word.split("=") for word in words)
        self._begin()
        return []

    def do_create(self, name: str, partitions: str = "1", *words: str) -> list[str]:
        configs: dict[str, str | None] = dict(word.split("=") for word in words)
        topic = NewTopic(name, int(partitions), configs=configs)
        return self._answers(
            decide_create(
                self.manifest,
                [topic],
                ControllerDefaults(),
                lambda: TopicId(next(self.ids).to_bytes(16, "big")),
            )
        )

    def do_widen(self, name: str, total: str, rows: str = "") -> list[str]:
        assignments = tuple(tuple(map(int, row.split(","))) for row in rows.split("/") if row)
        more = MorePartitions(name, int(total), assignments or None)
        return self._answers(decide_add_partitions(self.manifest, [more]))

    def do_alter(self, *words: str) -> list[str]:
        return self._alter([_changed(each) for each in _split(words)])

    def do_replace(self, *words: str) -> list[str]:
        return self._alter([_replaced(each) for each in _split(words)])

    def _alter(self, resources: list[Resource]) -> list[str]:
        refused = refuse_repeated_resources(resources)
        left = [each for place, each in enumerate(resources) if place not in refused]
        return self._answers([*refused.values(), *decide_alter(self.manifest, left)])

    def _answers(self, answers: list[Rejected | Altered] | list[Fact | Rejected]) -> list[str]:
        told = []
        for answer in answers:
            if isinstance(answer, Rejected):
                told.append(f"{type(answer).__name__} {answer.code}: {answer}")
                continue
            fact = answer.fact if isinstance(answer, Altered) else answer
            if fact is None:
                told.append("nothing changes")
            else:
                self.manifest.apply(fact)
                told.append(_tell(fact))
        return told

    def do_show(self, which: str, *names: str) -> list[str]:
        kind, _, name = which.partition(":")
        image = self.image
        if kind == "broker":
            effective = EffectiveConfigs(image, int(name or ONE), self.file)
            described = effective.broker() if name else effective.all_brokers()
        else:
            topic = image.topics_by_name.get(name)
            configs = topic.configs if topic is not None else image.prefix_configs.get(name, {})
            described = EffectiveConfigs(image, ONE, self.file).topic(name, configs)
        told = []
        for each in described:
            if names and each.option.name not in names:
                continue
            told.append(
                f"{each.option.name}={each.value} from {each.source} {each.where}".rstrip()
                + (", read-only" if each.read_only else "")
            )
            told += [
                f"  {place.name}={place.value} {place.source} {place.where}".rstrip()
                for place in each.synonyms
            ]
        return told or ["nothing"]

    def do_policy(self, name: str) -> list[str]:
        defaults = asdict(topic_policy.DEFAULT)
        has = asdict(self.manifest.by_name[name].policy)
        return [f"{field}={has[field]}" for field in has if has[field] != defaults[field]] or ["-"]


def _tell(fact: Fact) -> str:
    fields = {name: getattr(fact, name) for name in type(fact).__dataclass_fields__}
    topic_id = fields.pop("topic_id", None)
    told = [f"topic {topic_id[15]}"] if topic_id else []
    for name, value in fields.items():
        if name == "configs":
            told.append("configs " + (" ".join(f"{key}={text}" for key, text in value) or "none"))
        elif name == "replicas":
            told.append("replicas " + " ".join(",".join(map(str, row)) for row in value))
        else:
            told.append(f"{name} {value}")
    return f"{type(fact).__name__} {', '.join(told)}"


def _split(words: tuple[str, ...]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "&":
            groups.append([])
        else:
            groups[-1].append(word)
    return groups


_KINDS: dict[str, ResourceKind] = {"topic": "topic", "broker": "broker"}
_CHANGES: dict[str, Change] = {"+=": "append", "-=": "subtract", "=": "set"}


def _changed(words: list[str]) -> ConfigsChanged:
    kind, _, name = words[0].partition(":")
    changes = []
    for word in words[1:]:
        if word.endswith("!"):
            changes.append(ConfigChange(word[:-1], "delete"))
            continue
        sign = next(each for each in _CHANGES if each in word)
        config, _, value = word.partition(sign)
        changes.append(ConfigChange(config, _CHANGES[sign], None if value == "null" else value))
    return ConfigsChanged(_KINDS[kind], name, tuple(changes))


def _replaced(words: list[str]) -> ConfigsReplaced:
    kind, _, name = words[0].partition(":")
    configs = {}
    for word in words[1:]:
        config, _, value = word.partition("=")
        configs[config] = None if value == "null" else value
    return ConfigsReplaced(_KINDS[kind], name, configs)
