"""What partitions and the log show, through a failing disk and the end of topics."""

import errno
from typing import Any

from app.partitions.metrics import PartitionMetrics
from app.partitions.registry import REOPEN_MS
from app.tiers.nvme.metrics import WalMetrics
from tests.sim.world import Simulation, simulate
from tests.unit.partitions.arrange import records
from tests.unit.partitions.house import House, image, topic

ORDERS, EVENTS = topic("orders", 1, 2), topic("events", 2)


def shown(house: House) -> dict[tuple[str, ...], Any]:
    families = [
        *PartitionMetrics(house.registry).collect(),
        *WalMetrics(house.registry).collect(),
    ]
    return {
        (family.name.removeprefix("streambus_"), *labels): numbers[0]
        for family in families
        if family is not None and family.kind != "histogram"
        for labels, numbers in family.rows
    }


def test_what_is_durable_is_counted_and_what_waits_is_not() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS, EVENTS)
        sent = records(3)
        await house.produce(sent)
        pending = house.send(records(4), partition=1)
        numbers = shown(house)
        assert numbers["appends_waiting",] == 1
        assert numbers["wal_pending_bytes",] > 0
        assert numbers["topic_appended_records_total", "orders"] == 3
        assert numbers["topic_appended_batches_total", "orders"] == 1
        assert numbers["topic_appended_bytes_total", "orders"] == len(sent)
        assert numbers["topic_appended_records_total", "events"] == 0
        await house.answer(pending)
        numbers = shown(house)
        assert numbers["appends_waiting",] == 0
        assert numbers["topic_appended_records_total", "orders"] == 7
        assert numbers["partition_end_offset", "orders", "0"] == 3
        assert numbers["partition_end_offset", "orders", "1"] == 4
        assert numbers["partition_bytes", "orders", "0"] == len(sent)
        assert numbers["partitions", "leading"] == 3
        assert numbers["wal_segments", "open"] == 1
        assert numbers["wal_blocks_total",] == numbers["wal_syncs_total",]

    simulate(scenario, 1)


def test_a_deleted_topic_has_no_series_any_more() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS, EVENTS)
        await house.produce(records(3))
        house.registry.apply(image(EVENTS))
        assert not [labels for labels in shown(house) if "orders" in labels]
        house.registry.apply(image(EVENTS, topic("orders", 3)))
        assert shown(house)["topic_appended_records_total", "orders"] == 0

    simulate(scenario, 1)


def test_a_failed_log_is_shown_until_it_goes_on() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        house.world.spawn(house.registry.run())
        await house.produce(records(1))
        assert shown(house)["wal_failed",] == 0
        machine.disk.fail("write", errno.ENOSPC, times=10**6)
        await house.produce(records(1))
        numbers = shown(house)
        assert numbers["wal_failed",] == 1 and numbers["wal_failures_total",] == 1
        assert numbers["partitions", "failed"] == 2 and numbers["partitions", "leading"] == 0
        machine.disk.heal()
        await house.world.sleep(3 * REOPEN_MS)
        numbers = shown(house)
        assert numbers["wal_failed",] == 0 and numbers["wal_failures_total",] == 1
        assert numbers["partitions", "leading"] == 2

    simulate(scenario, 1)
