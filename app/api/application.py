"""The FastAPI application: routes, errors and bounds put together.

Owns    the order of routes, and the description at `/v1/openapi.json`.
Never   serves a page for browsers: FastAPI's would load scripts from elsewhere.
"""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from app import limits
from app.admin.port import Admin
from app.api import health, metrics, problems, routing
from app.api.guard import Budget, Guard, RequestIds
from app.api.settings import ApiSettings
from app.api.v1 import brokers, cluster, configs, partitions, producers, records, topics, watch

DESCRIPTION = """Topics, records, configs and brokers of a StreamBus cluster.

Errors are problem documents (RFC 9457) with Kafka's name and number. What a request brings as
`X-Request-ID` comes back and stands in the broker's log. A query parameter that is not known here
is refused.
"""

description = routing.router("description")


@description.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return Response(request.app.state.description, media_type="application/json")


def described(application: FastAPI) -> dict[str, Any]:
    """The OpenAPI document. FastAPI's own answer to a wrong request is taken out of it: ours is a
    problem."""
    document = application.openapi()
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for fitting in (problems.Problem, problems.FieldProblem):
        own = fitting.model_json_schema(
            mode="serialization", ref_template="#/components/schemas/{model}"
        )
        own.pop("$defs", None)
        schemas.setdefault(fitting.__name__, own)
    return document


def create_app(admin: Admin, settings: ApiSettings, id_prefix: str) -> FastAPI:
    """`id_prefix` begins the ids of requests that bring none: it tells processes apart."""
    application = FastAPI(
        title="StreamBus",
        version=settings.version or "0",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    application.state.admin = admin
    application.state.settings = settings
    application.state.watches = watch.Watches()
    problems.install(application)
    application.add_middleware(
        Guard,
        settings=settings,
        budget=Budget(limits.API_BUFFERED_BYTES_MAX),
        ids=RequestIds(id_prefix),
    )
    application.include_router(health.router, prefix="/health")
    application.include_router(metrics.router)
    for router in (topics.router, partitions.router, records.router, producers.router):
        application.include_router(router, prefix="/v1/topics")
    application.include_router(configs.topics, prefix="/v1/topics")
    application.include_router(brokers.router, prefix="/v1/brokers")
    for router in (configs.router, cluster.router, watch.router, description):
        application.include_router(router, prefix="/v1")
    application.state.description = msgspec.json.encode(described(application))
    application.openapi_schema = None  # the text is enough: as objects it is ten times that
    return application
