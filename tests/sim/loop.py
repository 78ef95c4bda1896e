"""An asyncio event loop on virtual time: it never sleeps, and the same calls give the same order.

Time stands still while callbacks run and jumps to the next timer when none is ready. If nothing is
scheduled either, the run can never go on: that is a `Deadlock`, raised at once instead of hanging.

Whose code runs is known by a `Life` in the context of each callback: one boot of one machine.
Once a life has ended none of its callbacks runs any more, as after kill -9.
"""

import asyncio
import contextlib
import contextvars
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

CALLBACKS_AT_ONE_TIME_MAX = 1_000_000


class Deadlock(AssertionError):
    """Nothing is ready and no timer is set: whoever waits now waits for ever."""


class Life:
    """One boot of one machine."""

    __slots__ = ("context", "is_alive", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.context = contextvars.copy_context()
        self.context.run(LIFE.set, self)


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class SimTask(asyncio.Task[Any]):
    """Hashed by its number: a set of tasks (TaskGroup has one) is then walked in one order."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self.number = number  # before the rest: registering a task hashes it
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number

    def bury(self) -> None:
        """End the coroutine of a task that will never run again, whatever its clean-up tries."""
        self._log_destroy_pending = False
        if not self.done():
            # A dead process cleans nothing up: what its `finally` blocks raise now, and the tasks
            # that they would begin, are nobody's.
            with contextlib.suppress(BaseException), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                self.get_coro().close()


class SimFuture(asyncio.Future[Any]):
    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class _Idle:
    """Stands where a loop has its selector: waiting for events is moving the clock."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.advance(timeout)
        return []

    def close(self) -> None:
        return


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._selector = _Idle(self)
        self._clock_resolution = 1e-9
        self._now = 0.0
        self._idle_rounds = 0
        self._numbers = 0
        self.tasks: list[SimTask] = []
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._now

    @property
    def now_us(self) -> int:
        return round(self._now * 1_000_000)

    def advance(self, timeout: float | None) -> None:
        if timeout == 0:
            self._idle_rounds += 1
            if self._idle_rounds > CALLBACKS_AT_ONE_TIME_MAX:
                raise Deadlock("callbacks go on for ever and no time passes")
            return
        self._idle_rounds = 0
        if timeout is None:
            raise Deadlock(f"nothing is ready or scheduled at {self._now:.6f} s")
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]

    def create_future(self) -> SimFuture:
        self._numbers += 1
        return SimFuture(self._numbers, self)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> SimTask:
        self._numbers += 1
        task = SimTask(self._numbers, coroutine, loop=loop, **options)
        self.tasks.append(task)
        if len(self.tasks) % 1_024 == 0:
            self.tasks = [task for task in self.tasks if not task.done()]
        return task

    def unseen_errors(self) -> list[BaseException]:
        """What tasks raised that nobody awaited."""
        errors = []
        for task in self.tasks:
            if task.done() and not task.cancelled() and task._log_traceback:
                error = task.exception()
                assert error is not None
                errors.append(error)
        return errors

    # Callbacks carry the life that they belong to.

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is not None:
            callback, args = _while_alive, (life, callback, args)
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is not None:
            callback, args = _while_alive, (life, callback, args)
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any) -> Any:  # type: ignore[override]
        raise AssertionError("a simulated world has no threads")

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        raise AssertionError("a simulated world has no threads: blocking work belongs on a lane")

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """A generator of a dead process is collected some time: its clean-up never runs."""
        self._asyncgens.discard(agen)  # type: ignore[attr-defined]

    def _process_events(self, event_list: list[Any]) -> None:
        return

    def _write_to_self(self) -> None:
        return


def _while_alive(life: Life, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if life.is_alive:
        callback(*args)
