"""The composition root: what a broker registers as."""

from pathlib import Path

from app.config import BrokerConfig, ListenerConfig
from app.main import started
from app.model import BrokerId, Endpoint
from app.world.real import RealWorld


async def test_every_door_is_registered_with_the_port_that_clients_can_reach(
    tmp_path: Path,
) -> None:
    config = BrokerConfig(
        data=str(tmp_path / "data"),
        listeners=(
            "127.0.0.1:0",
            ListenerConfig("127.0.0.1:0", name="mapped", advertised="outside.example:0"),
            ListenerConfig("127.0.0.1:0", name="behind", advertised="proxy.example:443"),
        ),
    )
    world = RealWorld()
    try:
        async with started(config, world) as broker:
            plain, mapped, _ = (port for _, port in broker.addresses)
            assert broker.controller.image.brokers[BrokerId(1)].endpoints == (
                Endpoint("behind", "proxy.example", 443),
                Endpoint("mapped", "outside.example", mapped),
                Endpoint("plain", "127.0.0.1", plain),
            )
    finally:
        await world.close()
