"""`/v1/topics`: list, create, describe, delete."""

from typing import Annotated, Any

from fastapi import Body, Query, Request
from fastapi.responses import Response
from pydantic import Discriminator, Field, Tag

from app import limits
from app.admin.commands.configs import ConfigsAsked, DescribeConfigs
from app.admin.commands.topics import (
    CreatedTopic,
    CreateTopics,
    DeletedTopic,
    DeleteTopics,
    DeleteTopicsByPrefix,
    DescribeTopics,
    ListTopics,
    NewTopic,
    TopicRef,
)
from app.admin.port import Failed
from app.api import problems, routing
from app.api.routing import Asks, Int32, Shape, TopicName, TopicOrPrefix, ValidateOnly
from app.api.v1.configs import Entry, entry
from app.errors import TopicAuthorizationFailed

CONFIGS_MAX = 200
router = routing.router("topics")


class Summary(Shape):
    """A topic in a list."""

    name: str = Field(examples=["orders.created"])
    topic_id: str = Field(
        description="Kafka's id, 22 characters of base64url; zero where it was only validated.",
        examples=["x1N0tVJdTyS3m0sTqk5wYA"],
    )
    partitions: int = Field(description="How many it has.", examples=[3])
    replication_factor: int = Field(examples=[1])
    internal: bool = Field(description="Whether the broker keeps it for itself.", examples=[False])


class Page(Shape):
    """Topics in the order of their names."""

    topics: list[Summary]
    next: str = Field(description="The `after` of the next page; empty on the last one.")


class Description(Shape):
    """A topic."""

    name: str
    topic_id: str = Field(description="All zero where it was only validated.")
    internal: bool
    partition_count: int
    replication_factor: int
    configs: list[Entry] | None = Field(description="Null where its asker may not see them.")


class New(routing.Asked):
    """A topic to make. What is left out is the broker's default."""

    name: str = Field(
        max_length=1_000,
        description="1 to 249 of: letters, digits, `.`, `_`, `-`.",
        examples=["orders.created"],
    )
    partitions: Int32 | None = Field(default=None, examples=[3])
    replication_factor: Int32 | None = Field(default=None, examples=[1])
    assignments: dict[str, list[Int32]] | None = Field(
        default=None,
        max_length=limits.PARTITIONS_PER_TOPIC_MAX,
        description="Brokers of each partition, by its number; then give no numbers above.",
        examples=[{"0": [1]}],
    )
    configs: dict[str, str | None] = Field(
        default={},
        max_length=CONFIGS_MAX,
        description="Kafka's topic configs.",
        examples=[{"retention.ms": "86400000"}],
    )


def _one_or_several(body: Any) -> str:
    """Which of the two is meant, so that only its own fields are told to be wrong."""
    return problems.SEVERAL if isinstance(body, dict) and "topics" in body else problems.ONE


class Several(routing.Asked):
    """Several topics to make: each is made or fails alone."""

    topics: list[New] = Field(min_length=1, max_length=limits.TOPICS_MAX)


class MadeOrNot(Shape):
    """An item for each topic, in their order."""

    topics: list[Description | routing.Item]


class Gone(Shape):
    """A topic that is deleted (or would be, if only validated)."""

    name: str
    topic_id: str
    partitions: int


class GoneOrNot(Shape):
    """An item for each topic; under a prefix in the order of names."""

    topics: list[Gone | routing.Item]


@router.get("", response_model=Page, responses=problems.schema(), summary="List topics")
async def list_topics(
    port: Asks,
    prefix: Annotated[
        str,
        Query(
            max_length=limits.TOPIC_NAME_BYTES_MAX,
            description="Only names that begin with this; a star at its end means nothing more.",
            examples=["orders."],
        ),
    ] = "",
    after: Annotated[
        str,
        Query(
            max_length=limits.TOPIC_NAME_BYTES_MAX,
            description="Only names after this one: `next` of the page before.",
        ),
    ] = "",
    limit: Annotated[
        int, Query(ge=1, le=limits.ADMIN_PAGE_MAX, description="Topics in one page.")
    ] = 100,
    internal: Annotated[bool, Query(description="Also the broker's own topics.")] = False,
) -> Response:
    page = await port.ask(ListTopics(prefix, after, limit, internal))
    return routing.encoded({"topics": [summary(each) for each in page.topics], "next": page.next})


@router.post(
    "",
    status_code=201,
    response_model=Description,
    responses={
        207: {"model": MadeOrNot, "description": "Several topics: an item for each"},
        **problems.schema(409, 415),
    },
    summary="Create a topic, or several",
)
async def create(
    port: Asks,
    asked: Annotated[
        Annotated[New, Tag(problems.ONE)] | Annotated[Several, Tag(problems.SEVERAL)],
        Discriminator(_one_or_several),
        Body(
            openapi_examples={
                "defaults": {"summary": "With the broker's defaults", "value": {"name": "made.a"}},
                "configured": {
                    "summary": "With numbers and configs",
                    "value": {
                        "name": "made.b",
                        "partitions": 3,
                        "replication_factor": 1,
                        "configs": {"retention.ms": "86400000"},
                    },
                },
                "assigned": {
                    "summary": "With the brokers of each partition",
                    "value": {"name": "made.c", "assignments": {"0": [1]}},
                },
                "several": {
                    "summary": "Several at once",
                    "value": {"topics": [{"name": "made.d"}, {"name": "made.e"}]},
                },
            }
        ),
    ],
    validate_only: ValidateOnly = False,
) -> Response:
    several = asked.topics if isinstance(asked, Several) else [asked]
    command = CreateTopics(tuple([_new(each) for each in several]), validate_only)
    reply = await port.ask(command)
    if isinstance(asked, Several):
        listed = [
            {"error": port.problem(each)} if isinstance(each, Failed) else _made(each)
            for each in reply.topics
        ]
        return routing.encoded({"topics": listed}, 207)
    (made,) = reply.topics
    if isinstance(made, Failed):
        return problems.response(port.problem(made))
    headers = {} if validate_only else {"location": f"/v1/topics/{made.name}"}
    return routing.encoded(_made(made), 201, headers)


@router.get(
    "/{topic}", response_model=Description, responses=problems.schema(), summary="Describe a topic"
)
async def describe(port: Asks, topic: TopicName) -> Response:
    return routing.encoded(await described(port, topic))


@router.delete(
    "/{topic}",
    response_model=GoneOrNot,
    responses={207: {"model": GoneOrNot, "description": "Some failed"}, **problems.schema()},
    summary="Delete a topic, or all under a prefix",
)
async def delete(
    request: Request,
    port: Asks,
    topic: TopicOrPrefix,
    validate_only: ValidateOnly = False,
    confirm: Annotated[
        str,
        Query(
            max_length=limits.TOPIC_NAME_BYTES_MAX,
            description="The prefix once more, if `topic` is one and it shall really be done.",
        ),
    ] = "",
) -> Response:
    if not topic.endswith(".*"):
        reply = await port.ask(DeleteTopics((TopicRef(topic),), validate_only))
        return port.several("topics", reply.topics, _gone)
    if not validate_only and confirm != topic:
        raise problems.Refused(
            422,
            f"query.confirm: this deletes every topic under {topic}: ask with validate_only=true "
            f"what these are, then repeat the prefix as confirm={topic}",
            routing.INVALID,
        )
    reply = await port.ask(DeleteTopicsByPrefix(topic, validate_only))
    listed = [
        {"error": port.problem(each)} if isinstance(each, Failed) else _gone(each)
        for each in reply.topics
    ]
    return routing.encoded({"topics": listed}, 207 if any("error" in x for x in listed) else 200)


async def described(port: routing.Port, name: str) -> dict[str, Any]:
    """A topic as `Description`."""
    found = await port.one(
        DescribeTopics((TopicRef(name),), partition_limit=1), lambda reply: reply.topics
    )
    asked = DescribeConfigs((ConfigsAsked("topic", found.name),))
    (configs,) = (await port.ask(asked)).resources
    if isinstance(configs, Failed):
        if configs.code != TopicAuthorizationFailed.code:
            raise configs.error()
        entries = None
    else:
        entries = [entry(each) for each in configs.configs]
    return {
        "name": found.name,
        "topic_id": routing.topic_id(found.topic_id),
        "internal": found.internal,
        "partition_count": found.partition_count,
        "replication_factor": found.replication_factor,
        "configs": entries,
    }


def summary(topic: Any) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": routing.topic_id(topic.topic_id),
        "partitions": topic.partitions,
        "replication_factor": topic.replication_factor,
        "internal": topic.internal,
    }


def _new(asked: New) -> NewTopic:
    rows: dict[int, list[int]] = {}
    for number, brokers in (asked.assignments or {}).items():
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            raise problems.Refused(
                422,
                f"body.assignments: {number[:20]!r} is no partition's number",
                routing.INVALID,
            )
        rows[int(number)] = brokers
    return NewTopic(
        asked.name,
        -1 if asked.partitions is None else asked.partitions,
        -1 if asked.replication_factor is None else asked.replication_factor,
        rows,
        asked.configs,
    )


def _made(topic: CreatedTopic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": routing.topic_id(topic.topic_id),
        "internal": False,
        "partition_count": topic.partitions,
        "replication_factor": topic.replication_factor,
        "configs": None if topic.configs is None else [entry(each) for each in topic.configs],
    }


def _gone(topic: DeletedTopic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": routing.topic_id(topic.topic_id),
        "partitions": topic.partitions,
    }
