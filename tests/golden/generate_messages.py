"""Writes messages.json: golden frames of every request and response version that StreamBus serves.

Made by kafka-python 3.0.12 (of requirements for development), whose codec shares nothing with ours:

    python -m tests.golden.generate_messages

Run it again only when a version is added or a sample changes; a frame that changes otherwise means
that one of the two codecs is wrong. Each entry holds the fields that its version has, and the frame
with its length and header: correlation id 7, client id "golden" for full samples, null for sparse.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import kafka
from kafka.protocol.admin import cluster, configs, transactions
from kafka.protocol.admin import topics as admin
from kafka.protocol.consumer import fetch, offsets
from kafka.protocol.metadata import api_versions, find_coordinator, metadata
from kafka.protocol.producer import produce, transaction

from streambus.protocol import api
from tests.golden import admin_samples, message_samples

SAMPLES = message_samples.SAMPLES | admin_samples.SAMPLES
CORRELATION_ID = 7
CLIENT_ID = "golden"
PATH = Path(__file__).with_name("messages.json")
MODULES = (
    admin,
    cluster,
    configs,
    transactions,
    fetch,
    offsets,
    api_versions,
    find_coordinator,
    metadata,
    produce,
    transaction,
)


def message_class(name: str) -> Any:
    (found,) = (getattr(module, name) for module in MODULES if hasattr(module, name))
    return found


def filled(structure: Any, fields: dict[str, Any], version: int) -> tuple[Any, dict[str, Any]]:
    """The structure of kafka-python at this version, and the fields that it took."""
    values: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name, field in structure._struct.fields.items():
        if name not in fields or not field.for_version_q(version):
            continue
        value = fields[name]
        if field.is_struct_array() and value is not None:
            pairs = [filled(field.data_class, element, version) for element in value]
            values[name] = [element for element, _ in pairs]
            kept[name] = [element for _, element in pairs]
        elif field.is_struct() and value is not None:
            values[name], kept[name] = filled(field.data_class, value, version)
        else:
            values[name] = kept[name] = value
    return structure(version=version, **values), kept


def jsonable(value: Any) -> Any:
    if isinstance(value, UUID):
        return {"uuid": str(value)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"{value!r} has no place in a golden file")


def entries() -> list[dict[str, Any]]:
    made = []
    for row in api.TABLE:
        for direction in ("Request", "Response"):
            name = f"{row.name}{direction}"
            for version in range(row.oldest, row.newest + 1):
                for label, fields in SAMPLES[name].items():
                    message, kept = filled(message_class(name), fields, version)
                    if direction == "Request":
                        client_id = CLIENT_ID if label == "full" else None
                        message.with_header(CORRELATION_ID, client_id)
                    else:
                        message.with_header(CORRELATION_ID)
                    frame = message.encode(header=True, framed=True)
                    made.append(
                        {
                            "message": name,
                            "version": version,
                            "sample": label,
                            "fields": kept,
                            "frame": bytes(frame).hex(),
                        }
                    )
    return made


def write() -> None:
    lines = [json.dumps(entry, default=jsonable, ensure_ascii=False) for entry in entries()]
    head = f'{{"made by": "kafka-python {kafka.__version__}", "messages": [\n'
    PATH.write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
