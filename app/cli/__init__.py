"""Server commands of `streambus`, found through the entry point `streambus.commands`.

Owns    which commands need the broker's own code: to run one, to check its settings, to read its
        log while it is down.
Never   imports the broker before a command of these runs, so that `streambus produce` never pays
        for it.
"""

import typer

from app.cli import broker, config, wal


def register(app: typer.Typer) -> None:
    """Add the server's commands to `app`."""
    app.command("dev")(broker.dev)
    app.command("serve")(broker.serve)
    app.add_typer(config.commands, name="config")
    app.add_typer(wal.commands, name="wal")
