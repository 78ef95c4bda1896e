"""One seed is one run: virtual time, lanes and the trace of the simulated world."""

import asyncio
import hashlib
from functools import partial

import pytest

from tests.sim.loop import Deadlock, VirtualLoop
from tests.sim.peer import Peer
from tests.sim.replay import printed
from tests.sim.world import Simulation, SimWorld, Unhandled, simulate

# One seed, one run


async def everything(simulation: Simulation) -> str:
    """A bit of all there is: files, databases, lanes, network, groups of tasks, a crash."""
    machine, other = simulation.machine("a"), simulation.machine("b")
    world, client = machine.boot(), other.boot()
    with world.on_lane("roll"):
        world.files.make_directory("/d")
    listening = await world.network.listen("127.0.0.1", 9092, partial(Peer, echo=True))
    sink = Peer()
    channel = await client.network.connect("a", listening.port, sink)

    async def write(number: int) -> None:
        def job() -> None:
            file = world.files.open(f"/d/{number}", create=True)
            file.write([world.randomness.bytes(5_000)], 0, durable=number % 2 == 0)

        await world.lane("reader").run(job)
        channel.send([world.randomness.bytes(3_000)])

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(write(number))
    database = await world.lane("raft").run(lambda: world.files.database("/d/db"))
    await world.lane("raft").run(lambda: database.execute("CREATE TABLE t (a)"))
    await sink.until(lambda: len(sink.received) >= 60_000)
    try:
        # A group that fails cancels the others in the order in which it keeps them.
        async with asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(note_cancellation(world, number))
            tasks.create_task(fail())
    except* ValueError:
        pass
    machine.crash()
    world = machine.boot()
    names = await world.lane("roll").run(lambda: world.files.list("/d"))
    content = b"".join(machine.disk.read(f"/d/{name}") for name in names)
    return hashlib.sha256(content + str(names).encode() + sink.received).hexdigest()


async def note_cancellation(world: SimWorld, number: int) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        world.trace("cancelled", number)


async def fail() -> None:
    raise ValueError("the group ends")


def test_a_seed_gives_the_same_trace_and_the_same_disk_twice() -> None:
    first, second = simulate(everything, 7), simulate(everything, 7)
    assert first.trace_hash == second.trace_hash
    assert first.value == second.value
    assert first.steps == second.steps > 100


def test_another_seed_gives_another_trace() -> None:
    assert len({simulate(everything, seed).trace_hash for seed in range(5)}) == 5


def test_the_trace_does_not_depend_on_pythonhashseed() -> None:
    program = (
        "from tests.sim.test_simulation import everything\n"
        "from tests.sim.world import simulate\n"
        "import sys\n"
        "result = simulate(everything, 11)\n"
        "sys.stdout.write(result.trace_hash + result.value)\n"
    )
    answers = printed(program, ("1", "2", "77"))
    assert len(answers) == 1
    assert len(answers.pop()) > 64


# Virtual time


def test_an_hour_passes_at_once_and_timeouts_work() -> None:
    async def scenario(simulation: Simulation) -> list[str]:
        order: list[str] = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.Event().wait()
        assert loop.time() == pytest.approx(3_600)
        loop.call_later(2, order.append, "second")
        loop.call_later(1, order.append, "first")
        await asyncio.sleep(100_000)
        return order

    result = simulate(scenario, 1)
    assert result.value == ["first", "second"]
    assert result.virtual_ms == 103_600_000


def test_a_run_that_can_never_go_on_is_a_deadlock() -> None:
    async def scenario(simulation: Simulation) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        simulate(scenario, 1)


def test_the_wall_clock_jumps_while_monotonic_time_goes_on() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        wall, monotonic = world.clock.now_ms(), world.clock.monotonic_ms()
        machine.clock.jump(-60_000)
        await world.sleep(1_000)
        assert world.clock.now_ms() == wall - 59_000
        assert world.clock.monotonic_ms() == monotonic + 1_000

    simulate(scenario, 1)


def fall() -> None:
    raise ValueError("nobody takes it")


def test_errors_that_nobody_takes_fail_the_run() -> None:
    async def in_a_callback(simulation: Simulation) -> None:
        world = simulation.machine("a").boot()
        world.call_later(1, fall)
        await world.sleep(10)

    async def in_a_task(simulation: Simulation) -> None:
        world = simulation.machine("a").boot()
        task = world.spawn(fail())
        await world.sleep(10)
        assert task.done()

    for scenario in (in_a_callback, in_a_task):
        with pytest.raises(Unhandled):
            simulate(scenario, 1)


def test_threads_do_not_exist() -> None:
    async def scenario(simulation: Simulation) -> None:
        with pytest.raises(AssertionError, match="no threads"):
            await asyncio.to_thread(lambda: 1)

    simulate(scenario, 1)


# Lanes


def test_a_file_call_on_the_loop_fails() -> None:
    async def scenario(simulation: Simulation) -> None:
        world = simulation.machine("a").boot()
        with pytest.raises(AssertionError, match="on the loop"):
            world.files.open("/f", create=True)
        file = await world.lane("wal").run(lambda: world.files.open("/f", create=True))
        for call in (
            lambda: file.write([b"x"], 0, durable=False),
            lambda: file.read(0, 1),
            file.sync,
            lambda: world.files.list("/"),
            lambda: world.files.sync_directory("/"),
            lambda: world.files.database("/db"),
        ):
            with pytest.raises(AssertionError, match="on the loop"):
                call()
        file.read_cached(0, 1)

    simulate(scenario, 1)


def test_readers_overtake_each_other_under_some_seed() -> None:
    async def scenario(simulation: Simulation) -> list[int]:
        world = simulation.machine("a").boot()
        answers: list[int] = []

        async def read(number: int) -> None:
            answers.append(await world.lane("reader").run(lambda: number))

        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(read(number))
        return answers

    assert any(simulate(scenario, seed).value != list(range(10)) for seed in range(5))
