"""`/v1/topics/{topic}/partitions`: where a topic's records are, and adding more."""

from typing import Annotated

import msgspec
from fastapi import Body, Query
from fastapi.responses import Response
from pydantic import Field

from app import limits
from app.admin.commands.topics import AddPartitions, DescribeTopics, MorePartitions, TopicRef
from app.api import problems, routing
from app.api.routing import INT32_MAX, Asks, Int32, Shape, TopicName, ValidateOnly
from app.api.v1.topics import Description, described

router = routing.router("partitions")


class Partition(Shape):
    """One partition. What only its replica knows is -1 where this broker has none."""

    partition: int
    leader: int = Field(description="The broker that writes and reads it; -1 if there is none.")
    leader_epoch: int
    replicas: list[int]
    isr: list[int] = Field(description="The replicas that have everything committed.")
    log_start: int = Field(description="Its first offset that is kept.")
    high_watermark: int = Field(description="The end of what is committed.")
    last_stable: int = Field(description="The end of what no open transaction holds back.")
    bytes: int
    role: str = Field(description="What this broker is to it.", examples=["leader"])


class Partitions(Shape):
    partitions: list[Partition]
    next: int | None = Field(description="The `start` of the next page; null on the last one.")


class More(routing.Asked):
    """`total` counts the partitions that there are already."""

    total: Int32 = Field(examples=[6])
    assignments: list[list[Int32]] | None = Field(
        default=None,
        max_length=limits.PARTITIONS_PER_TOPIC_MAX,
        description="The brokers of each new partition, in their order.",
    )


@router.get(
    "/{topic}/partitions",
    response_model=Partitions,
    responses=problems.schema(),
    summary="Partitions of a topic",
)
async def list_partitions(
    port: Asks,
    topic: TopicName,
    start: Annotated[int, Query(ge=0, le=INT32_MAX, description="The first to show.")] = 0,
    limit: Annotated[
        int, Query(ge=1, le=limits.ADMIN_PAGE_MAX, description="Partitions in one page.")
    ] = limits.ADMIN_PAGE_MAX,
) -> Response:
    command = DescribeTopics((TopicRef(topic),), start, limit)
    found = await port.one(command, lambda reply: reply.topics)
    end = start + len(found.partitions)
    return routing.encoded(
        {
            "partitions": [msgspec.structs.asdict(each) for each in found.partitions],
            "next": end if found.partitions and end < found.partition_count else None,
        }
    )


@router.post(
    "/{topic}/partitions",
    response_model=Description,
    responses=problems.schema(415),
    summary="Add partitions",
)
async def add(
    port: Asks,
    topic: TopicName,
    asked: Annotated[
        More,
        Body(openapi_examples={"six": {"summary": "Six in all", "value": {"total": 6}}}),
    ],
    validate_only: ValidateOnly = False,
) -> Response:
    rows = None
    if asked.assignments is not None:
        rows = tuple([tuple(row) for row in asked.assignments])
    command = AddPartitions((MorePartitions(topic, asked.total, rows),), validate_only)
    grown = await port.one(command, lambda reply: reply.topics)
    topic_now = await described(port, grown.name)
    return routing.encoded({**topic_now, "partition_count": grown.total})
