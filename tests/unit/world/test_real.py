"""The composition of the real world, and its two small ports."""

import os
import time

import pytest

from app.world.real import RealWorld, SystemClock, SystemRandomness


def test_the_clock_is_the_systems() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1_000) < 60_000
    assert clock.monotonic_ms() <= clock.monotonic_ms()


def test_no_integer_is_below_zero() -> None:
    with pytest.raises(AssertionError):
        SystemRandomness().below(0)


def test_a_draw_above_the_bound_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([b"\xff", b"\xa0", b"\x40"])  # two bits each: 3, 2, 1
    monkeypatch.setattr(os, "urandom", lambda count: next(drawn))
    assert SystemRandomness().below(3) == 2
    assert SystemRandomness().below(3) == 1


async def test_a_world_has_the_four_lanes_once() -> None:
    world = RealWorld()
    for name in ("wal", "roll", "raft", "reader"):
        assert world.lane(name) is world.lane(name)
        assert world.lane(name).name == name
    with pytest.raises(KeyError):
        world.lane("loop")
    await world.close()
