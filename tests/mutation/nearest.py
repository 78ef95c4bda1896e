"""Which tests should notice a mistake in a module: its twin, what imports it, what reaches it."""

import ast
from collections.abc import Iterator
from functools import cache

from tests.tidy.source import ROOT, Source, sources

JUDGES = tuple(f"tests/{each}" for each in ("unit", "golden", "property", "transcripts"))
"""Folders whose tests run in one process and need no broker's own."""


def twin(file: str) -> list[str]:
    """`streambus/protocol/_records_python.py` has its twin under its public name."""
    folder, _, name = file.removeprefix("app/").removeprefix("streambus/").rpartition("/")
    name = {"_records_python.py": "record_codec.py", "_produce_python.py": "produce_codec.py"}.get(
        name, name
    )
    path = f"tests/unit/{folder}/test_{name}"
    return [path] if (ROOT / path).exists() else []


def importers(file: str) -> tuple[list[str], list[str]]:
    """(tests that import it themselves or through a file beside them, tests that reach it)."""
    module = Source(file).module
    direct, reached = [], []
    for test in _tests():
        seen = _imports(test)
        beside = {
            each for name in seen if name.startswith("tests.") for each in _imports(_at(name))
        }
        if module in seen | beside:
            direct.append(test)
        elif module in _reach(test):
            reached.append(test)
    return direct, reached


@cache
def _tests() -> tuple[str, ...]:
    found = [source.name for folder in JUDGES for source in sources(folder)]
    return tuple(name for name in found if name.rpartition("/")[2].startswith("test_"))


@cache
def _modules() -> dict[str, str]:
    return {source.module: source.name for source in sources("app", "streambus", "tests")}


def _at(module: str) -> str:
    return _modules()[module]


@cache
def _imports(file: str) -> frozenset[str]:
    """Modules of this project that a file names."""
    named: set[str] = set()
    for node in ast.walk(Source(file).tree):
        named.update(_named(node))
    return frozenset(named & _modules().keys())


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _reach(file: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(_imports(file))
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += _imports(_at(module))
    return reached
