"""IncrementalAlterConfigs, versions 0 and 1: set, delete, append to and subtract from configs.

Behaviour: each resource by itself, all of its changes or none; what is not named stays.
`validate_only` decides and changes nothing. Resources are those of AlterConfigs.
Oddities: needs AlterConfigs on the topic or the cluster. The same resource twice, the same config
twice, a null value for anything but a deletion and an unknown operation are INVALID_REQUEST (Kafka
fails the whole request for the last).
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from app.admin.commands.configs import AlterConfigs, Change, ConfigChange, ConfigsChanged
from app.admin.port import Failed
from app.errors import InvalidRequest, StreamBusError
from app.kafka.context import RequestContext
from app.kafka.handlers.alter_configs import KINDS, check, repeats, response
from app.kafka.items import ask_each

KEY = 44
VERSIONS = (0, 1)
CHANGES: tuple[Change, ...] = ("set", "delete", "append", "subtract")
DELETE = 1


async def handle(context: RequestContext, request: Any) -> Any:
    answers = await ask_each(
        context,
        await context.aside(partial(_asked, request)),
        lambda resources: AlterConfigs(resources, request.validate_only),
        lambda reply: reply.resources,
    )
    return await context.aside(partial(_response, context, request, answers))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    failed = Failed(code, "rejected", message)
    return _response(context, request, [failed] * len(request.resources))


def _response(context: RequestContext, request: Any, answers: Sequence[Any]) -> Any:
    return response(context, request, "IncrementalAlterConfigsResponse", answers)


def _asked(request: Any) -> list[ConfigsChanged | StreamBusError]:
    times = repeats(request)
    return [_changed(each, times) for each in request.resources]


def _changed(resource: Any, times: Counter[tuple[int, str]]) -> ConfigsChanged | StreamBusError:
    configs = resource.configs
    nulls = [
        each.name for each in configs if each.value is None and each.config_operation != DELETE
    ]
    try:
        check(resource, times, nulls)
        return ConfigsChanged(
            kind=KINDS[resource.resource_type],
            name=resource.resource_name,
            changes=tuple([_change(each) for each in configs]),
        )
    except InvalidRequest as refused:
        return refused


def _change(config: Any) -> ConfigChange:
    operation = config.config_operation
    if not 0 <= operation < len(CHANGES):
        raise InvalidRequest(f"Unknown operation {operation} for {config.name}.")
    value = None if operation == DELETE else config.value
    return ConfigChange(config.name, CHANGES[operation], value)
