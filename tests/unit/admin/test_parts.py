"""Names in order, found by how they begin; and turns for the loop."""

import asyncio
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app import limits
from app.admin.parts import SortedNames
from app.admin.turns import Turns, aside

TEXTS = st.text("ab.~é", max_size=4)


def image(*names: str) -> Any:
    return SimpleNamespace(topics_by_name=MappingProxyType(dict.fromkeys(names)))


@given(st.sets(TEXTS), TEXTS, TEXTS)
def test_names_are_those_that_begin_so_and_come_after(
    names: set[str], beginning: str, after: str
) -> None:
    found = SortedNames().beginning_with(beginning, image(*names), after)
    expected = sorted(
        [name for name in names if name.startswith(beginning) and (not after or name > after)]
    )
    assert list(found) == expected


def test_names_are_sorted_once_for_each_set_of_topics() -> None:
    names, some = SortedNames(), image("b", "a")
    assert names.beginning_with("", some) == ["a", "b"]
    before = names._names
    names.beginning_with("b", some)
    assert names._names is before
    assert names.beginning_with("", image("c")) == ["c"]


async def test_the_loop_gets_a_turn_after_so_much_work() -> None:
    ran: list[int] = []
    turns, loop = Turns(), asyncio.get_running_loop()
    for number in range(3 * limits.ADMIN_ITEMS_PER_TURN):
        if number % limits.ADMIN_ITEMS_PER_TURN == 0:
            loop.call_soon(ran.append, number)
        await turns.took()
    assert len(ran) == 3
    loop.call_soon(ran.append, 0)
    await turns.took(10 * limits.ADMIN_ITEMS_PER_TURN)
    assert len(ran) == 4


async def test_only_what_is_more_than_one_turn_goes_to_a_lane() -> None:
    lanes: list[str] = []

    def lane(name: str) -> Any:
        async def run(job: Callable[[], Any]) -> Any:
            lanes.append(name)
            return job()

        return SimpleNamespace(run=run)

    world: Any = SimpleNamespace(lane=lane)
    assert await aside(world, limits.ADMIN_ITEMS_PER_TURN, lambda: 1) == 1
    assert not lanes
    assert await aside(world, limits.ADMIN_ITEMS_PER_TURN + 1, lambda: 2) == 2
    assert lanes == ["reader"]
