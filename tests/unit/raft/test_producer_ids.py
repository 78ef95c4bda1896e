"""Producer ids: never twice, whatever happens."""

import asyncio
import errno
from typing import cast

import pytest

from app.errors import RequestTimedOut
from app.limits import PRODUCER_ID_BLOCK
from app.raft.producer_ids import ProducerIds
from app.world.ports import World
from tests.contract.places import Everywhere, Place, everywhere
from tests.sim.world import Machine
from tests.unit.raft.brokers import ONE, controller
from tests.unit.raft.test_single_node import on_a_machine

__all__ = ["everywhere"]


def test_ids_are_handed_out_one_by_one_across_blocks(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory)
        ids = ProducerIds(world, broker, ONE)
        count = 2 * PRODUCER_ID_BLOCK + 10
        assert [await ids.next() for _ in range(count)] == list(range(count))
        await broker.close()

    everywhere(scenario)


def test_many_who_ask_at_once_get_different_ids(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory)
        ids = ProducerIds(world, broker, ONE)
        count = PRODUCER_ID_BLOCK + 100
        given = await asyncio.gather(*(ids.next() for _ in range(count)))
        assert sorted(given) == list(range(count))
        await broker.close()

    everywhere(scenario)


def test_no_id_is_given_again_after_kill_9(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        given: set[int] = set()
        for _ in range(3):
            world = place.boot()
            ids = ProducerIds(world, await controller(world, place.directory), ONE)
            for _ in range(5):
                producer_id = await ids.next()
                assert producer_id not in given
                given.add(producer_id)
            await place.kill()

    everywhere(scenario)


def test_the_next_block_is_there_before_the_one_in_use_ends(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory)
        ids = ProducerIds(world, broker, ONE)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(ids.run(), name="producer-ids")
            for _ in range(PRODUCER_ID_BLOCK // 2 + 1):
                await ids.next()
            index = broker.image.index
            while broker.image.index == index:
                await world.sleep(1)
            assert ids.left > PRODUCER_ID_BLOCK
            running.cancel()
        await broker.close()

    everywhere(scenario)


def test_who_finds_no_id_in_time_is_told_so() -> None:
    async def scenario(machine: Machine) -> None:
        world = cast(World, machine.boot())
        broker = await controller(world, "data")
        ids = ProducerIds(world, broker, ONE)
        with pytest.raises(RequestTimedOut):
            await ids.next(timeout_ms=0)
        assert await ids.next() >= 0
        await broker.close()

    on_a_machine(scenario)


def test_a_block_that_cannot_be_reserved_now_is_reserved_later() -> None:
    async def scenario(machine: Machine) -> None:
        world = cast(World, machine.boot())
        broker = await controller(world, "data")
        ids = ProducerIds(world, broker, ONE)
        await ids.next()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(ids.run(), name="producer-ids")
            machine.disk.fail("write", errno.ENOSPC, path="journal")
            for _ in range(PRODUCER_ID_BLOCK // 2):
                await ids.next()
            await world.sleep(500)
            assert ids.left < PRODUCER_ID_BLOCK // 2
            for _ in range(10):
                await ids.next()
            await world.sleep(5_000)
            assert ids.left > PRODUCER_ID_BLOCK
            running.cancel()
        await broker.close()

    on_a_machine(scenario)
