"""Entry of the `streambus` command: the client's commands, and those that others register.

Owns    the list of commands. Anyone may add some through the entry points `streambus.commands`,
        each a callable `register(app)`; the broker's `dev` and `serve` come that way.
Never   imports the client or the broker before a command of theirs runs: start-up is measured.
"""

from importlib.metadata import entry_points
from typing import Annotated

import typer

from streambus import __version__
from streambus.cli import brokers, cluster, console, consume, produce, topics

GROUP = "streambus.commands"


def build() -> typer.Typer:
    app = typer.Typer(
        name="streambus",
        help="StreamBus: a streaming service that every Apache Kafka client can talk to.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich takes longer to import than all the rest
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command("produce")(produce.produce)
    app.command("consume")(consume.consume)
    app.add_typer(topics.commands, name="topics")
    app.add_typer(brokers.commands, name="brokers")
    app.add_typer(cluster.commands, name="cluster")
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            register = entry.load()
        except ImportError as error:
            _register_missing(app, entry.name, error)
        else:
            register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        console.write(f"streambus {__version__}\n".encode())
        console.flush()
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Options before the command; `version` has acted by the time this is called."""


def _register_missing(app: typer.Typer, name: str, error: ImportError) -> None:
    """Commands whose packages are not installed say so when asked for, and how to mend it."""
    reason = str(error)
    names = ("dev", "serve", "config", "wal") if name == "server" else (name,)

    def missing() -> None:
        console.fail(f"{reason}; install it with: pip install 'streambus[{name}]'")

    for command in names:
        app.command(
            command,
            help=f"Needs: pip install 'streambus[{name}]'",
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )(missing)


def run() -> None:
    build()()


if __name__ == "__main__":
    run()
