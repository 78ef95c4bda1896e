"""The WAL on both worlds: threads and real files, and the simulated lanes whose files lose bytes.

A scenario is `async def scenario(lab)`; `run(scenario)` is the fixture that runs it in each world.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

from app.core.hybrid_clock import HybridClock
from app.errors import StorageFailed
from app.model import PartitionKey
from app.tiers.nvme.block import Frame, FrameKind
from app.tiers.nvme.lookup import Slice
from app.tiers.nvme.recovery import Recovered
from app.tiers.nvme.wal import Wal, WalSettings
from app.world.ports import Lease, World
from app.world.real import RealWorld
from streambus.protocol import batch
from tests.sim.world import Machine, Simulation, simulate
from tests.unit.tiers.nvme.arrange import LARGE, ListFold

SMALL = WalSettings(segment_bytes=1 << 17)


class Lab(Protocol):
    """A machine for a WAL: `boot` gives a process on it, `kill` ends that like kill -9."""

    directory: str
    random: Random
    is_simulated: bool

    def boot(self) -> World: ...

    async def kill(self) -> None: ...


class ThreadLab:
    is_simulated = False

    def __init__(self, path: Path) -> None:
        self.directory = str(path / "wal")
        self.random = Random(1)
        self._world: RealWorld | None = None

    def boot(self) -> World:
        self._world = RealWorld()
        return self._world

    async def kill(self) -> None:
        assert self._world is not None
        await self._world.close()


class SimLab:
    is_simulated = True
    directory = "/data/wal"

    def __init__(self, simulation: Simulation) -> None:
        self.machine: Machine = simulation.machine("a")
        self.random = simulation.random

    def boot(self) -> World:
        return self.machine.boot()

    async def kill(self) -> None:
        self.machine.kill()

    def crash(self) -> None:
        self.machine.crash()


Scenario = Callable[[Any], Awaitable[None]]


def in_threads(scenario: Scenario, path: Path) -> None:
    async def run() -> None:
        lab = ThreadLab(path)
        try:
            async with asyncio.timeout(60):
                await scenario(lab)
        finally:
            await lab.kill()  # no thread may outlive the loop

    asyncio.run(run())


def simulated(scenario: Scenario, seeds: Iterable[int] = range(4)) -> None:
    for seed in seeds:
        simulate(lambda simulation: scenario(SimLab(simulation)), seed)


class Process:
    """One process: the WAL and, as its listener, the states of the partitions that it writes."""

    def __init__(self, lab: Lab, settings: WalSettings = SMALL) -> None:
        self.lab = lab
        self.world = lab.boot()
        self.clock = HybridClock()
        self.wal = Wal(self.world, lab.directory, settings, self.clock, self)
        self.states = ListFold()
        self.contents: dict[PartitionKey, list[tuple[int, int, bytes]]] = {}
        self.synced: dict[PartitionKey, int] = {}
        self.stamps: list[int] = []
        self.failures: list[StorageFailed] = []
        self.drained = 0

    async def start(self, contents: "Process | None" = None) -> "Process":
        """Open; `contents` of a process before this one are what the log may hold."""
        self.recovered: Recovered = await self.wal.open(self.states)
        if contents is not None:
            self.contents = {key: list(log) for key, log in contents.contents.items()}
            for key, log in self.contents.items():
                end = self.end(key)
                self.contents[key] = [one for one in log if one[1] <= end]
            self.synced = {key: self.end(key) for key in self.contents}
        return self

    def end(self, key: PartitionKey) -> int:
        position = self.states.position(key)
        return position[1] if position is not None else 0

    # Writing

    def append(
        self, key: PartitionKey, content: bytes, epoch: int = 0, lease: Lease | None = None
    ) -> int:
        base = self.end(key)
        header = batch.read_header(content)
        end = base + header[batch.LAST_OFFSET_DELTA] + 1
        stored = bytearray(content)
        batch.patch(stored, 0, base, epoch)
        # The state first, then the append: the WAL may take the states of everything within it.
        self.states.batch(key, batch.read_header(stored), self.clock.latest)
        self.contents.setdefault(key, []).append((base, end, bytes(stored)))
        return self.wal.stream(key).append(
            memoryview(bytearray(content)), base, end, epoch, header[batch.MAX_TIMESTAMP], lease
        )

    def control(self, key: PartitionKey, kind: FrameKind, offset: int, epoch: int = 0) -> int:
        self.states.control(key, kind, offset, epoch)
        if kind == FrameKind.TRUNCATED:
            self.contents[key] = [one for one in self.contents.get(key, []) if one[1] <= offset]
        elif kind == FrameKind.REPLICA_DROPPED:
            self.contents.pop(key, None)
        return self.wal.append_control(key, kind, offset, epoch)

    async def write(
        self, key: PartitionKey, content: bytes, epoch: int = 0, lease: Lease | None = None
    ) -> None:
        await self.wal.synced(self.append(key, content, epoch, lease))

    # The listener

    def on_synced(self, frames: Sequence[Frame], block: int) -> None:
        for frame in frames:
            self.stamps.append(frame.append_ms)
            if frame.kind == FrameKind.BATCHES:
                self.synced[frame.key] = frame.end_offset

    def on_failed(self, error: StorageFailed) -> None:
        self.failures.append(error)

    def on_drained(self) -> None:
        self.drained += 1

    def checkpoint_states(self, keys: Iterable[PartitionKey]) -> list[tuple[PartitionKey, bytes]]:
        saved = ((key, self.states.save(key)) for key in keys)
        return [(key, state) for key, state in saved if state is not None]

    # Reading

    async def read(self, key: PartitionKey, start: int = 0, end: int = LARGE) -> bytes:
        """Everything from `start` on, in reads of random sizes, each checked to be whole
        batches."""
        parts = []
        at = start
        while True:
            bytes_max = self.lab.random.choice((1, 300, 5_000, 1 << 20))
            slices = await self.wal.slices(key, at, end, bytes_max, True)
            if not slices:
                return b"".join(parts)
            for piece in slices:
                content = await self.content(piece)
                headers = [header for _, header in batch.headers(content)]
                assert headers[0][batch.BASE_OFFSET] == piece.base_offset
                last = headers[-1]
                assert (
                    last[batch.BASE_OFFSET] + last[batch.LAST_OFFSET_DELTA] + 1 == piece.end_offset
                )
                parts.append(content)
            at = slices[-1].end_offset

    async def content(self, piece: Slice) -> bytes:
        piece.segment.pin()
        try:
            return await self.world.lane("reader").run(
                lambda: piece.segment.file.read(piece.position, piece.length)
            )
        finally:
            piece.segment.unpin()

    async def check(self) -> None:
        """Every partition reads as it was written, and nothing is quarantined."""
        assert not self.recovered.quarantined
        for key, log in self.contents.items():
            position = self.states.position(key)
            start = position[0] if position is not None else 0
            kept = b"".join(content for _, end, content in log if end > start)
            assert await self.read(key, start) == kept

    async def names(self) -> list[str]:
        files = self.world.files
        return await self.world.lane("roll").run(lambda: files.list(self.lab.directory))

    async def settle(self) -> None:
        """Until the lanes are idle."""
        for _ in range(4):
            for lane in ("wal", "roll"):
                await self.world.lane(lane).run(int)

    async def stop(self) -> None:
        await self.wal.close()
        if not self.lab.is_simulated:
            await self.world.close()
        else:
            await self.lab.kill()
