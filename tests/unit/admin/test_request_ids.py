"""What the broker says while it works for its sibling carries the request of the client there."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

from app.admin import frames
from app.admin.commands.topics import ListTopics, TopicPage
from app.admin.port import Command
from app.admin.remote import connected
from app.admin.serving import serve
from app.model import ANONYMOUS, Principal
from app.telemetry import events

TOKEN = b"t" * frames.TOKEN_BYTES


class Notes:
    """An admin that remembers what was bound while it was asked."""

    def __init__(self) -> None:
        self.bound: list[Mapping[str, Any]] = []

    async def ask(self, principal: Principal, command: Command) -> Any:
        await asyncio.sleep(0)
        self.bound.append(events.bound_fields())
        return TopicPage(())

    async def watch(self, principal: Principal, query: Command) -> AsyncIterator[Any]:
        yield TopicPage(())


async def test_the_request_crosses_the_socket_with_its_command() -> None:
    admin = Notes()
    ours, theirs = socket.socketpair()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(admin, ours, TOKEN))
        async with connected(theirs, TOKEN) as remote:
            with events.bound(request="from-a-client"):
                await remote.ask(ANONYMOUS, ListTopics())
            await remote.ask(ANONYMOUS, ListTopics())
    assert admin.bound[0] == {"request": "from-a-client"}
    assert str(admin.bound[1]["request"]).startswith("admin-")
    assert events.bound_fields() == {}
