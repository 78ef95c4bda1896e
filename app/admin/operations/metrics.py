"""Metrics, gathered from who counts them."""

from app.admin.commands.metrics import CollectMetrics, Metrics
from app.admin.parts import Parts
from app.model import Principal


async def collect(parts: Parts, principal: Principal, command: CollectMetrics) -> Metrics:
    return Metrics(await parts.collectors.gather(parts.world.clock))
