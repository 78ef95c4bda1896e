"""Arranging controllers for tests."""

from app.core.manifest.decide import ControllerDefaults
from app.model import BrokerId, Endpoint
from app.raft.controller import Controller
from app.raft.single_node import SingleNode
from app.world.ports import World

ONE = BrokerId(1)
PLAIN = Endpoint("plain", "127.0.0.1", 9092)


async def controller(
    world: World, directory: str, defaults: ControllerDefaults | None = None
) -> Controller:
    """A broker's controller, started and registered as broker 1."""
    path = f"{directory}/manifest"
    started = Controller(world, SingleNode(world, path), path, defaults)
    await started.start()
    await started.register_broker(ONE, [PLAIN])
    return started
