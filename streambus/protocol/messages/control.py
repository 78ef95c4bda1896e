"""Control messages: everything but Produce, Fetch and ListOffsets, as kio's entities.

Owns    which kio module holds which message, the frames around them, building them by version.
Never   imports a message module before it is used: each is a module of its own, and start is timed.
Trusts  kio's writer with our own values; bytes from outside are read by `entities.py`.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from streambus.errors import Malformed
from streambus.protocol import api, frames
from streambus.protocol.wire import Reader

CONTROL_BYTES_MAX = 8 * 1024 * 1024
"""Largest control message that is decoded: a hundred thousand topics with long names fit."""

_PACKAGES = {
    api.METADATA: "metadata",
    api.FIND_COORDINATOR: "find_coordinator",
    api.API_VERSIONS: "api_versions",
    api.CREATE_TOPICS: "create_topics",
    api.DELETE_TOPICS: "delete_topics",
    api.DELETE_RECORDS: "delete_records",
    api.INIT_PRODUCER_ID: "init_producer_id",
    api.OFFSET_FOR_LEADER_EPOCH: "offset_for_leader_epoch",
    api.DESCRIBE_CONFIGS: "describe_configs",
    api.ALTER_CONFIGS: "alter_configs",
    api.DESCRIBE_LOG_DIRS: "describe_log_dirs",
    api.CREATE_PARTITIONS: "create_partitions",
    api.INCREMENTAL_ALTER_CONFIGS: "incremental_alter_configs",
    api.DESCRIBE_QUORUM: "describe_quorum",
    api.DESCRIBE_CLUSTER: "describe_cluster",
    api.DESCRIBE_PRODUCERS: "describe_producers",
    api.LIST_CONFIG_RESOURCES: "list_config_resources",
    api.DESCRIBE_TOPIC_PARTITIONS: "describe_topic_partitions",
}


def _module(api_key: int, version: int, direction: str) -> ModuleType:
    package = _PACKAGES.get(api_key)
    if package is None or not api.is_served(api_key, version):
        raise Malformed(f"{api.name_of(api_key)} has no version {version} here")
    name = f"kio.schema.{package}.v{version}.{direction}"
    if "hypothesis" in sys.modules:
        return import_module(name)
    # Where it is installed kio imports all of it, for strategies that only tests want: on a
    # developer's machine that was a third of the broker's start.
    sys.modules["hypothesis"] = None  # type: ignore[assignment]  # documented: "cannot be imported"
    try:
        return import_module(name)
    finally:
        sys.modules.pop("hypothesis", None)  # another thread may have been here too


@cache
def request_types(api_key: int, version: int) -> ModuleType:
    """The kio module with the request's entity classes."""
    return _module(api_key, version, "request")


@cache
def response_types(api_key: int, version: int) -> ModuleType:
    """The kio module with the response's entity classes."""
    return _module(api_key, version, "response")


@cache
def _request_class(api_key: int, version: int) -> type[Any]:
    name = f"{api.name_of(api_key)}Request"
    entity_type: type[Any] = getattr(request_types(api_key, version), name)
    return entity_type


@cache
def _response_class(api_key: int, version: int) -> type[Any]:
    name = f"{api.name_of(api_key)}Response"
    entity_type: type[Any] = getattr(response_types(api_key, version), name)
    return entity_type


@cache
def _field_names(entity_type: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in fields(entity_type))


def fill(entity_type: type[Any], **values: Any) -> Any:
    """An entity of the values that this version has fields for; the others are left out.

    Pass everything that the newest version knows: older ones take what they can carry.
    """
    known = _field_names(entity_type)  # type: ignore[arg-type]
    return entity_type(**{name: value for name, value in values.items() if name in known})


def span_ms(milliseconds: int) -> timedelta:
    """A time span as kio's entities hold it."""
    return timedelta(milliseconds=milliseconds)


def decode(api_key: int, version: int, view: memoryview, start: int, end: int) -> Any:
    """The request at `view[start:end]`, which is the body after the request's header.

    Bytes after it are ignored, as Kafka ignores them.
    """
    return _read(_request_class(api_key, version), view, start, end)


def decode_response(
    api_key: int, version: int, view: memoryview, start: int = 0, end: int | None = None
) -> Any:
    """The response body at `view[start:end]`, after the response's header."""
    end = len(view) if end is None else end
    return _read(_response_class(api_key, version), view, start, end)


def _read(entity_type: type[Any], view: memoryview, start: int, end: int) -> Any:
    if end - start > CONTROL_BYTES_MAX:
        raise Malformed(f"{entity_type.__name__} of {end - start} bytes")
    from streambus.protocol.messages import entities

    flexible: bool = entity_type.__flexible__
    reader = Reader(view, start, end, flexible=flexible)
    try:
        return entities.entity_reader(entity_type)(reader)  # type: ignore[arg-type]
    except Malformed as malformed:
        version = entity_type.__version__
        raise Malformed(f"{entity_type.__name__} v{version}: {malformed}") from None


@cache
def _writer(entity_type: type[Any]) -> Callable[[io.BytesIO, Any], None]:
    from kio.serial import entity_writer

    writer: Callable[[io.BytesIO, Any], None] = entity_writer(entity_type)
    return writer


def _body(entity: Any) -> bytes:
    buffer = io.BytesIO()
    _writer(type(entity))(buffer, entity)  # type: ignore[arg-type]
    return buffer.getvalue()


def encode(entity: Any, correlation_id: int, version: int) -> bytes:
    """The whole frame of a response, its length included."""
    assert entity.__version__ == version, f"{type(entity).__name__} is not of version {version}"
    flexible = frames.has_flexible_response_header(entity.__api_key__, version)
    return frames.framed(frames.response_header(correlation_id, flexible), _body(entity))


def encode_request(entity: Any, correlation_id: int, client_id: str | None) -> bytes:
    """The whole frame of a request, its length included."""
    header = frames.request_header(
        int(entity.__api_key__), int(entity.__version__), correlation_id, client_id
    )
    return frames.framed(header, _body(entity))
