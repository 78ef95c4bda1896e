"""Server commands of `streambus`: `dev` and `serve`. Found through the entry point
`streambus.commands`.

Imports of the broker stand inside the commands, so that `streambus produce` never pays for them.
"""

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.main import Started

Listen = Annotated[
    str | None, typer.Option("--listen", help="host:port to listen on (127.0.0.1:9092)")
]
Data = Annotated[str | None, typer.Option("--data", help="directory of everything durable")]
Log = Annotated[str | None, typer.Option("--log", help="human or json")]


def register(app: typer.Typer) -> None:
    """Add the server's commands to `app`."""
    app.command("dev")(dev)
    app.command("serve")(serve)


def dev(
    listen: Listen = None,
    data: Data = None,
    log: Log = None,
    sync: Annotated[
        str | None, typer.Option("--sync", help="wal.sync: block, interval:<ms> or os")
    ] = None,
    segment_bytes: Annotated[
        int | None, typer.Option("--segment-bytes", help="wal.segment_bytes")
    ] = None,
) -> None:
    """Start a broker for this machine: data in ./.streambus, Kafka clients at 127.0.0.1:9092."""
    _start(None, listen, data, log, sync, segment_bytes, hints=True)


def serve(
    config: Annotated[str, typer.Option("--config", help="broker.yaml, .toml or .json")],
    listen: Listen = None,
    data: Data = None,
    log: Log = None,
) -> None:
    """Start a broker from a configuration file (every setting: docs/configuration.md)."""
    _start(config, listen, data, log, None, None, hints=False)


def _start(
    path: str | None,
    listen: str | None,
    data: str | None,
    log: str | None,
    sync: str | None,
    segment_bytes: int | None,
    *,
    hints: bool,
) -> None:
    try:
        from app import config as settings
        from app.errors import StreamBusError
        from app.main import run
    except ModuleNotFoundError as missing:
        typer.echo(
            f"streambus: the server needs {missing.name}: pip install 'streambus[server]'", err=True
        )
        raise typer.Exit(1) from missing
    try:
        chosen = settings.load(path) if path else settings.BrokerConfig()
        chosen = settings.override(
            chosen, data=data, listeners=(listen,) if listen else None, advertised=None
        )
        chosen = settings.override_groups(chosen, log=log, sync=sync, segment_bytes=segment_bytes)
        run(chosen, _greet if hints else _say_nothing)
    except StreamBusError as error:
        typer.echo(f"streambus: {error}", err=True)
        raise typer.Exit(1) from error


def _greet(broker: "Started") -> None:
    address = ":".join(map(str, broker.addresses[0]))
    program = "streambus" if shutil.which("streambus") else sys.argv[0]
    server = "" if address == "127.0.0.1:9092" else f" --server {address}"
    typer.echo(
        f"""StreamBus is ready for Kafka clients at {address}. In another terminal:

  {program} produce greetings{server} <<< hello
  {program} consume greetings{server} --from beginning
  kcat -b {address} -C -t greetings -e

Ctrl-C stops it; everything acknowledged is kept."""
    )


def _say_nothing(broker: "Started") -> None:
    """`serve` speaks in events only."""
