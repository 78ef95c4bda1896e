"""The log of one broker: syncs are shared, failures are told apart. The port's own promises are in
tests/contract/test_consensus.py."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import pytest

from app.core.manifest.decide import NewTopic
from app.core.manifest.entries import Applied, Entry
from app.errors import StorageFailed, Unavailable
from app.raft.controller import CreatedTopic
from app.raft.single_node import GROUP_MAX, SingleNode
from app.world.ports import World
from tests.contract.test_consensus import Recorder, propose
from tests.sim.world import Machine, Simulation, SimWorld, simulate
from tests.unit.raft.brokers import controller


def on_a_machine(scenario: Callable[[Machine], Awaitable[None]], seed: int = 1) -> None:
    async def run(simulation: Simulation) -> None:
        await scenario(simulation.machine("broker"))

    simulate(run, seed)


async def started(machine: Machine, recorder: Recorder) -> SingleNode:
    node = SingleNode(cast(World, machine.boot()), "data/log")
    await node.start(recorder)
    return node


def test_proposals_that_wait_together_share_a_sync() -> None:
    async def scenario(machine: Machine) -> None:
        node = await started(machine, Recorder())
        before = machine.disk.steps
        await asyncio.gather(*(propose(node, n) for n in range(1 + 2 * GROUP_MAX)))
        assert machine.disk.steps - before == 2 * 3, "write and sync, for three groups"

    on_a_machine(scenario)


def test_when_the_disk_is_full_nothing_was_taken_and_later_it_goes_on() -> None:
    async def scenario(machine: Machine) -> None:
        recorder = Recorder()
        node = await started(machine, recorder)
        await propose(node, 1)
        machine.disk.fail("write", errno.ENOSPC, path="journal")
        with pytest.raises(StorageFailed):
            await propose(node, 2)
        await propose(node, 3)
        machine.kill()
        recorder.forget_after(0)
        await started(machine, recorder)
        assert recorder.payloads == [b"payload 1", b"payload 3"]

    on_a_machine(scenario)


def test_after_an_error_of_the_disk_nothing_is_taken_until_a_restart() -> None:
    async def scenario(machine: Machine) -> None:
        recorder = Recorder()
        node = await started(machine, recorder)
        await propose(node, 1)
        machine.disk.fail("sync", errno.EIO, path="journal")
        with pytest.raises(Unavailable) as caught:
            await propose(node, 2)
        assert not isinstance(caught.value, StorageFailed), "whether it is taken is not known"
        machine.disk.heal()
        for number in (3, 4):
            with pytest.raises(StorageFailed, match="restart"):
                await propose(node, number)
        machine.crash()
        recorder.forget_after(0)
        node = await started(machine, recorder)
        await propose(node, 5)
        assert recorder.payloads in (
            [b"payload 1", b"payload 5"],
            [b"payload 1", b"payload 2", b"payload 5"],
        )

    for seed in range(5):
        on_a_machine(scenario, seed)


def test_a_controller_answers_while_its_disk_is_full_and_makes_no_topic_by_surprise() -> None:
    async def scenario(machine: Machine) -> None:
        broker = await controller(cast(World, machine.boot()), "data")
        machine.disk.fail("write", errno.ENOSPC, path="journal")
        (answer,) = await broker.create_topics([NewTopic("a")])
        assert isinstance(answer, StorageFailed) and answer.code == 56
        (answer,) = await broker.create_topics([NewTopic("b")])
        assert isinstance(answer, CreatedTopic)
        assert set(broker.image.topics_by_name) == {"b"}
        await broker.close()

    on_a_machine(scenario)


def test_a_state_without_room_delays_the_answer_and_repeats_nothing() -> None:
    async def scenario(machine: Machine) -> None:
        broker = await controller(cast(World, machine.boot()), "data")
        machine.disk.fail("commit", errno.ENOSPC, times=3)
        (answer,) = await broker.create_topics([NewTopic("a")])
        assert isinstance(answer, CreatedTopic)
        assert broker.image.topics_by_name["a"].topic_id == answer.topic_id
        machine.kill()
        broker = await controller(cast(World, machine.boot()), "data")
        assert broker.image.topics_by_name["a"].topic_id == answer.topic_id
        await broker.close()

    on_a_machine(scenario)


@pytest.mark.parametrize("seed", range(12))
def test_what_was_answered_survives_a_power_failure_at_any_instant(seed: int) -> None:
    async def scenario(machine: Machine) -> None:
        answered: dict[str, bytes] = {}
        cluster_id = ""
        for boot in range(6):
            world = machine.boot()
            machine.disk.crash_at(world.random.randrange(1, 60))

            async def live(world: SimWorld = world, boot: int = boot) -> None:
                nonlocal cluster_id
                broker = await controller(cast(World, world), "data")
                image = broker.image
                assert cluster_id in ("", image.cluster_id)
                cluster_id = image.cluster_id
                for name, topic_id in answered.items():
                    assert image.topics_by_name[name].topic_id == topic_id, name
                for number in range(100):
                    name = f"t{boot}-{number}"
                    (answer,) = await broker.create_topics([NewTopic(name)])
                    assert isinstance(answer, CreatedTopic), answer
                    answered[name] = answer.topic_id

            task = world.spawn(live())
            await machine.down()
            assert not task.done() or task.exception() is None, task

    on_a_machine(scenario, seed)


def test_a_directory_that_cannot_be_written_is_a_clear_error() -> None:
    async def scenario(machine: Machine) -> None:
        node = await started(machine, Recorder())
        await node.close()
        machine.kill()
        machine.disk.is_read_only = True
        with pytest.raises(StorageFailed, match="Read-only"):
            await started(machine, Recorder())

    on_a_machine(scenario)


def test_a_bug_in_applying_reaches_the_caller_as_what_it_is() -> None:
    class Wrong(Recorder):
        def apply(self, entries: Sequence[Entry]) -> list[Applied]:
            raise AssertionError("our bug")

    async def scenario(machine: Machine) -> None:
        node = await started(machine, Wrong())
        with pytest.raises(AssertionError, match="our bug"):
            await propose(node, 1)

    on_a_machine(scenario)
