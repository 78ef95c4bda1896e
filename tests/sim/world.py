"""The simulated world: a cluster of machines in one process, on virtual time, replayed by one seed.

`simulate(scenario, seed)` runs `async def scenario(simulation)`; README.md beside this file shows
how. A `Machine` is what stays (disk, clock, address); a `SimWorld` is one boot of it and
implements `World`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from app.world.lanes import LANE_THREADS
from app.world.ports import Clock, Files, Network, Randomness
from tests.sim.files import Disk, SimFiles
from tests.sim.lanes import Crashed, SimLane
from tests.sim.loop import LIFE, Life, SimTask, VirtualLoop
from tests.sim.network import Fabric, SimNetwork
from tests.sim.trace import Field, Trace

T = TypeVar("T")

EPOCH_MS = 1_700_000_000_000


class Delays:
    """How long things take, in seconds: mostly short, sometimes enough to change every order."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.lane_s = 0.002
        self.network_s = 0.001
        self.stall_chance = 0.02
        self.stall_s = 0.2

    def lane(self) -> float:
        return self._draw(self.lane_s)

    def network(self) -> float:
        return self._draw(self.network_s)

    def _draw(self, usual: float) -> float:
        bound = self.stall_s if self._random.random() < self.stall_chance else usual
        return self._random.random() * bound


class SimClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset_ms = EPOCH_MS

    def now_ms(self) -> int:
        return self._offset_ms + self._loop.now_us // 1_000

    def monotonic_ms(self) -> int:
        return self._loop.now_us // 1_000

    def monotonic_ns(self) -> int:
        return self._loop.now_us * 1_000

    def jump(self, ms: int) -> None:
        """Set the wall clock forward or back; monotonic time goes on as before."""
        self._offset_ms += ms


class SimRandomness:
    def __init__(self, random: Random) -> None:
        self._random = random

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


class Machine:
    """What outlives a process: the disk, the wall clock, the name that others connect to."""

    def __init__(self, simulation: "Simulation", name: str) -> None:
        self.simulation = simulation
        self.name = name
        self.random = Random(f"{simulation.seed}/{name}")
        self.delays = Delays(self.random)
        self.clock = SimClock(simulation.loop)
        self.disk = Disk(self)
        self.world: SimWorld | None = None
        self._boots = 0
        self._waiting_for_down: list[asyncio.Future[None]] = []

    def boot(self) -> "SimWorld":
        """A new process on this machine: a world with nothing in memory."""
        assert self.world is None, f"{self.name} is up: crash or kill it first"
        self._boots += 1
        self.simulation.trace(self.name, "boot", self._boots)
        self.world = SimWorld(self, Life(f"{self.name}/{self._boots}"))
        return self.world

    def crash(self) -> None:
        """Power fails: the process is gone, and of what was not synced some or all."""
        self._stop("crash", lose=True)

    def kill(self) -> None:
        """kill -9: the process is gone, the page cache stays."""
        self._stop("kill", lose=False)

    async def down(self) -> None:
        """Wait until the machine has crashed (`disk.crash_at`)."""
        if self.world is not None:
            future = self.simulation.loop.create_future()
            self._waiting_for_down.append(future)
            await future

    def _stop(self, how: str, *, lose: bool) -> None:
        world, self.world = self.world, None
        assert world is not None, f"{self.name} is down already"
        self.simulation.trace(self.name, how)
        world.life.is_alive = False
        self.simulation.fabric.end(world)
        self.disk.crash(self.random, lose=lose)
        waiting, self._waiting_for_down = self._waiting_for_down, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class SimWorld:
    """One boot of one machine. Implements `app.world.World`."""

    def __init__(self, machine: Machine, life: Life) -> None:
        self.machine = machine
        self.life = life
        self.loop = machine.simulation.loop
        self.fabric = machine.simulation.fabric
        self.random = machine.random
        self.clock: Clock = machine.clock
        self.randomness: Randomness = SimRandomness(machine.random)
        self.files: Files = SimFiles(self)
        self.network: Network = SimNetwork(self)
        self._lanes = {name: SimLane(name, self) for name in LANE_THREADS}
        self._current_lane: str | None = None

    # World

    def lane(self, name: str) -> SimLane:
        return self._lanes[name]

    async def sleep(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    def call_later(self, ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self.later(ms / 1000, self._timer, callback)

    async def close(self) -> None:
        for name in LANE_THREADS:
            await self._lanes[name].close()

    # For tests and the other parts of the simulation

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """A task of this process: it ends without a word when the machine crashes."""
        context = self.life.context.copy()
        return self.loop.create_task(coroutine, name=name, context=context)

    def later(
        self, delay_s: float, callback: Callable[..., Any], *args: Any
    ) -> asyncio.TimerHandle:
        return self.at(self.loop.time() + delay_s, callback, *args)

    def at(self, when: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        context = self.life.context.copy()
        timer: asyncio.TimerHandle = self.loop.call_at(when, callback, *args, context=context)
        return timer

    async def sleep_s(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)

    @contextlib.contextmanager
    def on_lane(self, name: str) -> Iterator[None]:
        """What runs inside counts as a job of that lane; for set-up and checks of tests."""
        outer, self._current_lane = self._current_lane, name
        try:
            yield
        finally:
            self._current_lane = outer

    def check_lane(self, what: str, lane: str | None = None) -> str:
        current = self._current_lane
        assert current is not None, f"{what} on the loop: blocking calls belong on a lane"
        assert lane in (None, current), f"{what} on lane {current}: it belongs to lane {lane}"
        return current

    def check_alive(self) -> None:
        assert self.life.is_alive, f"{self.life.name} has crashed: nothing of it may run"

    def trace(self, kind: str, *fields: Field) -> None:
        self.machine.simulation.trace(self.life.name, kind, *fields)

    def report(self, message: str, error: BaseException) -> None:
        self.loop.call_exception_handler({"message": message, "exception": error})

    def _timer(self, callback: Callable[[], None]) -> None:
        self.trace("timer", getattr(callback, "__qualname__", type(callback).__qualname__))
        callback()


class Simulation:
    """One seed's machines, the network between them and the trace of all that they do."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"{seed}/simulation")  # for the scenario's own choices
        self.loop = VirtualLoop()
        self.recorded = Trace()
        self.fabric = Fabric(self)
        self.machines: dict[str, Machine] = {}
        self.errors: list[BaseException] = []
        self.loop.set_exception_handler(self._keep_error)

    def machine(self, name: str) -> Machine:
        if name not in self.machines:
            self.machines[name] = Machine(self, name)
        return self.machines[name]

    def trace(self, machine: str, kind: str, *fields: Field) -> None:
        self.recorded.record(self.loop.now_us, machine, kind, *fields)

    def _keep_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Crashed):
            return  # a job on the loop itself: the machine is down
        self.errors.append(error or AssertionError(context["message"]))

    def end(self) -> None:
        """Nothing of it runs any more, clean-up included."""
        for machine in self.machines.values():
            if machine.world is not None:
                machine.world.life.is_alive = False
        for task in self.loop.tasks:
            task.bury()
        self.loop.close()


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. `value` is what the scenario returned."""

    value: Any
    trace_hash: str
    steps: int
    virtual_ms: int
    kinds: dict[str, int]
    lines: tuple[str, ...]


class Unhandled(AssertionError):
    """An error that no code of the run took: in a callback, or in a task that nobody awaited."""


def simulate(scenario: Callable[[Simulation], Awaitable[Any]], seed: int) -> Result:
    """Run a scenario on virtual time. Raises what it raises, and what nothing else took care of."""
    simulation = Simulation(seed)

    async def run() -> Any:
        return await scenario(simulation)

    try:
        value = simulation.loop.run_until_complete(run())
        simulation.errors += simulation.loop.unseen_errors()
        if simulation.errors:
            raise Unhandled(f"seed {seed}: {simulation.errors[0]!r}") from simulation.errors[0]
    except BaseException as error:
        error.add_note(f"seed {seed}; the newest steps:\n" + "\n".join(newest(simulation)))
        raise
    finally:
        recorded, now_us = simulation.recorded, simulation.loop.now_us
        simulation.end()
    return Result(
        value=value,
        trace_hash=recorded.hash,
        steps=recorded.steps,
        virtual_ms=now_us // 1_000,
        kinds=dict(recorded.kinds),
        lines=tuple(recorded.lines),
    )


def newest(simulation: Simulation, count: int = 20) -> list[str]:
    return list(simulation.recorded.lines)[-count:]


__all__ = ["LIFE", "Machine", "Result", "SimTask", "SimWorld", "Simulation", "simulate"]
