"""DescribeLogDirs, versions 1 to 5.

Behaviour: where this broker keeps its partitions, how much of it they take, how far they lag, and
from 4 how large the file system is and how much of it is free. All partitions, or those asked for.
Oddities: needs Describe on the cluster; without it the answer is empty, from 3 with the error. A
partition that is not here is left out. A replica that moves between directories (a future one) and
cordoned directories do not exist here.
"""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any

from app.admin.commands.cluster import DescribeLogDirectories, LogDirectories, ReplicaBytes
from app.admin.turns import Turns, aside
from app.kafka.context import RequestContext
from streambus.protocol.messages import replicas as message

KEY = 35
VERSIONS = (1, 5)


async def handle(context: RequestContext, request: Any) -> bytes:
    reply: LogDirectories = await context.broker.admin.ask(
        context.principal, DescribeLogDirectories(await context.aside(partial(_asked, request)))
    )
    world, turns = context.broker.world, Turns()
    encoded = []
    for directory in reply.directories:
        shown = []
        topics = await aside(world, len(directory.replicas), partial(_topics, directory.replicas))
        for name, rows in topics:
            job = partial(_shown, context.api_version, name, rows)
            shown.append(await aside(world, len(rows), job))
            await turns.took(len(rows))
        code = 0 if directory.failure is None else directory.failure.code
        if code:
            context.failed(code)
        encoded.append(
            message.log_dir(
                context.api_version,
                code,
                directory.path,
                shown,
                directory.total_bytes,
                directory.usable_bytes,
            )
        )
    return _frame(context, 0, encoded)


def refuse(context: RequestContext, request: Any, code: int, text: str) -> bytes:
    return _frame(context, code, [])


def encode(frame: bytes, correlation_id: int, version: int) -> bytes:
    return frame


def _asked(request: Any) -> tuple[tuple[str, tuple[int, ...]], ...] | None:
    """Each topic once, and each of its partitions; None asks for all."""
    if request.topics is None:
        return None
    asked: dict[str, dict[int, None]] = {}
    for topic in request.topics:
        asked.setdefault(topic.topic, {}).update(dict.fromkeys(topic.partitions))
    return tuple([(name, tuple(partitions)) for name, partitions in asked.items()])


def _topics(replicas: Sequence[ReplicaBytes]) -> list[tuple[str, list[ReplicaBytes]]]:
    """Each topic and its replicas: the admin tells them one after another."""
    return [(name, list(rows)) for name, rows in groupby(replicas, lambda each: each.topic)]


def _shown(version: int, name: str, rows: Sequence[ReplicaBytes]) -> bytes:
    return message.log_dir_topic(
        version, name, [(each.partition, each.bytes, each.lag) for each in rows]
    )


def _frame(context: RequestContext, code: int, directories: list[bytes]) -> bytes:
    return message.encode_log_dirs(
        context.correlation_id, context.api_version, context.throttle_ms, code, directories
    )
