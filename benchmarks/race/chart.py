"""docs/performance.svg: how many times better than Kafka, on a scale where twice is as far as half.

Written by hand as text: a line a row, a dot for each column at the ratio of the medians, its range
over the rounds, and a tick where the goal is.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.race.contenders import KAFKA, STREAMBUS
from benchmarks.race.goals import BOTH_FSYNC, BOTH_NEITHER, GOALS, Goal, verdict
from benchmarks.race.keeping import Results
from benchmarks.race.rows import ROWS

WIDTH, LEFT, RIGHT, TOP, STEP = 980, 400, 40, 86, 26
LEAST, MOST = 0.5, 64.0
COLOURS = {BOTH_FSYNC: "#15803d", BOTH_NEITHER: "#1d4ed8"}
SHIFTS = {BOTH_FSYNC: -4, BOTH_NEITHER: 4}
TITLES = {row.key: row.title for row in ROWS}


@dataclass(frozen=True)
class Mark:
    """One goal with what came out, each as times better than Kafka."""

    goal: Goal
    times: float
    least: float
    most: float
    wanted: float


def drawn(results: Results) -> str:
    marks = [found for goal in GOALS if (found := _mark(results, goal))]
    lines = list(dict.fromkeys((mark.goal.row, mark.goal.figure) for mark in marks))
    height = TOP + STEP * len(lines) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="ui-sans-serif, Helvetica, Arial, sans-serif" font-size="13">',
        f'  <rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(18, 26, "StreamBus against Apache Kafka: times better", "#0f172a", bold=True),
        *_legend(),
        *_scale(height),
    ]
    for number, (row, figure) in enumerate(lines):
        y = TOP + STEP * number + STEP // 2
        parts.append(_text(LEFT - 14, y + 4, f"{TITLES[row]}: {figure}", "#334155", anchor="end"))
        for mark in marks:
            if (mark.goal.row, mark.goal.figure) == (row, figure):
                parts += _drawn_mark(mark, y + SHIFTS[mark.goal.pairing])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _mark(results: Results, goal: Goal) -> Mark | None:
    found = verdict(results, goal)
    if found is None or goal.pairing not in COLOURS or not found.value:
        return None
    ours = results.spread(goal.row, goal.pairing.ours, STREAMBUS, goal.figure)
    kafka = results.spread(goal.row, goal.pairing.against or "", KAFKA, goal.figure)
    assert ours is not None and kafka is not None
    pairs = zip(ours.values, kafka.values, strict=False)
    ratios = [one / other for one, other in pairs if one and other]
    times = [_times(goal, ratio) for ratio in ratios] or [_times(goal, found.value)]
    middle = _times(goal, found.value)
    return Mark(goal, middle, min(*times, middle), max(*times, middle), _times(goal, goal.bound))


def _times(goal: Goal, ratio: float) -> float:
    return ratio if goal.at_least else 1 / ratio


def _x(times: float) -> float:
    inside = min(max(times, LEAST), MOST)
    share = math.log(inside / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _scale(height: int) -> list[str]:
    parts = []
    times = LEAST
    while times <= MOST:
        x, colour = _x(times), "#0f172a" if times == 1 else "#e2e8f0"
        parts.append(
            f'  <line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 12}" '
            f'stroke="{colour}"/>'
        )
        said = "as Kafka" if times == 1 else f"{times:g}x"
        parts.append(_text(x, TOP - 14, said, "#64748b", anchor="middle"))
        times *= 2
    return parts


def _legend() -> list[str]:
    parts = []
    for number, pairing in enumerate(COLOURS):
        x = 24 + number * 130
        parts.append(f'  <circle cx="{x}" cy="46" r="4.5" fill="{COLOURS[pairing]}"/>')
        parts.append(_text(x + 10, 50, pairing.name, "#334155"))
    parts.append('  <line x1="284" y1="40" x2="284" y2="52" stroke="#64748b" stroke-width="2"/>')
    parts.append(_text(292, 50, "goal", "#334155"))
    return parts


def _drawn_mark(mark: Mark, y: int) -> list[str]:
    colour = COLOURS[mark.goal.pairing]
    x = _x(mark.times)
    wanted = _x(mark.wanted)
    return [
        f'  <line x1="{_x(mark.least):.1f}" y1="{y}" x2="{_x(mark.most):.1f}" y2="{y}" '
        f'stroke="{colour}" stroke-opacity="0.45" stroke-width="3"/>',
        f'  <line x1="{wanted:.1f}" y1="{y - 5}" x2="{wanted:.1f}" y2="{y + 5}" '
        f'stroke="{colour}" stroke-width="2"/>',
        f'  <circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{colour}"/>',
    ]


def _text(
    x: float, y: float, said: str, colour: str, *, anchor: str = "start", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'  <text x="{x:.1f}" y="{y}" fill="{colour}" text-anchor="{anchor}"{weight}>'
        f"{escape(said)}</text>"
    )
