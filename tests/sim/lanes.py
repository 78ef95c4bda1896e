"""Lanes of the simulated world: queues of jobs that start and answer after random delays.

A job runs in one piece on the loop's thread, but marked as being on its lane, so that files and
databases can insist on it. A serial lane runs its jobs in order and answers in that order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from app.errors import Unavailable
from app.limits import LANE_QUEUE_MAX
from app.world.lanes import LANE_THREADS

if TYPE_CHECKING:
    from tests.sim.world import SimWorld

T = TypeVar("T")


class Crashed(BaseException):
    """The machine stops here, in the middle of a job. No `except Exception` may hold it up."""


class SimLane:
    def __init__(self, name: str, world: "SimWorld") -> None:
        self.name = name
        self.outstanding = 0
        self._world = world
        self._width = LANE_THREADS[name]
        self._running = 0
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._answered_at = 0.0
        self._is_closed = False
        self._emptied: asyncio.Future[None] | None = None

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        if self.outstanding >= LANE_QUEUE_MAX:
            raise Unavailable(f"lane {self.name}: {self.outstanding} jobs are waiting already")
        if self._is_closed:
            raise Unavailable(f"lane {self.name} is closed")
        self.outstanding += 1
        self._jobs.append((job, done))
        self._start()

    async def run(self, job: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: T | BaseException) -> None:
            if future.cancelled():
                if isinstance(result, BaseException):
                    message = f"job of lane {self.name}, nobody waits"
                    self._world.report(message, result)
            elif isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(job, done)
        return await future

    def inline(self, job: Callable[[], T]) -> T:
        world = self._world
        world.trace("lane.inline", self.name, getattr(job, "__qualname__", type(job).__qualname__))
        try:
            with world.on_lane(self.name):
                return job()
        except Crashed:
            world.machine.crash()
            raise

    async def close(self) -> None:
        self._is_closed = True
        if self.outstanding:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    def _start(self) -> None:
        while self._jobs and self._running < self._width:
            self._running += 1
            job, done = self._jobs.popleft()
            self._world.later(self._world.machine.delays.lane(), self._execute, job, done)

    def _execute(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        world = self._world
        name = getattr(job, "__qualname__", None) or type(job).__qualname__
        world.trace("lane.start", self.name, name)
        result: Any
        try:
            with world.on_lane(self.name):
                result = job()
        except Crashed:
            world.machine.crash()
            return
        except StopIteration as error:
            result = RuntimeError(f"job of lane {self.name} raised {error!r}")
        except BaseException as error:
            result = error
        world.trace(
            "lane.finish", self.name, name, type(result).__name__ if _failed(result) else ""
        )
        self._running -= 1
        self._start()
        # Answers of a serial lane keep their order; readers' answers may overtake each other.
        answer_at = world.loop.time() + world.machine.delays.lane()
        if self._width == 1:
            answer_at = self._answered_at = max(self._answered_at + 1e-6, answer_at)
        world.at(answer_at, self._answer, done, result)

    def _answer(self, done: Callable[[Any], None], result: Any) -> None:
        self.outstanding -= 1
        if self._emptied is not None and not self.outstanding:
            self._world.later(0.0, self._emptied.set_result, None)
        done(result)


def _failed(result: Any) -> bool:
    return isinstance(result, BaseException)
