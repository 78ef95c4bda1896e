"""Results by row, column, side and round: a file for each in .cache/race/results, so that a race
that was cut goes on where it was, and one table out of all of them."""

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kafka_process import VERSION
from benchmarks.race.loads import CACHE, Figures
from benchmarks.race.profiles import kept_profiles

RESULTS = CACHE / "results"
MACHINE = CACHE / "machine.json"


@dataclass(frozen=True)
class Place:
    """Where a result belongs."""

    row: str
    column: str
    side: str
    round: int

    @property
    def path(self) -> Path:
        return RESULTS / self.row / f"{self.column}-{self.side}-{self.round}.json"


def kept(place: Place) -> bool:
    return place.path.exists()


def keep(place: Place, figures: Figures, *, read_back: bool) -> None:
    place.path.parent.mkdir(parents=True, exist_ok=True)
    said = {"figures": figures, "read_back": read_back, "at": int(time.time())}
    part = place.path.with_suffix(".part")
    part.write_text(json.dumps(said, indent=1) + "\n")
    part.rename(place.path)


def was_read_back(place: Place) -> bool:
    """Whether any round of this row, column and side read its records back."""
    files = place.path.parent.glob(f"{place.column}-{place.side}-*.json")
    return any(json.loads(path.read_text())["read_back"] for path in files)


def drop(row: str) -> None:
    for path in (RESULTS / row).glob("*.json"):
        path.unlink()


def keep_machine(differences: dict[str, list[str]]) -> None:
    MACHINE.parent.mkdir(parents=True, exist_ok=True)
    said = {"machine": _machine(), "differences": differences}
    if MACHINE.exists():
        said["differences"] = json.loads(MACHINE.read_text())["differences"] | differences
    MACHINE.write_text(json.dumps(said, indent=1) + "\n")


def _machine() -> dict[str, str]:
    cores = _lines("/proc/cpuinfo", "processor")
    model = _lines("/proc/cpuinfo", "model name")
    memory_kb = int(_lines("/proc/meminfo", "MemTotal")[0].split()[0])
    java = subprocess.run(["java", "-version"], check=False, capture_output=True, text=True).stderr
    return {
        "processors": f"{len(cores)} x {model[0] if model else platform.machine()}",
        "memory": f"{memory_kb / 1e6:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": sys.version.split()[0],
        "Java": java.splitlines()[0] if java else "unknown",
        "Apache Kafka": VERSION,
        "day": time.strftime("%Y-%m-%d"),
    }


def _lines(path: str, name: str) -> list[str]:
    found = []
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            found.append(value.strip())
    return found


@dataclass(frozen=True)
class Spread:
    """A figure over its rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)


class Results:
    """All rounds: row -> "column side" -> figure -> its values in the order of the rounds."""

    def __init__(
        self, rows: dict[str, dict[str, dict[str, list[float]]]], said: dict[str, Any]
    ) -> None:
        self.rows = rows
        self.machine: dict[str, str] = said["machine"]
        self.differences: dict[str, list[str]] = said["differences"]
        self.profiles: dict[str, Any] = said.get("profiles", {})

    @classmethod
    def gathered(cls) -> "Results":
        """Out of .cache/race."""
        rows: dict[str, dict[str, dict[str, list[float]]]] = {}
        for path in sorted(RESULTS.glob("*/*.json"), key=_by_round):
            column, side, _ = path.stem.split("-")
            cell = rows.setdefault(path.parent.name, {}).setdefault(f"{column} {side}", {})
            for figure, value in json.loads(path.read_text())["figures"].items():
                cell.setdefault(figure, []).append(round(value, 4))
        said = json.loads(MACHINE.read_text()) | {"profiles": kept_profiles()}
        return cls(rows, said)

    @classmethod
    def read(cls, path: Path) -> "Results":
        said = json.loads(path.read_text())
        return cls(said["rows"], said)

    def write(self, path: Path) -> None:
        said = {
            "machine": self.machine,
            "differences": self.differences,
            "profiles": self.profiles,
            "rows": self.rows,
        }
        path.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")

    def spread(self, row: str, column: str, side: str, figure: str) -> Spread | None:
        values = self.rows.get(row, {}).get(f"{column} {side}", {}).get(figure)
        return Spread(tuple(values)) if values else None

    def rounds(self) -> Iterator[int]:
        """How many values each cell has."""
        for cells in self.rows.values():
            for figures in cells.values():
                yield max(map(len, figures.values()))


def _by_round(path: Path) -> tuple[str, int]:
    stem, _, number = path.stem.rpartition("-")
    return f"{path.parent.name}/{stem}", int(number)
