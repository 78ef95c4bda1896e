"""Forms of records in HTTP bodies: what is sent, and how what is stored is shown.

Owns    the one rule for keys, values and headers: a JSON text is its UTF-8 bytes, `{"base64": …}`
        any bytes, null none, and any other JSON value is stored as it was written. What is shown is
        a text where the bytes are UTF-8, else `{"base64": …}`.
Never   loses a byte: what is shown as JSON can be sent again.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from app import limits
from app.admin.commands.records import NewRecord, ReadRecord
from app.api import problems
from app.api.routing import INT32_MAX, INT64_MAX, INVALID

NULL = msgspec.Raw(b"null")


class SentHeader(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: msgspec.Raw = NULL


class SentRecord(msgspec.Struct, forbid_unknown_fields=True):
    value: msgspec.Raw = NULL
    key: msgspec.Raw = NULL
    headers: list[SentHeader] = []
    partition: int | None = None
    timestamp_ms: int | None = None


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    records: list[SentRecord]


class AnyBytes(msgspec.Struct, forbid_unknown_fields=True):
    base64: str


DECODE = msgspec.json.Decoder(Sent)
DECODE_TEXT = msgspec.json.Decoder(str)
DECODE_BASE64 = msgspec.json.Decoder(AnyBytes)
DECODE_ANY = msgspec.json.Decoder(msgspec.Raw)


def records_of_json(body: bytes) -> tuple[NewRecord, ...]:
    """`{"records": [{"key": …, "value": …, "headers": […], …}]}`."""
    _check_utf8(body)
    try:
        sent = DECODE.decode(body)
    except msgspec.ValidationError as error:
        raise invalid("body", str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error) from error
    if not sent.records:
        raise invalid("body.records", "give at least one")
    _check_count(len(sent.records))
    return tuple(
        [_record(f"body.records[{place}]", each) for place, each in enumerate(sent.records)]
    )


def records_of_lines(body: bytes) -> list[bytes | None]:
    """NDJSON: the value of one record in each line; empty lines are none."""
    _check_utf8(body)
    values = []
    for place, line in enumerate(body.split(b"\n")):
        line = line.strip(b" \t\r")
        if not line:
            continue
        try:
            DECODE_ANY.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(error, f"line {place + 1}: ") from error
        values.append(stored(f"line {place + 1}", msgspec.Raw(line)))
        _check_count(len(values))
    if not values:
        raise invalid("body", "give at least one line")
    return values


def stored(field: str, raw: msgspec.Raw) -> bytes | None:
    """The bytes that a JSON value stands for."""
    text = bytes(raw).strip(b" \t\r\n")
    try:
        if text == b"null":
            return None
        if text[:1] == b'"':
            return DECODE_TEXT.decode(text).encode()
        if text[:1] == b"{" and b'"base64"' in text[: text.find(b":") + 1]:
            return base64.b64decode(DECODE_BASE64.decode(text).base64, validate=True)
    except msgspec.ValidationError as error:
        raise invalid(field, f"with base64, nothing else and a text: {error}") from error
    except (binascii.Error, ValueError) as error:
        raise invalid(field, f"not base64: {error}") from error
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise invalid(field, str(error)) from error
    return text


def _record(field: str, sent: SentRecord) -> NewRecord:
    if sent.partition is not None and not 0 <= sent.partition <= INT32_MAX:
        raise invalid(f"{field}.partition", f"0 to {INT32_MAX}")
    check_timestamp(f"{field}.timestamp_ms", sent.timestamp_ms)
    return NewRecord(
        stored(f"{field}.value", sent.value),
        stored(f"{field}.key", sent.key),
        tuple([(each.name, stored(f"{field}.headers", each.value)) for each in sent.headers]),
        sent.partition,
        sent.timestamp_ms,
    )


def check_timestamp(field: str, timestamp_ms: int | None) -> None:
    if timestamp_ms is not None and not 0 <= timestamp_ms <= INT64_MAX:
        raise invalid(field, f"0 to {INT64_MAX}, milliseconds since 1970")


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise problems.Refused(
            400,
            f"the body is not UTF-8 at byte {error.start}: send bytes as "
            '{"base64": …}, or one record as application/octet-stream',
        ) from error


def _check_count(count: int) -> None:
    if count > limits.WRITE_RECORDS_MAX:
        raise problems.Refused(
            413,
            f"one request writes {limits.WRITE_RECORDS_MAX} records at most: send them in parts",
        )


def invalid(field: str, must: str) -> problems.Refused:
    return problems.Refused(422, f"{field}: {must}", INVALID)


def malformed(error: Exception, where: str = "") -> problems.Refused:
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return problems.Refused(400, f"{where}the body is not JSON: {reason}")


def shown(stored_bytes: bytes | None, *, as_base64: bool) -> str | dict[str, str] | None:
    """A text where the bytes are UTF-8, else base64; None for none."""
    if stored_bytes is None:
        return None
    if not as_base64:
        try:
            return stored_bytes.decode()
        except UnicodeDecodeError:
            pass  # shown as what it is: bytes
    return {"base64": base64.b64encode(stored_bytes).decode()}


def shown_record(record: ReadRecord, *, as_base64: bool) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": shown(record.key, as_base64=as_base64),
        "value": shown(record.value, as_base64=as_base64),
        "headers": [
            {"name": name, "value": shown(value, as_base64=as_base64)}
            for name, value in record.headers
        ],
    }


def shown_lines(records: Sequence[ReadRecord], *, as_base64: bool) -> bytes:
    """NDJSON: one whole record in each line."""
    return b"".join(
        [msgspec.json.encode(shown_record(each, as_base64=as_base64)) + b"\n" for each in records]
    )


def shown_texts(records: Sequence[ReadRecord]) -> Iterator[str]:
    """Values alone, for people: bytes that are not UTF-8 as `{"base64": …}`, none as nothing."""
    for each in records:
        value = shown(each.value, as_base64=False)
        if value is None:
            yield "\n"
        elif isinstance(value, str):
            yield value + "\n"
        else:
            yield msgspec.json.encode(value).decode() + "\n"
