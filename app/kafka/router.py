"""Which API is served at which versions by whom: one table, and it is the advertisement.

Owns    the routing table, and the one mapping from the four kinds of errors to Kafka's codes.
Never   decides what an API does: app/kafka/handlers has one module for each.
Trusts  that `handlers/__init__.py` lists every module once.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from app.errors import StreamBusError
from app.kafka.context import RequestContext
from app.limits import ERROR_CHARACTERS_MAX
from app.telemetry import events
from streambus.protocol import api

if TYPE_CHECKING:
    from app.kafka.connection import Connection

UNKNOWN_SERVER_ERROR = -1

Decode = Callable[[int, int, memoryview, int, int], Any]
"""(api key, version, view, position, end) -> the request."""
Encode = Callable[[Any, int, int], bytes]
"""(answer, correlation id, version) -> a whole frame."""
Start = Callable[["Connection", RequestContext, memoryview, int, int], None]
"""(connection, context, view, position, end): answers by `connection.reply`, now or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One API. Most have `decode`, `handle`, `refuse` and `encode`: `handle` answers a decoded
    request, `refuse` is the answer to all of it with one code and message. All but `handle` may run
    on a lane. An API that answers without a task has `start` (Fetch) or is called by connections
    themselves (Produce)."""

    key: int
    name: str
    versions: tuple[int, int]
    start: Start | None = None
    decode: Decode | None = None
    handle: Callable[[RequestContext, Any], Awaitable[Any]] | None = None
    refuse: Callable[[RequestContext, Any, int, str], Any] | None = None
    encode: Encode | None = None

    def __post_init__(self) -> None:
        known = api.BY_KEY[self.key]
        assert (known.oldest, known.newest) == self.versions, f"{self.name}: not what we speak"


class Router:
    """The table by API key."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes: dict[int, Route] = {}
        for route in routes:
            assert route.key not in self.routes, f"{route.name} is listed twice"
            self.routes[route.key] = route

    def route(self, key: int, version: int) -> Route | None:
        """Who answers `key` at `version`; None if nobody does."""
        route = self.routes.get(key)
        if route is None or not route.versions[0] <= version <= route.versions[1]:
            return None
        return route

    def advertised(self) -> tuple[tuple[int, int, int], ...]:
        """(key, lowest, highest) of what is served here."""
        return tuple(entry for entry in api.advertised() if entry[0] in self.routes)


async def answer(route: Route, context: RequestContext, request: Any) -> bytes:
    """The whole frame that answers `request`. The root of a request's task: what goes wrong in a
    handler ends here as an answer. Our own bugs (AssertionError) do not: they stop the broker."""
    assert route.handle is not None and route.refuse is not None and route.encode is not None
    context.throttle_ms = context.broker.quotas.throttle_ms(
        context.principal, context.client_id, route.key, 1
    )
    try:
        reply = await route.handle(context, request)
        if context.is_large:
            for code, times in (await context.aside(partial(_counted, reply))).items():
                context.failed(code, times)
        else:
            for code in codes_in(reply):
                context.failed(code)
    except StreamBusError as error:
        context.failed(code_of(error))
        reply = await _refusal(route, context, request, error)
    except AssertionError:
        raise
    except Exception as error:
        events.emit(
            "request.failed",
            events.ERROR,
            api=route.name,
            version=context.api_version,
            client_id=context.client_id,
            error=repr(error),
        )
        context.failed(UNKNOWN_SERVER_ERROR)
        reply = await _refusal(route, context, request, error)
    if not context.is_large:
        return route.encode(reply, context.correlation_id, context.api_version)
    encode = partial(route.encode, reply, context.correlation_id, context.api_version)
    frame = await context.aside(encode)
    del reply, encode
    await asyncio.sleep(0)  # to forget the answer takes a turn, as does the request
    return frame


async def _refusal(route: Route, context: RequestContext, request: Any, error: Exception) -> Any:
    assert route.refuse is not None
    return await context.aside(
        partial(route.refuse, context, request, code_of(error), message_of(error))
    )


def _counted(reply: Any) -> Counter[int]:
    return Counter(codes_in(reply))


def codes_in(reply: Any) -> Iterator[int]:
    """The error codes in a message of the control codec, its own and those of its parts."""
    for field in getattr(reply, "__dataclass_fields__", ()):
        value = getattr(reply, field)
        if field == "error_code":
            if value:
                yield int(value)
        elif isinstance(value, tuple):
            for part in value:
                yield from codes_in(part)


def code_of(error: BaseException) -> int:
    """The Kafka code that tells a client what to do about `error`."""
    return error.code if isinstance(error, StreamBusError) else UNKNOWN_SERVER_ERROR


def message_of(error: BaseException) -> str:
    """What a client may read of `error`: nothing of ours unless it was raised on purpose."""
    if isinstance(error, StreamBusError):
        return str(error)[:ERROR_CHARACTERS_MAX]
    return "the broker failed: see its log"
