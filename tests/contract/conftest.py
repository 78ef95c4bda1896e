"""`play` runs a scenario on every world: real asyncio, uvloop, and the simulated one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from app.world import World
from app.world.real import RealWorld
from tests.sim.world import Simulation, simulate

Scenario = Callable[[Any, str], Awaitable[Any]]
SEEDS = range(6)


@pytest.fixture(params=["asyncio", "uvloop", "simulated"])
def play(request: pytest.FixtureRequest, tmp_path: Any) -> Callable[[Scenario], None]:
    def on_real(scenario: Scenario) -> None:
        async def run() -> None:
            world: World = RealWorld()
            try:
                async with asyncio.timeout(30):
                    await scenario(world, str(tmp_path))
            finally:
                await world.close()

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            errors: list[dict[str, Any]] = []
            runner.get_loop().set_exception_handler(lambda _, context: errors.append(context))
            runner.run(run())
        assert not errors, errors

    def on_simulated(scenario: Scenario) -> None:
        async def run(simulation: Simulation) -> None:
            world = simulation.machine("a").boot()
            with world.on_lane("roll"):
                world.files.make_directory("/root")
            await scenario(world, "/root")
            await world.close()

        for seed in SEEDS:
            simulate(run, seed)

    return on_simulated if request.param == "simulated" else on_real
