"""`streambus dev` and `streambus serve`: a broker in this process."""

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options

if TYPE_CHECKING:
    from app.main import Started


def dev(
    listen: options.Listen = None,
    data: options.Data = None,
    log: options.Log = None,
    sync: options.Sync = None,
    segment_bytes: options.SegmentBytes = None,
    api: options.ApiAddress = None,
    assigned: options.Set = None,
) -> None:
    """Start a broker for this machine: data in ./.streambus, Kafka clients at 127.0.0.1:9092."""
    with options.ending_well():
        from app.main import run

        chosen = options.effective(
            None,
            listen=listen,
            data=data,
            log=log,
            sync=sync,
            segment_bytes=segment_bytes,
            api=api,
            assigned=assigned,
        )
        run(chosen.config, _greet)


def serve(
    config: Annotated[str, typer.Option("--config", help="broker.yaml, .toml or .json.")],
    listen: options.Listen = None,
    data: options.Data = None,
    log: options.Log = None,
    api: options.ApiAddress = None,
    assigned: options.Set = None,
) -> None:
    """Start a broker from a configuration file (every setting: docs/configuration.md)."""
    with options.ending_well():
        from app.main import run

        chosen = options.effective(
            config, listen=listen, data=data, log=log, api=api, assigned=assigned
        )
        run(chosen.config, _say_nothing, api="sibling")


def _greet(broker: "Started", api: str) -> None:
    address = ":".join(map(str, broker.addresses[0]))
    program = "streambus" if shutil.which("streambus") else sys.argv[0]
    server = "" if address == "127.0.0.1:9092" else f" --server {address}"
    http = f"  curl http://{api}/v1/topics\n" if api else ""
    typer.echo(
        f"""StreamBus is ready for Kafka clients at {address}. In another terminal:

  {program} produce greetings{server} <<< hello
  {program} consume greetings{server} --from beginning
  kcat -b {address} -C -t greetings -e
{http}
Ctrl-C stops it; everything acknowledged is kept."""
    )


def _say_nothing(broker: "Started", api: str) -> None:
    """`serve` speaks in events only."""
