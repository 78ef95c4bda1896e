"""InitProducerId, versions 0 to 5: idempotent producers only.

Behaviour: a new producer id with epoch 0, from a block that the manifest has reserved. A producer
that names the id and epoch it had (KIP-360) also gets a new id, as in Kafka: without a
transactional id there is nobody whose state could vouch for the old one.
Oddities: with a transactional id the answer is COORDINATOR_NOT_AVAILABLE, as FindCoordinator's is,
because there are no transactions yet; clients try again until their own timeout and then say so.
Allowed to those with IdempotentWrite on the cluster or Write on any topic (KIP-679).
"""

from typing import Any

from app.errors import (
    ClusterAuthorizationFailed,
    CoordinatorNotAvailable,
    InvalidRequest,
    TransactionalIdAuthorizationFailed,
)
from app.kafka.context import RequestContext
from app.security.ports import CLUSTER_NAME, Operation, Resource

KEY = 22
VERSIONS = (0, 5)
NONE = -1


async def handle(context: RequestContext, request: Any) -> Any:
    authorizer = context.broker.authorizer
    transactional_id = request.transactional_id
    if transactional_id is not None:
        if not context.allows(Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id):
            raise TransactionalIdAuthorizationFailed(transactional_id)
    elif not (
        context.allows(Operation.IDEMPOTENT_WRITE, Resource.CLUSTER, CLUSTER_NAME)
        or authorizer.allows_any(context.principal, Operation.WRITE, Resource.TOPIC)
    ):
        raise ClusterAuthorizationFailed("neither IdempotentWrite nor Write on any topic")
    known_id = getattr(request, "producer_id", NONE)
    known_epoch = getattr(request, "producer_epoch", NONE)
    if (known_id == NONE) != (known_epoch == NONE):
        raise InvalidRequest("a producer id comes with its epoch, or both are -1")
    if transactional_id == "":
        raise InvalidRequest("a transactional id cannot be empty")
    if transactional_id is not None:
        raise CoordinatorNotAvailable("there are no transactions yet")
    return _response(context, 0, await context.broker.producer_ids.next(), 0)


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(context, code, NONE, NONE)


def _response(context: RequestContext, code: int, producer_id: int, epoch: int) -> Any:
    return context.shape(
        "InitProducerIdResponse",
        throttle_time=context.throttle,
        error_code=context.error(code),
        producer_id=producer_id,
        producer_epoch=epoch,
        ongoing_txn_producer_id=NONE,
        ongoing_txn_producer_epoch=NONE,
    )
