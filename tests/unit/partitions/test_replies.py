"""Reply queues: in order, exactly once, and never later than the deadline allows."""

import asyncio

import pytest

from app.partitions.replies import SWEEP_MS, Awaited, Deadlines, ReplyQueue
from tests.unit.partitions.arrange import ManualWorld, Pending


def entry(required: int, pending: Pending, slot: int = 0, since: int = 0) -> tuple:
    return (required, pending, slot, 0, required - 1, -1, since)


def test_release_answers_everything_at_or_below_the_end_and_nothing_above() -> None:
    queue, pending = ReplyQueue(), Pending()
    for required in (1, 2, 3, 4):
        queue.insert(entry(required, pending, slot=required))
    queue.release(3)
    assert [answer[0] for answer in pending.answers] == [1, 2, 3]
    queue.release(3)
    queue.release(4)
    assert [answer[0] for answer in pending.answers] == [1, 2, 3, 4]


def test_an_older_offset_that_waits_late_is_answered_before_newer_ones() -> None:
    queue, pending = ReplyQueue(), Pending()
    for slot, required in enumerate((5, 9, 7, 5, 1)):
        queue.insert(entry(required, pending, slot))
    queue.release(6)
    assert [answer[0] for answer in pending.answers] == [4, 0, 3]
    assert [waiting[0] for waiting in queue.entries] == [7, 9]


def test_a_refused_queue_answers_all_with_the_error_and_no_offset() -> None:
    queue, pending = ReplyQueue(), Pending()
    queue.insert(entry(5, pending, 0))
    queue.insert(entry(6, pending, 1))
    queue.refuse(56)
    queue.release(100)
    assert pending.answers == [(0, 56, -1, -1), (1, 56, -1, -1)]


def test_a_reply_that_waits_too_long_times_out_not_early_and_at_most_two_sweeps_late() -> None:
    world = ManualWorld()
    deadlines, queue = Deadlines(world), ReplyQueue()
    short, long = Pending(1_000), Pending(60_000)
    for pending in (short, long):
        deadlines.watch(queue)
        queue.insert(entry(9, pending, 0, deadlines.sweep))
    world.advance(1_000)
    assert short.answer is None
    world.advance(2 * SWEEP_MS)
    assert short.answer == (7, -1)
    assert long.answer is None
    queue.release(9)
    assert long.answer == (0, 8)


def test_deadlines_set_no_timer_while_nothing_waits() -> None:
    world = ManualWorld()
    deadlines, queue = Deadlines(world), ReplyQueue()
    assert world.timers == 0
    deadlines.watch(queue)
    queue.insert(entry(1, Pending(), 0, deadlines.sweep))
    assert world.timers == 1
    queue.release(1)
    world.advance(2 * SWEEP_MS)
    assert world.timers == 0


def test_a_queue_whose_first_reply_is_young_is_not_walked_by_a_sweep() -> None:
    queue, hasty, patient = ReplyQueue(), Pending(0), Pending(10 * SWEEP_MS)
    queue.insert(entry(1, hasty, 0, 50))
    queue.insert(entry(2, patient, 0, 51))
    before = queue.entries
    queue.expire(51)
    assert queue.entries is before
    queue.expire(52)
    assert hasty.answer == (7, -1)
    queue.expire(62)
    assert patient.answer is None
    queue.expire(63)
    assert patient.answer == (7, -1)


async def test_a_coroutine_waits_for_all_its_slots() -> None:
    awaited = Awaited(3, -5)
    assert awaited.timeout_ms == 0
    for slot in (2, 0):
        awaited.resolve(slot, slot, 10 * slot, 7)
    task = asyncio.ensure_future(awaited.wait())
    await asyncio.sleep(0)
    assert not task.done()
    awaited.resolve(1, 56, -1)
    assert await task == [(0, 0, 7), (56, -1, -1), (2, 20, 7)]


async def test_who_waits_for_nothing_does_not_wait_and_who_gave_up_may_be_answered() -> None:
    assert await Awaited(0, 1_000).wait() == []
    awaited = Awaited(1, 1_000)
    task = asyncio.ensure_future(awaited.wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    awaited.resolve(0, 0, 1)
    assert awaited.answers == [(0, 1, -1)]
