"""The broker's end of the sibling's socket: what it asks is asked of the admin port here.

Owns    the commands and watches under way, by the ids that the peer gave them.
Never   trusts the peer before its token, nor a frame that does not parse: one event, and it is
        closed.
Trusts  `Admin` to end every command.
"""

import asyncio
import hmac
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial

from app import limits
from app.admin import frames
from app.admin.port import Admin, Failed
from app.admin.streams import FrameStream
from app.errors import StreamBusError, ThrottlingQuotaExceeded
from app.telemetry import events
from streambus.errors import Malformed

UNKNOWN_SERVER_ERROR = -1


async def serve(admin: Admin, connected: socket.socket, token: bytes) -> None:
    """Answer the one peer of this socket until it goes, or says something that it may not."""
    assert len(token) == frames.TOKEN_BYTES, "the token is the peer's only proof"
    stream = await FrameStream.open(connected)
    try:
        await _greeted(stream, token)
        async with asyncio.TaskGroup() as tasks:
            peer = _Peer(admin, stream, tasks)
            try:
                await peer.run()
            finally:
                peer.cancel_all()
    except* Malformed as group:
        events.emit("sibling.refused", events.ERROR, error=group.exceptions[0])
    finally:
        stream.abort()


async def _greeted(stream: FrameStream, token: bytes) -> None:
    try:
        async with asyncio.timeout(limits.ADMIN_HELLO_MS_MAX / 1000):
            body = await stream.read()
    except TimeoutError:
        raise Malformed("it did not say its token in time") from None
    if body is None:
        raise Malformed("it went without saying its token")
    hello = frames.decode_from_sibling(body)
    if not isinstance(hello, frames.Hello) or not hmac.compare_digest(hello.token, token):
        raise Malformed("its first frame does not have the token that its broker gave")


class _Peer:
    """A peer that has said the token."""

    def __init__(self, admin: Admin, stream: FrameStream, tasks: asyncio.TaskGroup) -> None:
        self._admin = admin
        self._stream = stream
        self._tasks = tasks
        self._asked: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        while (body := await self._stream.read()) is not None:
            match frames.decode_from_sibling(body):
                case frames.Ask() as ask:
                    await self._begin(ask.id, partial(self._ask, ask), ask.request)
                case frames.Watch() as watch:
                    await self._begin(watch.id, partial(self._watch, watch))
                case frames.Cancel(number):
                    if number in self._asked:
                        self._asked[number].cancel()
                case frames.Hello():
                    raise Malformed("it said its token twice")

    def cancel_all(self) -> None:
        for task in self._asked.values():
            task.cancel()

    async def _begin(
        self, number: int, answer: Callable[[], Awaitable[None]], request: str = ""
    ) -> None:
        if number in self._asked:
            raise Malformed(f"{number} is asked already")
        if len(self._asked) >= limits.ADMIN_ASKED_MAX:
            error = ThrottlingQuotaExceeded(
                f"{limits.ADMIN_ASKED_MAX} commands are under way, the most allowed: try again"
            )
            await self._stream.write(frames.Refused(number, Failed.of(error)))
            return
        with events.bound(request=request or f"admin-{number}"):
            task = self._tasks.create_task(self._answer(number, answer), name=f"admin-{number}")
        self._asked[number] = task
        # Not in the task itself: one that is cancelled before it began would stay here.
        task.add_done_callback(lambda _: self._asked.pop(number, None))

    async def _answer(self, number: int, answer: Callable[[], Awaitable[None]]) -> None:
        """The root of a command's task: what goes wrong ends here as an answer. Our own bugs
        (AssertionError) do not: they stop the broker."""
        try:
            await answer()
        except StreamBusError as error:
            await self._stream.write(frames.Refused(number, Failed.of(error)))
        except AssertionError:
            raise
        except Exception as error:
            events.emit("request.failed", events.ERROR, api="admin", error=repr(error))
            failed = Failed(UNKNOWN_SERVER_ERROR, "rejected", "the broker failed: see its log")
            await self._stream.write(frames.Refused(number, failed))

    async def _ask(self, ask: frames.Ask) -> None:
        reply = await self._admin.ask(ask.principal, ask.command)
        await self._stream.write(frames.Reply(ask.id, reply))

    async def _watch(self, watch: frames.Watch) -> None:
        async with aclosing(self._admin.watch(watch.principal, watch.query)) as replies:
            async for reply in replies:
                await self._stream.write(frames.Reply(watch.id, reply))
        await self._stream.write(frames.Ended(watch.id))
