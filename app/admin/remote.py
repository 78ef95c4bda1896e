"""The admin port in the sibling process: every command goes through its socket to the broker.

Owns    who waits for which answer.
Never   keeps more of a watch than its newest reply: a slow watcher misses what came between.
Trusts  the broker at the other end, which made both ends of the socket.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from app import limits
from app.admin import frames
from app.admin.port import Command
from app.admin.streams import FrameStream
from app.errors import RequestTimedOut, StreamBusError, ThrottlingQuotaExceeded, Unavailable
from app.model import Principal
from app.telemetry import events
from streambus.errors import Malformed


class _Waiting:
    """One command or watch that the broker has not done with."""

    __slots__ = ("error", "is_done", "news", "reply")

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.reply: Any = None
        self.error: StreamBusError | None = None
        self.is_done = False

    def tell(self, reply: Any = None, error: StreamBusError | None = None) -> None:
        if reply is not None:
            self.reply = reply
        self.error = error
        self.news.set()


@asynccontextmanager
async def connected(to_broker: socket.socket, token: bytes) -> "AsyncIterator[RemoteAdmin]":
    """The port, for as long as the block lasts. `RemoteAdmin.ended` is set when the broker is gone:
    its child has no more to do then."""
    stream = await FrameStream.open(to_broker)
    admin = RemoteAdmin(stream)
    try:
        await stream.write(frames.Hello(token))
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(admin.run(), name="admin-answers")
            yield admin
            reading.cancel()
    finally:
        stream.close()


class RemoteAdmin:
    """See `Admin`: what LocalAdmin raises and answers, this does too; and `Unavailable` where the
    broker cannot be asked."""

    def __init__(self, stream: FrameStream) -> None:
        self.ended = asyncio.Event()
        self._stream = stream
        self._numbers = count(1)
        self._waiting: dict[int, _Waiting] = {}

    async def run(self) -> None:
        """Take answers until the broker is gone."""
        try:
            while (body := await self._stream.read()) is not None:
                self._take(frames.decode_from_broker(body))
        except Malformed as error:
            events.emit("broker.garbled", events.ERROR, error=error)
        finally:
            self.ended.set()
            for waiting in self._waiting.values():
                waiting.is_done = True
                waiting.tell(error=_gone())

    def _take(self, frame: frames.FromBroker) -> None:
        waiting = self._waiting.get(frame.id)
        if waiting is None:
            return  # cancelled here, answered there
        match frame:
            case frames.Reply(_, reply):
                waiting.tell(reply)
            case frames.Refused(_, failed):
                waiting.is_done = True
                waiting.tell(error=failed.error())
            case frames.Ended():
                waiting.is_done = True
                waiting.tell()

    async def ask(self, principal: Principal, command: Command) -> Any:
        number, waiting = self._begin()
        request = str(events.bound_fields().get("request", ""))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._stream.write(frames.Ask(number, principal, command, request))
                await waiting.news.wait()
            waiting.is_done = True
        except TimeoutError:
            raise RequestTimedOut(
                f"the broker did not answer {type(command).__name__} within {_PATIENCE_S:g} s; "
                "what it was to change may or may not have been changed"
            ) from None
        finally:
            self._end(number, waiting)
        if waiting.error is not None:
            raise waiting.error
        return waiting.reply

    async def watch(self, principal: Principal, query: Command) -> AsyncGenerator[Any, None]:
        number, waiting = self._begin()
        try:
            await self._stream.write(frames.Watch(number, principal, query))
            while True:
                while waiting.reply is not None:
                    reply, waiting.reply = waiting.reply, None
                    yield reply
                if waiting.is_done:
                    break
                await waiting.news.wait()
                waiting.news.clear()
            if waiting.error is not None and not self.ended.is_set():
                raise waiting.error
        finally:
            self._end(number, waiting)

    def _begin(self) -> tuple[int, _Waiting]:
        if self.ended.is_set():
            raise _gone()
        if len(self._waiting) >= limits.ADMIN_ASKED_MAX:
            raise ThrottlingQuotaExceeded(
                f"{limits.ADMIN_ASKED_MAX} commands are under way, the most allowed: try again"
            )
        number, waiting = next(self._numbers), _Waiting()
        self._waiting[number] = waiting
        return number, waiting

    def _end(self, number: int, waiting: _Waiting) -> None:
        del self._waiting[number]
        if not waiting.is_done:
            self._stream.write_soon(frames.Cancel(number))


def _gone() -> Unavailable:
    return Unavailable(
        "the broker is gone: what it was asked meanwhile may or may not have been done"
    )


_PATIENCE_S = limits.ADMIN_ASK_MS_MAX / 1000 + 10
"""The broker ends every command before; this is for one that is stuck."""
