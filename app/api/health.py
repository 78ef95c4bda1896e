"""`/health`: is it alive, may clients be sent to it, has it started."""

from fastapi.responses import Response
from pydantic import Field

from app.admin.commands.health import CheckHealth, Health
from app.api import problems, routing
from app.api.routing import Asks, Shape

router = routing.router("health")


class State(Shape):
    """What a broker says of itself."""

    status: str = Field(description="`ok`, or `failing`.", examples=["ok"])
    reasons: list[str] = Field(description="What is not as it should be, in words.")


STATE_OR_PROBLEM = problems.schema()
STATE_OR_PROBLEM[503]["model"] = State


@router.get(
    "/live",
    response_model=State,
    responses=problems.schema(),
    summary="Is it alive? That it answers is the answer",
)
async def live(port: Asks) -> Response:
    await port.ask(CheckHealth())
    return _state(True, ())


@router.get(
    "/ready",
    response_model=State,
    responses=STATE_OR_PROBLEM,
    summary="May clients be sent to it?",
)
async def ready(port: Asks) -> Response:
    health: Health = await port.ask(CheckHealth())
    return _state(health.ready, health.reasons)


@router.get(
    "/startup",
    response_model=State,
    responses=STATE_OR_PROBLEM,
    summary="Has it started?",
)
async def startup(port: Asks) -> Response:
    health: Health = await port.ask(CheckHealth())
    return _state(health.started, () if health.started else health.reasons)


def _state(good: bool, reasons: tuple[str, ...]) -> Response:
    document = {"status": "ok" if good else "failing", "reasons": list(reasons)}
    return routing.encoded(document, 200 if good else 503)
