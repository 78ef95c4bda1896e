"""DeleteRecords, versions 0 to 2.

Behaviour: everything before an offset goes, -1 means everything that is committed; each partition
by itself. The answer has the new log start, once it is durable.
Oddities: needs Delete on the topic. A partition named twice is done once, by what was said last,
as in Kafka. Beyond the high watermark is OFFSET_OUT_OF_RANGE. There is no room for a message.
"""

from functools import partial
from typing import Any

from app.admin.commands.records import DeleteRecords, RecordsBefore
from app.admin.port import Failed
from app.kafka.context import RequestContext
from app.kafka.items import ask_each, timeout_ms

KEY = 21
VERSIONS = (0, 2)
NO_LOG_START = -1


async def handle(context: RequestContext, request: Any) -> Any:
    asked, items = await context.aside(partial(_items, request))
    answers = await ask_each(
        context,
        items,
        lambda partitions: DeleteRecords(partitions, timeout_ms(request)),
        lambda reply: reply.partitions,
    )
    return await context.aside(partial(_told, context, asked, answers))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(context, dict.fromkeys(_asked(request), (code, NO_LOG_START)))


def _told(context: RequestContext, asked: list[tuple[str, int]], answers: list[Any]) -> Any:
    told = [
        (each.code, NO_LOG_START) if isinstance(each, Failed) else (0, each.log_start)
        for each in answers
    ]
    return _response(context, dict(zip(asked, told, strict=True)))


def _items(request: Any) -> tuple[list[tuple[str, int]], list[RecordsBefore]]:
    """Each partition once, and what is to be asked of it."""
    asked = _asked(request)
    return list(asked), [
        RecordsBefore(name, partition, offset) for (name, partition), offset in asked.items()
    ]


def _asked(request: Any) -> dict[tuple[str, int], int]:
    return {
        (topic.name, each.partition_index): each.offset
        for topic in request.topics
        for each in topic.partitions
    }


def _response(context: RequestContext, told: dict[tuple[str, int], tuple[int, int]]) -> Any:
    topics: dict[str, list[Any]] = {}
    for (name, partition), (code, log_start) in told.items():
        topics.setdefault(name, []).append(
            context.shape(
                "DeleteRecordsPartitionResult",
                partition_index=partition,
                low_watermark=log_start,
                error_code=context.error(code),
            )
        )
    return context.shape(
        "DeleteRecordsResponse",
        throttle_time=context.throttle,
        topics=tuple(
            context.shape("DeleteRecordsTopicResult", name=name, partitions=tuple(partitions))
            for name, partitions in topics.items()
        ),
    )
