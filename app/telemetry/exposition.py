"""Families as text that Prometheus reads: its text format, version 0.0.4.

Never   computes: histograms arrive with cumulative counts, and are written as they are.
Trusts  that names are valid (they are constants of ours); labels and help may hold anything.
"""

from collections.abc import Iterable, Iterator
from math import inf, isinf, isnan

from app.limits import METRIC_LINES_AT_ONCE
from app.telemetry.metrics import Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(families: Iterable[Family]) -> Iterator[bytes]:
    """The text in pieces of about METRIC_LINES_AT_ONCE lines, so that whoever sends them on a loop
    need not hold it."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_help(family.help)}\n")
        lines.append(f"# TYPE {family.name} {family.kind}\n")
        add = _add_histogram if family.kind == "histogram" else _add_number
        for labels, numbers in family.rows:
            add(lines, family, labels, numbers)
            if len(lines) >= METRIC_LINES_AT_ONCE:
                yield "".join(lines).encode()
                lines.clear()
    if lines:
        yield "".join(lines).encode()


def _add_number(
    lines: list[str], family: Family, labels: tuple[str, ...], numbers: list[float]
) -> None:
    series = f"{family.name}{{{_pairs(family, labels)}}}" if labels else family.name
    lines.append(f"{series} {_number(numbers[0])}\n")


def _add_histogram(
    lines: list[str], family: Family, labels: tuple[str, ...], numbers: list[float]
) -> None:
    pairs = _pairs(family, labels)
    ahead = f"{pairs}," if pairs else ""
    *counts, total, count = numbers
    for bound, reached in zip((*family.bounds, inf), (*counts, count), strict=True):
        lines.append(f'{family.name}_bucket{{{ahead}le="{_number(bound)}"}} {_number(reached)}\n')
    braces = f"{{{pairs}}}" if pairs else ""
    lines.append(f"{family.name}_sum{braces} {_number(total)}\n")
    lines.append(f"{family.name}_count{braces} {_number(count)}\n")


def _pairs(family: Family, labels: tuple[str, ...]) -> str:
    return ",".join(
        [f'{name}="{_label(value)}"' for name, value in zip(family.labels, labels, strict=True)]
    )


def _label(value: str) -> str:
    if value.isalnum():  # a number, a word: most are
        return value
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(number: float) -> str:
    """Whole numbers as such (an offset has more digits than a float shows), others so that they
    are read back as they were."""
    if type(number) is int:
        return str(number)
    if isnan(number):
        return "NaN"
    if isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
