"""Metrics as values, and the collectors that make them when somebody asks.

Owns    what a metric is (declared once, beside what it counts), and who is asked at a scrape.
Never   keeps a number: whoever counts owns it. No module state: each broker has its `Collectors`.
Trusts  that a collector yields at least every METRIC_LINES_AT_ONCE rows: the loop gets its turns
        there.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal, TypeAlias

import msgspec

from app.limits import METRIC_TURN_NS
from app.world.ports import Clock, Lane

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Row: TypeAlias = tuple[tuple[str, ...], list[float]]
"""Values of the labels; one number, or of a histogram the cumulative counts by bound, the sum and
the count."""


class Family(msgspec.Struct, frozen=True):
    """All series of one metric. A row is the labels' values in the order of `labels`, and one
    number; of a histogram the cumulative counts by `bounds` (seconds or bytes), the sum and the
    count."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    rows: list[Row]
    bounds: tuple[float, ...] = ()


class Metric(msgspec.Struct, frozen=True):
    """What can be collected: docs/metrics.md is made of these. `series` says how many rows there
    may be."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    series: str = "1"
    bounds: tuple[float, ...] = ()

    def of(self, rows: list[Row]) -> Family:
        return Family(self.name, self.kind, self.help, self.labels, rows, self.bounds)

    def value(self, number: float) -> Family:
        """The one row of a metric without labels."""
        return self.of([((), [number])])

    def by(self, numbers: Iterable[tuple[str, float]]) -> Family:
        """Rows of a metric with one label."""
        return self.of([((label,), [number]) for label, number in numbers])


Collect: TypeAlias = Callable[[], Iterable[Family | None]]
"""Families in any order, one in several pieces if it is long; None where the loop may have a
turn."""


class Collectors:
    """Who is asked at a scrape, in the order in which they were added."""

    def __init__(self) -> None:
        self._collectors: list[tuple[Collect, Lane | None]] = []

    def add(self, collect: Collect, lane: Lane | None = None) -> None:
        """With a lane, `collect` runs there: it asks the system, not the broker."""
        self._collectors.append((collect, lane))

    async def gather(self, clock: Clock) -> list[Family]:
        """Everything, each metric once; the loop gets a turn every METRIC_TURN_NS."""
        now_ns = clock.monotonic_ns
        whole: dict[str, Family] = {}
        turn_ns = now_ns()
        for collect, lane in self._collectors:
            pieces = collect() if lane is None else await lane.run(partial(_all, collect))
            for piece in pieces:
                if piece is not None:
                    _add(whole, piece)
                if now_ns() - turn_ns >= METRIC_TURN_NS:
                    await asyncio.sleep(0)
                    turn_ns = now_ns()
        return list(whole.values())


def _add(whole: dict[str, Family], piece: Family) -> None:
    family = whole.get(piece.name)
    if family is None:
        whole[piece.name] = piece
    else:
        family.rows.extend(piece.rows)


def _all(collect: Collect) -> list[Family | None]:
    return list(collect())
