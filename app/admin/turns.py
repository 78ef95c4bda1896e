"""Turns: long work on the loop is cut into pieces that nobody notices, or done beside it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from app import limits
from app.world.ports import World

T = TypeVar("T")


class Turns:
    """Counts what one operation has done, and gives the loop a turn after every so many."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = limits.ADMIN_ITEMS_PER_TURN

    def is_over(self, count: int = 1) -> bool:
        """Whether the loop should have a turn now: for loops so short that `took` would tell."""
        self._left -= count
        if self._left > 0:
            return False
        self._left = limits.ADMIN_ITEMS_PER_TURN
        return True

    async def took(self, count: int = 1) -> None:
        if self.is_over(count):
            await asyncio.sleep(0)


async def aside(world: World, count: int, job: Callable[[], T]) -> T:
    """What `job` makes of `count` items: at once if they are one turn's, on the `reader` lane if
    they are more. It may look at nothing that the loop changes."""
    if count <= limits.ADMIN_ITEMS_PER_TURN:
        return job()
    return await world.lane("reader").run(job)
