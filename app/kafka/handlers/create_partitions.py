"""CreatePartitions, versions 0 to 3.

Behaviour: a topic gets as many partitions as the request says in total; each topic by itself; the
reply comes when the manifest has them durably. `validate_only` decides and changes nothing.
Assignments are a row of brokers for each new partition, or null: the broker places them.
Oddities: needs Alter on the topic. The same name twice is INVALID_REQUEST, told once. A total that
is not larger than what is there is INVALID_PARTITIONS.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from app.admin.commands.topics import AddPartitions, MorePartitions
from app.errors import InvalidRequest, StreamBusError
from app.kafka.context import RequestContext
from app.kafka.items import ask_each, outcome, timeout_ms

KEY = 37
VERSIONS = (0, 3)


async def handle(context: RequestContext, request: Any) -> Any:
    asked = await context.aside(partial(_asked, request))
    answers = await ask_each(
        context,
        list(asked.values()),
        lambda topics: AddPartitions(topics, request.validate_only, timeout_ms(request)),
        lambda reply: reply.topics,
    )
    return await context.aside(partial(_told, context, asked, answers))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    names = dict.fromkeys(topic.name for topic in request.topics)
    return _response(context, [(name, code, message) for name in names])


def _asked(request: Any) -> dict[str, MorePartitions | StreamBusError]:
    times = Counter(topic.name for topic in request.topics)
    return {
        topic.name: _more(topic)
        if times[topic.name] == 1
        else InvalidRequest("Duplicate topic name.")
        for topic in request.topics
    }


def _told(context: RequestContext, names: Iterable[str], answers: Sequence[Any]) -> Any:
    return _response(
        context, [(name, *outcome(each)) for name, each in zip(names, answers, strict=True)]
    )


def _more(topic: Any) -> MorePartitions:
    rows = topic.assignments
    return MorePartitions(
        name=topic.name,
        total=topic.count,
        assignments=None if rows is None else tuple([tuple(row.broker_ids) for row in rows]),
    )


def _response(context: RequestContext, results: list[tuple[str, int, str | None]]) -> Any:
    return context.shape(
        "CreatePartitionsResponse",
        throttle_time=context.throttle,
        results=tuple(
            context.shape(
                "CreatePartitionsTopicResult",
                name=name,
                error_code=context.error(code),
                error_message=message,
            )
            for name, code, message in results
        ),
    )
