"""`make bench-kafka`: StreamBus and Apache Kafka by turns, row after row, round after round.

Each result is kept as soon as it is there: a race that was cut goes on where it was. `--render`
writes docs/performance.md, docs/performance.svg and results.json out of what is kept. `--profile`
runs rows on StreamBus alone, under perf, and draws docs/flames.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka import KafkaException

from benchmarks.race import keeping, loads, pages, profiles
from benchmarks.race.contenders import (
    FSYNC,
    KAFKA,
    NEITHER,
    SINK,
    STREAMBUS,
    Certificate,
    Contender,
    Kafka,
    StreamBus,
)
from benchmarks.race.keeping import Place
from benchmarks.race.rows import ROWS, Row, Scale, warm_up
from benchmarks.race.sink import Sink

SPACE_GB_MIN = 15
CONTENDERS: dict[str, Callable[[Path, str, Certificate | None], Contender]] = {
    STREAMBUS: StreamBus,
    KAFKA: Kafka,
    SINK: Sink,
}


def main() -> None:
    chosen = _options().parse_args()
    if chosen.render:
        pages.render()
        return
    rows = _chosen_rows(chosen.profile or chosen.only)
    loads.build_tools()
    # A race that is told to end ends its brokers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if chosen.profile:
        profiles.profile(rows, chosen.column, Scale(chosen.scale))
        return
    if loads.space_left_gb() < SPACE_GB_MIN:
        raise SystemExit(f"the race needs {SPACE_GB_MIN} GB of disk below {loads.CACHE}")
    for row in rows if chosen.fresh else ():
        keeping.drop(row.key)
    with ExitStack() as stack:
        race = Race(Scale(chosen.scale), stack)
        race.run(rows, chosen.rounds, time.monotonic() + chosen.minutes * 60)
    if chosen.scale == 1:
        pages.render()
    if race.failures:
        raise SystemExit("\n".join(["These runs failed and are not kept:", *race.failures]))


def _chosen_rows(keys: str) -> list[Row]:
    """Those of `keys`, all of them if it is empty."""
    known = {row.key for row in ROWS}
    if unknown := set(filter(None, keys.split(","))) - known:
        raise SystemExit(f"no row is called {', '.join(unknown)}: {', '.join(sorted(known))}")
    return [row for row in ROWS if not keys or row.key in keys.split(",")]


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks.race", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default="", help="rows by key, with commas")
    options.add_argument("--minutes", type=float, default=1e6, help="begin nothing after so many")
    options.add_argument("--fresh", action="store_true", help="forget what the rows have")
    options.add_argument("--render", action="store_true", help="run nothing, write the documents")
    options.add_argument(
        "--profile", default="", help="rows by key, with commas: run them under perf on StreamBus"
    )
    options.add_argument(
        "--column", choices=(FSYNC, NEITHER), default=NEITHER, help="of the profile"
    )
    options.add_argument(
        "--scale", type=float, default=1, help="less than 1: small counts, nothing is kept"
    )
    return options


class Race:
    """Brokers that live as long as the race, started when a row needs them first."""

    def __init__(self, scale: Scale, stack: ExitStack) -> None:
        self._scale = scale
        self._stack = stack
        self._folder = loads.CACHE / "brokers"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._certificate = Certificate.made(self._folder)
        self._living: dict[tuple[str, str], Contender] = {}
        self._count = 0
        self.failures: list[str] = []
        self._seconds: dict[str, float] = {}
        if scale.amount == 1:
            keeping.keep_machine({})

    def run(self, rows: list[Row], rounds: int, until: float) -> None:
        for number in range(1, rounds + 1):
            for row in rows:
                for column, side in row.cells(number):
                    if time.monotonic() > until:
                        print("The minutes are over; what is missing comes next time.")
                        return
                    place = Place(row.key, column, side, number)
                    if not (self._scale.amount == 1 and keeping.kept(place)):
                        self._try(row, place)
            print(f"-- round {number} is done --", flush=True)
        for key, seconds in sorted(self._seconds.items(), key=lambda each: -each[1]):
            print(f"{seconds:7.1f} s  {key}")

    def _try(self, row: Row, place: Place) -> None:
        """A run that fails ends neither the others nor, if it lives, its broker."""
        try:
            self._one(row, place)
        except (loads.RaceFailed, subprocess.TimeoutExpired, OSError, KafkaException) as error:
            failure = f"{place.round} {place.row} {place.column} {place.side}: {error}"
            self.failures.append(failure)
            print(f"FAILED {failure}", flush=True)
            broker = self._living.get((place.side, place.column))
            if broker is not None and not broker.is_alive:
                del self._living[place.side, place.column]

    def _one(self, row: Row, place: Place) -> None:
        began = time.monotonic()
        broker = self._alone(place) if row.alone else self._shared(place.side, place.column)
        reads_back = broker.keeps_records and not keeping.was_read_back(place)
        loads.settle(row.memory_mb)
        try:
            figures = row.run(broker, self._scale, reads_back)
        finally:
            if row.alone:
                _end(broker)
                shutil.rmtree(broker.folder)
        if self._scale.amount == 1:
            keeping.keep(place, figures, read_back=reads_back)
        seconds = time.monotonic() - began
        self._seconds[row.key] = self._seconds.get(row.key, 0) + seconds
        shown = "  ".join(f"{name} {figures[name]:,.2f}" for name in row.shown if name in figures)
        print(
            f"{place.round} {row.key:10} {place.column:7} {place.side:9} {seconds:5.1f} s  {shown}",
            flush=True,
        )

    def _alone(self, place: Place) -> Contender:
        self._count += 1
        folder = self._folder / f"alone-{self._count}"
        return CONTENDERS[place.side](folder, place.column, None)

    def _shared(self, side: str, column: str) -> Contender:
        """The broker of this column that lives through the race, warmed up."""
        known = self._living.get((side, column))
        if known is not None:
            return known
        began = time.monotonic()
        self._count += 1
        folder = self._folder / f"{side}-{column}-{self._count}"
        broker = CONTENDERS[side](folder, column, self._certificate)
        self._stack.callback(_end, broker)
        broker.start()
        if broker.keeps_records:
            warm_up(broker, self._scale)
            if self._scale.amount == 1:
                keeping.keep_machine({f"{side}, {column}": broker.differences})
        self._living[side, column] = broker
        print(
            f"{side} ({column}) is up and warm after {time.monotonic() - began:.0f} s; not as by "
            f"default: {'; '.join(broker.differences) or 'nothing'}",
            flush=True,
        )
        return broker


def _end(broker: Contender) -> None:
    if not broker.is_alive:
        return
    try:
        broker.stop()
    except subprocess.TimeoutExpired:
        broker.kill()


if __name__ == "__main__":
    main()
