"""DescribeProducers, version 0 (KIP-664).

Behaviour: the producers whose sequences a partition remembers, with the start of the transaction
that one has open; only its leader answers. Each partition by itself.
Oddities: needs Read on the topic. A partition named twice is answered twice, as in Kafka.
"""

from functools import partial
from typing import Any

from app.admin.commands.producers import DescribeProducers, PartitionAsked
from app.admin.port import Failed
from app.kafka.context import RequestContext
from app.kafka.items import ask_each, of_topic, outcome

KEY = 61
VERSIONS = (0, 0)


async def handle(context: RequestContext, request: Any) -> Any:
    answers = await ask_each(
        context,
        await context.aside(partial(_asked, request)),
        DescribeProducers,
        lambda reply: reply.partitions,
    )
    return await context.aside(partial(_response, context, request, answers))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    count = sum(len(topic.partition_indexes) for topic in request.topics)
    return _response(context, request, [Failed(code, "rejected", message)] * count)


def _asked(request: Any) -> list[PartitionAsked]:
    return [
        PartitionAsked(topic.name, partition)
        for topic in request.topics
        for partition in topic.partition_indexes
    ]


def _response(context: RequestContext, request: Any, answers: list[Any]) -> Any:
    rest = iter(answers)
    return context.shape(
        "DescribeProducersResponse",
        throttle_time=context.throttle,
        topics=tuple(
            context.shape(
                "TopicResponse",
                name=topic.name,
                partitions=tuple(
                    _partition(context, partition, of_topic(next(rest), topic.name))
                    for partition in topic.partition_indexes
                ),
            )
            for topic in request.topics
        ),
    )


def _partition(context: RequestContext, partition: int, answer: Any) -> Any:
    code, message = outcome(answer)
    producers = () if code else answer.producers
    return context.shape(
        "PartitionResponse",
        partition_index=partition,
        error_code=context.error(code),
        error_message=message,
        active_producers=tuple(
            context.shape(
                "ProducerState",
                producer_id=each.producer_id,
                producer_epoch=each.producer_epoch,
                last_sequence=each.last_sequence,
                last_timestamp=each.last_append_ms,
                coordinator_epoch=each.coordinator_epoch,
                current_txn_start_offset=each.transaction_start,
            )
            for each in producers
        ),
    )
