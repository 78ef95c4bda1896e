"""AlterConfigs, versions 0 to 2: what is set on a resource is replaced by what the request says.

Behaviour: each resource by itself, all of its configs or none. A config that is set and not named
goes back to its default. `validate_only` decides and changes nothing. Resources are topics,
prefixes of topics (`app.service.*`), this broker by its id, and all brokers by the empty name.
Oddities: needs AlterConfigs on the topic or the cluster. The same resource twice, the same config
twice and a null value are INVALID_REQUEST; so are kinds of resources that do not exist here
(loggers, client metrics, groups).
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from app.admin.commands.configs import ConfigsReplaced, ReplaceConfigs, ResourceKind
from app.admin.port import Failed
from app.errors import InvalidRequest, StreamBusError
from app.kafka.context import RequestContext
from app.kafka.items import BROKER, TOPIC, ask_each, not_here, outcome

KEY = 33
VERSIONS = (0, 2)
KINDS: dict[int, ResourceKind] = {TOPIC: "topic", BROKER: "broker"}


async def handle(context: RequestContext, request: Any) -> Any:
    answers = await ask_each(
        context,
        await context.aside(partial(_asked, request)),
        lambda resources: ReplaceConfigs(resources, request.validate_only),
        lambda reply: reply.resources,
    )
    return await context.aside(partial(_told, context, request, answers))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _told(context, request, [Failed(code, "rejected", message)] * len(request.resources))


def _told(context: RequestContext, request: Any, answers: Sequence[Any]) -> Any:
    return response(context, request, "AlterConfigsResponse", answers)


def repeats(request: Any) -> Counter[tuple[int, str]]:
    """How often each resource stands in the request."""
    return Counter((each.resource_type, each.resource_name) for each in request.resources)


def check(resource: Any, times: Counter[tuple[int, str]], nulls: list[str]) -> None:
    """Raise what Kafka refuses before it looks at the resource; `nulls` have no value but need
    one."""
    kind = resource.resource_type
    if times[kind, resource.resource_name] > 1:
        raise InvalidRequest("Each resource must appear at most once.")
    if len({each.name for each in resource.configs}) < len(resource.configs):
        raise InvalidRequest("Error due to duplicate config keys")
    if nulls:
        raise InvalidRequest(f"Null value not supported for : {', '.join(nulls)}")
    if (refused := not_here(kind)) is not None:
        raise refused
    if kind == TOPIC and not resource.resource_name:
        raise InvalidRequest("Default topic resources are not allowed.")


def response(context: RequestContext, request: Any, kind: str, answers: Sequence[Any]) -> Any:
    told = map(outcome, answers)
    return context.shape(
        kind,
        throttle_time=context.throttle,
        responses=tuple(
            context.shape(
                "AlterConfigsResourceResponse",
                error_code=context.error(code),
                error_message=message,
                resource_type=each.resource_type,
                resource_name=each.resource_name,
            )
            for each, (code, message) in zip(request.resources, told, strict=True)
        ),
    )


def _asked(request: Any) -> list[ConfigsReplaced | StreamBusError]:
    times = repeats(request)
    return [_replaced(each, times) for each in request.resources]


def _replaced(resource: Any, times: Counter[tuple[int, str]]) -> ConfigsReplaced | StreamBusError:
    try:
        check(resource, times, [each.name for each in resource.configs if each.value is None])
    except InvalidRequest as refused:
        return refused
    return ConfigsReplaced(
        kind=KINDS[resource.resource_type],
        name=resource.resource_name,
        configs={each.name: each.value for each in resource.configs},
    )
