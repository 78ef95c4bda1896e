"""The project's own source as text and syntax trees, for the rules in this folder."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("app", "streambus")
ALL = (*PRODUCT, "tests", "benchmarks")


@dataclass(frozen=True)
class Source:
    """One Python file: `name` is its path below the project's root, '/'-separated."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def sources(*folders: str) -> list[Source]:
    """Every Python file below `folders`, sorted."""
    return [
        Source(str(path.relative_to(ROOT)))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


def words(identifier: str) -> list[str]:
    """`FetchSessionCache` and `fetch_session_cache` alike as lower-case words."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)]


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def dotted(node: ast.expr) -> str:
    """`os.path.join` for the callee of `os.path.join(...)`; '' for what has no such name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""
