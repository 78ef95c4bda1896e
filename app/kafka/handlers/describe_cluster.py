"""DescribeCluster, versions 0 to 2.

Behaviour: the cluster's id, its controller, and the brokers that a client of this listener can
reach, at the endpoints that have the listener's name. The operations that the client is allowed on
the cluster if it asks.
Oddities: everybody may ask, as in Kafka; operations are none at all for a client that may not
describe the cluster. Controllers (endpoint type 2, from 1) are MISMATCHED_ENDPOINT_TYPE: they have
no listener that clients use. No broker is ever told as fenced: what is not there is left out.
"""

from typing import Any

from app.admin.commands.cluster import ClusterDescription, DescribeCluster
from app.errors import MismatchedEndpointType, UnsupportedEndpointType
from app.kafka.context import RequestContext
from streambus.protocol.messages.metadata import NO_OPERATIONS

KEY = 60
VERSIONS = (0, 2)
BROKERS, CONTROLLERS = 1, 2


async def handle(context: RequestContext, request: Any) -> Any:
    endpoint_type = getattr(request, "endpoint_type", BROKERS)
    if endpoint_type == CONTROLLERS:
        raise MismatchedEndpointType(
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type "
            "CONTROLLER"
        )
    if endpoint_type != BROKERS:
        raise UnsupportedEndpointType(f"Unsupported endpoint type {endpoint_type}")
    asks = request.include_cluster_authorized_operations
    described: ClusterDescription = await context.broker.admin.ask(
        context.principal, DescribeCluster(operations=asks)
    )
    brokers = [
        context.shape(
            "DescribeClusterBroker",
            broker_id=broker.broker_id,
            host=endpoint.host,
            port=endpoint.port,
            rack=broker.rack,
            is_fenced=False,
        )
        for broker in described.brokers
        for endpoint in broker.endpoints
        if endpoint.listener == context.listener
    ]
    is_reached = any(each.broker_id == described.controller_id for each in brokers)
    return context.shape(
        "DescribeClusterResponse",
        throttle_time=context.throttle,
        error_code=context.error(0),
        error_message=None,
        endpoint_type=BROKERS,
        cluster_id=described.cluster_id,
        controller_id=described.controller_id if is_reached else -1,
        brokers=tuple(brokers),
        cluster_authorized_operations=sum(1 << each for each in described.operations)
        if asks
        else NO_OPERATIONS,
    )


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return context.shape(
        "DescribeClusterResponse",
        throttle_time=context.throttle,
        error_code=context.error(code),
        error_message=message,
        cluster_id="",
        brokers=(),
    )
