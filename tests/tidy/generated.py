"""The parts of docs/ that are made of the code, between two markers: `make docs` writes them."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

from tests.tidy.source import ROOT

MARKERS = "<!-- made by make docs: {} -->\n", "<!-- end -->\n"


def parts() -> dict[tuple[str, str], str]:
    """(document, name of the part) -> what stands there."""
    from app.config import renderings

    return {
        ("docs/configuration.md", "settings"): renderings.table(),
        ("docs/configuration.md", "topic configs"): renderings.topic_config_table(),
        ("docs/configuration.md", "broker configs"): renderings.broker_config_table(),
        ("docs/cli.md", "options"): options(),
    }


def options() -> str:
    """Markdown: usage and options of every command."""
    lines = []
    for path, command in commands():
        arguments = " ".join(
            f"{param.name.upper()}{'…' if param.nargs == -1 else ''}"
            for param in command.params
            if param.param_type_name == "argument"
        )
        lines += [f"### `streambus {' '.join(path)}`".rstrip(), "", _summary(command), ""]
        lines += [f"    streambus {' '.join(path)} [OPTIONS] {arguments}".rstrip(), ""]
        rows = [_row(param) for param in command.params if getattr(param, "help", None)]
        lines += ["| | | default |", "|---|---|---|", *rows, ""] if rows else []
    return "\n".join(lines)


def _summary(command: Any) -> str:
    return " ".join((command.help or "").split())


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        name = f"`{param.name.upper()}`"
    else:
        value = "" if getattr(param, "is_flag", False) else f" {param.metavar or _type(param)}"
        name = ", ".join(f"`{opt}{value}`" for opt in param.opts)
    default = param.default
    shown = f"`{default}`" if isinstance(default, str | int | float) and default else ""
    if not shown or isinstance(default, bool):
        shown = "required" if param.required else ""
    variable = f" (`{param.envvar}`)" if getattr(param, "envvar", None) else ""
    text = param.help.replace("|", "\\|").replace("<", "&lt;")
    return f"| {name} | {text} | {shown}{variable} |"


def _type(param: Any) -> str:
    kind = param.type_descriptor.annotation
    kind = next(iter(get_args(kind)), kind)  # of list[int]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "\\|".join(each.value for each in kind)
    return {int: "NUMBER", float: "SECONDS"}.get(kind, "TEXT")


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of everything that can be called."""
    from typer.main import get_command

    from streambus.cli import main

    def walk(path: tuple[str, ...], group: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, command in group.commands.items():
            if getattr(command, "commands", None):
                yield from walk((*path, name), command)
            else:
                yield (*path, name), command

    yield from walk((), get_command(main.build()))


def current(document: str) -> str:
    """The document as it should be."""
    text = (ROOT / document).read_text()
    for (where, name), part in parts().items():
        if where == document:
            start, end = MARKERS[0].format(name), MARKERS[1]
            pattern = re.escape(start) + ".*?" + re.escape(end)
            made = f"{start}\n{part}\n{end}"
            text, count = re.subn(pattern, lambda _, made=made: made, text, count=1, flags=re.S)
            assert count == 1, f"{document} has no place for {name}: {start}{end}"
    return text


if __name__ == "__main__":
    for document in {document for document, _ in parts()}:
        (ROOT / document).write_text(current(document))
