"""Lanes of threads beyond the contract: names, lazy start, one wake-up for many results."""

import asyncio
import threading
from typing import Any

import pytest

from app.limits import READER_THREADS
from app.world.lanes import Lanes


def lane_threads() -> set[threading.Thread]:
    """Those of other tests' lanes too: compare with what was there before."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("streambus-")}


async def test_threads_start_with_the_first_job_and_end_with_close() -> None:
    before = lane_threads()
    lanes = Lanes()
    assert lane_threads() == before
    assert await lanes.lane("wal").run(lambda: threading.current_thread().name) == "streambus-wal"
    [begun] = lane_threads() - before
    assert begun.name == "streambus-wal"
    await lanes.close()
    assert begun not in lane_threads()


async def test_the_reader_grows_to_its_width_and_no_further() -> None:
    lanes = Lanes()
    barrier = threading.Barrier(READER_THREADS, timeout=20)
    names: list[str] = []

    def meet() -> None:
        barrier.wait()  # passes only if as many jobs as threads run at once
        names.append(threading.current_thread().name)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(READER_THREADS * 2):
            tasks.create_task(lanes.lane("reader").run(meet))
    assert set(names) == {f"streambus-reader-{number}" for number in range(READER_THREADS)}
    await lanes.close()


async def test_results_that_gather_while_the_loop_is_busy_share_one_wake_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lanes, loop = Lanes(), asyncio.get_running_loop()
    await lanes.lane("wal").run(lambda: None)
    wakes: list[Any] = []
    wake = loop.call_soon_threadsafe

    def count(callback: Any, *arguments: Any, context: Any = None) -> asyncio.Handle:
        wakes.append(callback)
        return wake(callback, *arguments)

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    results: list[int] = []
    finished = threading.Event()
    for number in range(50):
        lanes.lane("wal").submit(lambda number=number: number, results.append)  # type: ignore
    lanes.lane("wal").submit(finished.set, lambda _: None)
    finished.wait(20)  # holds the loop until the thread has done all of it
    await lanes.lane("wal").run(lambda: None)
    assert results == list(range(50))
    assert len(wakes) <= 3
    await lanes.close()


async def test_a_callback_that_raises_keeps_no_result_from_the_others() -> None:
    lanes, loop = Lanes(), asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    finished = threading.Event()
    results: list[Any] = []

    def careless(_: Any) -> None:
        raise ValueError("callback")

    lanes.lane("wal").submit(lambda: 1, careless)
    lanes.lane("wal").submit(lambda: 2, results.append)
    lanes.lane("wal").submit(finished.set, lambda _: None)
    finished.wait(20)
    await lanes.lane("wal").run(lambda: None)
    assert results == [2]
    assert [str(context["exception"]) for context in reported] == ["callback"]
    await lanes.close()


async def test_the_error_of_a_job_whose_waiter_is_gone_is_reported() -> None:
    lanes, loop = Lanes(), asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    release = threading.Event()

    def fail() -> None:
        release.wait(20)
        raise OSError("late")

    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(lanes.lane("wal").run(fail))
        await asyncio.sleep(0)
        waiter.cancel()
    release.set()
    await lanes.close()
    assert [str(context["exception"]) for context in reported] == ["late"]


async def test_a_thread_keeps_no_job_alive_while_it_waits() -> None:
    import weakref

    class Held:
        def __call__(self) -> "Held":
            return self

    lanes = Lanes()
    held = Held()
    reference = weakref.ref(held)
    await lanes.lane("wal").run(held)
    # A second job proves that the thread has let go of the first.
    await lanes.lane("wal").run(lambda: None)
    del held
    assert reference() is None
    await lanes.close()


def test_a_world_that_was_used_in_another_loop_is_refused() -> None:
    lanes = Lanes()

    async def first() -> None:
        await lanes.lane("wal").run(lambda: None)

    async def second() -> None:
        with pytest.raises(AssertionError, match="one event loop"):
            await lanes.lane("roll").run(lambda: None)

    with asyncio.Runner() as one, asyncio.Runner() as other:
        one.run(first())
        other.run(second())
        one.run(lanes.close())
