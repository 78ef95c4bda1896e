"""uvicorn on a socket that is bound already, for as long as a block lasts.

Owns    the server's settings: h11, no signals, no banner, no access log, bounds from `app.limits`.
Never   binds: `app.api.plane` did, so that a busy address is known before anything starts.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from app import limits
from app.admin.port import Admin
from app.api.application import create_app
from app.api.door import Door
from app.api.settings import ApiSettings

TICK_S = 1  # for the Date header


def build(admin: Admin, settings: ApiSettings, id_prefix: str) -> "Served":
    """The application and its server, not running yet. Slow (FastAPI makes a schema of every
    route): off the loop where the loop has others to serve."""
    application = create_app(admin, settings, id_prefix)
    config = uvicorn.Config(
        application,
        loop="none",
        http=partial(Door, connections_max=settings.connections),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL + 1,  # events say what there is to say
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=limits.LISTEN_BACKLOG,
        timeout_keep_alive=limits.API_KEEP_ALIVE_MS_MAX // 1000,
        timeout_graceful_shutdown=limits.API_CLOSE_MS_MAX // 1000,
        h11_max_incomplete_event_size=limits.API_HEAD_BYTES_MAX,
    )
    config.load()
    return Served(application, config)


class Served(uvicorn.Server):
    """uvicorn's server without its signals, and without its ten wake-ups a second."""

    def __init__(self, application: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._application = application
        self._ending = asyncio.Event()
        self.is_up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # who runs the process has them

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            try:
                async with asyncio.timeout(TICK_S):
                    await self._ending.wait()
            except TimeoutError:
                continue

    def end(self) -> None:
        """Accept nothing more; what is under way may finish within API_CLOSE_MS_MAX."""
        self.should_exit = True
        self._ending.set()
        self._application.state.watches.ended.set()

    def cut(self) -> None:
        """Connections whose client does not take what was sent would stay for ever."""
        for connection in list(self.server_state.connections):
            transport: Any = connection.transport
            transport.abort()


@asynccontextmanager
async def serving(served: Served, listening: socket.socket) -> AsyncIterator[None]:
    """Answer on `listening`, which is closed at the end."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(served.serve([listening]), name="api")
        await served.is_up.wait()
        try:
            yield
        finally:
            served.end()
    served.cut()
