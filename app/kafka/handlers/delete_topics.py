"""DeleteTopics, versions 1 to 6 (from 6 by id as well as by name, KIP-516).

Behaviour: each topic by itself; the reply comes when the manifest has forgotten them durably. Their
data goes with the next segments that are given back.
Oddities: needs Delete on the topic. An unknown name that the client may not describe is
TOPIC_AUTHORIZATION_FAILED, so that nobody learns what exists; an unknown id is UNKNOWN_TOPIC_ID.
Both a name and an id, neither, or the same topic twice (told once) is INVALID_REQUEST, whether it
exists or not.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from app.core.manifest.image import Topic
from app.errors import (
    InvalidRequest,
    StreamBusError,
    TopicAuthorizationFailed,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from app.kafka.context import RequestContext
from app.kafka.router import code_of, message_of
from app.model import TopicId
from app.security.ports import Operation, Resource

KEY = 20
VERSIONS = (1, 6)
IDS_FROM = 6

Asked = tuple[str | None, UUID | None]


async def handle(context: RequestContext, request: Any) -> Any:
    asked = _asked(context, request)
    times = Counter(asked)
    asked = list(times)
    answers: list[Topic | StreamBusError | None] = [None] * len(asked)
    found: list[tuple[int, Topic]] = []
    for position, topic in enumerate(asked):
        try:
            if times[topic] > 1:
                raise InvalidRequest("Duplicate topic in the request.")
            found.append((position, _find(context, *topic)))
        except StreamBusError as error:
            answers[position] = error
    ways = Counter(topic.topic_id for _, topic in found)
    once: list[tuple[int, Topic]] = []
    for position, known in found:
        if ways[known.topic_id] > 1:
            answers[position] = InvalidRequest("The topic is named by its name and by its id.")
        else:
            once.append((position, known))
    if once:
        deleted = await context.broker.controller.delete_topics(
            [known.topic_id for _, known in once],
            timeout_ms=int(request.timeout.total_seconds() * 1000),
        )
        for (position, _), answer in zip(once, deleted, strict=True):
            answers[position] = answer
    return _response(
        context,
        [_deleted(context, topic, answer) for topic, answer in zip(asked, answers, strict=True)],
    )


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(
        context, [_refused(context, topic, code, message) for topic in _asked(context, request)]
    )


def _asked(context: RequestContext, request: Any) -> list[Asked]:
    if context.api_version >= IDS_FROM:
        return [(topic.name, topic.topic_id) for topic in request.topics]
    return [(name, None) for name in request.topic_names]


def _find(context: RequestContext, name: str | None, topic_id: UUID | None) -> Topic:
    """The topic, if this client may delete it."""
    image = context.broker.controller.image
    if (name is None) == (topic_id is None):
        raise InvalidRequest("A topic is named by its name or by its id, and by one of them.")
    if name is not None:
        topic = image.topics_by_name.get(name)
        if not context.allows(Operation.DESCRIBE, Resource.TOPIC, name):
            raise TopicAuthorizationFailed("Topic authorization failed.")
        if topic is None:
            raise UnknownTopicOrPartition("This server does not host this topic-partition.")
    else:
        assert topic_id is not None
        topic = image.topics_by_id.get(TopicId(topic_id.bytes))
        if topic is None:
            raise UnknownTopicId("This server does not host this topic ID.")
    if not context.allows(Operation.DELETE, Resource.TOPIC, topic.name):
        raise TopicAuthorizationFailed("Topic authorization failed.")
    return topic


def _deleted(context: RequestContext, asked: Asked, answer: Topic | StreamBusError | None) -> Any:
    assert answer is not None, "a topic was left without an answer"
    if isinstance(answer, StreamBusError):
        return _refused(context, asked, code_of(answer), message_of(answer))
    return context.shape(
        "DeletableTopicResult",
        name=answer.name,
        topic_id=UUID(bytes=answer.topic_id),
        error_code=context.error(0),
        error_message=None,
    )


def _refused(context: RequestContext, asked: Asked, code: int, message: str) -> Any:
    name, topic_id = asked
    return context.shape(
        "DeletableTopicResult",
        name=name,
        topic_id=topic_id,
        error_code=context.error(code),
        error_message=message,
    )


def _response(context: RequestContext, results: list[Any]) -> Any:
    return context.shape(
        "DeleteTopicsResponse", throttle_time=context.throttle, responses=tuple(results)
    )
