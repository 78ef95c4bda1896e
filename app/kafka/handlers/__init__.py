"""The routing table: every API that is served, one module each.

Produce and Fetch have no task: connections call the one, the other starts itself.
"""

from types import ModuleType

from app.kafka.handlers import (
    alter_configs,
    api_versions,
    create_partitions,
    create_topics,
    delete_records,
    delete_topics,
    describe_cluster,
    describe_configs,
    describe_log_dirs,
    describe_producers,
    describe_quorum,
    describe_topic_partitions,
    fetch,
    find_coordinator,
    incremental_alter_configs,
    init_producer_id,
    list_config_resources,
    list_offsets,
    metadata,
    offset_for_leader_epoch,
    produce,
)
from app.kafka.router import Route
from streambus.protocol.messages import control

_OWN_DECODING = (list_offsets,)
_OWN_ENCODING = (
    list_offsets,
    metadata,
    api_versions,
    create_topics,
    describe_configs,
    describe_log_dirs,
    describe_topic_partitions,
    list_config_resources,
)
_BY_THE_CONTROL_CODEC = (
    find_coordinator,
    delete_topics,
    delete_records,
    init_producer_id,
    offset_for_leader_epoch,
    alter_configs,
    create_partitions,
    incremental_alter_configs,
    describe_quorum,
    describe_cluster,
    describe_producers,
)


def _route(module: ModuleType) -> Route:
    return Route(
        key=module.KEY,
        name=module.__name__.rpartition(".")[2],
        versions=module.VERSIONS,
        decode=module.decode if module in _OWN_DECODING else control.decode,
        handle=module.handle,
        refuse=module.refuse,
        encode=module.encode if module in _OWN_ENCODING else control.encode,
    )


ROUTES: tuple[Route, ...] = (
    Route(key=produce.KEY, name="produce", versions=produce.VERSIONS),
    Route(key=fetch.KEY, name="fetch", versions=fetch.VERSIONS, start=fetch.start),
    *(_route(module) for module in (*_OWN_ENCODING, *_BY_THE_CONTROL_CODEC)),
)
