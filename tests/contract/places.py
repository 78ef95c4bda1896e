"""Where a contract is tried: real files and threads, or a simulated machine on virtual time.

A scenario is `async def scenario(place)`; `everywhere` runs it in both. `place.boot()` gives the
world of a new process on the same disk, `place.kill()` ends the one before as kill -9 does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, cast

import pytest

from app.world.lanes import ThreadLane
from app.world.ports import World
from app.world.real import RealWorld
from tests.sim.world import Machine, Simulation, simulate


class Place(Protocol):
    directory: str

    def boot(self) -> World: ...

    async def kill(self) -> None: ...


class RealPlace:
    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self._world: RealWorld | None = None
        self._dead: list[RealWorld] = []

    def boot(self) -> World:
        assert self._world is None
        self._world = RealWorld()
        return cast(World, self._world)

    async def kill(self) -> None:
        """A process cannot kill itself and go on: what it had begun ends, and nobody asks more."""
        assert self._world is not None
        lane = cast(ThreadLane, self._world.lane("raft"))
        while lane.outstanding:  # noqa: ASYNC110 (the lane has no event for it)
            await asyncio.sleep(0)
        self._dead.append(self._world)
        self._world = None

    async def end(self) -> None:
        for world in [*self._dead, *([self._world] if self._world else [])]:
            await world.close()


class SimPlace:
    directory = "data"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def boot(self) -> World:
        return cast(World, self.machine.boot())

    async def kill(self) -> None:
        self.machine.kill()


Scenario = Callable[[Place], Awaitable[None]]


def run_real(scenario: Scenario, directory: Path) -> None:
    async def run() -> None:
        place = RealPlace(directory)
        try:
            await scenario(place)
        finally:
            await place.end()

    asyncio.run(run())


def run_simulated(scenario: Scenario, seed: int = 1) -> None:
    async def run(simulation: Simulation) -> None:
        await scenario(SimPlace(simulation.machine("broker")))

    simulate(run, seed)


Everywhere = Callable[[Scenario], None]


@pytest.fixture(params=["real", "simulated"])
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Everywhere:
    def run(scenario: Scenario) -> None:
        if request.param == "real":
            run_real(scenario, tmp_path)
        else:
            run_simulated(scenario)

    return run
