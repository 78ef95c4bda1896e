"""A copy of the tree in which sources are broken and tests run; the checkout is never touched."""

import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.tidy.source import ROOT

LEFT_OUT = (
    ".git",
    ".venv",
    ".cache",
    ".hypothesis",
    "__pycache__",
    "build",
    "*.egg-info",
    "node_modules",
)
FIRST_TIMESTAMP = 2_000_000_000


@dataclass(frozen=True)
class Ran:
    """`failed` are tests; `too_long` says that the time was over before the tests were."""

    failed: tuple[str, ...]
    seconds: dict[str, float]
    too_long: bool
    status: int
    output: str


class Scratch:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tree = folder / "tree"
        self._changes = 0
        shutil.copytree(ROOT, self._tree, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        code = "import app, streambus; print(app.__file__, streambus.__file__)"
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=self._tree, capture_output=True, text=True, check=True
        ).stdout.split()
        if not all(Path(file).is_relative_to(self._tree) for file in found):
            raise RuntimeError(f"the copy's tests would import {found}")

    @contextmanager
    def broken_by(self, mutant: Mutant) -> Iterator[tuple[str, str]]:
        """Gives the line as it was and as it is now."""
        path = self._tree / mutant.file
        sound = path.read_bytes()
        self._write(path, mutant.apply(sound))
        try:
            yield mutant.lines(sound.decode())
        finally:
            self._write(path, sound)

    def _write(self, path: Path, content: bytes) -> None:
        """With a time of its own, so that no compiled file of another text passes for this one."""
        path.write_bytes(content)
        self._changes += 1
        os.utime(path, (FIRST_TIMESTAMP + self._changes,) * 2)

    def test(self, files: Sequence[str], limit: float, *options: str) -> Ran:
        report = self._folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", *PYTEST_OPTIONS, f"--junitxml={report}"]
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(self._folder / "compiled")}
        with subprocess.Popen(
            [*command, *options, *files],
            cwd=self._tree,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=limit)
                too_long = False
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                too_long = True
        failed, seconds = _read(report) if report.exists() else ([], {})
        return Ran(tuple(failed), seconds, too_long, process.returncode, output)


# A seed of its own for hypothesis, so that a mutant's fate does not change from run to run.
PYTEST_OPTIONS = (
    *("-p", "no:xdist", "-p", "no:cacheprovider", "--timeout=30", "--tb=no"),
    *("--hypothesis-seed=1", "-o", "junit_family=xunit1"),
)


def _read(report: Path) -> tuple[list[str], dict[str, float]]:
    """(tests that failed, file -> seconds)."""
    failed: list[str] = []
    seconds: dict[str, float] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        file = case.get("file") or ""
        seconds[file] = seconds.get(file, 0.0) + float(case.get("time") or 0)
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{file}::{case.get('name')}")
    return failed, seconds
