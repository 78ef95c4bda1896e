"""The admin port inside the broker: authorise, then do it; and tell who watches what changed.

Owns    the order of the two, the deadline of every command, and the watches of this broker.
Never   knows an operation: `app.admin.operations` has the table.
Trusts  the controller to call with each new image, on the loop.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

from app import limits
from app.admin.authorize import refusal
from app.admin.operations import OPERATIONS, Itemised, Operation
from app.admin.parts import Parts
from app.admin.port import Command, Failed
from app.admin.turns import Turns, aside
from app.core.manifest.image import Image
from app.errors import (
    InvalidRequest,
    RequestTimedOut,
    StreamBusError,
    ThrottlingQuotaExceeded,
)
from app.model import Principal

WATCH_PAUSE_MS = 100
"""How long a watch rests after it was asked: a storm of changes is few questions, and at most as
many replies."""


class LocalAdmin:
    """See `Admin`. Main says when the doors are open (`opened`) and when all ends (`close`)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._watches: dict[asyncio.Event, None] = {}
        self._is_closed = False
        parts.controller.watch(self._changed)

    def opened(self) -> None:
        self._parts.is_serving = True

    def close(self) -> None:
        """The broker ends, and every watch with it."""
        self._is_closed = True
        self._parts.is_serving = False
        self._wake()

    async def ask(self, principal: Principal, command: Command) -> Any:
        operation = _operation(command)
        try:
            async with asyncio.timeout(limits.ADMIN_ASK_MS_MAX / 1000):
                if isinstance(operation, Itemised):
                    return await self._ask_items(principal, command, operation)
                for touch in command.touches():
                    refused = refusal(self._parts, principal, touch)
                    if refused is not None:
                        raise refused
                return await operation.run(self._parts, principal, command)
        except TimeoutError:
            raise RequestTimedOut(
                f"{type(command).__name__} took more than {limits.ADMIN_ASK_MS_MAX} ms; what it "
                "was to change may or may not have been changed"
            ) from None

    async def _ask_items(self, principal: Principal, command: Command, operation: Itemised) -> Any:
        items: Sequence[Any] = getattr(command, operation.items)
        world = self._parts.world
        touches = await aside(world, len(items), command.touches)
        assert len(items) == len(touches), f"{type(command).__name__}: a touch for each item"
        turns = Turns()
        answers: list[Any] = [None] * len(items)
        allowed: list[int] = []
        for place, touch in enumerate(touches):
            answers[place] = refusal(self._parts, principal, touch)
            if answers[place] is None:
                allowed.append(place)
            await turns.took()
        done: Sequence[Any] = ()
        if allowed:
            done = await operation.run(
                self._parts, principal, command, [items[place] for place in allowed]
            )
        told = partial(_told, answers, allowed, done)
        return operation.reply(await aside(world, len(items), told))

    async def watch(self, principal: Principal, query: Command) -> AsyncGenerator[Any, None]:
        if _operation(query).changes:
            raise InvalidRequest(
                f"{type(query).__name__} changes something: it can be asked, not watched"
            )
        if len(self._watches) >= limits.WATCHES_MAX:
            raise ThrottlingQuotaExceeded(
                f"{limits.WATCHES_MAX} watches are open, the most allowed: close one first"
            )
        changed = asyncio.Event()
        self._watches[changed] = None
        try:
            told: Any = None
            while not self._is_closed:
                changed.clear()
                reply = await self.ask(principal, query)
                if reply != told:
                    told = reply
                    yield reply
                await self._parts.world.sleep(WATCH_PAUSE_MS)
                if not self._is_closed:
                    await changed.wait()
        finally:
            del self._watches[changed]

    def _changed(self, image: Image) -> None:
        self._wake()

    def _wake(self) -> None:
        for changed in self._watches:
            changed.set()


def _told(answers: list[Any], places: Sequence[int], done: Sequence[Any]) -> tuple[Any, ...]:
    """All answers, those that were `done` in their places and errors as values."""
    for place, answer in zip(places, done, strict=True):
        answers[place] = answer
    return tuple(
        [Failed.of(answer) if isinstance(answer, StreamBusError) else answer for answer in answers]
    )


def _operation(command: Command) -> Operation:
    operation = OPERATIONS.get(type(command))
    assert operation is not None, f"no operation for {type(command).__name__}"
    return operation
