"""Files as trees: YAML, TOML and JSON, with the line of each key where it is known.

Owns    what the three languages have in common here: one object, no key twice, a bounded size.
Never   knows a setting.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.config.problems import Problem, WrongConfig
from app.limits import CONFIG_FILE_BYTES_MAX, CONFIG_FILE_VALUES_MAX

SUFFIXES = (".yaml", ".yml", ".toml", ".json")


@dataclass(slots=True)
class Tree:
    """`lines` has the line of each path that is known; `problems` what is wrong and could be read
    all the same."""

    name: str
    values: Mapping[Any, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: str) -> str:
        """The file, and the line of the path or of the nearest one above it."""
        while path and path not in self.lines:
            path = re.sub(r"(\.?[^.\[]*|\[\d+\])\Z", "", path)
        return f"{self.name} line {self.lines[path]}" if path else self.name

    def twice(self, path: str, line: int = 0) -> None:
        where = f"{self.name} line {line}" if line else self.name
        self.problems.append(Problem(where, path, "stands there twice: keep one of them"))


def read(path: str) -> Tree:
    """The tree of a file. Raises `InvalidConfig` if it cannot be read at all."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(CONFIG_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    return parse(text, Path(path).suffix, path)


def parse(text: bytes, suffix: str, name: str) -> Tree:
    """`suffix` says the language: `.yaml`, `.yml`, `.toml` or `.json`."""
    if len(text) > CONFIG_FILE_BYTES_MAX:
        raise _refused(name, f"has more than {CONFIG_FILE_BYTES_MAX} bytes")
    if suffix not in SUFFIXES:
        raise _refused(name, f"its name must end in .yaml, .toml or .json, not {suffix!r}")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(name, f"is not UTF-8 at byte {error.start}") from error
    tree = Tree(name)
    if suffix in (".yaml", ".yml"):
        values = _yaml(decoded, tree)
    else:
        values = _toml(decoded, tree) if suffix == ".toml" else _json(decoded, tree)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise _refused(name, "holds no settings: it must be one object of names and values")
    tree.values = values
    return tree


def _refused(name: str, what: str, line: int = 0) -> WrongConfig:
    return WrongConfig([Problem(f"{name} line {line}" if line else name, "", what)])


def _json(text: str, tree: Tree) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in items:
            if name in found:
                tree.twice(name)
            found[name] = value
        return found

    def constant(word: str) -> Any:
        raise _refused(tree.name, f"JSON has no {word}")

    try:
        values = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise _refused(tree.name, f"is not JSON: {error.msg}", error.lineno) from error
    except RecursionError:
        raise _refused(tree.name, "is nested too deeply") from None
    _find_lines(values, "", text, r'"{}"\s*:', tree)
    return values


def _toml(text: str, tree: Tree) -> Any:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(tree.name, f"is not TOML: {error}") from error
    except RecursionError:
        raise _refused(tree.name, "is nested too deeply") from None
    _find_lines(values, "", text, r"(?:^|[{{,.\[])\s*[\"']?{}[\"']?\s*(?:=|\.|\])", tree)
    return values


def _find_lines(values: Any, prefix: str, text: str, form: str, tree: Tree) -> None:
    """The line of each key that stands in the text only once: these parsers do not tell."""
    if not isinstance(values, Mapping):
        return
    for name, value in values.items():
        found = re.finditer(form.format(re.escape(name)), text, re.M)
        places = [match.end() for match in found]
        if len(places) == 1:
            tree.lines[f"{prefix}{name}"] = text.count("\n", 0, places[0]) + 1
        _find_lines(value, f"{prefix}{name}.", text, form, tree)


def _yaml(text: str, tree: Tree) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _Nodes(loader, tree).value(node, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 0
        raise _refused(tree.name, f"is not YAML: {error.problem}", line) from error
    except yaml.YAMLError as error:
        raise _refused(tree.name, f"is not YAML: {error}") from error
    except RecursionError:
        raise _refused(tree.name, "is nested too deeply, or in itself") from None
    finally:
        loader.dispose()


class _Nodes:
    """YAML's nodes as values, which know their lines."""

    def __init__(self, loader: Any, tree: Tree) -> None:
        self._loader = loader
        self._tree = tree
        self._left = CONFIG_FILE_VALUES_MAX

    def value(self, node: Any, path: str) -> Any:
        self._left -= 1
        if self._left < 0:  # aliases may stand for more than the file has bytes
            raise _refused(self._tree.name, f"holds more than {CONFIG_FILE_VALUES_MAX} values")
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            items = []
            for place, item in enumerate(node.value):
                self._tree.lines[f"{path}[{place}]"] = item.start_mark.line + 1
                items.append(self.value(item, f"{path}[{place}]"))
            return items
        return self._loader.construct_object(node)

    def _mapping(self, node: Any, path: str) -> dict[Any, Any]:
        prefix = f"{path}." if path else ""
        seen = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                raise _refused(self._tree.name, "a name is one word", line)
            if key.value in seen:
                self._tree.twice(f"{prefix}{key.value}", line)
            seen.add(key.value)
        self._loader.flatten_mapping(node)  # what `<<` takes from elsewhere stands first
        found = {}
        for key, item in node.value:
            name = key.value
            self._tree.lines[f"{prefix}{name}"] = key.start_mark.line + 1
            found[name] = self.value(item, f"{prefix}{name}")
        return found
