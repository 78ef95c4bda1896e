"""`/v1/cluster` and `/v1/quorum`: the cluster as a whole, and who votes on its manifest."""

from fastapi.responses import Response
from pydantic import Field

from app.admin.commands.cluster import DescribeCluster, DescribeQuorum, VoterDescription
from app.api import problems, routing
from app.api.routing import Asks, Shape
from app.api.v1.brokers import Broker, broker

router = routing.router("cluster")


class Cluster(Shape):
    cluster_id: str
    controller_id: int = Field(description="The broker that decides; -1 if there is none.")
    brokers: list[Broker]
    topics: int = Field(description="How many there are, the broker's own included.")
    partitions: int
    level: int = Field(description="The feature level that all brokers agreed on.")
    version: str = Field(description="Of this broker.")


class Voter(Shape):
    """Timestamps are -1 where nobody measured them."""

    broker_id: int
    log_end: int
    last_fetch_ms: int
    last_caught_up_ms: int


class Quorum(Shape):
    """Of the manifest's log."""

    leader_id: int
    leader_epoch: int
    high_watermark: int = Field(description="Its first index that is not committed yet.")
    voters: list[Voter]
    observers: list[Voter]


@router.get(
    "/cluster", response_model=Cluster, responses=problems.schema(), summary="Describe the cluster"
)
async def describe_cluster(port: Asks) -> Response:
    found = await port.ask(DescribeCluster())
    return routing.encoded(
        {
            "cluster_id": found.cluster_id,
            "controller_id": found.controller_id,
            "brokers": [broker(each) for each in found.brokers],
            "topics": found.topics,
            "partitions": found.partitions,
            "level": found.level,
            "version": found.version,
        }
    )


@router.get(
    "/quorum", response_model=Quorum, responses=problems.schema(), summary="Describe the quorum"
)
async def describe_quorum(port: Asks) -> Response:
    found = await port.ask(DescribeQuorum())
    return routing.encoded(
        {
            "leader_id": found.leader_id,
            "leader_epoch": found.leader_epoch,
            "high_watermark": found.high_watermark,
            "voters": [_voter(each) for each in found.voters],
            "observers": [_voter(each) for each in found.observers],
        }
    )


def _voter(voter: VoterDescription) -> dict[str, int]:
    return {
        "broker_id": voter.broker_id,
        "log_end": voter.log_end,
        "last_fetch_ms": voter.last_fetch_ms,
        "last_caught_up_ms": voter.last_caught_up_ms,
    }
