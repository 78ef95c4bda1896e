"""ListConfigResources, versions 0 and 1 (KIP-1142; version 0 was ListClientMetricsResources).

Behaviour: what may have configs: every topic, every prefix of topics that has some
(`app.service.*`, told as a topic), every broker, and "" if all brokers together have some. Version
0 lists subscriptions to clients' metrics alone, which do not exist here.
Oddities: needs DescribeConfigs on the cluster. A kind that Kafka does not know is
UNSUPPORTED_VERSION; loggers, client metrics and groups are known and have nothing.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from app.admin.commands.configs import ConfigResource, ListConfigResources, ResourceKind
from app.admin.turns import aside
from app.errors import UnsupportedVersion
from app.kafka.context import RequestContext
from app.kafka.items import BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC
from streambus.protocol.messages import configs as message

KEY = 74
VERSIONS = (0, 1)
KNOWN = (TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP)
KINDS: dict[int, ResourceKind] = {TOPIC: "topic", BROKER: "broker"}
NUMBERS = {kind: number for number, kind in KINDS.items()}


async def handle(context: RequestContext, request: Any) -> bytes:
    asked = (CLIENT_METRICS,)
    if context.api_version >= 1:
        kinds_asked = await context.aside(partial(dict.fromkeys, request.resource_types))
        asked = tuple(kinds_asked) or KNOWN
    for kind in asked:
        if kind not in KNOWN:
            raise UnsupportedVersion(f"Unexpected resource type {kind}")
    kinds = tuple([KINDS[kind] for kind in asked if kind in KINDS])
    # Asked even where nothing can be found: whether the client may ask is not ours to say.
    reply = await context.broker.admin.ask(
        context.principal, ListConfigResources(kinds or ("broker",))
    )
    found = reply.resources if kinds else ()
    return await aside(context.broker.world, len(found), partial(_listed, context, found))


def refuse(context: RequestContext, request: Any, code: int, text: str) -> bytes:
    return _frame(context, code, [])


def encode(frame: bytes, correlation_id: int, version: int) -> bytes:
    return frame


def _listed(context: RequestContext, found: Sequence[ConfigResource]) -> bytes:
    return _frame(context, 0, [(NUMBERS[each.kind], each.name) for each in found])


def _frame(context: RequestContext, code: int, resources: list[tuple[int, str]]) -> bytes:
    return message.encode_resources(
        context.correlation_id, context.api_version, context.throttle_ms, code, resources
    )
