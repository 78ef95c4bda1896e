"""Configs of topics, prefixes and brokers: described, changed, replaced, listed."""

from collections.abc import Iterable, Mapping, Sequence

from app.admin import authorize
from app.admin.commands.configs import (
    AlterConfigs,
    AlteredResource,
    ConfigEntry,
    ConfigResource,
    ConfigResources,
    ConfigsAsked,
    ConfigsChanged,
    ConfigsReplaced,
    ConfigSynonym,
    DescribeConfigs,
    ListConfigResources,
    ReplaceConfigs,
    ResourceConfigs,
)
from app.admin.parts import Parts
from app.admin.turns import Turns
from app.core import topic_names
from app.core.effective_config import ALL_BROKERS, Effective, EffectiveConfigs
from app.core.manifest.config_changes import broker_named
from app.core.manifest.image import Image
from app.errors import InvalidRequest, StreamBusError
from app.model import Principal

_NOTHING: Mapping[str, str] = {}


async def describe_configs(
    parts: Parts, asker: Principal, command: DescribeConfigs, resources: Sequence[ConfigsAsked]
) -> list[ResourceConfigs | StreamBusError]:
    image, turns = parts.image, Turns()
    effective = EffectiveConfigs(image, parts.broker_id, parts.file)
    answers: list[ResourceConfigs | StreamBusError] = []
    for asked in resources:
        try:
            found = _find(parts, image, effective, asked)
        except StreamBusError as error:
            answers.append(error)
            await turns.took()
            continue
        names = None if asked.names is None else set(asked.names)
        shown = [each for each in found if names is None or each.option.name in names]
        configs = entries(shown, with_synonyms=command.synonyms, with_docs=command.docs)
        answers.append(ResourceConfigs(asked.kind, asked.name, configs))
        await turns.took(len(configs))
    return answers


def _find(
    parts: Parts, image: Image, effective: EffectiveConfigs, asked: ConfigsAsked
) -> list[Effective]:
    if asked.kind == "broker":
        if not asked.name:
            return effective.all_brokers()
        _check_broker(parts, image, asked.name)
        return effective.broker()
    if topic_names.is_prefix(asked.name):
        topic_names.check_prefix(asked.name)
        return effective.topic(asked.name, image.prefix_configs.get(asked.name, _NOTHING))
    topic = image.topics_by_name.get(asked.name)
    if topic is None:
        topic_names.check(asked.name)
        raise authorize.unknown(asked.name)
    return effective.topic(topic.name, topic.configs)


def _check_broker(parts: Parts, image: Image, name: str) -> None:
    """Only a broker itself knows what its file says."""
    if broker_named(name, image.brokers) != parts.broker_id:
        raise InvalidRequest(f"Broker {name} knows its own configs: ask that broker.")


def entries(
    shown: Iterable[Effective], *, with_synonyms: bool = False, with_docs: bool = False
) -> tuple[ConfigEntry, ...]:
    return tuple(
        [
            ConfigEntry(
                each.option.name,
                each.value,
                each.source,
                each.read_only,
                False,  # none is a secret yet
                each.option.kind.value,
                each.option.doc if with_docs else "",
                each.where,
                _synonyms(each) if with_synonyms else (),
            )
            for each in shown
        ]
    )


def _synonyms(shown: Effective) -> tuple[ConfigSynonym, ...]:
    return tuple(
        [ConfigSynonym(each.name, each.value, each.source, each.where) for each in shown.synonyms]
    )


async def alter_configs(
    parts: Parts, asker: Principal, command: AlterConfigs, resources: Sequence[ConfigsChanged]
) -> list[AlteredResource | StreamBusError]:
    return await _altered(parts, command, resources)


async def replace_configs(
    parts: Parts, asker: Principal, command: ReplaceConfigs, resources: Sequence[ConfigsReplaced]
) -> list[AlteredResource | StreamBusError]:
    return await _altered(parts, command, resources)


async def _altered(
    parts: Parts,
    command: AlterConfigs | ReplaceConfigs,
    resources: Sequence[ConfigsChanged | ConfigsReplaced],
) -> list[AlteredResource | StreamBusError]:
    answers = await parts.controller.alter_configs(
        resources, validate_only=command.validate_only, timeout_ms=command.timeout_ms
    )
    turns = Turns()
    altered: list[AlteredResource | StreamBusError] = []
    for resource, answer in zip(resources, answers, strict=True):
        if isinstance(answer, StreamBusError):
            altered.append(answer)
        else:
            altered.append(AlteredResource(resource.kind, resource.name, dict(answer)))
        await turns.took()
    return altered


async def list_config_resources(
    parts: Parts, asker: Principal, command: ListConfigResources
) -> ConfigResources:
    image, turns = parts.image, Turns()
    listed: list[ConfigResource] = []
    if not command.kinds or "topic" in command.kinds:
        for names in (parts.names.beginning_with("", image), sorted(image.prefix_configs)):
            for name in names:
                listed.append(ConfigResource("topic", name))
                await turns.took()
    if not command.kinds or "broker" in command.kinds:
        if image.broker_configs.get(ALL_BROKERS):
            listed.append(ConfigResource("broker", ""))
        listed += [ConfigResource("broker", str(each)) for each in sorted(image.brokers)]
    return ConfigResources(tuple(listed))
