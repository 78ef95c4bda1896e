"""Configs of topics, of prefixes of their names, and of brokers; `/v1/configs`: who has any."""

from typing import Annotated, Any, Literal

from fastapi import Body, Query
from fastapi.responses import Response
from pydantic import Field

from app.admin.commands.configs import (
    AlterConfigs,
    ConfigChange,
    ConfigEntry,
    ConfigsAsked,
    ConfigsChanged,
    DescribeConfigs,
    ListConfigResources,
    ResourceKind,
)
from app.api import problems, routing
from app.api.routing import Asks, Shape, TopicOrPrefix, ValidateOnly

CHANGES_MAX = 200
NAME_CHARACTERS_MAX = 500
router = routing.router("configs")
topics = routing.router("configs")
brokers = routing.router("configs")

Source = Literal["topic", "prefix", "broker", "brokers", "file", "default"]
SOURCE = (
    "Where it is set: on the topic, on a prefix of its name, on this broker, on all brokers, in "
    "the broker's file, or nowhere."
)


class Synonym(Shape):
    """One place where the value is set; the first one wins."""

    name: str = Field(description="What the config is called there.")
    value: str | None
    source: Source = Field(description=SOURCE)
    where: str = Field(description="The prefix, if `source` is `prefix`.")


class Entry(Shape):
    """One config."""

    name: str = Field(examples=["retention.ms"])
    value: str | None = Field(description="Null if it is secret.", examples=["86400000"])
    source: Source = Field(description=SOURCE)
    where: str = Field(description="The prefix, if `source` is `prefix`.")
    read_only: bool = Field(description="Whether only a restart can change it.")
    sensitive: bool
    type: str = Field(description="Kafka's word.", examples=["LONG"])
    doc: str = Field(description="What it means, if asked for with `docs=true`.")
    synonyms: list[Synonym] = Field(description="If asked for with `synonyms=true`.")


class Entries(Shape):
    """The configs of one topic, prefix or broker."""

    kind: Literal["topic", "broker"]
    name: str = Field(description="Of all brokers: `default`.")
    configs: list[Entry]


class Changed(routing.Asked):
    """One change. `append` and `subtract` are for lists; `value` is for all but `delete`."""

    name: str = Field(max_length=NAME_CHARACTERS_MAX, examples=["retention.ms"])
    change: Literal["set", "delete", "append", "subtract"]
    value: str | None = Field(default=None, examples=["86400000"])


class Changes(routing.Asked):
    """All of them are made, or none."""

    changes: list[Changed] = Field(min_length=1, max_length=CHANGES_MAX)


class SetNow(Shape):
    """What is set on the resource now."""

    kind: Literal["topic", "broker"]
    name: str
    configs: dict[str, str]


class Named(Shape):
    kind: Literal["topic", "broker"]
    name: str = Field(description="A topic, a prefix (`orders.*`), a broker's id, or `default`.")


class Resources(Shape):
    resources: list[Named]


Synonyms = Annotated[bool, Query(description="Every place where a value is set.")]
Docs = Annotated[bool, Query(description="What each config means.")]
ChangesBody = Annotated[
    Changes,
    Body(
        openapi_examples={
            "set": {
                "summary": "Set one, drop another",
                "value": {
                    "changes": [
                        {"name": "retention.ms", "change": "set", "value": "86400000"},
                        {"name": "retention.bytes", "change": "delete"},
                    ]
                },
            },
            "append": {
                "summary": "Add to a list",
                "value": {
                    "changes": [{"name": "cleanup.policy", "change": "append", "value": "compact"}]
                },
            },
        }
    ),
]
BrokerChangesBody = Annotated[
    Changes,
    Body(
        openapi_examples={
            "set": {
                "summary": "Set one",
                "value": {
                    "changes": [{"name": "log.retention.ms", "change": "set", "value": "86400000"}]
                },
            }
        }
    ),
]


@router.get(
    "/configs",
    response_model=Resources,
    responses=problems.schema(),
    summary="List what may have configs",
)
async def list_resources(
    port: Asks,
    kind: Annotated[
        Literal["topic", "broker"] | None, Query(description="Only of this kind.")
    ] = None,
) -> Response:
    kinds: tuple[ResourceKind, ...] = () if kind is None else (kind,)
    reply = await port.ask(ListConfigResources(kinds))
    return routing.encoded(
        {
            "resources": [
                {"kind": each.kind, "name": _name(each.kind, each.name)} for each in reply.resources
            ]
        }
    )


@topics.get(
    "/{topic}/configs",
    response_model=Entries,
    responses=problems.schema(),
    summary="Configs of a topic or prefix",
)
async def of_topic(
    port: Asks, topic: TopicOrPrefix, synonyms: Synonyms = False, docs: Docs = False
) -> Response:
    return await described(port, "topic", topic, synonyms, docs)


@topics.patch(
    "/{topic}/configs",
    response_model=SetNow,
    responses=problems.schema(415),
    summary="Change configs of a topic or prefix",
)
async def change_topic(
    port: Asks, topic: TopicOrPrefix, asked: ChangesBody, validate_only: ValidateOnly = False
) -> Response:
    return await altered(port, "topic", topic, asked, validate_only)


async def described(
    port: routing.Port, kind: ResourceKind, name: str, synonyms: bool, docs: bool
) -> Response:
    asked = DescribeConfigs((ConfigsAsked(kind, name),), synonyms, docs)
    found = await port.one(asked, lambda reply: reply.resources)
    return routing.encoded(
        {
            "kind": found.kind,
            "name": _name(found.kind, found.name),
            "configs": [entry(each) for each in found.configs],
        }
    )


async def altered(
    port: routing.Port, kind: ResourceKind, name: str, asked: Changes, validate_only: bool
) -> Response:
    changes = tuple([ConfigChange(each.name, each.change, each.value) for each in asked.changes])
    command = AlterConfigs((ConfigsChanged(kind, name, changes),), validate_only)
    now = await port.one(command, lambda reply: reply.resources)
    return routing.encoded(
        {"kind": now.kind, "name": _name(now.kind, now.name), "configs": dict(now.configs)}
    )


def entry(config: ConfigEntry) -> dict[str, Any]:
    return {
        "name": config.name,
        "value": config.value,
        "source": config.source,
        "where": config.where,
        "read_only": config.read_only,
        "sensitive": config.sensitive,
        "type": config.type,
        "doc": config.doc,
        "synonyms": [
            {
                "name": each.name,
                "value": each.value,
                "source": each.source,
                "where": each.where,
            }
            for each in config.synonyms
        ],
    }


def _name(kind: ResourceKind, name: str) -> str:
    return "default" if kind == "broker" and not name else name
