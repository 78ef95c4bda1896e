"""Producer ids: handed out one by one from blocks that the manifest reserved for this broker.

Owns    the block in use and the next one.
Never   hands out an id whose block is not durable: after a crash the rest of a block is lost, and
        no id is ever given twice.
Trusts  Controller.reserve_producer_ids to give a range that nobody else gets.
"""

import asyncio
from collections import deque

from app.errors import RequestTimedOut, Unavailable
from app.limits import PRODUCER_ID_BLOCK, PROPOSE_TIMEOUT_MS
from app.model import BrokerId, ProducerId
from app.raft.controller import Controller
from app.telemetry import events
from app.world.ports import World

_RETRY_MS = 1_000


class ProducerIds:
    def __init__(self, world: World, controller: Controller, broker_id: BrokerId) -> None:
        self._world = world
        self._controller = controller
        self._broker_id = broker_id
        self._blocks: deque[range] = deque()
        self._is_low = asyncio.Event()
        self._reserving = asyncio.Lock()

    @property
    def left(self) -> int:
        return sum(map(len, self._blocks))

    async def next(self, timeout_ms: int = PROPOSE_TIMEOUT_MS) -> ProducerId:
        """The next id; at once while a block lasts, which `run` sees to."""
        if not self._blocks:
            await self._reserve_first(timeout_ms)
        block = self._blocks[0]
        if len(block) == 1:
            self._blocks.popleft()
        else:
            self._blocks[0] = block[1:]
        if self.left < PRODUCER_ID_BLOCK // 2:
            self._is_low.set()
        return ProducerId(block[0])

    async def _reserve_first(self, timeout_ms: int) -> None:
        """Everyone who finds nothing waits for the same block."""
        deadline = self._world.clock.monotonic_ms() + timeout_ms
        try:
            async with asyncio.timeout(timeout_ms / 1000), self._reserving:
                while not self._blocks:
                    left_ms = max(deadline - self._world.clock.monotonic_ms(), 1)
                    self._blocks.append(
                        await self._controller.reserve_producer_ids(self._broker_id, left_ms)
                    )
        except TimeoutError:
            raise RequestTimedOut("no producer ids could be reserved in time") from None

    async def run(self) -> None:
        """Reserve the next block before the one in use ends, for as long as the broker lives."""
        while True:
            await self._is_low.wait()
            self._is_low.clear()
            async with self._reserving:
                if self.left >= PRODUCER_ID_BLOCK // 2:
                    continue
                try:
                    reserved = await self._controller.reserve_producer_ids(self._broker_id)
                    self._blocks.append(reserved)
                except Unavailable as error:
                    # Nobody waits for this block yet; whoever finds none will ask and be told.
                    events.emit("producer_ids.postponed", events.WARNING, error=str(error))
                    await self._world.sleep(_RETRY_MS)
