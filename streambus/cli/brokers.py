"""`streambus brokers`: what brokers there are, and what they are told to do while they run."""

from typing import Annotated, Any

import typer

from streambus.cli import configs, console, rest, tables
from streambus.cli.topics import ValidateOnly

commands = typer.Typer(
    help="Brokers: list, describe, change while they run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ALL = "default"
Broker = Annotated[str, typer.Argument(help="A broker's id, or `default` for all of them.")]


def _checked(broker: str) -> str:
    if broker != ALL and not (broker.isascii() and broker.isdecimal()):
        console.fail(
            f"{broker}: give a broker's id, or `{ALL}` for all of them", console.EXIT_USAGE
        )
    return broker


@commands.command("list")
def list_(
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """List brokers and where clients reach them."""
    with rest.session(api, timeout, as_json=as_json) as asked:
        found = asked.get("/brokers")
        if as_json:
            console.show_json(found)
        else:
            show(found["brokers"])


def show(brokers: list[dict[str, Any]]) -> None:
    tables.show(
        ("broker", "rack", "clients reach it at"),
        [
            (
                str(each["broker_id"]),
                each["rack"] or "",
                ", ".join(
                    f"{end['listener']}://{end['host']}:{end['port']}" for end in each["endpoints"]
                ),
            )
            for each in brokers
        ],
        numbers=("broker",),
    )


@commands.command()
def describe(
    broker: Broker,
    everything: configs.All = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Show a broker with its configs, or what all brokers are told."""
    _checked(broker)
    with rest.session(api, timeout, as_json=as_json) as asked:
        found = asked.get(f"/brokers/{broker}/configs")
        if broker != ALL:
            found |= asked.get(f"/brokers/{broker}")
        if as_json:
            console.show_json(found)
            return
        if broker != ALL:
            show([found])
        configs.show(found["configs"], everything=everything)


@commands.command()
def alter(
    broker: Broker,
    set_: configs.Set = None,
    delete: configs.Delete = None,
    append: configs.Append = None,
    subtract: configs.Subtract = None,
    validate_only: ValidateOnly = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Change configs of a broker, or of all; obeyed at once, and after a restart."""
    _checked(broker)
    asked_for = configs.changes(set_, delete, append, subtract)
    with rest.session(api, timeout, as_json=as_json) as asked:
        path = f"/brokers/{broker}"
        configs.alter(asked, path, asked_for, validate_only=validate_only, as_json=as_json)
