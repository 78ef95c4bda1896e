"""Where the time goes: rows of the race on StreamBus with perf attached to the broker and to the
load generator, as flame graphs in docs/flames and as shares by component.

One recording has both: perf follows the broker, and this process for the load generators that it
starts. Stacks are unwound by their debug information (DWARF), for neither Python nor librdkafka
keeps frame pointers.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.race import flames, folds, loads
from benchmarks.race.contenders import Certificate, StreamBus
from benchmarks.race.folds import Sample
from benchmarks.race.loads import CACHE, HERE, RaceFailed
from benchmarks.race.rows import Row, Scale, warm_up
from benchmarks.race.usage import tree

PROFILES = CACHE / "profiles"
FLAMES = HERE.parent / "docs" / "flames"
RUNS = 3
HERTZ = 499  # not a round number, so that it does not beat with timers
# uvloop's libuv keeps 1,024 events on its stack: a copy of 16 kB ends before its callers.
STACK_BYTES = 32_768
ATTACH_S = 1.0
BROKER, CLIENT = "broker", "load generator"


def profile(rows: list[Row], column: str, scale: Scale) -> None:
    """Keep and draw each row; at a small scale all goes to .cache/race/profiles/trial."""
    if shutil.which("perf") is None:
        raise SystemExit("perf is missing (Debian: apt-get install linux-perf)")
    for row in rows:
        if row.alone or column not in row.columns:
            raise SystemExit(f"{row.key}: a profile needs a row that runs on a broker of {column}")
    trial = PROFILES / "trial"
    kept, drawn = (PROFILES, FLAMES) if scale.amount == 1 else (trial, trial)
    for folder in (kept, drawn):
        folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        said: dict[str, Any] = {}
        for side, taken in _recorded(row, column, scale).items():
            end = "" if side == BROKER else "-client"
            path = drawn / f"{row.key}-{column}{end}.svg"
            title = f"{row.title} ({column}): {side}"
            path.write_text(flames.drawn(folds.folded(taken), title))
            said[side] = {"samples": len(taken), "shares": folds.shares(taken)}
            print(f"{title}, {len(taken):,} samples, {path}")
            for component, share in said[side]["shares"].items():
                print(f"  {share:6.1%}  {component}")
        (kept / f"{row.key}-{column}.json").write_text(json.dumps(said, indent=1) + "\n")


def kept_profiles() -> dict[str, Any]:
    """By "KEY-COLUMN": side -> its samples and shares."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(PROFILES.glob("*.json"))}


def _recorded(row: Row, column: str, scale: Scale) -> dict[str, list[Sample]]:
    with tempfile.TemporaryDirectory(dir=CACHE) as made:
        folder = Path(made)
        broker = StreamBus(folder / "StreamBus", column, Certificate.made(folder))
        broker.start()
        try:
            warm_up(broker, scale)
            row.run(broker, scale, False)
            of_broker = set(tree(broker.pid))
            with _perf(folder / "perf.data", broker.pid, os.getpid()):
                for _ in range(RUNS):
                    loads.settle(row.memory_mb)
                    row.run(broker, scale, False)
        finally:
            broker.stop()
        return _by_side(_script(folder / "perf.data"), of_broker)


def _by_side(script: str, of_broker: set[int]) -> dict[str, list[Sample]]:
    """What is neither the broker's nor this process's is a load generator's."""
    sides: dict[str, list[Sample]] = {BROKER: [], CLIENT: []}
    for sample in folds.samples(script.splitlines()):
        if sample.pid in of_broker:
            sides[BROKER].append(sample)
        elif sample.pid != os.getpid():
            sides[CLIENT].append(sample)
    if not sides[BROKER] or not sides[CLIENT]:
        raise RaceFailed("perf saw nothing of the broker or of the load generator")
    return sides


@contextmanager
def _perf(path: Path, *pids: int) -> Iterator[None]:
    """Records while the block lasts, with threads and processes that start meanwhile."""
    command = ["perf", "record", "-F", str(HERTZ), "--call-graph", f"dwarf,{STACK_BYTES}"]
    command += ["-o", str(path), "-p", ",".join(map(str, pids))]
    with path.with_suffix(".log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            time.sleep(ATTACH_S)
            yield
        finally:
            ended = process.poll()
            if ended is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)
        if ended is not None:
            log.seek(0)
            raise RaceFailed(f"perf ended with status {ended}:\n{log.read()[-2000:]}")


def _script(path: Path) -> str:
    # Inlined functions would be looked up one by one, which takes minutes.
    command = ["perf", "script", "--no-inline", "-i", str(path), "-F", folds.SCRIPT_FIELDS]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
