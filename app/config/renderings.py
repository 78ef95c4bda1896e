"""The settings for people and their tools: the table of the docs, a JSON Schema, a file to start
from.

Owns    how a setting is written down. What is written stands in `app.config.settings` alone.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from app import limits
from app.config import catalogue, sources
from app.config.catalogue import Group, Setting
from app.config.settings import BrokerConfig
from app.core import broker_config, topic_config

_COMMENT_WIDTH = 98
_SIZES = ((1024 * limits.MIB, "GiB"), (limits.MIB, "MiB"), (limits.KIB, "KiB"))
_TIMES = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def builtins(value: Any) -> Any:
    """A value as JSON has it: no tuples, no objects of ours."""
    return msgspec.json.decode(msgspec.json.encode(value))


def value_text(value: Any) -> str:
    """A value as YAML and JSON write it, on one line."""
    plain = builtins(value)
    if isinstance(plain, str) and plain and plain.isascii() and _is_plain(plain):
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether YAML reads the bare word as that text (no number, no truth value, no syntax)."""
    import yaml

    try:
        return bool(yaml.safe_load(text) == text and yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False


def human(value: Any, unit: str) -> str:
    """`64 MiB` for 67108864 bytes, "" where that says nothing more."""
    steps = {"bytes": _SIZES, "ms": _TIMES}.get(unit, ())
    for step, name in steps:
        if isinstance(value, int) and value >= step and value % step == 0:
            return f"{value // step} {name}"
    return ""


# The table of docs/configuration.md


def table() -> str:
    """Markdown: every setting with type, default, when it takes effect, and meaning."""
    lines = ["| setting | takes | default | effect | meaning |", "|---|---|---|---|---|"]
    for entry in catalogue.entries():
        if isinstance(entry, Group):
            lines.append(f"| `{entry.path}` | | | | {entry.doc}: |")
        else:
            default = f"`{value_text(entry.default)}`" if entry.default is not None else "none"
            size = human(entry.default, entry.unit)
            default += f" ({size})" if size else ""
            lines.append(
                f"| `{entry.path}` | {_takes(entry)} | {default} | {entry.effect} | {entry.doc} |"
            )
    return "\n".join(lines) + "\n"


def _takes(setting: Setting) -> str:
    match setting.path:
        case "wal.sync":
            return "`block`, `interval:<ms>` or `os`"
        case "listeners":
            return "a list of host:port or objects"
        case "advertised" | "api.address":
            return "host:port"
        case _:
            return setting.takes.replace("|", "\\|")


def topic_config_table() -> str:
    """Markdown: every topic config with type, default and meaning."""
    lines = ["| config | type | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{option.name}` | {option.kind} | `{option.default}` | {option.doc} |"
        for option in topic_config.TABLE
    ]
    return "\n".join(lines) + "\n"


def broker_config_table() -> str:
    """Markdown: every broker config that Kafka's clients see, and which may change at run time."""
    lines = ["| config | type | default | changes | meaning |", "|---|---|---|---|---|"]
    for option in broker_config.TABLE:
        default = "" if option.default is None else f"`{option.default}`"
        lines.append(
            f"| `{option.name}` | {option.kind} | {default} | {option.dynamic} | {option.doc} |"
        )
    return "\n".join(lines) + "\n"


# JSON Schema


def schema() -> dict[str, Any]:
    """For editors: draft 2020-12."""
    made = msgspec.json.schema(BrokerConfig)
    top = made["$defs"]["BrokerConfig"]["properties"]
    made["$defs"]["WalConfig"]["properties"]["sync"]["pattern"] = (
        "^(block|os|interval:[1-9][0-9]*)$"
    )
    top["listeners"]["minItems"] = 1
    made["$defs"]["TopicsConfig"]["properties"]["configs"] |= {
        "properties": {
            option.name: {
                "type": ["string", "number", "boolean", "array"],
                "description": option.doc,
            }
            for option in topic_config.TABLE
        },
        "additionalProperties": False,
    }
    made |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "StreamBus broker"}
    plain: dict[str, Any] = builtins(made)
    return plain


# A file to start from


def starting_file() -> str:
    """YAML with every setting at its default, each under what it means."""
    lines = [
        "# Settings of one StreamBus broker, all at their defaults: keep what you change.",
        "#   streambus config check FILE       says everything that is wrong with a file",
        "#   streambus serve --config FILE     starts the broker",
        "# STREAMBUS_WAL__SYNC=os in the environment, or --set wal.sync=os, wins over the file.",
    ]
    for entry in catalogue.entries():
        depth = entry.path.count(".")
        lines += ["", *_comment(entry, "  " * depth)]
        name = "  " * depth + entry.path.rpartition(".")[2]
        lines.append(f"{name}:" if isinstance(entry, Group) else f"{name}: {_yaml(entry.default)}")
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    return "null" if value is None else value_text(value)


def _comment(entry: Setting | Group, indent: str) -> Iterator[str]:
    text = entry.doc[:1].upper() + entry.doc[1:] + "."
    if isinstance(entry, Setting):
        text += f" Takes {_takes(entry)}."
        size = human(entry.default, entry.unit)
        text += f" ({size})" if size else ""
    line = f"{indent}#"
    for word in text.replace("`", "").split():
        if len(line) + 1 + len(word) > _COMMENT_WIDTH:
            yield line
            line = f"{indent}#"
        line += f" {word}"
    yield line


# What is in effect


def shown(effective: sources.Effective) -> list[dict[str, Any]]:
    """Every setting with its value and who said it."""
    rows = []
    for setting in catalogue.settings():
        value: Any = effective.config
        for name in setting.path.split("."):
            value = getattr(value, name)
        rows.append(
            {
                "setting": setting.path,
                "value": builtins(value),
                "source": effective.origins.get(setting.path, sources.DEFAULT),
            }
        )
    return rows
