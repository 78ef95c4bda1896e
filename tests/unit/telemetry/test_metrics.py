"""Collectors: everything once, and the loop gets its turns."""

import asyncio
from collections.abc import Iterator

from app.limits import METRIC_TURN_NS
from app.telemetry.metrics import Collectors, Family, Metric
from app.world.real import RealWorld

THINGS = Metric("streambus_things", "gauge", "Things.", ("which",))
OTHERS = Metric("streambus_others", "gauge", "Others.")


class Steps:
    """A clock that goes on by as much at each look."""

    def __init__(self, step_ns: int) -> None:
        self._step_ns = step_ns
        self._ns = 0

    def now_ms(self) -> int:
        return 0

    def monotonic_ms(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        self._ns += self._step_ns
        return self._ns


def in_pieces() -> Iterator[Family | None]:
    yield THINGS.by([("a", 1)])
    yield None
    yield OTHERS.value(2)
    yield THINGS.by([("b", 3)])


def test_a_family_in_pieces_is_one_and_its_rows_keep_their_order() -> None:
    collectors = Collectors()
    collectors.add(in_pieces)
    collectors.add(lambda: [THINGS.by([("c", 4)])])
    families = asyncio.run(collectors.gather(Steps(0)))
    assert [(family.name, family.rows) for family in families] == [
        ("streambus_things", [(("a",), [1]), (("b",), [3]), (("c",), [4])]),
        ("streambus_others", [((), [2])]),
    ]


def test_the_loop_has_a_turn_whenever_collecting_took_long() -> None:
    def turns_with(step_ns: int) -> int:
        async def scenario() -> int:
            collectors = Collectors()
            collectors.add(in_pieces)
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            beside = asyncio.get_running_loop().create_task(others())
            await collectors.gather(Steps(step_ns))
            beside.cancel()
            return turns

        return asyncio.run(scenario())

    assert turns_with(0) == 0
    assert turns_with(METRIC_TURN_NS) == 4


def test_a_collector_with_a_lane_runs_there() -> None:
    async def scenario() -> list[str]:
        import threading

        ran: list[str] = []

        def collect() -> list[Family]:
            ran.append(threading.current_thread().name)
            return [OTHERS.value(1)]

        world = RealWorld()
        collectors = Collectors()
        collectors.add(collect, world.lane("reader"))
        assert [family.name for family in await collectors.gather(world.clock)] == [OTHERS.name]
        await world.close()
        return ran

    (thread,) = asyncio.run(scenario())
    assert thread != "MainThread"


def test_two_brokers_of_one_process_have_their_own() -> None:
    one, other = Collectors(), Collectors()
    one.add(in_pieces)
    assert asyncio.run(other.gather(Steps(0))) == []
