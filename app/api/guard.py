"""What every request meets before FastAPI sees it: an id, bounds of size and time, a check of who
sent the browser here; and the last net under it.

Owns    the id of a request, the bytes that all requests hold together, the deadline of each, and
        what becomes of an exception that nobody expected.
Never   reads a body: it counts what others read.
"""

import asyncio
import re
import traceback
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import limits
from app.api import problems
from app.api.settings import ApiSettings, host_of, is_local_name
from app.telemetry import events

LEGAL_ID = re.compile(r"[A-Za-z0-9._~:+=@-]{1,64}")
HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Budget:
    """Bytes that requests hold at once: bodies that arrived and pages of records that leave."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held = 0

    def take(self, count: int) -> None:
        if self.held + count > self._bytes_max:
            raise problems.Refused(
                503,
                f"requests hold {self.held} bytes already, and {self._bytes_max} are the most: "
                "try again later, or ask for less at once",
                headers={"retry-after": str(problems.RETRY_AFTER_S)},
            )
        self.held += count

    def release(self, count: int) -> None:
        self.held -= count
        assert self.held >= 0, "more was given back than taken"


class RequestIds:
    """Ids of requests that brought none: unlike those of other processes by their prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._last = 0

    def chosen(self, asked: str | None) -> str:
        """The client's own id where it is short and plain enough for a log, else a new one."""
        if asked is not None and LEGAL_ID.fullmatch(asked):
            return asked
        self._last += 1
        return f"{self._prefix}-{self._last}"


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self, application: ASGIApp, settings: ApiSettings, budget: Budget, ids: RequestIds
    ) -> None:
        self.application = application
        self.settings = settings
        self.budget = budget
        self.ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # what GET answers: the server leaves its body out
            scope = {**scope, "method": "GET"}
        exchange = Exchange(self, scope, receive, send)
        with events.bound(request=exchange.request_id):
            await exchange.run()


class Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        self.request_id = guard.ids.chosen(self._headers.get(b"x-request-id"))
        self._body_bytes = 0
        self._held = 0
        self._deadline: asyncio.Timeout | None = None
        self._is_receiving = True
        self._has_started = False
        self._status = 0  # none was sent
        self._is_stalled = False

    async def run(self) -> None:
        state = self._scope.setdefault("state", {})
        state["request_id"] = self.request_id
        state["exchange"] = self
        try:
            async with asyncio.timeout(self._guard.settings.request_ms / 1000) as self._deadline:
                self._check_head()
                await self._guard.application(self._scope, self._take, self._give)
        except problems.Refused as refused:
            await self._refuse(refused)
        except TimeoutError:
            if self._deadline is not None and self._deadline.expired():
                await self._give_up()
            elif self._is_stalled:
                await self._answer({}, {})
            else:
                raise
        except ClientDisconnect:
            events.emit("api.left", events.DEBUG)
        except asyncio.CancelledError:  # the server ends, and waits no longer for this one
            await self._cut_short()
            raise
        except Exception as error:  # the root of this request: others go on
            await self._fail(error)
        finally:
            self._guard.budget.release(self._held)
            events.emit(
                "api.answered",
                events.DEBUG,
                method=self._scope["method"],
                path=self._scope["path"],
                status=self._status,
            )

    def hold(self, count: int) -> None:
        """Take `count` bytes of what all requests may hold, until this one ends."""
        self._guard.budget.take(count)
        self._held += count

    def let_go(self, count: int) -> None:
        self._guard.budget.release(count)
        self._held -= count

    def lasts(self) -> None:
        """This answer has no end of its own (a watch): from here on only each part of it must be
        taken in time."""
        assert self._deadline is not None
        self._deadline.reschedule(None)

    def _check_head(self) -> None:
        host, origin = self._headers.get(b"host", ""), self._headers.get(b"origin")
        if self._guard.settings.is_local and not is_local_name(host_of(host)):
            raise problems.Refused(
                403,
                f"this door is for this machine, and {host[:100]!r} may be a name of another: "
                "ask for 127.0.0.1 or localhost",
                "FOREIGN_HOST",
            )
        if origin is not None and origin.partition("://")[2] != host:
            raise problems.Refused(
                403,
                "web pages of other origins may not ask: there is no CORS here",
                "FOREIGN_ORIGIN",
            )
        length = self._headers.get(b"content-length", "")
        if length.isdigit() and int(length) > self._guard.settings.body_bytes:
            raise self._too_large()

    def _too_large(self) -> problems.Refused:
        return problems.Refused(
            413,
            f"a body may have {self._guard.settings.body_bytes} bytes (api.body_bytes): send it "
            "in parts",
        )

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            if self._body_bytes > self._guard.settings.body_bytes:
                raise self._too_large()
            self.hold(len(message.get("body", b"")))
            self._is_receiving = message.get("more_body", False)
        return message

    async def _give(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_started = True
            self._status = message["status"]
            own = [(b"x-request-id", self.request_id.encode()), *HEADERS]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        body = message.get("body", b"")
        for start in range(0, max(1, len(body)), limits.API_SEND_BYTES):
            end = start + limits.API_SEND_BYTES
            if len(body) > limits.API_SEND_BYTES:
                more = end < len(body) or message.get("more_body", False)
                await self._give_part({**message, "body": body[start:end], "more_body": more})
            else:
                await self._give_part(message)

    async def _give_part(self, message: Message) -> None:
        """The server takes a part when its client has taken the one before."""
        if self._deadline is None or self._deadline.when() is not None:
            await self._send(message)
            return
        try:
            async with asyncio.timeout(limits.API_SEND_MS_MAX / 1000):
                await self._send(message)
        except TimeoutError:
            self._is_stalled = True
            raise

    async def _refuse(self, refused: problems.Refused) -> None:
        document = problems.of_refusal(
            refused.status_code, refused.name, str(refused.detail), self.request_id
        )
        await self._answer(document, dict(refused.headers or {}))

    async def _give_up(self) -> None:
        seconds = self._guard.settings.request_ms / 1000
        if self._is_receiving and self._body_bytes:
            status, name = 408, problems.OF_STATUS[408]
            detail = f"the body was not here whole after {seconds:g} s (api.request_ms)"
        else:
            status, name = 504, "REQUEST_TIMED_OUT"
            detail = (
                f"not done after {seconds:g} s (api.request_ms); what was asked may still happen: "
                "look before asking again"
            )
        await self._answer(problems.of_refusal(status, name, detail, self.request_id), {})

    async def _cut_short(self) -> None:
        detail = (
            "the broker stops before this is done; what was asked may still happen: look before "
            "asking again"
        )
        await self._answer(problems.of_refusal(503, "UNAVAILABLE", detail, self.request_id), {})

    async def _fail(self, error: Exception) -> None:
        if self._is_stalled:  # the task group of a watch wraps what a slow client causes
            await self._answer({}, {})
            return
        events.emit(
            "api.failed",
            events.ERROR,
            method=self._scope["method"],
            path=self._scope["path"],
            error=repr(error),
            trace="".join(traceback.format_exception(error)),
        )
        if isinstance(error, AssertionError):  # a bug of ours: whoever runs the loop ends it
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a request over HTTP met a bug", "exception": error}
            )
        detail = "the broker failed; its log says more under this request_id"
        document = problems.of_refusal(500, "UNKNOWN_SERVER_ERROR", detail, self.request_id)
        await self._answer(document, {})

    async def _answer(self, document: dict[str, Any], headers: dict[str, str]) -> None:
        """A problem, unless an answer has begun: then the connection ends in the middle of it, so
        that nobody takes a part for the whole."""
        if self._has_started:
            self._scope["state"]["door"].break_off()
            return
        answer = problems.response(document, headers)
        try:
            async with asyncio.timeout(limits.API_SEND_MS_MAX / 1000):
                await answer(self._scope, self._receive, self._give)
        except TimeoutError:
            events.emit("api.left", events.DEBUG)
