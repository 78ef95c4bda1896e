"""Small mistakes that could be made in a source file, each as the text that would replace a piece.

Left alone is what no test ought to notice: annotations, type aliases, docstrings, texts (of errors,
logs and `repr`), decorators, `__slots__` and `__all__`, and asserts and `strict=True`, which repeat
what is true.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.tidy.source import Source

COMPARED: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: (r"is\s+not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: (r"not\s+in", ("in",)),
}
COMPUTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
EXTREMES = {"min": "max", "max": "min"}
LISTED = ("__slots__", "__all__", "__hash__")
SAID = ("__repr__", "__str__")


@dataclass(frozen=True)
class Mutant:
    """`file` with `new` instead of the bytes from `start` to `end`."""

    file: str
    line: int
    start: int
    end: int
    new: str

    def apply(self, text: bytes) -> bytes:
        return text[: self.start] + self.new.encode() + text[self.end :]

    def compiles(self, text: str) -> bool:
        try:
            compile(self.apply(text.encode()), self.file, "exec", dont_inherit=True)
        except SyntaxError:
            return False
        return True

    def lines(self, text: str) -> tuple[str, str]:
        """The source line before and after; of a piece of several lines, its first."""
        changed = self.apply(text.encode()).decode()
        return (
            text.splitlines()[self.line - 1].strip(),
            changed.splitlines()[self.line - 1].strip(),
        )


def mutants(source: Source) -> list[Mutant]:
    """All of a file, by place; a few may not compile."""
    found = dict.fromkeys(_Maker(source).below(source.tree))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.new))


class _Maker:
    def __init__(self, source: Source) -> None:
        self._file = source.name
        self._text = source.text.encode()
        lengths = [len(line) for line in self._text.splitlines(keepends=True)]
        self._starts = [sum(lengths[:line]) for line in range(len(lengths))]

    def below(self, node: ast.AST) -> Iterator[Mutant]:
        if not _is_left_alone(node):
            yield from self._of(node)
            for child in _children(node):
                yield from self.below(child)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
                    pattern, others = COMPARED[type(operator)]
                    for other in others:
                        yield from self._between(left, right, pattern, other)
            case ast.BoolOp():
                old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield from self._between(left, right, old, new)
            case ast.BinOp() if type(node.op) in COMPUTED and not _is_type(node):
                old, new = COMPUTED[type(node.op)]
                yield from self._between(node.left, node.right, re.escape(old), new)
            case ast.AugAssign() if type(node.op) in COMPUTED:
                old, new = COMPUTED[type(node.op)]
                yield from self._between(node.target, node.value, re.escape(old + "="), new + "=")
            case ast.UnaryOp(op=ast.Not()):
                yield self._instead(node, self._text_of(node.operand))
            case ast.Constant(value=bool()):
                yield self._instead(node, str(not node.value))
            case ast.Constant(value=int()):
                yield self._instead(node, str(node.value + 1))
                yield self._instead(node, f"({node.value - 1})")
            case ast.If(test=ast.Name() | ast.Attribute() | ast.Call()):
                yield self._instead(node.test, f"not {self._text_of(node.test)}")
            case ast.Call(func=ast.Name(id="min" | "max")):
                yield self._instead(node.func, EXTREMES[self._text_of(node.func)])
            case ast.Expr(value=ast.Call()) | ast.Raise():
                yield self._instead(node, "pass")
            case ast.Continue():
                yield self._instead(node, "break")
            case ast.Break():
                yield self._instead(node, "continue")

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Mutant]:
        start, end = self._span(left)[1], self._span(right)[0]
        found = re.search(old.encode(), self._text[start:end])
        if found:
            line = self._text.count(b"\n", 0, start + found.start()) + 1
            yield Mutant(self._file, line, start + found.start(), start + found.end(), new)

    def _instead(self, node: ast.expr | ast.stmt, new: str) -> Mutant:
        start, end = self._span(node)
        return Mutant(self._file, node.lineno, start, end, new)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text_of(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._text[start:end].decode()


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom():
            return True
        case ast.keyword(arg="strict"):
            return True
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError"))):
            return True
        case ast.FunctionDef():
            return node.name in SAID
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in LISTED or _is_type(node.value)
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _is_type(node: ast.expr) -> bool:
    """`int | None`, `list[Topic] | Rejected`: a union, not a number."""
    match node:
        case ast.BinOp(op=ast.BitOr()):
            return _is_type(node.left) or _is_type(node.right)
        case ast.Subscript():
            return _is_type(node.value)
        case ast.Constant():
            return node.value is None
        case ast.Attribute():
            return node.attr[:1].isupper() and not node.attr.isupper()
        case ast.Name(id=name):
            return name in ("int", "str", "bytes", "bool", "float", "list", "dict", "tuple") or (
                name[:1].isupper() and not name.isupper()
            )
    return False


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list", "type_params"):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    yield each
