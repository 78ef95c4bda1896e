"""Lanes of the real world: named threads for blocking work, results handed back on the loop.

Owns    the threads, their queues, the order of a serial lane.
Never   loses a result or an exception; never blocks the loop, and `submit` never waits.
Trusts  that `submit`, `run` and `close` are called on the one loop of the process's world.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from app.errors import Unavailable
from app.limits import LANE_QUEUE_MAX, READER_THREADS

T = TypeVar("T")
Job = Callable[[], Any]
Done = Callable[[Any], None]

LANE_THREADS = {"wal": 1, "roll": 1, "raft": 1, "reader": READER_THREADS}


class Deliveries:
    """Results on their way from the threads to the loop: one wake-up carries all that gathered."""

    __slots__ = ("_is_waking", "_loop", "_results")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._results: deque[tuple[ThreadLane, Done, Any]] = deque()
        self._is_waking = False

    def bind(self) -> None:
        """Remember the loop that results go to: the one that runs now."""
        loop = asyncio.get_running_loop()
        assert self._loop is None or self._loop is loop, "one world belongs to one event loop"
        self._loop = loop

    def put(self, lane: "ThreadLane", done: Done, result: Any) -> None:
        """Called on a thread. The result is queued before the flag is read, and the loop clears
        the flag before it empties the queue: so no result is ever left without a wake-up."""
        assert self._loop is not None
        self._results.append((lane, done, result))
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_waking = False
        results = self._results
        while results:
            lane, done, result = results.popleft()
            lane.outstanding -= 1
            try:
                done(result)
            except Exception as error:  # the root of this callback: the others still get theirs
                self.report(f"callback of lane {lane.name} failed", error)

    def report(self, message: str, error: BaseException) -> None:
        assert self._loop is not None
        self._loop.call_exception_handler({"message": message, "exception": error})


class ThreadLane:
    """A queue and the threads that empty it; threads start when work first needs them."""

    def __init__(self, name: str, threads_max: int, deliveries: Deliveries) -> None:
        self.name = name
        self.outstanding = 0  # submitted, result not yet delivered
        self._threads_max = threads_max
        self._threads: list[threading.Thread] = []
        self._jobs: queue.SimpleQueue[tuple[Job, Done]] = queue.SimpleQueue()
        self._deliveries = deliveries
        self._is_closed = False

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        if self.outstanding >= LANE_QUEUE_MAX:
            raise Unavailable(f"lane {self.name}: {self.outstanding} jobs are waiting already")
        if self._is_closed:
            raise Unavailable(f"lane {self.name} is closed")
        if self.outstanding >= len(self._threads) and len(self._threads) < self._threads_max:
            self._start_thread()
        self.outstanding += 1
        self._jobs.put((job, done))

    async def run(self, job: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: T | BaseException) -> None:
            if future.cancelled():
                if isinstance(result, BaseException):
                    self._deliveries.report(f"job of lane {self.name}, nobody waits", result)
            elif isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(job, done)
        return await future

    def inline(self, job: Callable[[], T]) -> T:
        return job()

    async def close(self) -> None:
        """End the threads after the jobs that are queued."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._threads:
            return
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        running = len(self._threads)

        def thread_ended(_: Any) -> None:
            nonlocal running
            running -= 1
            if not running and not ended.done():
                ended.set_result(None)

        for _ in self._threads:
            self.outstanding += 1
            self._jobs.put((_end_thread, thread_ended))
        await ended
        for thread in self._threads:
            thread.join()

    def _start_thread(self) -> None:
        self._deliveries.bind()
        number = f"-{len(self._threads)}" if self._threads_max > 1 else ""
        # A daemon: a process that dies without `close` must not hang on a thread that waits.
        thread = threading.Thread(
            target=self._work, name=f"streambus-{self.name}{number}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        take, deliver = self._jobs.get, self._deliveries.put
        while True:
            job, done = take()
            if job is _end_thread:
                deliver(self, done, None)
                return
            try:
                result = job()
            except StopIteration as error:  # a future cannot carry it
                result = RuntimeError(f"job of lane {self.name} raised {error!r}")
            except BaseException as error:
                result = error
            deliver(self, done, result)
            del job, done, result  # hold no buffers while waiting for the next job


def _end_thread() -> None:
    """Marks the end of a thread in the queue of jobs."""


class Lanes:
    """The named lanes of one process."""

    def __init__(self) -> None:
        deliveries = Deliveries()
        self._lanes = {
            name: ThreadLane(name, threads, deliveries) for name, threads in LANE_THREADS.items()
        }

    def lane(self, name: str) -> ThreadLane:
        return self._lanes[name]

    async def close(self) -> None:
        for lane in self._lanes.values():
            await lane.close()
