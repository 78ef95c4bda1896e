"""Options that server commands share, as flags for `app.config`; and how their errors end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from streambus.cli import console

if TYPE_CHECKING:
    from app.config import Effective

Listen = Annotated[
    str | None, typer.Option("--listen", help="host:port to listen on (127.0.0.1:9092).")
]
Data = Annotated[str | None, typer.Option("--data", help="Directory of everything durable.")]
Log = Annotated[str | None, typer.Option("--log", help="human or json.")]
Sync = Annotated[str | None, typer.Option("--sync", help="wal.sync: block, interval:<ms> or os.")]
SegmentBytes = Annotated[str | None, typer.Option("--segment-bytes", help="wal.segment_bytes.")]
ApiAddress = Annotated[
    str | None,
    typer.Option("--api", help="host:port of the HTTP API (127.0.0.1:9080); empty: none."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any setting, like wal.sync=os; may be repeated.", metavar="NAME=VALUE"
    ),
]
Path = Annotated[
    str | None, typer.Option("--config", help="broker.yaml, .toml or .json.", metavar="FILE")
]


@contextmanager
def ending_well() -> Iterator[None]:
    """What a person can mend is one message and exit code 1."""
    try:
        from app.errors import StreamBusError
    except ModuleNotFoundError as missing:
        console.fail(_needs(missing))
    try:
        yield
    except ModuleNotFoundError as missing:
        console.fail(_needs(missing))
    except StreamBusError as error:
        console.fail(str(error))


def _needs(missing: ModuleNotFoundError) -> str:
    return f"the server needs {missing.name}: pip install 'streambus[server]'"


def effective(
    path: str | None,
    *,
    listen: str | None = None,
    data: str | None = None,
    log: str | None = None,
    sync: str | None = None,
    segment_bytes: str | None = None,
    api: str | None = None,
    assigned: list[str] | None = None,
) -> "Effective":
    """File, environment and flags together. Raises `InvalidConfig`."""
    import os

    from app.config import reading, sources

    named = {
        "--listen": ("listeners", listen),
        "--data": ("data", data),
        "--log": ("log.rendering", log),
        "--sync": ("wal.sync", sync),
        "--segment-bytes": ("wal.segment_bytes", segment_bytes),
        "--api": ("api.address", api),
    }
    flags = [
        sources.Flag(flag, setting, text)
        for flag, (setting, text) in named.items()
        if text is not None
    ]
    flags += sources.assignments(assigned or [])
    file = reading.read(path) if path is not None else None
    return sources.effective(file, os.environ, flags)
