"""`streambus produce TOPIC`: each line of stdin becomes a record.

Owns    the options of the command and the way from bytes on stdin to records.
Never   holds more than one chunk of input: a slow broker slows the pipe.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from streambus.cli import console, servers

if TYPE_CHECKING:
    import ssl

    from streambus.client.producer import Headers, Record

CHUNK_BYTES = 256 * 1024
LINE_BYTES_MAX = 64 * 1024 * 1024


class Acks(StrEnum):
    ALL = "all"
    ONE = "1"
    NONE = "0"


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


ACKS = {Acks.ALL: -1, Acks.ONE: 1, Acks.NONE: 0}
CODECS = {name: code for code, name in enumerate(Compression)}


def produce(
    topic: Annotated[str, typer.Argument(help="Topic to write to; created if it may be.")],
    server: servers.Address = servers.DEFAULT_SERVER,
    key_separator: Annotated[
        str | None, typer.Option(help="What stands between key and value in a line.")
    ] = None,
    partition: Annotated[
        int | None, typer.Option(help="Write to this partition only.", min=0)
    ] = None,
    acks: Annotated[Acks, typer.Option(help="Who must have a record before it counts.")] = Acks.ALL,
    compression: Annotated[Compression, typer.Option(help="Codec of the batches.")] = (
        Compression.NONE
    ),
    header: Annotated[
        list[str] | None, typer.Option(help="name=value on every record; may be repeated.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS.")] = False,
    ca: Annotated[str | None, typer.Option(help="Speak TLS and trust this CA file.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to keep trying.", min=0.1, max=86_400)
    ] = 30.0,
) -> None:
    """Write each line of standard input as a record."""
    headers = _headers(header or [])
    separator = None if key_separator is None else _unescape(key_separator)
    if separator == b"":
        console.fail("--key-separator is empty", console.EXIT_USAGE)
    console.run(
        _produce(
            topic,
            servers.parse(server),
            servers.trust(ca, tls=tls),
            lambda line: _record(line, separator, headers),
            partition,
            ACKS[acks],
            CODECS[compression],
            timeout,
        )
    )


def _headers(options: list[str]) -> "Headers":
    headers = []
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            console.fail(f"--header {option}: give name=value", console.EXIT_USAGE)
        headers.append((name, value.encode()))
    return tuple(headers)


def _unescape(text: str) -> bytes:
    return text.replace("\\t", "\t").replace("\\0", "\0").encode()


def _record(line: bytes, separator: bytes | None, headers: "Headers") -> "Record":
    from streambus.client.producer import Record

    if separator is None:
        return Record(line, None, headers)
    key, found, value = line.partition(separator)
    return Record(value, key, headers) if found else Record(line, None, headers)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


async def _produce(
    topic: str,
    addresses: list[tuple[str, int]],
    tls: "ssl.SSLContext | None",
    record_of: "Callable[[bytes], Record]",
    partition: int | None,
    acks: int,
    codec: int,
    timeout_s: float,
) -> None:
    from streambus.client.cluster import Cluster
    from streambus.client.producer import Producer

    async with Cluster(
        addresses, client_id="streambus-produce", tls=tls, timeout_s=timeout_s
    ) as cluster:
        producer = Producer(
            cluster, topic, now_ms=_now_ms, acks=acks, codec=codec, timeout_s=timeout_s
        )
        async for lines in lines_of(sys.stdin.fileno()):
            await producer.send([record_of(line) for line in lines], partition)


async def lines_of(fd: int) -> AsyncIterator[list[bytes]]:
    """Whole lines without their ends, as many as have come; a last one may lack its end."""
    rest: list[bytes] = []
    held = 0
    async for chunk in _chunks(fd):
        lines = chunk.split(b"\n")
        if len(lines) > 1:
            lines[0] = b"".join((*rest, lines[0]))
            rest, held = [], 0
            last = lines.pop()
            yield [line.removesuffix(b"\r") for line in lines]
        else:
            last = lines[0]
        if last:
            rest.append(last)
            held += len(last)
            if held > LINE_BYTES_MAX:
                console.fail(f"a line is longer than {LINE_BYTES_MAX} bytes")
    if rest:
        yield [b"".join(rest).removesuffix(b"\r")]


async def _chunks(fd: int) -> AsyncIterator[bytes]:
    """Reads when there is something to read, so that Ctrl-C and the broker are heard meanwhile."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(fd, readable.set)
    except PermissionError:
        # A plain file cannot be waited for, and need not be.
        while chunk := os.read(fd, CHUNK_BYTES):
            yield chunk
        return
    try:
        while True:
            await readable.wait()
            chunk = os.read(fd, CHUNK_BYTES)
            if not chunk:
                return
            # Not told again of what is there already while the chunk is on its way.
            loop.remove_reader(fd)
            yield chunk
            readable.clear()
            loop.add_reader(fd, readable.set)
    finally:
        loop.remove_reader(fd)
