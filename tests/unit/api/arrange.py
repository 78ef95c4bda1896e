"""An application over a scripted port, asked without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from app.admin.port import Command
from app.api.application import create_app
from app.api.settings import ApiSettings
from app.model import Principal


class ScriptedAdmin:
    """A port that answers each kind of command as it is told: by a value, an error, or a function
    of the command."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self._answers: dict[type[Command], Any] = {}

    def answers(self, kind: type[Command], answer: Any) -> None:
        self._answers[kind] = answer

    async def ask(self, principal: Principal, command: Command) -> Any:
        assert str(principal) == "User:ANONYMOUS"
        self.asked.append(command)
        answer = self._answers[type(command)]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(command)
        if isinstance(answer, BaseException):
            raise answer
        if asyncio.iscoroutine(answer):
            return await answer
        return answer

    async def watch(self, principal: Principal, query: Command) -> AsyncIterator[Any]:
        for answer in self._answers[type(query)]:
            if isinstance(answer, BaseException):
                raise answer
            yield answer


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """An application and how to ask it."""

    def __init__(self, admin: ScriptedAdmin, **settings: Any) -> None:
        self.admin = admin
        self.application = create_app(admin, ApiSettings(**settings), "test")
        self.told: list[Any] = []

    async def ask(
        self, method: str, path: str, body: bytes | list[bytes] = b"", **headers: str
    ) -> Answer:
        """`body` in parts comes in parts."""
        parts = body if isinstance(body, list) else [body]
        path, _, query = path.partition("?")
        named = {"host": "localhost", "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "state": {},
        }
        incoming = iter(
            [
                {"type": "http.request", "body": part, "more_body": place + 1 < len(parts)}
                for place, part in enumerate(parts)
            ]
        )
        told = self.told = []

        async def receive() -> Any:
            try:
                return next(incoming)
            except StopIteration:
                await asyncio.Event().wait()

        async def send(message: Any) -> None:
            told.append(message)

        await self.application(scope, receive, send)
        start, *bodies = told
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join([each["body"] for each in bodies]),
        )
