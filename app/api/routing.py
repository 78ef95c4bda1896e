"""How every route behaves: strict about its query and the type of its body, and asking the port.

Owns    the route class, the access to what the application was made with, and the types of fields
        that several nouns share.
Never   knows an operation.
"""

import base64
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from app import limits
from app.admin.port import Admin, Command, Failed
from app.api import problems
from app.api.guard import Exchange
from app.model import ANONYMOUS, Principal

T = TypeVar("T")
INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1

Int32 = Annotated[int, Field(ge=-(2**31), le=INT32_MAX)]
Int64 = Annotated[int, Field(ge=-(2**63), le=INT64_MAX)]
PartitionNumber = Annotated[int, Field(ge=0, le=INT32_MAX)]

TopicName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=limits.TOPIC_NAME_BYTES_MAX,
        description="A topic's name: letters, digits, `.`, `_`, `-`.",
        examples=["orders.created"],
    ),
]
TopicOrPrefix = Annotated[
    str,
    Path(
        min_length=1,
        max_length=limits.TOPIC_NAME_BYTES_MAX,
        description="A topic's name, or a prefix of names such as `orders.*`.",
        examples=["orders.created"],
    ),
]
ValidateOnly = Annotated[bool, Query(description="Check and answer, but change nothing.")]


class Shape(BaseModel):
    """What the API answers: every field is there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Asked(BaseModel):
    """What the API is sent: no other fields, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Item(BaseModel):
    """In a list: what failed alone."""

    error: problems.Problem


class Route(APIRoute):
    """Refuses what a plain FastAPI route would pass over in silence."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        known = {each.alias for each in self.dependant.query_params}
        wants_json = self.body_field is not None

        async def checked(request: Request) -> Response:
            check_query(request, known)
            if wants_json:
                check_media_type(request, "application/json")
            return await answer(request)

        return checked


def router(tag: str) -> APIRouter:
    return APIRouter(route_class=Route, tags=[tag], redirect_slashes=False)


def check_query(request: Request, known: set[str]) -> None:
    """A parameter that nobody reads is a mistake of its sender: say so."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            may = ", ".join(sorted(known)) or "none"
            raise problems.Refused(
                422, f"query.{name[:50]}: there is no such parameter here, but {may}", INVALID
            )
        if name in seen:
            raise problems.Refused(422, f"query.{name}: given twice", INVALID)
        seen.add(name)


INVALID = "INVALID_REQUEST"


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(request: Request, *may: str) -> str:
    given = media_type(request)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise problems.Refused(
            415,
            f"content-encoding {coding[:50]!r}: send it as it is",
            headers={"accept-encoding": ""},
        )
    if given not in may:
        raise problems.Refused(
            415,
            f"content-type {given[:50]!r}: send {' or '.join(may)}",
            headers={"accept": ", ".join(may)},
        )
    return given


def asker(request: Request) -> Principal:
    """Who asks. Nothing authenticates over HTTP yet."""
    return ANONYMOUS


def exchange(request: Request) -> Exchange:
    given: Exchange = request.state.exchange
    return given


class Port:
    """The port of administration in the name of one request's sender."""

    def __init__(self, request: Request) -> None:
        self._admin: Admin = request.app.state.admin
        self._principal = asker(request)
        self._request_id = problems.request_id(request)

    async def ask(self, command: Command) -> Any:
        return await self._admin.ask(self._principal, command)

    def watch(self, query: Command) -> Any:
        return self._admin.watch(self._principal, query)

    async def one(self, command: Command, items: Callable[[Any], Sequence[Any]]) -> Any:
        """The only item of the reply; raises what made it fail."""
        (item,) = items(await self.ask(command))
        if isinstance(item, Failed):
            raise item.error()
        return item

    def problem(self, failed: Failed) -> dict[str, Any]:
        return problems.of_failed(failed, self._request_id)

    def several(
        self, name: str, items: Sequence[Any], shape: Callable[[Any], dict[str, Any]]
    ) -> Response:
        """The answer about several items: 200, or 207 if any failed. An item that failed alone is
        the answer's problem."""
        if len(items) == 1 and isinstance(items[0], Failed):
            return problems.response(self.problem(items[0]))
        listed = [
            {"error": self.problem(each)} if isinstance(each, Failed) else shape(each)
            for each in items
        ]
        return encoded({name: listed}, 207 if any("error" in each for each in listed) else 200)


Asks = Annotated[Port, Depends(Port)]


def encoded(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`document` as JSON. Its schema is stated at the route and checked by tests, not at run time:
    a page of a thousand records would cost more in checks than in reading."""
    return Response(msgspec.json.encode(document), status, headers, "application/json")


def topic_id(raw: bytes) -> str:
    """Kafka's text of a topic id: 22 characters of base64url."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
