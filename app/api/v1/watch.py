"""`/v1/watch/topics`: the list of topics now, and again whenever it changes: server-sent events."""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from app import limits
from app.admin.commands.topics import ListTopics
from app.admin.port import Failed
from app.api import problems, routing
from app.api.routing import Asks
from app.api.v1.topics import summary
from app.errors import StreamBusError, Unavailable

router = routing.router("watch")
MEDIA_TYPE = "text/event-stream"


class Watches:
    """How many are open, and the end of them all when the door closes."""

    def __init__(self) -> None:
        self.open = 0
        self.ended = asyncio.Event()

    def enter(self) -> None:
        if self.open >= limits.WATCHES_MAX:
            raise problems.Refused(
                503,
                f"{limits.WATCHES_MAX} watches are open already: close one",
                headers={"retry-after": str(problems.RETRY_AFTER_S)},
            )
        self.open += 1

    def leave(self) -> None:
        self.open -= 1


@router.get(
    "/watch/topics",
    response_class=Response,
    responses={
        200: {
            "description": "Events `topics`, each with the whole list as in `GET /v1/topics`. "
            "Comments in between say that the watch lives.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **problems.schema(),
    },
    summary="Watch the list of topics",
)
async def watch_topics(
    request: Request,
    port: Asks,
    prefix: Annotated[
        str,
        Query(
            max_length=limits.TOPIC_NAME_BYTES_MAX,
            description="Only names that begin with this.",
            examples=["orders."],
        ),
    ] = "",
    internal: Annotated[bool, Query(description="Also the broker's own topics.")] = False,
) -> Response:
    watches: Watches = request.app.state.watches
    replies = port.watch(ListTopics(prefix, "", limits.ADMIN_PAGE_MAX, internal))
    watches.enter()
    try:
        first = await anext(replies, None)  # what fails at once has a status of its own
        if first is None:
            raise Unavailable("the broker ends: watch another one, or this one later")
    except BaseException:
        watches.leave()
        raise
    routing.exchange(request).lasts()
    return Watch(port, watches, replies, first)


class Watch(Response):
    """The answer that goes on: events, and beats between them, until either side ends."""

    def __init__(self, port: routing.Port, watches: Watches, replies: Any, first: Any) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._port = port
        self._watches = watches
        self._replies = replies
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._tell(send), name="watch-tell"),
                    tasks.create_task(_beat(send), name="watch-beat"),
                    tasks.create_task(_left(receive), name="watch-left"),
                    tasks.create_task(self._watches.ended.wait(), name="watch-ended"),
                ]
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in running:
                    task.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._watches.leave()
            await self._replies.aclose()

    async def _tell(self, send: Send) -> None:
        try:
            number = 1
            await _part(send, _event(number, self._first))
            async for page in self._replies:
                number += 1
                await _part(send, _event(number, page))
        except StreamBusError as error:
            problem = self._port.problem(Failed.of(error))
            await _part(send, b"event: problem\ndata: " + msgspec.json.encode(problem) + b"\n\n")


async def _beat(send: Send) -> None:
    while True:
        await asyncio.sleep(limits.API_WATCH_BEAT_MS / 1000)
        await _part(send, b": still here\n\n")


async def _left(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def _part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


def _event(number: int, page: Any) -> bytes:
    listed = {"topics": [summary(each) for each in page.topics], "next": page.next}
    return b"id: %d\nevent: topics\ndata: %s\n\n" % (number, msgspec.json.encode(listed))
