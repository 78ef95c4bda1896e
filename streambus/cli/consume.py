"""`streambus consume TOPIC`: records of a topic on stdout.

Owns    the options of the command, where it begins and ends, and the forms of its output.
Never   joins a group or commits an offset.
"""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streambus.cli import console, servers

if TYPE_CHECKING:
    import ssl

    from streambus.client.cluster import Cluster, Topic
    from streambus.client.consumer import ConsumedRecord

LATEST, EARLIEST = -1, -2
FIELDS = ("key", "value", "offset", "partition", "timestamp", "timestamp_ms", "topic", "headers")


def consume(
    topic: Annotated[str, typer.Argument(help="Topic to read.")],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="beginning, end, an offset, @MILLISECONDS, or a time like 2026-01-31T12:00:00Z.",
        ),
    ] = "beginning",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more at the end.")
    ] = False,
    server: servers.Address = servers.DEFAULT_SERVER,
    partition: Annotated[
        list[int] | None, typer.Option(help="Only this partition; may be repeated.", min=0)
    ] = None,
    max_messages: Annotated[
        int | None, typer.Option("--max-messages", "-n", help="Stop after so many.", min=0)
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            "--format", help="Of " + " ".join(f"{{{field}}}" for field in FIELDS) + r", \t and \n."
        ),
    ] = "{value}",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each record.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS.")] = False,
    ca: Annotated[str | None, typer.Option(help="Speak TLS and trust this CA file.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to keep trying.", min=0.1, max=86_400)
    ] = 30.0,
) -> None:
    """Print the records of a topic: up to its end as it is now, or on and on with --follow."""
    form = _as_json if as_json else _formatter(template)
    console.run(
        _consume(
            topic,
            servers.parse(server),
            servers.trust(ca, tls=tls),
            _start_of(start),
            partition,
            form,
            max_messages,
            timeout,
            follow=follow,
        )
    )


Start = tuple[str, int]
"""("offset", n) or ("timestamp", ms or LATEST or EARLIEST)."""


def _start_of(text: str) -> Start:
    if text in ("beginning", "end"):
        return "timestamp", EARLIEST if text == "beginning" else LATEST
    if text.isdecimal():
        return "offset", int(text)
    if text.startswith("@") and text[1:].isdecimal():
        return "timestamp", int(text[1:])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        console.fail(
            f"--from {text}: give beginning, end, an offset, @MILLISECONDS, or a time like "
            "2026-01-31T12:00:00Z",
            console.EXIT_USAGE,
        )
    if moment.tzinfo is None:
        console.fail(
            f"--from {text}: say which time zone, like {moment.isoformat()}Z", console.EXIT_USAGE
        )
    return "timestamp", int(moment.timestamp() * 1000)


async def _consume(
    name: str,
    addresses: list[tuple[str, int]],
    tls: "ssl.SSLContext | None",
    start: Start,
    only: list[int] | None,
    form: "Callable[[ConsumedRecord], bytes]",
    max_messages: int | None,
    timeout_s: float,
    *,
    follow: bool,
) -> None:
    from streambus.client.cluster import Cluster
    from streambus.client.consumer import Consumer

    async with Cluster(
        addresses, client_id="streambus-consume", tls=tls, timeout_s=timeout_s
    ) as cluster:
        topic = await cluster.topic(name)
        partitions = sorted(topic.partitions) if not only else sorted(set(only))
        unknown = [index for index in partitions if index not in topic.partitions]
        if unknown:
            count = len(topic.partitions)
            console.fail(
                f"{name} has {count} partitions, from 0: there is no {unknown[0]}",
                console.EXIT_NOT_FOUND,
            )
        ends = await cluster.offsets(topic, partitions, LATEST)
        positions = await _positions(cluster, topic, partitions, start, ends)
        left = max_messages
        if not follow:
            positions = {at: offset for at, offset in positions.items() if offset < ends[at]}
        consumer = Consumer(cluster, name, positions, timeout_s=timeout_s)
        while consumer.positions and left != 0:
            records = await consumer.poll()
            if start[0] == "offset":
                records = [row for row in records if row.offset >= start[1]]
            if not follow:
                records = [row for row in records if row.offset < ends[row.partition]]
            if left is not None:
                records = records[:left]
                left -= len(records)
            for record in records:
                console.write(form(record))
            console.flush()
            if not follow:
                for at in [at for at, offset in consumer.positions.items() if offset >= ends[at]]:
                    del consumer.positions[at]


async def _positions(
    cluster: "Cluster", topic: "Topic", partitions: list[int], start: Start, ends: dict[int, int]
) -> dict[int, int]:
    kind, value = start
    if kind == "offset":
        # One offset for all partitions: the shorter ones have not come as far yet.
        return {at: min(value, ends[at]) for at in partitions}
    if value == LATEST:
        return dict(ends)
    found = await cluster.offsets(topic, partitions, value)
    # -1: no record is as late as that, so what is wanted is still to come.
    return {at: ends[at] if offset < 0 else offset for at, offset in found.items()}


def _time_of(timestamp_ms: int) -> str:
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: bytes | None) -> Any:
    """For JSON: text where it is text, else its bytes under a name that says so."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _as_json(record: "ConsumedRecord") -> bytes:
    line = json.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": _time_of(record.timestamp_ms),
            "timestamp_ms": record.timestamp_ms,
            "key": _text(record.key),
            "value": _text(record.value),
            "headers": [[name, _text(value)] for name, value in record.headers],
        },
        ensure_ascii=False,
    )
    return line.encode() + b"\n"


def _field(record: "ConsumedRecord", name: str) -> bytes:
    if name == "key":
        return record.key or b""
    if name == "value":
        return record.value or b""
    if name == "timestamp":
        return _time_of(record.timestamp_ms).encode()
    if name == "headers":
        pairs = (name.encode() + b"=" + (value or b"") for name, value in record.headers)
        return b",".join(pairs)
    return str(getattr(record, name)).encode()


def _formatter(template: str) -> "Callable[[ConsumedRecord], bytes]":
    """The template as a function; keys and values go out as the bytes they are."""
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    parts = re.split(r"\{(\w*)\}", text)
    unknown = [name for name in parts[1::2] if name not in FIELDS]
    if unknown:
        fields = " ".join(f"{{{field}}}" for field in FIELDS)
        console.fail(f"--format has no {{{unknown[0]}}}, only {fields}", console.EXIT_USAGE)
    literals = [part.encode() for part in parts[::2]]
    names = parts[1::2]

    def form(record: "ConsumedRecord") -> bytes:
        pieces = [literals[0]]
        for name, literal in zip(names, literals[1:], strict=True):
            pieces += (_field(record, name), literal)
        return b"".join(pieces) + b"\n"

    return form
