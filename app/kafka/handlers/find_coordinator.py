"""FindCoordinator, versions 0 to 6 (from 4 any number of keys at once).

Behaviour: there are no coordinators yet, so every key is answered COORDINATOR_NOT_AVAILABLE (15),
after Describe on the group or transactional id was asked of the authorizer.
Oddities: clients take 15 as 'soon' and try again until their own timeout; that is what they do with
a young Kafka cluster too. An unknown key type is INVALID_REQUEST.
"""

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Any

from app.admin.turns import Turns
from app.errors import (
    CoordinatorNotAvailable,
    GroupAuthorizationFailed,
    InvalidRequest,
    TransactionalIdAuthorizationFailed,
)
from app.kafka.context import RequestContext
from app.security.ports import Operation, Resource

KEY = 10
VERSIONS = (0, 6)
BATCHED_FROM = 4
SHARE_FROM = 6
GROUP, TRANSACTION, SHARE = 0, 1, 2


async def handle(context: RequestContext, request: Any) -> Any:
    key_type = getattr(request, "key_type", GROUP)
    turns, answers = Turns(), []
    for key in _keys(context, request):
        answers.append(_answer(context, key_type, key))
        await turns.took()
    return await context.aside(partial(_response, context, request, iter(answers)))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(context, request, repeat((code, message)))


def _keys(context: RequestContext, request: Any) -> tuple[str, ...]:
    if context.api_version >= BATCHED_FROM:
        keys: tuple[str, ...] = request.coordinator_keys
        return keys
    return (request.key,)


def _answer(context: RequestContext, key_type: int, key: str) -> tuple[int, str]:
    if key_type == SHARE and (context.api_version < SHARE_FROM or key.count(":") < 2):
        return InvalidRequest.code, "A share coordinator's key is 'group:topic id:partition'."
    if key_type in (GROUP, SHARE):
        group = key if key_type == GROUP else key.rsplit(":", 2)[0]
        if not context.allows(Operation.DESCRIBE, Resource.GROUP, group):
            return GroupAuthorizationFailed.code, "Not authorized to access the group."
    elif key_type == TRANSACTION:
        if not context.allows(Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, key):
            return (
                TransactionalIdAuthorizationFailed.code,
                "Not authorized to access the transactional id.",
            )
    else:
        return InvalidRequest.code, f"Key type {key_type} is not known."
    return CoordinatorNotAvailable.code, "This broker has no groups and transactions yet."


def _response(context: RequestContext, request: Any, answers: Iterator[tuple[int, str]]) -> Any:
    nobody = {"node_id": -1, "host": "", "port": -1}
    if context.api_version >= BATCHED_FROM:
        coordinators = []
        for key in request.coordinator_keys:
            code, message = next(answers)
            coordinators.append(
                context.shape(
                    "Coordinator",
                    key=key,
                    error_code=context.error(code),
                    error_message=message,
                    **nobody,
                )
            )
        return context.shape(
            "FindCoordinatorResponse",
            throttle_time=context.throttle,
            coordinators=tuple(coordinators),
        )
    code, message = next(answers)
    return context.shape(
        "FindCoordinatorResponse",
        throttle_time=context.throttle,
        error_code=context.error(code),
        error_message=message,
        **nobody,
    )
