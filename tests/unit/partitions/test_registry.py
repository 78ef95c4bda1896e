"""The registry: what exists, what comes back after a kill, and what a failed disk may still do."""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from app.core.topic_policy import TopicPolicy
from app.model import BrokerId, TopicId
from app.partitions import replica as roles
from app.partitions.lookup import end_of_epoch
from app.partitions.registry import REOPEN_MS
from app.tiers.nvme.block import FrameKind
from app.tiers.nvme.ports import WalSettings
from streambus.protocol import records as protocol
from tests.sim.world import Simulation, simulate
from tests.unit.partitions.arrange import records
from tests.unit.partitions.house import DIRECTORY, SEGMENT_BYTES, House, at_epoch, image, topic

ORDERS = topic("orders", 1)
Scenario = Callable[[Simulation], Awaitable[Any]]


def values(read: bytes) -> list[tuple[int, bytes | None]]:
    """(offset, value) of every record in consecutive batches."""
    found = []
    position = 0
    while position < len(read):
        length = 12 + int.from_bytes(read[position + 8 : position + 12], "big")
        whole = read[position : position + length]
        found += [(record[0], record[3]) for record in protocol.read_records(whole)]
        position += length
    return found


def test_what_was_acknowledged_is_there_after_a_crash() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        for number in range(20):
            assert await house.produce(records(2)) == (0, 2 * number)
        _, before = await house.fetch(0)
        machine.crash()
        house = await House(machine).start(at_epoch(ORDERS, 1))
        assert house.replica("orders").high_watermark == 40
        assert (await house.fetch(0))[1] == before
        assert await house.produce(records(1)) == (0, 40)

    for seed in range(5):
        simulate(scenario, seed)


def test_a_killed_log_resurrects_nothing_that_was_cut_moved_or_dropped() -> None:
    """Seam 6."""

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        moved, gone = topic("moved", 2), topic("gone", 3)
        house = await House(machine).start(ORDERS, moved, gone)
        for name in ("orders", "moved", "gone"):
            for _ in range(5):
                assert (await house.produce(records(2), name))[0] == 0
        orders = house.replica("orders")
        orders.log.truncate(4)
        house.registry.wal.append_control(orders.key, FrameKind.TRUNCATED, 4, 0)
        house.replica("moved").move_start(6)
        house.registry.apply(image(ORDERS, moved, topic("gone", 4)))
        assert await house.produce(records(1), "gone") == (0, 0)
        assert house.replica("moved").log_start == 6

        machine.kill()
        house = await House(machine).start(*(at_epoch(each, 1) for each in (ORDERS, moved)))
        assert (house.replica("orders").log.end, house.replica("orders").high_watermark) == (4, 4)
        assert house.replica("moved").log_start == 6
        result, read = await house.fetch(5, "moved")
        assert (result.error, read) == (1, b"")
        result, read = await house.fetch(0)
        assert [offset for offset, _ in values(read)] == [0, 1, 2, 3]
        house.registry.apply(image(topic("gone", 3, epoch=2)))
        assert house.replica("gone").log.end == 0
        assert (await house.fetch(0, "gone"))[1] == b""

    simulate(scenario, 6)


def test_a_topic_deleted_and_made_again_shows_no_old_record() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        await house.produce(records(7))
        old = house.replica("orders")
        house.registry.apply(image())
        assert old.role == roles.DROPPED
        assert b"orders" not in house.registry.topics
        again = topic("orders", 2)
        house.registry.apply(image(again))
        assert (await house.fetch(0))[1] == b""
        assert await house.produce(records(1)) == (0, 0)
        assert old.refuses == 3
        machine.kill()
        house = await House(machine).start(at_epoch(again, 1))
        assert house.replica("orders").log.end == 1

    simulate(scenario, 1)


def test_a_deletion_that_the_wal_had_not_noted_before_a_crash_is_noted_after_it() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        await house.produce(records(7))
        machine.kill()  # the manifest says deleted, the WAL does not know
        other = topic("other", 2)
        house = await House(machine).start(other)
        await house.produce(records(1), "other")
        machine.kill()
        house = await House(machine).start(at_epoch(other, 1), ORDERS)
        assert house.replica("orders").log.end == 0
        assert (await house.fetch(0))[1] == b""
        assert await house.produce(records(1)) == (0, 0)

    simulate(scenario, 1)


def test_a_replica_dropped_and_made_again_hears_nothing_of_the_old_ones_blocks() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        for _ in range(3):
            house.send(records(5))
        away = topic("orders", 1, isr=(2,), leader=2)
        house.registry.apply(image(away))
        house.registry.apply(image(at_epoch(ORDERS, 1)))
        again = house.replica("orders")
        pending = house.send(records(2))
        while pending.answer is None:
            assert again.synced_end <= again.log.end == 2
            await house.world.sleep(1)
        assert pending.answer == (0, 0)
        assert (again.synced_end, again.high_watermark) == (2, 2)
        assert len(values((await house.fetch(0))[1])) == 2

    for seed in range(5):
        simulate(scenario, seed)


def test_a_scripted_follower_holds_back_and_clients_see_nothing_above_committed() -> None:
    """Seam 8."""

    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(topic("orders", 1, isr=(1, 2)))
        replica = house.replica("orders")
        everyone = [house.send(records(2)) for _ in range(3)]
        assert await house.produce(records(2), acks=1) == (0, 6)
        assert (replica.log.end, replica.synced_end, replica.high_watermark) == (8, 8, 0)
        woken: list[int] = []
        house.registry.parked.park(
            [(replica, 0, 0)], 1, 60_000, lambda: woken.append(replica.high_watermark)
        )
        result, read = await house.fetch(0)
        assert (result.error, result.high_watermark, read) == (0, 0, b"")
        replica.reported(2, 5, 0)
        result, read = await house.fetch(0)
        assert result.high_watermark == 5
        assert [offset for offset, _ in values(read)] == [0, 1, 2, 3]
        assert [pending.answer for pending in everyone] == [(0, 0), (0, 2), None]
        assert woken == [5]
        replica.reported(2, 8, 0)
        assert everyone[2].answer == (0, 4)
        assert len(values((await house.fetch(4))[1])) == 4

    simulate(scenario, 3)


@pytest.mark.parametrize("operation", ["sync", "write"])
def test_after_a_failed_sync_nothing_is_acknowledged_and_committed_data_is_still_read(
    operation: Any,
) -> None:
    """Seam 9, as partitions see it: after a failed sync the page cache shows more than is true."""

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        machine.disk.cold_chance = 0.0
        house = await House(machine).start(ORDERS)
        house.world.spawn(house.registry.run())
        for _ in range(3):
            assert (await house.produce(records(2)))[0] == 0
        _, committed = await house.fetch(0)
        machine.disk.fail(operation, times=1_000)
        failed = [house.send(records(2)) for _ in range(4)]
        assert [(await house.answer(pending))[0] for pending in failed] == [56] * 4
        replica = house.replica("orders")
        assert replica.role == roles.FAILED
        assert await house.produce(records(1)) == (56, -1)
        result, read = await house.fetch(0)
        assert (result.error, result.high_watermark) == (0, 6)
        assert read == committed
        await house.world.sleep(60_000)
        assert await house.produce(records(1)) == (56, -1)
        assert (await house.fetch(0))[1] == committed
        assert replica.log.end == 6

        machine.crash()
        machine.disk.heal()
        house = await House(machine).start(at_epoch(ORDERS, 1))
        assert (await house.fetch(0))[1][: len(committed)] == committed

    for seed in range(4):
        simulate(scenario, seed)


@pytest.mark.parametrize("sync", ["block", "interval:50", "os"])
def test_a_full_disk_refuses_produce_and_everything_resumes_when_there_is_room(sync: str) -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine, WalSettings(SEGMENT_BYTES, sync)).start(ORDERS)
        house.world.spawn(house.registry.run())
        acknowledged = 0
        used = sum(inode.allocated for inode in machine.disk.inodes())
        machine.disk.bytes_max = used + 3_000_000
        while True:
            error, _ = await house.produce(records(2_000))
            if error:
                break
            acknowledged += 2_000
        assert error == 56
        assert house.replica("orders").high_watermark == acknowledged
        assert (await house.produce(records(1)))[0] == 56
        result, read = await house.fetch(0)
        assert result.error == 0
        assert len(values(read)) == acknowledged
        machine.disk.heal()
        await house.world.sleep(3 * REOPEN_MS)
        assert await house.produce(records(5)) == (0, acknowledged)
        machine.crash() if sync == "block" else machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 1))
        assert house.replica("orders").high_watermark == acknowledged + 5

    for seed in range(3):
        simulate(scenario, seed)


@pytest.mark.parametrize("sync", ["interval:50", "os"])
def test_a_write_without_room_takes_nothing_that_was_acknowledged(sync: str) -> None:
    """What `wal.sync` let be acknowledged before its sync is whole: only the last write is not."""

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine, WalSettings(SEGMENT_BYTES, sync)).start(ORDERS)
        house.world.spawn(house.registry.run())
        for start in range(0, 50, 10):
            assert await house.produce(records(10)) == (0, start)
        machine.disk.fail("write", errno.ENOSPC)
        assert (await house.produce(records(1)))[0] == 56
        await house.world.sleep(3 * REOPEN_MS)
        assert await house.produce(records(1)) == (0, 50)
        machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 1))
        assert house.replica("orders").high_watermark == 51

    for seed in range(5):
        simulate(scenario, seed)


def test_where_wal_sync_promised_less_a_log_that_lost_revealed_records_is_quarantined() -> None:
    """Offsets that clients have seen are not given to other records in the same leader epoch."""

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        settings = WalSettings(segment_bytes=SEGMENT_BYTES, sync="os")
        house = await House(machine, settings).start(ORDERS, topic("quiet", 2))
        house.world.spawn(house.registry.run())
        assert await house.produce(records(5)) == (0, 0)  # in the first block: truly synced
        assert await house.produce(records(5)) == (0, 5)
        machine.disk.fail("write", times=1_000)
        assert (await house.produce(records(5)))[0] == 56
        await house.world.sleep(10_000)
        replica = house.replica("orders")
        assert (replica.role, replica.read_error) == (roles.QUARANTINED, 56)
        assert house.replica("quiet").role == roles.FAILED

    simulate(scenario, 1)


def test_topics_made_and_deleted_while_the_disk_is_full_are_right_when_it_resumes() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        gone, new = topic("gone", 2), topic("new", 3)
        house = await House(machine).start(ORDERS, gone)
        house.world.spawn(house.registry.run())
        await house.produce(records(3), "gone")
        machine.disk.fail("write", errno.ENOSPC, times=10**6)
        assert (await house.produce(records(1)))[0] == 56
        house.registry.apply(image(at_epoch(ORDERS, 2), new))
        assert (await house.produce(records(1), "new"))[0] == 56
        machine.disk.heal()
        await house.world.sleep(3 * REOPEN_MS)
        assert house.registry.failure is None
        assert await house.produce(records(2), "new") == (0, 0)
        assert await house.produce(records(2)) == (0, 0)
        assert house.replica("orders").log.leader_epoch == 2
        machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 3), at_epoch(new, 1), gone)
        assert house.replica("gone").log.end == 0
        assert (house.replica("new").log.end, house.replica("orders").log.end) == (2, 2)

    for seed in range(3):
        simulate(scenario, seed)


@pytest.mark.parametrize("is_failed_before", [False, True])
def test_a_drop_that_the_full_disk_could_not_take_resurrects_nothing(
    is_failed_before: bool,
) -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        house.world.spawn(house.registry.run())
        assert await house.produce(records(5)) == (0, 0)
        machine.disk.fail("write", errno.ENOSPC, times=10**6)
        if is_failed_before:
            assert (await house.produce(records(1)))[0] == 56
        house.registry.apply(image(topic("orders", 1, isr=(2,), leader=2)))
        house.registry.apply(image(at_epoch(ORDERS, 1)))
        await house.world.sleep(simulation.random.randrange(2 * REOPEN_MS))
        machine.disk.heal()
        await house.world.sleep(3 * REOPEN_MS)
        assert (await house.fetch(0))[1] == b""
        assert await house.produce(records(2)) == (0, 0)
        machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 2))
        assert house.recovered.corrupt == []
        assert len(values((await house.fetch(0))[1])) == 2

    for seed in range(4):
        simulate(scenario, seed)


def test_the_leader_epochs_of_a_log_are_known_after_restarts() -> None:
    """Seam 11."""

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        for epoch in range(3):
            house = await House(machine).start(at_epoch(ORDERS, epoch))
            replica = house.replica("orders")
            assert await house.produce(records(4)) == (0, 4 * epoch)
            machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 3))
        replica = house.replica("orders")
        assert replica.log.epochs.entries() == [(0, 0), (1, 4), (2, 8), (3, 12)]
        assert end_of_epoch(replica, 1)[1:] == (1, 8)
        assert end_of_epoch(replica, 3, 3) == (0, 3, 12)
        assert end_of_epoch(replica, 0, 2).error == 74
        assert end_of_epoch(replica, 0, 4).error == 75

    simulate(scenario, 2)


def test_idempotent_producers_are_known_after_a_restart() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        for sequence in (0, 3, 6):
            assert await house.produce(records(3, producer=(8, 1, sequence))) == (0, sequence)
        machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 1))
        assert await house.produce(records(3, producer=(8, 1, 3))) == (0, 3)
        assert await house.produce(records(3, producer=(8, 1, 12))) == (45, -1)
        assert await house.produce(records(3, producer=(8, 0, 9))) == (47, -1)
        assert await house.produce(records(3, producer=(8, 1, 9))) == (0, 9)

    simulate(scenario, 5)


def test_a_generation_grows_with_every_image_and_roles_follow_it() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        registry = house.registry
        generation = registry.generation
        replica = house.replica("orders")
        registry.apply(image(at_epoch(ORDERS, 4)))
        assert registry.generation > generation
        assert house.replica("orders") is replica
        assert (replica.role, replica.log.leader_epoch) == (roles.LEADING, 4)
        registry.apply(image(topic("orders", 1, epoch=5, isr=(1, 2), leader=2)))
        assert (replica.role, replica.refuses) == (roles.FOLLOWING, 6)
        registry.apply(image(topic("orders", 1, epoch=6, isr=(2,), leader=2)))
        assert replica.role == roles.DROPPED
        assert registry.topics[b"orders"].replicas == [None]
        assert registry.topics_by_id[TopicId((1).to_bytes(16, "big"))].name == b"orders"

    simulate(scenario, 1)


def test_another_policy_reaches_the_replica_and_disturbs_nobody_who_waits() -> None:
    async def scenario(simulation: Simulation) -> None:
        orders = topic("orders", 1)
        house = await House(simulation.machine("one")).start(orders)
        replica = house.replica("orders")
        leading, epoch = replica.replication, replica.leader_epoch
        waits = house.send(records(1))
        smaller = replace(orders, policy=TopicPolicy(max_message_bytes=10))
        house.registry.apply(image(smaller))
        assert replica.replication is leading and replica.leader_epoch == epoch
        assert house.registry.topics[b"orders"].policy is smaller.policy is replica.policy
        assert await house.answer(waits) == (0, 0)
        assert (await house.produce(records(1)))[0] == 10
        wider = replace(smaller, partitions=smaller.partitions * 3)
        house.registry.apply(image(wider))
        assert replica.replication is leading
        assert (await house.produce(records(1), partition=2))[0] == 10
        house.registry.apply(image(replace(wider, policy=TopicPolicy())))
        assert await house.produce(records(1)) == (0, 1)
        assert await house.produce(records(1), partition=2) == (0, 0)

    simulate(scenario, 1)


def test_min_insync_replicas_counts_as_soon_as_it_is_changed() -> None:
    async def scenario(simulation: Simulation) -> None:
        known = topic("orders", 1)
        brokers = (BrokerId(1), BrokerId(2))
        orders = replace(known, partitions=(replace(known.partitions[0], replicas=brokers),))
        house = await House(simulation.machine("one")).start(orders)
        assert await house.produce(records(1)) == (0, 0)
        both = replace(orders, policy=TopicPolicy(min_insync_replicas=2))
        house.registry.apply(image(both))
        assert (await house.produce(records(1)))[0] == 19
        assert await house.produce(records(1), acks=1) == (0, 1)
        replica = house.replica("orders")
        assert (replica.high_watermark, replica.synced_end) == (1, 2)
        house.registry.apply(image(replace(orders, policy=TopicPolicy(min_insync_replicas=1))))
        assert replica.high_watermark == 2, "what was held back is committed"
        assert await house.produce(records(1)) == (0, 2)

    simulate(scenario, 1)


def test_a_topic_grows_by_partitions() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        await house.produce(records(1))
        house.registry.apply(image(topic("orders", 1, 3)))
        assert await house.produce(records(1), partition=2) == (0, 0)
        assert house.replica("orders").high_watermark == 1

    simulate(scenario, 1)


def test_callbacks_after_a_release_come_once_per_round_when_its_replies_are_ready() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        await house.produce(records(1))
        pending = [house.send(records(1)) for _ in range(50)]
        rounds: list[int] = []
        house.registry.after_release(
            lambda: rounds.append(sum(each.answer is not None for each in pending))
        )
        await house.answer(pending[-1])
        assert rounds[-1] == 50
        assert len(rounds) <= 3

    simulate(scenario, 1)


def test_closing_syncs_what_was_appended_and_answers_everybody() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        pending = [house.send(records(1)) for _ in range(5)]
        await house.registry.close()
        assert [each.answer for each in pending] == [(0, number) for number in range(5)]
        machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 1))
        assert house.replica("orders").high_watermark == 5

    simulate(scenario, 1)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_two_registries_in_one_process_share_nothing(error: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        one = await House(simulation.machine("one")).start(ORDERS)
        two = await House(simulation.machine("two")).start(ORDERS)
        await one.produce(records(3))
        simulation.machine("one").disk.fail("write", error, times=10)
        assert (await one.produce(records(1)))[0] == 56
        assert await two.produce(records(1)) == (0, 0)

    simulate(scenario, 1)


def test_a_partition_all_of_which_was_in_a_lost_block_does_not_begin_anew() -> None:
    """Nothing of it is left on disk: only the image says that it exists."""

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        other = topic("other", 2)
        house = await House(machine).start(ORDERS)
        await house.produce(records(3))
        path = f"{DIRECTORY}/0000000000000001.segment"
        position = len(machine.disk.read(path).rstrip(b"\0")) + 7 & ~7
        house.registry.apply(image(ORDERS, other))
        await house.produce(records(5), "other")
        for _ in range(2):
            await house.produce(records(1))
        machine.kill()
        content = machine.disk.read(path)
        lost = content.index(b"SBLK", position)
        machine.disk.overwrite(path, lost, bytes(len(b"SBLK")))
        for _ in range(2):
            house = await House(machine).start(at_epoch(ORDERS, 1), at_epoch(other, 1))
            assert house.replica("other").role == roles.QUARANTINED
            assert house.recovered.quarantined
            machine.kill()

    simulate(scenario, 1)
