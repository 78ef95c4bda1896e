"""The HTTP plane of a broker: its address, and whether it lives inside the process or beside it.

Owns    the listening socket, from before the broker starts until its plane has ended; and the
        sibling process, which is started again whenever it ends before the broker does.
Never   imports FastAPI: inside, a lane does once Kafka clients are served; beside, never.
"""

import asyncio
import gc
import importlib
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec

from app import limits
from app.admin.frames import TOKEN_BYTES
from app.admin.port import Admin
from app.admin.serving import serve
from app.api.settings import ApiSettings, Errand
from app.errors import Unavailable
from app.telemetry import events
from app.world.ports import World

T = TypeVar("T")

Where = Literal["inside", "sibling"]
READY = b"ready\n"


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens (port 0: any free one); `Unavailable` if that cannot be. Clients that
    come before the plane is up wait in its backlog."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=limits.LISTEN_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise Unavailable(
            f"cannot listen for HTTP on {host}:{port}: {why}. Stop what uses "
            "it, or choose another address with --api (api.address; empty: no HTTP)"
        ) from error
    with bound:
        bound.setblocking(False)
        yield bound


def address_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Plane:
    """What a plane needs, wherever it lives."""

    def __init__(
        self, world: World, admin: Admin, bound: socket.socket, settings: ApiSettings
    ) -> None:
        self.world = world
        self.admin = admin
        self.bound = bound
        self.settings = settings
        self.ending = asyncio.Event()

    @asynccontextmanager
    async def running(self, where: Where, log: tuple[str, str]) -> AsyncIterator[None]:
        """Serve for as long as the block lasts. Inside it comes up a little later than the block
        begins, and never if the block ends first. `log`: rendering and level, for a sibling."""
        async with asyncio.TaskGroup() as tasks:
            if where == "inside":
                tasks.create_task(self._inside(), name="api-inside")
            else:
                tasks.create_task(self._siblings(log), name="api-siblings")
            try:
                yield
            finally:
                self.ending.set()

    # Inside

    async def _inside(self) -> None:
        """Whatever keeps HTTP from coming up (no file descriptor for an import, no memory) costs
        nobody but its clients, and is tried again."""
        pause_ms = limits.API_RESTART_MS_MIN
        while not self.ending.is_set():
            try:
                server, served = await self._built()
            except AssertionError:
                raise
            except Exception as error:
                events.emit("api.delayed", events.ERROR, error=repr(error), again_in_ms=pause_ms)
                await self._pause(pause_ms)
                pause_ms = min(2 * pause_ms, limits.API_RESTART_MS_MAX)
                continue
            if self.ending.is_set():
                return
            async with server.serving(served, self.bound):
                events.emit("api.ready", address=address_of(self.bound), where="inside")
                await self.ending.wait()

    async def _built(self) -> tuple[Any, Any]:
        """(the module `app.api.server`, what it is to serve), made on a lane."""
        lane = self.world.lane("reader")
        prefix = self.world.randomness.bytes(4).hex()
        gc.disable()  # what is imported stays: each look at it would hold the loop for nothing
        try:
            server = await lane.run(partial(importlib.import_module, "app.api.server"))
            served = await lane.run(partial(server.build, self.admin, self.settings, prefix))
            gc.freeze()
        finally:
            gc.enable()
        return server, served

    async def _pause(self, pause_ms: int) -> None:
        """So long, or until the broker ends."""
        try:
            async with asyncio.timeout(pause_ms / 1000):
                await self.ending.wait()
        except TimeoutError:
            return

    # In a sibling process

    async def _siblings(self, log: tuple[str, str]) -> None:
        """One sibling after another. Each start that did not last is followed by a longer pause."""
        pause_ms = limits.API_RESTART_MS_MIN
        while not self.ending.is_set():
            began_ms = self.world.clock.monotonic_ms()
            status = await self._one_sibling(log)
            if self.ending.is_set():
                return
            lasted_ms = self.world.clock.monotonic_ms() - began_ms
            if lasted_ms > limits.API_RESTART_MS_MAX:
                pause_ms = limits.API_RESTART_MS_MIN
            events.emit(
                "api.ended", events.ERROR, status=status, lasted_ms=lasted_ms, again_in_ms=pause_ms
            )
            await self._pause(pause_ms)
            pause_ms = min(2 * pause_ms, limits.API_RESTART_MS_MAX)

    async def _one_sibling(self, log: tuple[str, str]) -> int | str:
        """From the start of a sibling to its end; its exit status, or why there is none."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                sibling = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # not from the directory that the broker happens to be started in
                    "-m",
                    "app.api.sibling",
                    stdin=PIPE,
                    stdout=PIPE,
                    pass_fds=(self.bound.fileno(), theirs.fileno()),
                    start_new_session=True,  # Ctrl-C is the broker's to hear
                )
                token = self.world.randomness.bytes(TOKEN_BYTES)
                errand = Errand(
                    token=token,
                    parent=os.getpid(),
                    listening=self.bound.fileno(),
                    broker=theirs.fileno(),
                    id_prefix=self.world.randomness.bytes(4).hex(),
                    settings=self.settings,
                    log_rendering=log[0],
                    log_level=log[1],
                )
        except OSError as error:
            ours.close()
            return f"not started: {error.strerror}"
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(serve(self.admin, ours, token), name="api-admin")
            try:
                await self._attend(sibling, errand)
                async with asyncio.timeout(2 * limits.API_CLOSE_MS_MAX / 1000):
                    await sibling.wait()
            except TimeoutError:
                events.emit("api.hangs", events.ERROR, process=sibling.pid)
            finally:
                answering.cancel()
                if sibling.returncode is None:
                    sibling.kill()
        return await sibling.wait()

    async def _attend(self, sibling: Process, errand: Errand) -> None:
        """Give it its errand, say when it serves, and tell it to finish when the broker ends."""
        assert sibling.stdin is not None
        sibling.stdin.write(msgspec.json.encode(errand) + b"\n")
        async with asyncio.timeout(limits.API_START_MS_MAX / 1000):
            is_ready = await self._unless_ending(_is_ready(sibling))
        if is_ready:
            events.emit(
                "api.ready", address=address_of(self.bound), where="sibling", process=sibling.pid
            )
            await self._unless_ending(sibling.wait())
        sibling.stdin.close()  # the sign to finish what it is at

    async def _unless_ending(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives; or None, if the broker ends before it does."""
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work, name="api-sibling")
            ending = tasks.create_task(self.ending.wait(), name="api-ending")
            await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
            is_done = working.done()
            working.cancel()
            ending.cancel()
        return working.result() if is_done else None


async def _is_ready(sibling: Process) -> bool:
    """Whether it said that it serves, rather than end."""
    assert sibling.stdout is not None
    try:
        return await sibling.stdout.readline() == READY
    except (ConnectionError, ValueError):
        return False
