"""Health says what is not as it should be, in words, and names no topic."""

from app.admin.commands.health import CheckHealth, Health
from app.errors import StorageFailed
from tests.unit.admin.arrange import Desk, on_broker


def test_a_broker_that_serves_is_ready() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        assert await desk.ask(CheckHealth()) == Health(started=True, ready=True)

    on_broker(scenario)


def test_a_failed_log_is_not_ready_until_it_goes_on() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        desk.registry.on_failed(StorageFailed("the disk is gone"))
        assert await desk.ask(CheckHealth()) == Health(
            started=True, ready=False, reasons=("Nothing can be written: the disk is gone",)
        )

    on_broker(scenario)


def test_a_manifest_that_cannot_change_and_quarantined_partitions_are_reasons() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("secret", partitions=12)
        desk.started.controller._consensus.is_leader = False  # type: ignore[misc]
        for number in range(12):
            key = desk.replica("secret", number).key
            desk.registry._quarantined[key] = "bytes are wrong"
        health = await desk.ask(CheckHealth())
        desk.started.controller._consensus.is_leader = True  # type: ignore[misc]
        first = desk.replica("secret", 0).key
        assert not health.ready and health.started
        assert health.reasons[:2] == (
            "The manifest cannot be changed here: its log is not open.",
            f"Partition {first} is quarantined: bytes are wrong",
        )
        assert health.reasons[-1] == "12 partitions are quarantined."
        assert len(health.reasons) == 12 and "secret" not in repr(health)

    on_broker(scenario)
