"""docs/performance.md and results.json out of the results.

Only what stands between the marks of the page is written here; method and causes, around it, are
written by people.
"""

from collections import Counter
from pathlib import Path

from benchmarks.race import chart
from benchmarks.race.contenders import FSYNC, KAFKA, NEITHER, SINK, STREAMBUS, UNKEPT
from benchmarks.race.goals import (
    BOUND_BY_THE_CLIENT,
    CROSSED,
    FLOORS,
    GOALS,
    Verdict,
    verdict,
)
from benchmarks.race.keeping import MACHINE, Results, Spread
from benchmarks.race.profiles import BROKER, CLIENT
from benchmarks.race.rows import EVERY_ROUND, ROWS, SINK_ROUNDS_MAX

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"
RESULTS = Path(__file__).parent / "results.json"
BEGIN, END = "<!-- made by make bench-kafka -->", "<!-- end -->"
TITLES = {row.key: row.title for row in ROWS}
SHARE_SHOWN_MIN = 0.005
TIME = (
    "Samples of `perf` on StreamBus, with the load generator on the same cores "
    "(`python -m benchmarks.race --profile KEY`). Frames are native: Python 3.11 does not tell "
    "perf its functions. In the kernel a sample belongs to the innermost purpose: a wake-up inside "
    "a send is a wake-up."
)
MOST = (
    "The same load on a broker that costs next to nothing (`benchmarks/race/sink.c`: one thread "
    f"that reads requests and acknowledges them, in at most {SINK_ROUNDS_MAX} rounds). The last "
    "column is the best ratio to Kafka that any broker could reach on this machine. A missed goal "
    "is out of reach if no round of it and none of StreamBus reaches it."
)


def render() -> None:
    """Out of .cache/race, or of results.json where there is none."""
    if MACHINE.exists():
        Results.gathered().write(RESULTS)
    if not RESULTS.exists():
        raise SystemExit("nothing has been measured yet: make bench-kafka")
    results = Results.read(RESULTS)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "\n\n".join(sections(results))
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}")
    CHART.write_text(chart.drawn(results))
    print(f"written: {', '.join(str(path.relative_to(ROOT)) for path in (PAGE, CHART, RESULTS))}")
    print("\n".join(summary(results)))


def sections(results: Results) -> list[str]:
    rounds = sorted(set(results.rounds()))
    often = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else str(rounds[0])
    machine = "; ".join(f"{name}: {value}" for name, value in results.machine.items())
    judged = [found for goal in GOALS if (found := verdict(results, goal))]
    floors = [found for goal in FLOORS if (found := verdict(results, goal))]
    crossed = [each for each in judged if each.goal.pairing == CROSSED]
    sentences = "\n".join(f"* {_sentence(each)}" for each in crossed)
    return [
        f"Medians (least to most) of {often} rounds{_fewer()}. {machine}.",
        "![How many times better than Kafka, row by row](performance.svg)",
        f"**StreamBus with fsync against Kafka without:**\n\n{sentences}",
        f"### Goals\n\n{_judged_table(judged)}",
        f"### No goal but the floor: no worse than Kafka\n\n{_judged_table(floors)}",
        *_most(results),
        *_where_the_time_goes(results),
        f"### All rows\n\n{_all_rows(results)}",
        f"### What is not as the brokers start by default\n\n{_differences(results)}",
    ]


def _fewer() -> str:
    fewer = [f"{row.title}: {row.rounds_max}" for row in ROWS if row.rounds_max < EVERY_ROUND]
    return f" (at most, {'; '.join(fewer)})" if fewer else ""


def summary(results: Results) -> list[str]:
    judged = [found for goal in (*GOALS, *FLOORS) if (found := verdict(results, goal))]
    lines = [
        f"{TITLES[each.goal.row]}, {each.goal.figure}, {each.goal.pairing.name}: "
        f"{_number(each.value)} where {each.goal.text} was wanted{_out_of_reach(each)}"
        for each in judged
        if not each.met
    ]
    return [f"{len(judged) - len(lines)} of {len(judged)} goals and floors are met", *lines]


def _sentence(found: Verdict) -> str:
    goal = found.goal
    return (
        f"{TITLES[goal.row]}, {goal.figure}: {_spread(found.ours)} against "
        f"{_spread(found.kafka)}, ratio {_number(found.value)}, wanted {goal.text}: {found.text}"
        f"{_out_of_reach(found)}"
    )


def _out_of_reach(found: Verdict) -> str:
    alone = found.client_alone
    if not found.is_out_of_reach or alone is None:
        return ""
    ratio = _number(found.to_kafka(alone))
    return f", out of reach: the client alone manages {_number(alone)}, ratio {ratio}"


def _judged_table(found: list[Verdict]) -> str:
    lines = [
        "| work | figure | | StreamBus | Kafka | ratio | wanted | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        goal = each.goal
        ratio = _number(each.value) if goal.pairing.against else ""
        below = "" if each.on_the_floor or goal in FLOORS else ", **worse than Kafka**"
        lines.append(
            f"| {TITLES[goal.row]} | {goal.figure} | {goal.pairing.name} | {_spread(each.ours)} | "
            f"{_spread(each.kafka)} | {ratio} | {goal.text} | {each.text}"
            f"{_out_of_reach(each)}{below} |"
        )
    return "\n".join(lines)


def _most(results: Results) -> list[str]:
    lines = []
    for row in ROWS:
        for figure in row.shown if row.sinks else ():
            sink = results.spread(row.key, UNKEPT, SINK, figure)
            if sink is not None and figure in BOUND_BY_THE_CLIENT:
                ours = results.spread(row.key, NEITHER, STREAMBUS, figure)
                kafka = results.spread(row.key, NEITHER, KAFKA, figure)
                cells = " | ".join(map(_spread, (sink, ours, kafka)))
                ratio = _number(sink.median / kafka.median) if kafka and kafka.median else "-"
                lines.append(f"| {row.title} | {figure} | {cells} | {ratio} |")
    if not lines:
        return []
    head = (
        "| work | figure | sink | StreamBus, neither | Kafka, neither | sink / Kafka |",
        "|---|---|---|---|---|---|",
    )
    return ["\n".join(["### What the load generators can do at most", "", MOST, "", *head, *lines])]


def _where_the_time_goes(results: Results) -> list[str]:
    if not results.profiles:
        return []
    lines = ["### Where the time goes", "", TIME, ""]
    for key in results.profiles:
        row, column = key.rsplit("-", 1)
        drawn = ", ".join(
            f"[{side}](flames/{key}{end}.svg)" for side, end in ((BROKER, ""), (CLIENT, "-client"))
        )
        lines.append(f"* `{key}`: {TITLES[row]}, {column}; flame graphs: {drawn}")
    for side in (BROKER, CLIENT):
        lines += ["", f"Share of the CPU time of the {side}:", "", *_shares_table(results, side)]
    return ["\n".join(lines)]


def _shares_table(results: Results, side: str) -> list[str]:
    """A component a line, in the order of the sums."""
    sums: Counter[str] = Counter()
    for profile in results.profiles.values():
        sums.update(profile[side]["shares"])
    heads = " | ".join(f"`{key}`" for key in results.profiles)
    lines = [f"| | {heads} |", "|---" * (1 + len(results.profiles)) + "|"]
    for component, _ in sums.most_common():
        shares = [each[side]["shares"].get(component, 0) for each in results.profiles.values()]
        if max(shares) >= SHARE_SHOWN_MIN:
            lines.append(f"| {component} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return lines


def _all_rows(results: Results) -> str:
    cells = [(column, side) for column in (FSYNC, NEITHER) for side in (STREAMBUS, KAFKA)]
    heads = " | ".join(f"{side}, {column}" for column, side in cells)
    lines = [f"| work | figure | {heads} |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        for figure in row.shown:
            spreads = [results.spread(row.key, *cell, figure) for cell in cells]
            if any(spreads):
                shown = " | ".join(map(_spread, spreads))
                lines.append(f"| {row.title} | {figure} | {shown} |")
    return "\n".join(lines)


def _differences(results: Results) -> str:
    return "\n".join(
        f"* {broker}: {'; '.join(listed)}."
        for broker, listed in sorted(results.differences.items())
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    if len(spread.values) == 1:
        return _number(spread.median)
    return f"{_number(spread.median)} ({_number(spread.least)} to {_number(spread.most)})"


def _number(value: float) -> str:
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 20 else f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"
