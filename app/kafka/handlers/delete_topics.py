"""DeleteTopics, versions 1 to 6 (from 6 by id as well as by name, KIP-516).

Behaviour: each topic by itself; the reply comes when the manifest has forgotten them durably. Their
data goes with the next segments that are given back.
Oddities: needs Delete on the topic. An unknown name that the client may not describe is
TOPIC_AUTHORIZATION_FAILED, so that nobody learns what exists; an unknown id is UNKNOWN_TOPIC_ID.
Both a name and an id, neither, or the same topic twice is INVALID_REQUEST, whether it exists or
not; a topic that is named twice is told once, with name and id if it was named by each.
"""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from app.admin.commands.topics import DeletedTopic, DeleteTopics, TopicRef
from app.admin.port import Failed
from app.core.manifest.image import Topic
from app.errors import InvalidRequest, StreamBusError, UnknownTopicOrPartition
from app.kafka.context import RequestContext
from app.kafka.items import ask_each, outcome, timeout_ms
from app.model import TopicId

KEY = 20
VERSIONS = (1, 6)
IDS_FROM = 6

Asked = tuple[str | None, UUID | None]
Result = tuple[Asked, DeletedTopic | Failed]


async def handle(context: RequestContext, request: Any) -> Any:
    asked, wanted = await context.aside(partial(_items, context, request))
    answers = await ask_each(
        context,
        wanted,
        lambda topics: DeleteTopics(topics, timeout_ms=timeout_ms(request)),
        lambda reply: reply.topics,
    )
    by_id = context.broker.controller.image.topics_by_id
    return await context.aside(partial(_told, context, asked, answers, by_id))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    failed = Failed(code, "rejected", message)
    return _response(
        context, [(topic, failed) for topic in dict.fromkeys(_asked(context, request))]
    )


def _asked(context: RequestContext, request: Any) -> list[Asked]:
    if context.api_version >= IDS_FROM:
        return [(topic.name, topic.topic_id) for topic in request.topics]
    return [(name, None) for name in request.topic_names]


def _items(
    context: RequestContext, request: Any
) -> tuple[list[Asked], list[TopicRef | StreamBusError]]:
    """Each topic once, and what is to be asked of it."""
    times = Counter(_asked(context, request))
    return list(times), [_wanted(topic, times[topic]) for topic in times]


def _wanted(topic: Asked, times: int) -> TopicRef | StreamBusError:
    name, topic_id = topic
    if name is not None and topic_id is not None:
        return InvalidRequest("You may not specify both topic name and topic id.")
    if topic_id is not None:
        if times > 1:
            return InvalidRequest("Duplicate topic id.")
        return TopicRef(topic_id=topic_id.bytes)
    if name is None:
        return InvalidRequest("Neither topic name nor id were specified.")
    if times > 1:
        return InvalidRequest("Duplicate topic name.")
    # No topic has the empty name, and a TopicRef without a name means none.
    return TopicRef(name) if name else UnknownTopicOrPartition("No topic has an empty name.")


def _told(
    context: RequestContext,
    asked: list[Asked],
    answers: list[Any],
    by_id: Mapping[TopicId, Topic],
) -> Any:
    return _response(context, _told_once(list(zip(asked, answers, strict=True)), by_id))


def _told_once(results: list[Result], by_id: Mapping[TopicId, Topic]) -> list[Result]:
    """A topic that was refused because its name and its id were given: one answer, with both."""
    answers = dict(results)
    for (name, topic_id), answer in results:
        if name is not None or topic_id is None or _code(answer) != InvalidRequest.code:
            continue
        topic = by_id.get(TopicId(topic_id.bytes))
        if topic is not None and _code(answers.get((topic.name, None))) == InvalidRequest.code:
            del answers[name, topic_id], answers[topic.name, None]
            answers[topic.name, topic_id] = answer
    return list(answers.items())


def _code(answer: DeletedTopic | Failed | None) -> int:
    return answer.code if isinstance(answer, Failed) else 0


def _response(context: RequestContext, results: list[Result]) -> Any:
    return context.shape(
        "DeleteTopicsResponse",
        throttle_time=context.throttle,
        responses=tuple(_result(context, *topic, answer) for topic, answer in results),
    )


def _result(
    context: RequestContext, name: str | None, topic_id: UUID | None, answer: DeletedTopic | Failed
) -> Any:
    code, message = outcome(answer)
    if isinstance(answer, DeletedTopic):
        name, topic_id = answer.name, UUID(bytes=answer.topic_id)
    return context.shape(
        "DeletableTopicResult",
        name=name,
        topic_id=topic_id,
        error_code=context.error(code),
        error_message=message,
    )
