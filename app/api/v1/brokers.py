"""`/v1/brokers`: who they are, their configs and log directories."""

from typing import Annotated, Any

from fastapi import Path, Request
from fastapi.responses import Response
from pydantic import Field

from app.admin.commands.cluster import (
    BrokerDescription,
    ClusterDescription,
    DescribeCluster,
    DescribeLogDirectories,
)
from app.api import problems, routing
from app.api.routing import INT32_MAX, Asks, Shape, ValidateOnly
from app.api.v1 import configs
from app.errors import BrokerIdNotRegistered

router = routing.router("brokers")

BrokerId = Annotated[int, Path(ge=0, le=INT32_MAX, examples=[1])]
ALL = "default"
BrokerOrAll = Annotated[
    str,
    Path(
        pattern=r"^(default|[0-9]{1,10})$",
        description="A broker's id, or `default`: what holds for all brokers.",
        examples=["1"],
    ),
]


class Endpoint(Shape):
    """Where Kafka clients of a listener reach it."""

    listener: str
    host: str
    port: int


class Broker(Shape):
    broker_id: int
    rack: str | None
    incarnation: int = Field(description="How often it has started in this cluster.")
    endpoints: list[Endpoint]


class Brokers(Shape):
    brokers: list[Broker]


class ReplicaBytes(Shape):
    topic: str
    topic_id: str
    partition: int
    bytes: int
    lag: int = Field(description="Offsets behind.")


class Directory(Shape):
    path: str
    total_bytes: int = Field(description="Of its file system; -1 if that does not say.")
    usable_bytes: int
    replicas: list[ReplicaBytes]
    error: problems.Problem | None


class Directories(Shape):
    directories: list[Directory]


@router.get("", response_model=Brokers, responses=problems.schema(), summary="List brokers")
async def list_brokers(port: Asks) -> Response:
    cluster = await port.ask(DescribeCluster())
    return routing.encoded({"brokers": [broker(each) for each in cluster.brokers]})


@router.get(
    "/{broker_id}", response_model=Broker, responses=problems.schema(), summary="Describe a broker"
)
async def describe(port: Asks, broker_id: BrokerId) -> Response:
    return routing.encoded(broker(_found(await port.ask(DescribeCluster()), broker_id)))


@router.get(
    "/{broker_id}/configs",
    response_model=configs.Entries,
    responses=problems.schema(),
    summary="Configs of a broker, or of all",
    tags=["configs"],
)
async def of_broker(
    port: Asks,
    broker_id: BrokerOrAll,
    synonyms: configs.Synonyms = False,
    docs: configs.Docs = False,
) -> Response:
    return await configs.described(port, "broker", _resource(broker_id), synonyms, docs)


@router.patch(
    "/{broker_id}/configs",
    response_model=configs.SetNow,
    responses=problems.schema(415),
    summary="Change configs of a broker, or of all",
    tags=["configs"],
)
async def change_broker(
    port: Asks,
    broker_id: BrokerOrAll,
    asked: configs.BrokerChangesBody,
    validate_only: ValidateOnly = False,
) -> Response:
    return await configs.altered(port, "broker", _resource(broker_id), asked, validate_only)


@router.get(
    "/{broker_id}/log-directories",
    response_model=Directories,
    responses=problems.schema(),
    summary="Where a broker's bytes are",
)
async def log_directories(request: Request, port: Asks, broker_id: BrokerId) -> Response:
    _found(await port.ask(DescribeCluster()), broker_id)
    asked_id = request.app.state.settings.broker_id
    if broker_id != asked_id:
        raise problems.Refused(
            404,
            f"only broker {broker_id} knows its directories, and this is broker {asked_id}: ask "
            "there",
            "OTHER_BROKER",
        )
    reply = await port.ask(DescribeLogDirectories())
    return routing.encoded(
        {
            "directories": [
                {
                    "path": each.path,
                    "total_bytes": each.total_bytes,
                    "usable_bytes": each.usable_bytes,
                    "replicas": [_replica(replica) for replica in each.replicas],
                    "error": None if each.failure is None else port.problem(each.failure),
                }
                for each in reply.directories
            ]
        }
    )


def broker(described: BrokerDescription) -> dict[str, Any]:
    return {
        "broker_id": described.broker_id,
        "rack": described.rack,
        "incarnation": described.incarnation,
        "endpoints": [
            {"listener": each.listener, "host": each.host, "port": each.port}
            for each in described.endpoints
        ],
    }


def _found(cluster: ClusterDescription, broker_id: int) -> BrokerDescription:
    for each in cluster.brokers:
        if each.broker_id == broker_id:
            return each
    known = ", ".join(str(each.broker_id) for each in cluster.brokers)
    raise BrokerIdNotRegistered(f"no broker {broker_id}; there are: {known}")


def _resource(broker_id: str) -> str:
    return "" if broker_id == ALL else str(int(broker_id))


def _replica(replica: Any) -> dict[str, Any]:
    return {
        "topic": replica.topic,
        "topic_id": routing.topic_id(replica.topic_id),
        "partition": replica.partition,
        "bytes": replica.bytes,
        "lag": replica.lag,
    }
