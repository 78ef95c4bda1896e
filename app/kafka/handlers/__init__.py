"""The routing table: every API that is served, one module each.

Produce and Fetch have no task: connections call the one, the other starts itself.
"""

from app.kafka.handlers import (
    api_versions,
    create_topics,
    delete_topics,
    fetch,
    find_coordinator,
    init_producer_id,
    list_offsets,
    metadata,
    offset_for_leader_epoch,
    produce,
)
from app.kafka.router import Route
from streambus.protocol.messages import control

ROUTES: tuple[Route, ...] = (
    Route(key=produce.KEY, name="produce", versions=produce.VERSIONS),
    Route(key=fetch.KEY, name="fetch", versions=fetch.VERSIONS, start=fetch.start),
    Route(
        key=list_offsets.KEY,
        name="list_offsets",
        versions=list_offsets.VERSIONS,
        decode=list_offsets.decode,
        handle=list_offsets.handle,
        refuse=list_offsets.refuse,
        encode=list_offsets.encode,
    ),
    Route(
        key=metadata.KEY,
        name="metadata",
        versions=metadata.VERSIONS,
        decode=control.decode,
        handle=metadata.handle,
        refuse=metadata.refuse,
        encode=metadata.encode,
    ),
    Route(
        key=api_versions.KEY,
        name="api_versions",
        versions=api_versions.VERSIONS,
        decode=control.decode,
        handle=api_versions.handle,
        refuse=api_versions.refuse,
        encode=api_versions.encode,
    ),
    *(
        Route(
            key=module.KEY,
            name=module.__name__.rpartition(".")[2],
            versions=module.VERSIONS,
            decode=control.decode,
            handle=module.handle,
            refuse=module.refuse,
            encode=control.encode,
        )
        for module in (
            find_coordinator,
            create_topics,
            delete_topics,
            init_producer_id,
            offset_for_leader_epoch,
        )
    ),
)
