"""A consensus that is allowed all that the port allows, and does it often.

It wraps an honest one. A proposal may be delayed, taken twice, taken though the answer is
"unknown", void with the answer "unknown", taken long after the asker was told so, or never
answered at all. What it must not do it does not: an answer that it gives is true.
"""

import asyncio
from collections import Counter
from random import Random

from app.core.manifest.entries import Applied
from app.errors import RequestTimedOut, StreamBusError, Unavailable
from app.raft.consensus import Consensus, StateMachine
from app.world.ports import World

TRICKS = ("honest", "delayed", "void", "taken but unknown", "late", "twice", "silent")


class Adversary:
    """See `Consensus`."""

    def __init__(self, inner: Consensus, world: World, random: Random) -> None:
        self._inner = inner
        self._world = world
        self._random = random
        self._late: set[asyncio.Task[None]] = set()
        self.played: Counter[str] = Counter()

    @property
    def term(self) -> int:
        return self._inner.term

    @property
    def is_leader(self) -> bool:
        return self._inner.is_leader

    @property
    def is_alone(self) -> bool:
        return self._inner.is_alone

    async def start(self, machine: StateMachine) -> None:
        await self._inner.start(machine)

    async def barrier(self, timeout_ms: int) -> int:
        return await self._inner.barrier(timeout_ms)

    async def propose(self, proposal: bytes, payload: bytes, timeout_ms: int) -> Applied:
        trick = self._random.choice(TRICKS)
        self.played[trick] += 1
        match trick:
            case "delayed":
                await self._world.sleep(self._random.randrange(1, 20))
            case "void":
                raise Unavailable("unknown, and not taken")
            case "taken but unknown":
                await self._inner.propose(proposal, payload, timeout_ms)
                raise Unavailable("unknown, but taken")
            case "late":
                self._propose_later(proposal, payload)
                raise Unavailable("unknown, and taken later")
            case "twice":
                self._propose_later(proposal, payload)
            case "silent":
                self._propose_later(proposal, payload)
                await self._world.sleep(timeout_ms)
                raise RequestTimedOut("no answer came")
        return await self._inner.propose(proposal, payload, timeout_ms)

    def _propose_later(self, proposal: bytes, payload: bytes) -> None:
        async def later() -> None:
            await self._world.sleep(self._random.randrange(0, 200))
            try:
                await self._inner.propose(proposal, payload, 60_000)
            except StreamBusError:
                return  # the log was closed meanwhile: this copy is void

        task = asyncio.get_running_loop().create_task(later())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        while self._late:
            await asyncio.gather(*self._late)
        await self._inner.close()
