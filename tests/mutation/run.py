"""`python -m tests.mutation.run N SEED`: N lines of the cores, each changed a little in its turn.

A mutant is caught if a test fails (or never ends): its module's twin is asked first, then the tests
that import it, then those that reach it. What survives is a rule that no test states.
"""

import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from tests.mutation import nearest
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.reviewed import EQUIVALENT
from tests.mutation.scratch import Ran, Scratch
from tests.tidy.source import Source, sources

MUTATED = ("app/core", "streambus/protocol")
CAUGHT_PERCENT_MIN = 90
PROCESSES = 2
# Far tests are asked cheapest first, until this much of their time is spent.
FAR_SECONDS_MAX = 45.0
NO_TESTS = 5  # pytest's status where all that was asked is left out
TEST_BYTES_MAX = 8 << 30  # address space: a mutant that never stops appending ends here

Item = TypeVar("Item")


@dataclass(frozen=True)
class Fate:
    mutant: Mutant
    lines: tuple[str, str]
    caught_by: str
    seconds: float


class Sound:
    """What the tests do where nothing is broken: how long each file takes, and which fail."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.red: tuple[str, ...] = ()

    def note(self, ran: Ran) -> None:
        self.seconds |= ran.seconds
        self.red += ran.failed

    def cheapest(self, files: Sequence[str]) -> list[str]:
        by_cost = sorted(files, key=lambda file: self.seconds.get(file, 0.0))
        spent = accumulate(self.seconds.get(file, 0.0) for file in by_cost)
        return [file for file, total in zip(by_cost, spent, strict=True) if total < FAR_SECONDS_MAX]

    def limit(self, files: Sequence[str]) -> float:
        return 40 + 3 * sum(self.seconds.get(file, 0.0) for file in files)


def pick(count: int, seed: int) -> list[Mutant]:
    """One mutant on each of `count` lines."""
    by_line: dict[tuple[str, int], list[Mutant]] = {}
    for source in sources(*MUTATED):
        for mutant in mutants(source):
            if (source.name, *mutant.lines(source.text)) not in EQUIVALENT:
                by_line.setdefault((source.name, mutant.line), []).append(mutant)
    chance = random.Random(seed)
    lines = chance.sample(sorted(by_line), min(count, len(by_line)))
    return [
        chance.choice([each for each in by_line[line] if each.compiles(Source(line[0]).text)])
        for line in sorted(lines)
    ]


def circles(file: str, sound: Sound) -> list[list[str]]:
    """Test files, in the order in which they are asked; none twice."""
    near = nearest.twin(file)
    direct, reached = nearest.importers(file)
    direct = sorted(set(direct) - set(near), key=lambda test: sound.seconds.get(test, 0.0))
    return [near, direct, sound.cheapest(reached)]


def try_one(scratch: Scratch, mutant: Mutant, sound: Sound) -> Fate:
    began = time.monotonic()
    caught_by = ""
    left_out = [f"--deselect={test}" for test in sound.red]
    with scratch.broken_by(mutant) as lines:
        for files in circles(mutant.file, sound):
            if files and not caught_by:
                caught_by = verdict(scratch.test(files, sound.limit(files), "-x", *left_out))
    return Fate(mutant, lines, caught_by, time.monotonic() - began)


def verdict(ran: Ran) -> str:
    """What caught it, or ''."""
    if ran.too_long:
        return "tests that never end"
    if ran.failed:
        return ran.failed[0]
    if ran.status not in (0, NO_TESTS):
        return f"tests that cannot start ({ran.status})"
    return ""


def on_each(
    scratches: Sequence[Scratch], work: Sequence[Item], do: Callable[[Scratch, Item], None]
) -> None:
    """`do(scratch, item)` for all of `work`, each scratch in a thread of its own."""
    waiting = iter(work)
    turn = threading.Lock()
    errors: list[Exception] = []

    def serve(scratch: Scratch) -> None:
        while not errors:
            with turn:
                item = next(waiting, None)
            if item is None:
                return
            try:
                do(scratch, item)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=serve, args=(scratch,)) for scratch in scratches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def tell(fate: Fate) -> None:
    mutant = fate.mutant
    before, after = fate.lines
    what = f"caught by {fate.caught_by}" if fate.caught_by else "SURVIVED"
    sys.stdout.write(
        f"{mutant.file}:{mutant.line}: {what} ({fate.seconds:.0f} s)\n  - {before}\n  + {after}\n"
    )
    sys.stdout.flush()


def main(count: int, seed: int) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (TEST_BYTES_MAX, TEST_BYTES_MAX))
    began = time.monotonic()
    picked = pick(count, seed)
    sound = Sound()
    fates: list[Fate] = []
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        scratches = [Scratch(Path(folder) / str(number)) for number in range(PROCESSES)]
        asked = sorted({test for each in picked for test in _all_tests(each.file)})
        on_each(
            scratches,
            [asked[number::8] for number in range(8)],
            lambda scratch, files: sound.note(scratch.test(files, 300)),
        )
        for test in sound.red:
            sys.stdout.write(f"left out, for it fails already: {test}\n")

        def judge(scratch: Scratch, mutant: Mutant) -> None:
            fates.append(try_one(scratch, mutant, sound))
            tell(fates[-1])

        on_each(scratches, picked, judge)
    survived = [fate for fate in fates if not fate.caught_by]
    sys.stdout.write("\nSurvived:\n" if survived else "")
    for fate in survived:
        tell(fate)
    caught = len(fates) - len(survived)
    minutes = (time.monotonic() - began) / 60
    sys.stdout.write(f"{caught} of {len(fates)} caught, seed {seed}, {minutes:.1f} minutes\n")
    return 0 if 100 * caught >= CAUGHT_PERCENT_MIN * len(fates) else 1


def _all_tests(file: str) -> list[str]:
    direct, reached = nearest.importers(file)
    return [*nearest.twin(file), *direct, *reached]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
