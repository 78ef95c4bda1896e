"""`/v1/topics/{topic}/records`: write a few, read a few, delete the oldest; and who wrote there.

For people and small programs: who moves many records speaks Kafka's protocol.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Body, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from app import limits
from app.admin.commands.records import (
    DeleteRecords,
    NewRecord,
    ReadRecords,
    RecordPage,
    RecordsBefore,
    WriteRecords,
)
from app.admin.port import Failed
from app.api import problems, record_forms, routing
from app.api.guard import Exchange
from app.api.routing import (
    INT32_MAX,
    INT64_MAX,
    Asked,
    Asks,
    Int64,
    PartitionNumber,
    Shape,
    TopicName,
)
from app.errors import StreamBusError

router = routing.router("records")
JSON, NDJSON, TEXT, BYTES = (
    "application/json",
    "application/x-ndjson",
    "text/plain",
    "application/octet-stream",
)
STREAM_PAGE_BYTES = limits.MIB  # what a stream holds in memory at once
READ_RECORDS, READ_BYTES = 100, limits.MIB  # of one page, unless asked otherwise
SHOWN_FACTOR = 3  # a page is held as records, as shown texts and as the answer

TEXT_OR_BYTES: dict[str, Any] = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
            "required": ["base64"],
        },
        {"type": "null"},
    ],
}
BYTES_OF = (
    'A text stands for its UTF-8 bytes, `{"base64": …}` for any bytes, null for none; any other '
    "JSON value is stored as it is written."
)


class ShownHeader(Shape):
    name: str
    value: Any = Field(json_schema_extra=TEXT_OR_BYTES)


class Shown(Shape):
    """A record. Keys and values are texts where they are UTF-8, else `{"base64": …}`."""

    offset: int
    timestamp_ms: int
    key: Any = Field(json_schema_extra=TEXT_OR_BYTES)
    value: Any = Field(json_schema_extra=TEXT_OR_BYTES)
    headers: list[ShownHeader]


class ShownPage(Shape):
    """Records of one partition. Read on from `next_offset`."""

    partition: int
    records: list[Shown]
    next_offset: int
    log_start: int = Field(description="The first offset that is kept.")
    high_watermark: int = Field(description="The end of what is committed.")


class Written(Shape):
    """Where a record is now, durably."""

    partition: int
    offset: int
    timestamp_ms: int


class WrittenOrNot(Shape):
    """An item for each record, in their order."""

    records: list[Written | routing.Item]


class Before(Asked):
    partition: PartitionNumber
    offset: Int64 = Field(
        description="Records before it go; -1: all that is committed.", examples=[-1]
    )


class Befores(Asked):
    partitions: list[Before] = Field(min_length=1, max_length=limits.ADMIN_PAGE_MAX)


class Start(Shape):
    partition: int
    log_start: int = Field(description="The first offset that is left.")


class StartOrNot(Shape):
    """An item for each partition, in their order."""

    partitions: list[Start | routing.Item]


SENT_VALUE = {"description": BYTES_OF}
SENT_RECORD = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "key": SENT_VALUE,
        "value": SENT_VALUE,
        "headers": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "value": SENT_VALUE},
            },
        },
        "partition": {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": INT32_MAX},
                {"type": "null"},
            ],
            "description": "By the hash of the key, or in turn, if it is left out.",
        },
        "timestamp_ms": {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": INT64_MAX},
                {"type": "null"},
            ],
            "description": "Now, if it is left out.",
        },
    },
}
WRITE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["records"],
                    "properties": {
                        "records": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": limits.WRITE_RECORDS_MAX,
                            "items": SENT_RECORD,
                        }
                    },
                },
                "examples": {
                    "texts": {
                        "summary": "Texts, with a key and headers",
                        "value": {
                            "records": [
                                {
                                    "key": "anna",
                                    "value": "hello",
                                    "headers": [{"name": "lang", "value": "en"}],
                                }
                            ]
                        },
                    },
                    "objects": {
                        "summary": "JSON values, and the partition",
                        "value": {"records": [{"value": {"total": 12.50}, "partition": 0}]},
                    },
                    "bytes": {
                        "summary": "Any bytes, and a record without value",
                        "value": {
                            "records": [
                                {"key": "k", "value": {"base64": "AP+A"}},
                                {"key": "k", "value": None},
                            ]
                        },
                    },
                },
            },
            NDJSON: {
                "schema": {"type": "string", "description": f"One value in each line. {BYTES_OF}"},
                "examples": {
                    "lines": {"summary": "Three records", "value": '"hello"\n{"total": 12.50}\n7\n'}
                },
            },
            TEXT: {
                "schema": {"type": "string", "description": "The value of one record."},
                "examples": {"one": {"summary": "One record", "value": "hello"}},
            },
            BYTES: {
                "schema": {"type": "string", "format": "binary"},
                "examples": {"one": {"summary": "One record", "value": "hello"}},
            },
        },
    }
}
READ_ANSWERS: dict[str, Any] = {
    JSON: {},
    NDJSON: {
        "schema": {
            "type": "string",
            "description": 'One record in each line, as `Shown`. A line `{"error": …}` ends it '
            "if it cannot go on.",
        }
    },
    TEXT: {"schema": {"type": "string", "description": "With `format=text`: values alone."}},
}


From = Annotated[
    str,
    Query(
        pattern=r"^(earliest|latest|[0-9]{1,18})$",
        description="Where to begin: a number, `earliest`, or `latest`.",
        examples=["0"],
    ),
]
FromTime = Annotated[
    int | None,
    Query(
        ge=0,
        le=INT64_MAX,
        description="Begin with the first record of this time or later, instead of `offset`.",
    ),
]
AtMostRecords = Annotated[
    int, Query(ge=1, le=limits.API_STREAM_RECORDS_MAX, description="At most so many.")
]
AtMostBytes = Annotated[
    int, Query(alias="bytes", ge=1, le=limits.API_STREAM_BYTES_MAX, description="At most so many.")
]
WaitMs = Annotated[
    int, Query(ge=0, le=limits.READ_WAIT_MS_MAX, description="How long to wait for a first one.")
]
Committed = Annotated[bool, Query(description="Only records of transactions that are committed.")]
Format = Annotated[
    Literal["json", "base64", "text"],
    Query(alias="format", description="How keys and values are shown."),
]


@router.post(
    "/{topic}/records",
    response_model=WrittenOrNot,
    responses={207: {"model": WrittenOrNot, "description": "Some failed"}, **problems.schema(415)},
    summary="Write records",
    openapi_extra=WRITE_BODY,
)
async def write(
    request: Request,
    port: Asks,
    topic: TopicName,
    key: Annotated[
        str | None,
        Query(max_length=1_000, description="The key of each record that has none of its own."),
    ] = None,
    partition: Annotated[
        int | None,
        Query(ge=0, le=INT32_MAX, description="The partition of each record that names none."),
    ] = None,
    timestamp_ms: Annotated[
        int | None,
        Query(ge=0, le=INT64_MAX, description="The time of each record that has none."),
    ] = None,
) -> Response:
    given = routing.check_media_type(request, JSON, NDJSON, TEXT, BYTES)
    body = await request.body()
    everyone = None if key is None else _encoded("query.key", key)
    match given:
        case "application/json":
            records = tuple(
                [
                    msgspec.structs.replace(
                        each,
                        key=everyone if each.key is None else each.key,
                        partition=partition if each.partition is None else each.partition,
                        timestamp_ms=(
                            timestamp_ms if each.timestamp_ms is None else each.timestamp_ms
                        ),
                    )
                    for each in record_forms.records_of_json(body)
                ]
            )
        case "application/x-ndjson":
            records = tuple(
                [
                    NewRecord(value, everyone, (), partition, timestamp_ms)
                    for value in record_forms.records_of_lines(body)
                ]
            )
        case _:
            records = (NewRecord(body, everyone, (), partition, timestamp_ms),)
    reply = await port.ask(WriteRecords(topic, records))
    return port.several("records", reply.records, _written)


@router.get(
    "/{topic}/records",
    response_model=ShownPage,
    responses={
        200: {"description": "Records", "content": READ_ANSWERS},
        **problems.schema(406),
    },
    summary="Read records of one partition",
)
async def read(
    request: Request,
    port: Asks,
    topic: TopicName,
    partition: Annotated[int, Query(ge=0, le=INT32_MAX)] = 0,
    offset: From = "earliest",
    timestamp_ms: FromTime = None,
    records: AtMostRecords = READ_RECORDS,
    bytes_max: AtMostBytes = READ_BYTES,
    wait_ms: WaitMs = 0,
    committed: Committed = False,
    form: Format = "json",
) -> Response:
    asked = ReadRecords(
        topic,
        partition,
        int(offset) if offset.isdigit() else offset,  # type: ignore[arg-type]
        timestamp_ms,
        min(records, limits.READ_RECORDS_MAX),
        min(bytes_max, limits.READ_BYTES_MAX),
        wait_ms,
        committed,
    )
    wants_lines = form != "text" and _accepts_lines(request)
    if wants_lines:
        asked = msgspec.structs.replace(asked, bytes_max=min(bytes_max, STREAM_PAGE_BYTES))
    page = await _first_page(routing.exchange(request), port, asked)
    if wants_lines:  # what failed until here had a status of its own
        lines = _lines(port, asked, page, records, bytes_max, as_base64=form == "base64")
        return StreamingResponse(lines, media_type=NDJSON)
    if form == "text":
        ends = {
            "x-next-offset": str(page.next_offset),
            "x-high-watermark": str(page.high_watermark),
        }
        text = "".join(record_forms.shown_texts(page.records))
        return Response(text, 200, ends, f"{TEXT}; charset=utf-8")
    return routing.encoded(
        {
            "partition": page.partition,
            "records": [
                record_forms.shown_record(each, as_base64=form == "base64") for each in page.records
            ],
            "next_offset": page.next_offset,
            "log_start": page.log_start,
            "high_watermark": page.high_watermark,
        }
    )


@router.delete(
    "/{topic}/records",
    response_model=StartOrNot,
    responses={207: {"model": StartOrNot, "description": "Some failed"}, **problems.schema(415)},
    summary="Delete the oldest records",
)
async def delete(
    port: Asks,
    topic: TopicName,
    asked: Annotated[
        Befores,
        Body(
            openapi_examples={
                "two": {
                    "summary": "All before offset 2",
                    "value": {"partitions": [{"partition": 0, "offset": 2}]},
                }
            }
        ),
    ],
) -> Response:
    rows = tuple([RecordsBefore(topic, each.partition, each.offset) for each in asked.partitions])
    reply = await port.ask(DeleteRecords(rows))
    return port.several(
        "partitions",
        reply.partitions,
        lambda each: {"partition": each.partition, "log_start": each.log_start},
    )


async def _first_page(exchange: Exchange, port: routing.Port, asked: ReadRecords) -> RecordPage:
    """A page, with room for it taken before it is read; who waits for a first record takes none
    meanwhile."""
    room = asked.bytes_max * SHOWN_FACTOR
    exchange.hold(room)
    page: RecordPage = await port.ask(msgspec.structs.replace(asked, wait_ms=0))
    if page.records or not asked.wait_ms:
        return page
    exchange.let_go(room)
    here = msgspec.structs.replace(asked, offset=page.next_offset, timestamp_ms=None)
    waited: RecordPage = await port.ask(msgspec.structs.replace(here, records_max=1, bytes_max=1))
    if not waited.records:
        return waited
    exchange.hold(room)
    again: RecordPage = await port.ask(msgspec.structs.replace(here, wait_ms=0))
    return again


async def _lines(
    port: routing.Port,
    asked: ReadRecords,
    page: RecordPage,
    records: int,
    bytes_max: int,
    *,
    as_base64: bool,
) -> AsyncIterator[bytes]:
    """Pages one after another, until the end of what is there or of what was asked for. One page is
    held at a time: the next is read when the client has taken this one."""
    while page.records:
        yield record_forms.shown_lines(page.records, as_base64=as_base64)
        records -= len(page.records)
        bytes_max -= sum([len(each.key or b"") + len(each.value or b"") for each in page.records])
        if records <= 0 or bytes_max <= 0:
            return
        asked = msgspec.structs.replace(
            asked,
            offset=page.next_offset,
            timestamp_ms=None,
            records_max=min(records, limits.READ_RECORDS_MAX),
            bytes_max=min(bytes_max, STREAM_PAGE_BYTES),
            wait_ms=0,
        )
        try:
            page = await port.ask(asked)
        except StreamBusError as error:
            yield msgspec.json.encode({"error": port.problem(Failed.of(error))}) + b"\n"
            return


def _accepts_lines(request: Request) -> bool:
    """Whether the client asked for NDJSON. Who accepts neither that nor JSON is told so."""
    accept = request.headers.get("accept", "*/*").lower()
    if NDJSON in accept:
        return True
    if not any(each in accept for each in ("*/*", "application/*", JSON)):
        raise problems.Refused(
            406, f"this can be had as {JSON} or {NDJSON}, or with format=text as {TEXT}"
        )
    return False


def _encoded(field: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise record_forms.invalid(field, "not UTF-8") from error


def _written(record: Any) -> dict[str, int]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
    }
