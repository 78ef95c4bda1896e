"""Health: started, ready, and in words what is not as it should be."""

from itertools import islice

from app.admin.commands.health import CheckHealth, Health
from app.admin.parts import Parts
from app.model import Principal

REASONS_MAX = 10
"""Partitions that are named; of more only the number is told."""


async def check_health(parts: Parts, asker: Principal, command: CheckHealth) -> Health:
    """Partitions are named by id: everybody may ask, and names are for those who may describe."""
    reasons: list[str] = []
    registry, image = parts.registry, parts.image
    if not parts.is_serving:
        reasons.append("The broker is starting or stopping: its doors are not open.")
    if registry.failure is not None:
        reasons.append(f"Nothing can be written: {registry.failure}")
    if not parts.controller.is_leader:
        reasons.append("The manifest cannot be changed here: its log is not open.")
    elif parts.broker_id not in image.brokers:
        reasons.append("The broker is not registered in the manifest.")
    quarantined = registry.quarantined
    for key, why in islice(quarantined.items(), REASONS_MAX):
        reasons.append(f"Partition {key} is quarantined: {why}")
    if len(quarantined) > REASONS_MAX:
        reasons.append(f"{len(quarantined)} partitions are quarantined.")
    return Health(parts.is_serving, not reasons, tuple(reasons))
