"""Tables for people: columns, sizes and times. Programs take --json.

Owns    how a table looks on a terminal, and that a pipe gets the same without colours or cut lines.
"""

import io
import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from streambus.cli import console

_PIPE_WIDTH = 10_000
_STEPS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def show(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    title: str = "",
) -> None:
    """`numbers` names the columns that stand on the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    is_terminal = console.is_terminal()
    text = io.StringIO()
    Console(
        file=text,
        force_terminal=is_terminal,
        width=shutil.get_terminal_size().columns if is_terminal else _PIPE_WIDTH,
        legacy_windows=False,
    ).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    console.say("\n".join(line for line in lines if line))


def size(count: int) -> str:
    """`64.0 MiB`; "" for one that is not known."""
    if count < 0:
        return ""
    amount, step = float(count), 0
    while amount >= 1024 and step + 1 < len(_STEPS):
        amount, step = amount / 1024, step + 1
    return f"{amount:.1f} {_STEPS[step]}" if step else f"{count} B"


def number(count: int) -> str:
    """ "" for one that is not known."""
    return "" if count < 0 else str(count)


def time(ms: int) -> str:
    """`2026-01-31 12:00:00Z`; "" for one that is not known."""
    if ms < 0:
        return ""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(ms)
