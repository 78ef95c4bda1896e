"""Requests of several items, each of which succeeds or fails by itself.

Owns    asking the admin for what can be asked, and putting what the face refuses back in its place.
Never   lets one item disturb another: one that this face refuses never reaches the admin.
Trusts  the admin to answer every item, in their order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from app.admin.port import Command, Failed
from app.core import topic_names
from app.errors import InvalidRequest, InvalidTopic, StreamBusError, UnknownTopicOrPartition
from app.kafka.context import RequestContext

Item = TypeVar("Item")

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
"""Kinds of resources that have configs in Kafka (`ConfigResource.Type`)."""
_NOT_HERE = {
    BROKER_LOGGER: "Log levels of a broker can not be seen or changed here.",
    CLIENT_METRICS: "Subscriptions to clients' metrics do not exist here.",
    GROUP: "Configs of groups do not exist here.",
}


async def ask_each(
    context: RequestContext,
    items: Sequence[Item | StreamBusError],
    command: Callable[[tuple[Item, ...]], Command],
    answers: Callable[[Any], Sequence[Any]],
) -> list[Any]:
    """An answer for each item: what `answers` finds in the reply, which may be Failed. An item that
    is an error is refused already."""
    wanted = tuple([each for each in items if not isinstance(each, StreamBusError)])
    found: Sequence[Any] = ()
    if wanted:
        found = answers(await context.broker.admin.ask(context.principal, command(wanted)))
    assert len(found) == len(wanted), "an item was left without an answer"
    return await context.aside(partial(_in_place, items, found))


def _in_place(items: Sequence[object], found: Sequence[Any]) -> list[Any]:
    rest = iter(found)
    return [Failed.of(each) if isinstance(each, StreamBusError) else next(rest) for each in items]


def outcome(answer: object) -> tuple[int, str | None]:
    """(code, message) of an answer to an item."""
    return (answer.code, answer.message) if isinstance(answer, Failed) else (0, None)


def of_topic(answer: Any, name: str) -> Any:
    """The answer, as Kafka tells that a topic is unknown which could never be."""
    if isinstance(answer, Failed) and answer.code == UnknownTopicOrPartition.code:
        try:
            topic_names.check(name)
        except InvalidTopic as error:
            return Failed.of(error)
    return answer


def timeout_ms(request: Any) -> int:
    """How long the client says that it waits."""
    return int(request.timeout.total_seconds() * 1000)


def not_here(kind: int) -> InvalidRequest | None:
    """Why configs of this kind of resource are refused; None for topics and brokers."""
    if kind in (TOPIC, BROKER):
        return None
    return InvalidRequest(_NOT_HERE.get(kind, f"Unknown resource type {kind}"))
