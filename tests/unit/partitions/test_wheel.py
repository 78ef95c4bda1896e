"""The timer wheel: nobody fires early, nobody twice, and nothing waits without a timer."""

from app.partitions.wheel import TICK_MS, TimerWheel
from tests.unit.partitions.arrange import ManualWorld


class Waiter:
    def __init__(self, world: ManualWorld) -> None:
        self.world = world
        self.fired_at: list[int] = []

    def expired(self) -> None:
        self.fired_at.append(self.world.now)


def test_a_waiter_fires_once_within_one_tick_after_its_deadline() -> None:
    world = ManualWorld()
    wheel = TimerWheel(world)
    for delay in (0, 1, 9, 10, 11, 499, 500, 503):
        waiter, start = Waiter(world), world.now
        wheel.add(delay, waiter)
        world.advance(delay + TICK_MS)
        (fired,) = waiter.fired_at
        assert delay <= fired - start <= delay + TICK_MS
        world.advance(3)


def test_a_discarded_waiter_never_fires() -> None:
    world = ManualWorld()
    wheel = TimerWheel(world)
    gone, stays = Waiter(world), Waiter(world)
    tick = wheel.add(100, gone)
    wheel.add(100, stays)
    wheel.discard(tick, gone)
    wheel.discard(tick, gone)
    world.advance(1_000)
    assert gone.fired_at == []
    assert len(stays.fired_at) == 1
    wheel.discard(tick, stays)


def test_a_thousand_waiters_need_one_timer_and_none_is_left_when_they_fired() -> None:
    world = ManualWorld()
    wheel = TimerWheel(world)
    waiters = [Waiter(world) for _ in range(1_000)]
    for number, waiter in enumerate(waiters):
        wheel.add(5_000 - number, waiter)
        assert world.timers == 1
    world.advance(10_000)
    assert all(len(waiter.fired_at) == 1 for waiter in waiters)
    assert world.timers == 0


def test_an_earlier_deadline_moves_the_timer_forward() -> None:
    world = ManualWorld()
    wheel = TimerWheel(world)
    late, early = Waiter(world), Waiter(world)
    wheel.add(10_000, late)
    wheel.add(50, early)
    world.advance(60)
    assert len(early.fired_at) == 1
    assert late.fired_at == []
    world.advance(10_000)
    assert len(late.fired_at) == 1


def test_a_waiter_may_add_and_discard_others_while_it_fires() -> None:
    world = ManualWorld()
    wheel = TimerWheel(world)
    other, next_one = Waiter(world), Waiter(world)

    class Busy(Waiter):
        def expired(self) -> None:
            super().expired()
            wheel.discard(tick, other)
            wheel.add(0, next_one)

    busy = Busy(world)
    wheel.add(20, busy)
    tick = wheel.add(20, other)
    world.advance(100)
    assert (len(busy.fired_at), len(other.fired_at), len(next_one.fired_at)) == (1, 0, 1)


def test_a_closed_wheel_calls_nobody() -> None:
    world = ManualWorld()
    wheel = TimerWheel(world)
    waiter = Waiter(world)
    wheel.add(20, waiter)
    wheel.close()
    world.advance(100)
    assert waiter.fired_at == []
    assert world.timers == 0
