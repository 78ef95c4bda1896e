"""Which share of each package's lines the tests reach, and the least that is allowed.

`make coverage` measures first: `python -m tests.tidy.floors` reads what was measured.
"""

import io
import sys

import coverage

from tests.tidy.source import sources

FLOORS = {
    "app/": 80,
    "streambus/": 80,
    "app/core/": 95,
    "streambus/protocol/": 95,
}
"""Folder -> percent of the lines below it that must be reached."""

Reached = tuple[int, int]
"""(lines reached, lines that can be)."""


def measured() -> dict[str, Reached]:
    """File -> its lines, of every file below `app/` and `streambus/`."""
    seen = coverage.Coverage(data_file=".cache/coverage/measured", messages=False)
    seen.load()
    lines = {}
    for source in sources("app", "streambus"):
        _, statements, _, missing, _ = seen.analysis2(source.name)
        lines[source.name] = (len(statements) - len(missing), len(statements))
    return lines


def below(folder: str, lines: dict[str, Reached]) -> Reached:
    within = [reached for name, reached in lines.items() if name.startswith(folder)]
    return sum(reached for reached, _ in within), sum(possible for _, possible in within)


def percent(reached: Reached) -> float:
    return 100 * reached[0] / reached[1] if reached[1] else 100.0


def report(lines: dict[str, Reached], out: io.TextIOBase) -> list[str]:
    """A row for every package; gives the folders that are under their floors."""
    packages = {name.rpartition("/")[0] + "/" for name in lines}
    for package in sorted(packages | set(FLOORS)):
        reached = below(package, lines)
        floor = f"  floor {FLOORS[package]}" if package in FLOORS else ""
        out.write(f"{package:28} {percent(reached):6.1f} % of {reached[1]:5} lines{floor}\n")
    return [folder for folder, floor in FLOORS.items() if percent(below(folder, lines)) <= floor]


def main(out: io.TextIOBase) -> int:
    lines = measured()
    low = report(lines, out)
    for name in sorted(lines, key=lambda name: percent(lines[name])):
        if percent(lines[name]) <= 80:
            out.write(f"least reached: {name} {percent(lines[name]):.0f} %\n")
    for folder in low:
        out.write(f"{folder} is not over {FLOORS[folder]} %\n")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.stdout))  # type: ignore[arg-type]
