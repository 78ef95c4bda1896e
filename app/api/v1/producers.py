"""`/v1/topics/{topic}/producers`: whose sequences a partition remembers."""

from typing import Annotated

import msgspec
from fastapi import Query
from fastapi.responses import Response
from pydantic import Field

from app.admin.commands.producers import DescribeProducers, PartitionAsked
from app.api import problems, routing
from app.api.routing import INT32_MAX, Asks, Shape, TopicName

router = routing.router("producers")


class Producer(Shape):
    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_append_ms: int
    coordinator_epoch: int
    transaction_start: int = Field(
        description="The first offset of its open transaction; -1 if it has none."
    )


class Producers(Shape):
    partition: int
    producers: list[Producer]


@router.get(
    "/{topic}/producers",
    response_model=Producers,
    responses=problems.schema(),
    summary="Idempotent producers of a partition",
)
async def list_producers(
    port: Asks, topic: TopicName, partition: Annotated[int, Query(ge=0, le=INT32_MAX)] = 0
) -> Response:
    found = await port.one(
        DescribeProducers((PartitionAsked(topic, partition),)), lambda reply: reply.partitions
    )
    return routing.encoded(
        {
            "partition": found.partition,
            "producers": [msgspec.structs.asdict(each) for each in found.producers],
        }
    )
