"""Effective configs: what a topic, a prefix or a broker has, and where each value is set.

Owns    the order of places: the topic, prefixes of its name (the longest first), this broker, all
        brokers, the broker's file, the default.
Never   changes or checks a config: what the manifest has was checked when it was decided.
Trusts  that `file` has Kafka's names of broker configs, as `app.broker_configs` gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.core import broker_config, topic_config, topic_names
from app.core.broker_config import BrokerOption
from app.core.manifest.image import Image
from app.core.options import Option

Source = Literal["topic", "prefix", "broker", "brokers", "file", "default"]
"""Where a value is set: on the topic, on a prefix of its name, on this broker, on all brokers, in
the broker's file (or environment, or flags), or nowhere."""

ALL_BROKERS = -1
"""The 'broker id' of what is set on all brokers."""

_NOTHING: Mapping[str, str] = {}
_Levels = tuple[tuple[Source, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Synonym:
    """One place where a value is set. `name` is the config's name there; `where` is the prefix, if
    the source is one."""

    name: str
    value: str
    source: Source
    where: str = ""


@dataclass(frozen=True, slots=True)
class Effective:
    """One config. `value` is None where it is set nowhere and has no default; `synonyms` are all
    places that set it, the one that wins first."""

    option: Option
    value: str | None
    source: Source
    where: str
    synonyms: tuple[Synonym, ...]

    @property
    def read_only(self) -> bool:
        return isinstance(self.option, BrokerOption) and self.option.dynamic == "read-only"


def broker_levels(
    image: Image, broker_id: int, file: Mapping[str, str]
) -> tuple[Mapping[str, str], ...]:
    """Where a config of that broker may be set, the place that wins first."""
    configs = image.broker_configs
    return configs.get(broker_id, _NOTHING), configs.get(ALL_BROKERS, _NOTHING), file


class EffectiveConfigs:
    """All of one image on one broker. What topics inherit is kept, so that describing many is
    cheap; a new image needs a new one."""

    def __init__(self, image: Image, broker_id: int, file: Mapping[str, str]) -> None:
        self._image = image
        sources: tuple[Source, ...] = ("broker", "brokers", "file")
        levels = broker_levels(image, broker_id, file)
        self._levels: _Levels = tuple(zip(sources, levels, strict=True))
        self._inherited: dict[str, dict[str, Effective]] = {}

    def topic(self, name: str, configs: Mapping[str, str]) -> list[Effective]:
        """A topic that has these configs itself, or is to have them; or a prefix."""
        is_prefix = topic_names.is_prefix(name)
        inherited = self._inherit(name)
        if not configs:
            return list(inherited.values())
        source: Source = "prefix" if is_prefix else "topic"
        where = name if is_prefix else ""
        return [_over(each, configs, source, where) for each in inherited.values()]

    def _inherit(self, name: str) -> dict[str, Effective]:
        """What a topic of that name has that sets nothing itself."""
        known = self._image.prefix_configs
        prefix = next((each for each in topic_names.prefixes(name) if each in known), "")
        made = self._inherited.get(prefix)
        if made is None:
            if prefix:
                configs = known[prefix]
                made = {
                    option: _over(each, configs, "prefix", prefix)
                    for option, each in self._inherit(prefix).items()
                }
            else:
                made = {option.name: self._default(option) for option in topic_config.TABLE}
            self._inherited[prefix] = made
        return made

    def _default(self, option: Option) -> Effective:
        synonyms = _places(broker_config.DEFAULT_OF[option.name], self._levels)
        if synonyms:
            first = synonyms[0]
            return Effective(option, first.value, first.source, "", synonyms)
        return Effective(option, option.default, "default", "", ())

    def broker(self) -> list[Effective]:
        """The broker's own, all of them."""
        described = []
        for option in broker_config.TABLE:
            synonyms = _places(option, self._levels)
            if synonyms:
                described.append(
                    Effective(option, synonyms[0].value, synonyms[0].source, "", synonyms)
                )
            else:
                described.append(Effective(option, option.default, "default", "", ()))
        return described

    def all_brokers(self) -> list[Effective]:
        """As Kafka answers for all brokers: only what is set on all."""
        everywhere = self._image.broker_configs.get(ALL_BROKERS, _NOTHING)
        return [
            Effective(
                broker_config.OPTIONS[name], text, "brokers", "", (Synonym(name, text, "brokers"),)
            )
            for name, text in sorted(everywhere.items())
        ]


def _over(
    inherited: Effective, configs: Mapping[str, str], source: Source, where: str
) -> Effective:
    text = configs.get(inherited.option.name)
    if text is None:
        return inherited
    own = Synonym(inherited.option.name, text, source, where)
    return Effective(inherited.option, text, source, where, (own, *inherited.synonyms))


def _places(option: BrokerOption, levels: _Levels) -> tuple[Synonym, ...]:
    """Where a broker config is set. As in Kafka what an older name says is shown only behind a
    value of the name itself."""
    names = (option.name, *option.older)
    found = [
        Synonym(name, level[name], source)
        for source, level in levels
        for name in names
        if name in level
    ]
    for name in names:
        default = broker_config.OPTIONS[name].default
        if default is not None:
            found.append(Synonym(name, default, "default"))
    start = next((n for n, each in enumerate(found) if each.name == option.name), len(found))
    return tuple(found[start:])
