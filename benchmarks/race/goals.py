"""What each figure should be, as a ratio of StreamBus to Kafka or on its own, and whether it is.

Every ratio has the floor besides its goal: no row worse than Kafka.
"""

from dataclasses import dataclass

from benchmarks.race.contenders import FSYNC, KAFKA, NEITHER, SINK, STREAMBUS, UNKEPT
from benchmarks.race.keeping import Results, Spread

MORE_IS_BETTER = {"MB/s", "records/s", "requests/s", "read MB/s", "scrapes", "posts"}

# Figures in which no broker can be better than the sink. CPU is not among them: a broker that is
# slower is handed more at once, and then receiving costs it less.
BOUND_BY_THE_CLIENT = ("MB/s", "records/s", "requests/s", "p50 us", "p99 us")


@dataclass(frozen=True)
class Pairing:
    """Which cell is held against which; `against` is None where a figure stands on its own, and
    then Kafka's is only shown."""

    name: str
    ours: str
    against: str | None


BOTH_FSYNC = Pairing("both fsync", FSYNC, FSYNC)
BOTH_NEITHER = Pairing("neither", NEITHER, NEITHER)
CROSSED = Pairing("StreamBus with fsync, Kafka without", FSYNC, NEITHER)
ALONE_FSYNC = Pairing("StreamBus, fsync", FSYNC, None)
ALONE_NEITHER = Pairing("StreamBus, neither", NEITHER, None)


@dataclass(frozen=True)
class Goal:
    row: str
    figure: str
    pairing: Pairing
    bound: float
    aim: float | None = None
    """What is hoped for beyond the bound."""
    of_worst: bool = False
    """Of the worst round, not of the median."""

    @property
    def at_least(self) -> bool:
        return self.figure in MORE_IS_BETTER

    def is_met_by(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def text(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.bound:g}" + (f" (aim {self.aim:g})" if self.aim is not None else "")


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    ours: Spread
    kafka: Spread | None
    value: float
    """The ratio of the medians, or what stands on its own."""
    sink: Spread | None = None
    """None where it has not run, or is no bound to the figure."""

    @property
    def met(self) -> bool:
        return self.goal.is_met_by(self.value)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether it is missed, and would be by any broker: not one round of the sink reaches it,
        nor of ours."""
        if self.met or self.sink is None:
            return False
        seen = (*self.sink.values, *self.ours.values)
        return not any(self.goal.is_met_by(self.to_kafka(value)) for value in seen)

    @property
    def client_alone(self) -> float | None:
        """What the load generator does with the sink in its best round."""
        if self.sink is None:
            return None
        return self.sink.most if self.goal.at_least else self.sink.least

    def to_kafka(self, value: float) -> float:
        assert self.kafka is not None
        return value / self.kafka.median

    @property
    def text(self) -> str:
        if self.met:
            return "met"
        off = abs(self.value / self.goal.bound - 1) if self.goal.bound else float("inf")
        return f"**missed by {off * 100:.0f} %**"

    @property
    def on_the_floor(self) -> bool:
        """Whether it is no worse than Kafka."""
        if self.goal.pairing.against is None:
            return True
        return self.value >= 1 if self.goal.at_least else self.value <= 1


def _pair(row: str, figure: str, fsync: float, neither: float) -> list[Goal]:
    return [Goal(row, figure, BOTH_FSYNC, fsync), Goal(row, figure, BOTH_NEITHER, neither)]


GOALS = (
    *(
        goal
        for row, neither in (("1k-1", 2.0), ("1k-12", 1.8), ("1k-100", 1.5))
        for goal in (
            Goal(row, "MB/s", BOTH_FSYNC, 2.5, aim=3),
            Goal(row, "MB/s", BOTH_NEITHER, neither),
            *_pair(row, "CPU s/GB", 0.3, 0.5),
        )
    ),
    *_pair("open-1", "p50 us", 0.8, 0.7),
    *_pair("open-1", "p99 us", 0.25, 0.3),
    *_pair("open-16", "p50 us", 0.85, 0.9),
    *_pair("open-16", "p99 us", 0.6, 0.6),
    *_pair("open-5k", "p99 us", 0.1, 0.4),
    *_pair("closed-16", "requests/s", 20, 2),
    *_pair("relay", "p50 us", 0.65, 0.55),
    *_pair("relay", "p99 us", 0.3, 0.2),
    *_pair("100b-1", "records/s", 1.5, 1.2),
    *_pair("100b-1", "CPU s/M records", 0.45, 0.45),
    *_pair("100b-12", "records/s", 1.3, 1.1),
    *_pair("100b-12", "CPU s/M records", 0.45, 0.45),
    *_pair("lz4", "MB/s", 2, 1.3),
    *_pair("1m", "MB/s", 1.5, 1.5),
    Goal("consume", "MB/s", BOTH_NEITHER, 1.2),
    Goal("consume", "CPU s/GB", BOTH_NEITHER, 0.65),
    *_pair("1k-12", "RSS MB", 0.15, 0.15),
    Goal("start", "seconds", BOTH_FSYNC, 0.3),
    Goal("1k-1", "MB/s", CROSSED, 1.2),
    Goal("1k-12", "MB/s", CROSSED, 1.2),
    Goal("1k-100", "MB/s", CROSSED, 1),
    Goal("open-1", "p99 us", CROSSED, 1),
    Goal("gc", "max ms", ALONE_FSYNC, 2, aim=1, of_worst=True),
    Goal("gc", "max ms", ALONE_NEITHER, 2, aim=1, of_worst=True),
    Goal("restart", "seconds", ALONE_FSYNC, 2),
    Goal("partitions", "more, %", ALONE_NEITHER, 10),
)

# Ratios without a goal of their own: the floor alone.
FLOORS = (
    Goal("closed-16", "p99 us", BOTH_FSYNC, 1),
    Goal("closed-16", "p99 us", BOTH_NEITHER, 1),
    Goal("open-5k", "p50 us", BOTH_FSYNC, 1),
    Goal("open-5k", "p50 us", BOTH_NEITHER, 1),
    *_pair("lz4", "CPU s/GB", 1, 1),
    *_pair("1m", "CPU s/GB", 1, 1),
    *_pair("keyed", "MB/s", 1, 1),
    *_pair("keyed", "CPU s/GB", 1, 1),
    *_pair("catch-up", "p50 us", 1, 1),
    *_pair("catch-up", "p99 us", 1, 1),
    *_pair("catch-up", "read MB/s", 1, 1),
    Goal("tls", "MB/s", BOTH_NEITHER, 1),
    Goal("tls", "CPU s/GB", BOTH_NEITHER, 1),
    *_pair("1k-12", "RSS MB, total", 1, 1),
    *_pair("1k-12", "PSS MB, total", 1, 1),
    Goal("restart", "seconds", BOTH_FSYNC, 1),
    Goal("idle", "RSS MB, total", BOTH_FSYNC, 1),
    Goal("partitions", "CPU us/request at 10,000", BOTH_NEITHER, 1),
)


def verdict(results: Results, goal: Goal) -> Verdict | None:
    """None while a side has not run."""
    ours = results.spread(goal.row, goal.pairing.ours, STREAMBUS, goal.figure)
    if ours is None:
        return None
    if goal.pairing.against is None:
        beside = results.spread(goal.row, goal.pairing.ours, KAFKA, goal.figure)
        return Verdict(goal, ours, beside, ours.most if goal.of_worst else ours.median)
    kafka = results.spread(goal.row, goal.pairing.against, KAFKA, goal.figure)
    if kafka is None or not kafka.median:
        return None
    bounds = goal.figure in BOUND_BY_THE_CLIENT
    sink = results.spread(goal.row, UNKEPT, SINK, goal.figure) if bounds else None
    return Verdict(goal, ours, kafka, ours.median / kafka.median, sink)
