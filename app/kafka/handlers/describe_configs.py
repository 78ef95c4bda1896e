"""DescribeConfigs, versions 1 to 4.

Behaviour: every config of a topic, of a prefix of topics (`app.service.*`), of this broker by its
id, or of all brokers by the empty name, or the ones asked for (none or null: all); each resource by
itself. With its synonyms if asked for (every place where it is set, the one that wins first), from
3 with its type and, if asked for, its documentation.
Oddities: needs DescribeConfigs on the topic or the cluster. Kafka has no configs of prefixes: what
a topic inherits from one is told as a dynamic default (source 3) under the name `prefix:config`. A
resource named twice is told twice. Loggers, client metrics, groups and unknown kinds are
INVALID_REQUEST, each by itself. An answer may have 64 MiB: resources beyond are INVALID_REQUEST.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from app import limits
from app.admin.commands.configs import (
    ConfigEntry,
    ConfigsAsked,
    DescribeConfigs,
    ResourceConfigs,
    Source,
)
from app.admin.port import Failed
from app.admin.turns import Turns
from app.errors import InvalidRequest, StreamBusError
from app.kafka.context import RequestContext
from app.kafka.handlers.alter_configs import KINDS
from app.kafka.items import ask_each, not_here, of_topic, outcome
from streambus.protocol.messages import configs as message
from streambus.protocol.messages.configs import ConfigShown, SynonymShown

KEY = 32
VERSIONS = (1, 4)

SOURCES: dict[Source, int] = {
    "topic": 1,
    "broker": 2,
    "prefix": 3,
    "brokers": 3,
    "file": 4,
    "default": 5,
}
"""As `DescribeConfigsResponse.ConfigSource` numbers them."""
PREFIX_END = ".*"
TYPES = ("", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD")

Kept = dict[ConfigEntry, bytes]
"""Entries of this answer that were encoded: topics have most of theirs in common."""


async def handle(context: RequestContext, request: Any) -> bytes:
    version, kept = context.api_version, Kept()
    encoded: list[bytes] = []
    left = limits.CONFIG_ANSWER_BYTES_MAX
    turns = Turns()
    # In pieces, so that neither the admin's reply nor the loop grows with the request.
    for start in range(0, len(request.resources), limits.CONFIG_RESOURCES_PER_TURN):
        asked = request.resources[start : start + limits.CONFIG_RESOURCES_PER_TURN]
        if left > 0:
            answers = await _ask(context, request, asked)
        else:
            answers = [Failed.of(_too_large())] * len(asked)
        for resource, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Failed):
                context.failed(answer.code)
            one = _encode(version, resource, answer, kept)
            encoded.append(one)
            left -= len(one)
        await turns.took(limits.ADMIN_ITEMS_PER_TURN)
    encode = partial(
        message.encode_described, context.correlation_id, version, context.throttle_ms, encoded
    )
    return await context.aside(encode)


def refuse(context: RequestContext, request: Any, code: int, text: str) -> bytes:
    failed = Failed(code, "rejected", text)
    encoded = [
        _encode(context.api_version, resource, failed, Kept()) for resource in request.resources
    ]
    return message.encode_described(
        context.correlation_id, context.api_version, context.throttle_ms, encoded
    )


def encode(frame: bytes, correlation_id: int, version: int) -> bytes:
    return frame


def shown(entry: ConfigEntry, resource: str = "") -> ConfigShown:
    """A config as Kafka's clients know them; what a prefix has itself is set 'on the topic'."""
    synonyms = [
        SynonymShown(
            f"{each.where}:{each.name}"
            if each.source == "prefix" and each.where != resource
            else each.name,
            each.value,
            _source(each.source, each.where, resource),
        )
        for each in entry.synonyms
    ]
    return ConfigShown(
        entry.name,
        entry.value,
        entry.read_only,
        _source(entry.source, entry.where, resource),
        entry.sensitive,
        synonyms,
        TYPES.index(entry.type),
        entry.doc or None,
    )


def _source(source: Source, where: str, resource: str) -> int:
    return SOURCES["topic" if source == "prefix" and where == resource else source]


async def _ask(
    context: RequestContext, request: Any, resources: Sequence[Any]
) -> list[ResourceConfigs | Failed]:
    has_docs = getattr(request, "include_documentation", False)
    answers = await ask_each(
        context,
        [_asked(each) for each in resources],
        lambda wanted: DescribeConfigs(wanted, request.include_synonyms, has_docs),
        lambda reply: reply.resources,
    )
    return [
        of_topic(answer, each.resource_name)
        for each, answer in zip(resources, answers, strict=True)
    ]


def _asked(resource: Any) -> ConfigsAsked | StreamBusError:
    if (refused := not_here(resource.resource_type)) is not None:
        return refused
    return ConfigsAsked(
        KINDS[resource.resource_type],
        resource.resource_name,
        resource.configuration_keys or None,
    )


def _encode(version: int, resource: Any, answer: ResourceConfigs | Failed, kept: Kept) -> bytes:
    code, text = outcome(answer)
    entries: list[bytes] = []
    if isinstance(answer, ResourceConfigs):
        name = answer.name
        if name.endswith(PREFIX_END):  # shows its own as no topic under it does
            kept = {}
        for entry in answer.configs:
            encoded = kept.get(entry)
            if encoded is None:
                encoded = kept[entry] = message.described_entry(version, shown(entry, name))
            entries.append(encoded)
    return message.described_resource(
        version, code, text, resource.resource_type, resource.resource_name, entries
    )


def _too_large() -> InvalidRequest:
    return InvalidRequest(
        f"The answer has {limits.CONFIG_ANSWER_BYTES_MAX} bytes without this resource: ask about "
        "fewer at once, without synonyms or documentation."
    )
