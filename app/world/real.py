"""The real world: the system's clock, randomness, files, threads and sockets, put together.

Owns    the composition, and the two ports too small for a file of their own.
Never   keeps state of the broker: two worlds in one process share nothing.
Trusts  that one event loop uses it (bound at the first job of a lane).
"""

import asyncio
import os
import time
from collections.abc import Callable

from app.world.files import DiskFiles
from app.world.lanes import Lanes
from app.world.network import SocketNetwork
from app.world.ports import Clock, Files, Lane, Network, Randomness


class SystemClock:
    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    monotonic_ns = staticmethod(time.monotonic_ns)


class SystemRandomness:
    __slots__ = ()

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def below(self, bound: int) -> int:
        assert bound > 0, f"no integer is below {bound} and not negative"
        bits = (bound - 1).bit_length()
        # Draw again above the bound: a remainder would favour small numbers.
        while True:
            drawn = int.from_bytes(os.urandom((bits + 7) // 8), "big") >> (-bits % 8)
            if drawn < bound:
                return drawn


class RealWorld:
    """`World` on this machine."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.randomness: Randomness = SystemRandomness()
        self.files: Files = DiskFiles()
        self._lanes = Lanes()
        self.network: Network = SocketNetwork(self._lanes.lane("reader"))

    def lane(self, name: str) -> Lane:
        return self._lanes.lane(name)

    async def sleep(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    def call_later(self, ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(ms / 1000, callback)

    async def close(self) -> None:
        await self._lanes.close()
