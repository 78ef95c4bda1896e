"""`/metrics`: what Prometheus scrapes."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from fastapi.responses import Response, StreamingResponse

from app.admin.commands.metrics import CollectMetrics
from app.api import problems, routing
from app.api.routing import Asks
from app.telemetry import exposition

router = routing.router("metrics")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {exposition.CONTENT_TYPE: {"schema": {"type": "string"}}},
        },
        **problems.schema(),
    },
    summary="Metrics of this broker",
)
async def scrape(port: Asks) -> Response:
    metrics = await port.ask(CollectMetrics())
    pieces = _in_turns(exposition.render(metrics.families))
    return StreamingResponse(pieces, media_type=exposition.CONTENT_TYPE)


async def _in_turns(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Piece by piece, and the loop gets a turn between two: inside the broker it is Kafka's too."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)
