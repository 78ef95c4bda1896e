"""Configs of topics, prefixes and brokers on the command line: how they are shown and changed."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from streambus.cli import console, rest, tables

Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a config; may be repeated.", metavar="NAME=VALUE"),
]
Delete = Annotated[
    list[str] | None,
    typer.Option("--delete", help="Let a config go back to what it inherits.", metavar="NAME"),
]
Append = Annotated[
    list[str] | None,
    typer.Option("--append", help="Add an item to a list.", metavar="NAME=ITEM"),
]
Subtract = Annotated[
    list[str] | None,
    typer.Option("--subtract", help="Take an item from a list.", metavar="NAME=ITEM"),
]
All = Annotated[bool, typer.Option("--all", help="Show configs at their defaults too.")]


def changes(
    set_: list[str] | None,
    delete: list[str] | None,
    append: list[str] | None,
    subtract: list[str] | None,
) -> list[dict[str, str | None]]:
    """The changes in the API's form. Ends the command if there is none."""
    asked: list[dict[str, str | None]] = [
        {"name": name, "change": change, "value": value}
        for change, texts in (("set", set_), ("append", append), ("subtract", subtract))
        for name, value in rest.pairs(f"--{change}", texts).items()
    ]
    asked += [{"name": name, "change": "delete", "value": None} for name in delete or []]
    if not asked:
        console.fail(
            "say what to change: --set, --delete, --append or --subtract", console.EXIT_USAGE
        )
    return asked


def show(configs: Sequence[dict[str, Any]], *, everything: bool) -> None:
    """Those that someone set, or all of them."""
    rows = [
        (each["name"], _value(each), _source(each))
        for each in configs
        if everything or each["source"] != "default"
    ]
    if rows:
        tables.show(("config", "value", "from"), rows)
    else:
        console.say("every config is at its default")


def alter(
    api: rest.Api,
    path: str,
    asked_for: list[dict[str, str | None]],
    *,
    validate_only: bool,
    as_json: bool,
) -> None:
    """Change the configs of the resource at `path`, and show what is (or would be) set there."""
    query = {"validate_only": True} if validate_only else None
    done = api.ask("PATCH", f"{path}/configs", query, {"changes": asked_for})
    if as_json:
        console.show_json(done)
    else:
        _show_set(done["configs"], validate_only=validate_only)


def _show_set(configs: dict[str, str], *, validate_only: bool) -> None:
    if configs:
        title = "would be set here" if validate_only else "set here now"
        tables.show((title, "value"), sorted(configs.items()))
    else:
        console.say(f"nothing {'would be' if validate_only else 'is'} set here now")


def _value(entry: dict[str, Any]) -> str:
    return "(secret)" if entry["value"] is None and entry["sensitive"] else entry["value"] or ""


def _source(entry: dict[str, Any]) -> str:
    return f"{entry['source']} {entry['where']}".rstrip()
