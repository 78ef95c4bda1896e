"""`streambus config`: a file to start from, what is wrong with one, what is in effect and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from streambus.cli import console, tables

if TYPE_CHECKING:
    from app.config.problems import Problem

commands = typer.Typer(
    help="Settings of a broker: files, environment and flags.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@commands.command()
def init(
    file: Annotated[str, typer.Argument(help="Where to write it; - for stdout.")] = "broker.yaml",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Write a commented file with every setting at its default."""
    with options.ending_well():
        from app.config import renderings

        text = renderings.starting_file()
    if file == "-":
        console.write(text.encode())
        return
    if Path(file).suffix not in (".yaml", ".yml"):
        console.fail(f"{file}: what is written is YAML, so name it .yaml", console.EXIT_USAGE)
    try:
        with Path(file).open("w" if force else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        console.fail(f"{file} exists: choose another name, or --force to write over it")
    except OSError as error:
        console.fail(f"{file}: {error.strerror}")
    console.note(f"wrote {file}: change what you need, then streambus serve --config {file}")


@commands.command()
def check(
    file: Annotated[str, typer.Argument(help="broker.yaml, .toml or .json.")],
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a file, its TLS files included. Exit code 1 if anything
    is."""
    with options.ending_well():
        problems = _problems(file)
    if as_json:
        console.show_json(
            {"problems": [{"where": p.where, "path": p.path, "what": p.what} for p in problems]}
        )
    else:
        for problem in problems:
            console.note(str(problem))
    if problems:
        raise typer.Exit(console.EXIT_FAILED)
    if not as_json:
        console.say(f"{file}: nothing is wrong")


def _problems(file: str) -> "list[Problem]":
    from app.config import reading, sources
    from app.config.problems import Problem, WrongConfig
    from app.config.rules import tls_files
    from app.errors import InvalidConfig
    from app.security import tls

    try:
        tree = reading.read(file)
        config = sources.effective(tree).config
    except WrongConfig as error:
        return list(error.problems)
    problems = []
    for path, door in tls_files(config):
        try:
            tls.context(door)
        except InvalidConfig as error:
            problems.append(Problem(tree.where(path), path, str(error)))
    return problems


@commands.command()
def show(
    config: options.Path = None,
    listen: options.Listen = None,
    data: options.Data = None,
    log: options.Log = None,
    api: options.ApiAddress = None,
    assigned: options.Set = None,
    as_json: Json = False,
) -> None:
    """Every setting as a broker started like this would have it, and who says so."""
    with options.ending_well():
        from app.config import renderings

        chosen = options.effective(
            config, listen=listen, data=data, log=log, api=api, assigned=assigned
        )
        rows = renderings.shown(chosen)
        if as_json:
            console.show_json({"settings": rows})
        else:
            tables.show(("setting", "value", "from"), [_row(row) for row in rows])


def _row(row: dict[str, Any]) -> tuple[str, str, str]:
    from app.config.renderings import value_text

    value = "" if row["value"] is None else value_text(row["value"])
    return row["setting"], value, row["source"]


@commands.command()
def schema() -> None:
    """The JSON Schema of a configuration file, for editors."""
    with options.ending_well():
        from app.config import renderings

        console.show_json(renderings.schema())
