"""Turns: long work on the loop is cut into pieces that nobody notices."""

import asyncio

from app import limits


class Turns:
    """Counts what one operation has done, and gives the loop a turn after every so many."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = limits.ADMIN_ITEMS_PER_TURN

    async def took(self, count: int = 1) -> None:
        self._left -= count
        if self._left <= 0:
            self._left = limits.ADMIN_ITEMS_PER_TURN
            await asyncio.sleep(0)
