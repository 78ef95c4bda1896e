"""Metrics as values: what a scrape shows, before anybody renders it."""

from collections.abc import Sequence

import msgspec

from app.admin.port import Command, Touch
from app.security.ports import CLUSTER_NAME, Operation, Resource
from app.telemetry.metrics import Family


class Metrics(msgspec.Struct, frozen=True, tag=True):
    families: list[Family]


class CollectMetrics(Command, frozen=True):
    """-> Metrics. Gathered in turns, so that the loop is never held for long."""

    def touches(self) -> Sequence[Touch]:
        return (Touch(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME),)


COMMANDS = (CollectMetrics,)
