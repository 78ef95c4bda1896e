"""Simulated machines die, and the network between them delays, cuts, loses and lends pages."""

import asyncio
from functools import partial
from random import Random

import pytest

from app.world import FileRange
from tests.sim.files import write
from tests.sim.lanes import Crashed
from tests.sim.peer import Peer
from tests.sim.world import Simulation, simulate


def test_nothing_of_a_dead_process_runs_again() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        ran: list[str] = []

        async def work() -> None:
            try:
                await world.lane("wal").run(lambda: None)
                await world.sleep(1_000)
                ran.append("task")
            finally:
                ran.append("clean-up")

        task = world.spawn(work())
        world.call_later(500, lambda: ran.append("timer"))
        await asyncio.sleep(0.4)
        world.lane("roll").submit(lambda: ran.append("job"), lambda _: ran.append("done"))
        machine.kill()
        await asyncio.sleep(5)
        assert ran == []
        assert not task.done()
        with pytest.raises(AssertionError, match="crashed"), world.on_lane("wal"):
            world.check_alive()

    simulate(scenario, 1)


def test_a_crash_inside_a_job_is_not_seen_by_the_job() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        machine.disk.crash_at(0)
        with pytest.raises(Crashed), world.on_lane("wal"):
            world.files.open("/f", create=True).write([b"x"], 0, durable=True)
        machine.crash()
        await machine.down()

    simulate(scenario, 1)


def test_the_peer_of_a_dead_machine_is_reset() -> None:
    async def scenario(simulation: Simulation) -> None:
        server, client = simulation.machine("a"), simulation.machine("b")
        listening = await server.boot().network.listen("127.0.0.1", 9092, partial(Peer, echo=True))
        sink = Peer()
        channel = await client.boot().network.connect("a", listening.port, sink)
        server.crash()
        await sink.until(lambda: sink.ends)
        assert isinstance(sink.ends[0], ConnectionResetError)
        channel.send([b"nobody"])
        with pytest.raises(ConnectionRefusedError):
            assert client.world is not None
            await client.world.network.connect("a", 9092, Peer())

    simulate(scenario, 1)


def test_a_partition_holds_bytes_back_until_it_heals() -> None:
    async def scenario(simulation: Simulation) -> None:
        server, client = simulation.machine("a").boot(), simulation.machine("b").boot()
        await server.network.listen("127.0.0.1", 9092, partial(Peer, echo=True))
        sink = Peer()
        channel = await client.network.connect("a", 9092, sink)
        simulation.fabric.partition("b", "a")
        channel.send([b"held"])
        await asyncio.sleep(10)
        assert not sink.received
        with pytest.raises(TimeoutError):
            await client.network.connect("a", 9092, Peer())
        simulation.fabric.heal()
        await sink.until(lambda: sink.received == b"held")

    simulate(scenario, 1)


def test_bytes_arrive_in_pieces_of_many_sizes() -> None:
    async def scenario(simulation: Simulation) -> int:
        world = simulation.machine("a").boot()
        sink = Peer()
        await world.network.listen("127.0.0.1", 9092, lambda: sink)
        channel = await world.network.connect("localhost", 9092, Peer())
        content = Random(1).randbytes(20_000)
        channel.send([content[:10_000], content[10_000:]])
        await sink.until(lambda: len(sink.received) >= len(content))
        assert sink.received == content
        return sum(" receive " in line for line in simulation.recorded.lines)

    assert len({simulate(scenario, seed).value for seed in range(6)}) > 2


def test_a_range_overwritten_before_it_arrives_arrives_as_the_new_bytes() -> None:
    async def scenario(simulation: Simulation) -> None:
        world = simulation.machine("a").boot()
        write(world, "/f", b"old!", durable=True)
        sink = Peer()
        await world.network.listen("127.0.0.1", 9092, lambda: sink)
        other = Peer()
        await world.network.connect("localhost", 9092, other)
        await world.sleep(1_000)
        with world.on_lane("reader"):
            file = world.files.open("/f")
        sink.channel.send([FileRange(file, 0, 4)])
        write(world, "/f", b"new!", durable=True)
        await other.until(lambda: len(other.received) >= 4)
        assert other.received == b"new!"

    simulate(scenario, 1)


def test_a_lossy_network_resets_connections() -> None:
    async def scenario(simulation: Simulation) -> None:
        world = simulation.machine("a").boot()
        sink = Peer()
        await world.network.listen("127.0.0.1", 9092, partial(Peer, echo=True))
        channel = await world.network.connect("localhost", 9092, sink)
        simulation.fabric.reset_chance = 0.2
        while not sink.ends:
            channel.send([bytes(500)])
            await asyncio.sleep(0.01)
        assert isinstance(sink.ends[0], ConnectionResetError)

    simulate(scenario, 1)
